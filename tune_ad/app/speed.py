"""How fast this machine trains a search: measured seconds per image, counted operations."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch

from tune_ad.detectors.base import Detector, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import epoch_operations
from tune_ad.errors import UserError
from tune_ad.execution.gpu_probe import probe, seconds_of
from tune_ad.search.baseline import Baseline
from tune_ad.search.scheduler import TrialScheduler
from tune_ad.search.study import Study

SAMPLED_TRIALS = 12  # number of configurations whose operations are counted
PROBE_BATCHES = 2
ENOUGH_SECONDS = 1.0  # time limit for the repeated calls of one measurement
LONG_CALL_SECONDS = 10.0  # if the first call takes longer, it is not repeated


class Speed(NamedTuple):
    """The speed of a baseline at its default configuration, in seconds per image.

    Attributes:
        train: seconds per training image and epoch, for each stage.
        fit: seconds per training image to prepare scoring, at each evaluation.
        score: seconds per scored image.
        variants: seconds per image that is scored with every value of the score space, as at the
            last evaluation.
    """

    train: tuple[float, ...]
    fit: float
    score: float
    variants: float


def measured_speed(study: Study, device: str, models: int = 1) -> dict[str, Speed]:
    """The speed of each baseline at its default, as a trial trains it, with one thread.

    The measurement takes about a second per baseline, and depends on the load of the machine. If
    this machine has no GPU but the cluster has, it is the speed of a CPU core.

    Args:
        study: study with the baselines to be timed.
        device: "cpu" or "cuda".
        models: number of models of a trial, of which several may be trained together.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    available = device if torch.cuda.is_available() else "cpu"
    try:
        return {
            name: _speed(baseline, study, available, models)
            for name, baseline in study.baselines.items()
        }
    finally:
        torch.set_num_threads(threads)


def _speed(baseline: Baseline, study: Study, device: str, models: int) -> Speed:
    replica_set = probe(baseline, study, device, models, PROBE_BATCHES)
    together, stages = len(replica_set.replicas), replica_set.replicas[0].stages
    indices = replica_set.replicas[0].spec.train
    count = len(indices)
    train, first_epoch = [], 0
    for stage in stages:
        stack = replica_set.stack_of(range(together))
        epoch = partial(stack.train_epoch, first_epoch)
        train.append(_timed(epoch, device) / (count * together))
        first_epoch += stage.epochs
    fit = _timed(replica_set.prepare_scoring, device) / together
    score = _timed(lambda: replica_set.score(0, indices), device)
    variants = _timed(lambda: replica_set.score(0, indices, every_variant=True), device)
    return Speed(tuple(train), fit / count, score / count, variants / count)


def _timed(call: Callable[[], object], device: str) -> float:
    """Seconds of a call: the minimum of up to four runs; the first may include loading."""
    first = seconds_of(call, device)
    repeated: list[float] = []
    while (
        first < LONG_CALL_SECONDS
        and len(repeated) < 3
        and (not repeated or first + sum(repeated) < ENOUGH_SECONDS)
    ):
        repeated.append(seconds_of(call, device))
    return min([first, *repeated])


def relative_operations(study: Study, measured: Study | None = None) -> float:
    """Mean floating-point operations of sampled configurations divided by those of the defaults.

    Configurations that cannot be built are left out, because they fail at once.

    Args:
        study: study whose configurations are sampled.
        measured: study whose defaults were timed, if its budget has other defaults; its number of
            epochs does not matter. None = `study` itself.
    """
    scheduler = TrialScheduler(
        study.search.plan,
        study.resolved_baselines,
        min(SAMPLED_TRIALS, study.budget.trials),
        study.seed,
    )
    timed = study
    if measured is not None:
        timed = replace(measured, budget=replace(measured.budget, epochs=study.budget.epochs))
    ratios = []
    while (spec := scheduler.ask()) is not None:
        baseline = timed.baselines[spec.baseline]
        default = _operations(baseline.detector, baseline.config(study.shape, {}), study.shape)
        try:
            sampled = _operations(baseline.detector, study.config(spec), study.shape)
        except UserError:
            continue
        ratios.append(sampled / default if default else 1.0)
    return sum(ratios) / len(ratios) if ratios else 1.0


def _operations(detector: type[Detector[Any]], config: Config, shape: ImageShape) -> int:
    """Number of floating-point operations to train on one image over all epochs."""
    module = skeleton(detector, config, shape)
    return sum(stage.epochs * epoch_operations(module, stage) for stage in module.stages())
