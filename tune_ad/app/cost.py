"""What a study would cost on this machine: from a short measurement and counted operations."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch

from tune_ad.detectors.base import Detector, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import epoch_operations
from tune_ad.detectors.schedule import Stage
from tune_ad.errors import UserError
from tune_ad.randomness import torch_stream
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Baseline
from tune_ad.search.scheduler import TrialScheduler
from tune_ad.search.study import Study
from tune_ad.training.replica import ReplicaSpec
from tune_ad.training.replica_set import ReplicaSet

SAMPLED = 12  # configurations whose cost is counted
PROBE_BATCHES = 2
PROBED = 200  # images for a detector that is fitted
LONG = 1.0  # seconds of calls that are measurement enough
LONGEST = 10.0  # of a first call, which may load what it needs, for it to be enough
BYTES_PER_MODEL = 20_000  # of records and event files

# Seconds beside training, measured on two CPU cores by the search quickstart:
PREPARATION = 3.0  # loading PyTorch and Optuna, reading the images
RAY = 7.0  # starting Ray takes 4, stopping it 3
RAY_WORKERS = 5.0  # until the first epoch: once for the search, once for the winner
REPORT = 3.5  # loading pandas and Matplotlib, drawing the figures of a few trials
REPORT_PER_TRIAL = 0.03  # from 16 to 48 trials


class Speed(NamedTuple):
    """Seconds that one image takes a baseline.

    Attributes:
        train: to train on for an epoch, by stage.
        fit: to fit what scoring needs, before each examination.
        score: to score.
        variants: to score with every value of the score space, which the last report does.
    """

    train: tuple[float, ...]
    fit: float
    score: float
    variants: float


class Sizes(NamedTuple):
    """Images of one replica.

    Attributes:
        train: trained on in each epoch.
        validation: scored at each examination.
        test: scored once, at the last report.
        tasks: in the suite, of every class that the budget names.
    """

    train: int
    validation: int
    test: int
    tasks: int


class Size(NamedTuple):
    """How much a study trains.

    Attributes:
        trials: number of configurations.
        models: number of models, those of the winner on fresh seeds included.
    """

    trials: int
    models: int


@dataclass(frozen=True)
class Cost:
    """What a study would take.

    Attributes:
        seconds: of wall time for training and scoring, on this machine.
        size: trials and models.
        bytes: of records and event files, roughly.
        overhead: seconds of wall time for the start, the backend and the report.
    """

    seconds: float
    size: Size
    bytes: int
    overhead: float = 0.0

    @property
    def total(self) -> float:
        """Seconds of wall time from the command to its last line."""
        return self.seconds + self.overhead


def size(study: Study, tasks: int) -> Size:
    """The number of trials and of models of a study.

    Args:
        study: the search under its budget.
        tasks: number of tasks, each of which has a model of its own.
    """
    budget = study.budget
    trials = TrialScheduler(
        study.search.plan, study.resolved_baselines, budget.trials, study.seed
    ).trials
    return Size(trials, (trials * budget.seeds + _fresh_seeds(study)) * tasks)


def _fresh_seeds(study: Study) -> int:
    """Seeds on which the winner is trained again; none where no trial is selected."""
    return study.budget.evaluation_seeds if study.selects else 0


def overhead(backend: str, trials: int) -> float:
    """Seconds of wall time beside training: the start, the backend, the report.

    Args:
        backend: "ray" or "serial".
        trials: in the report.
    """
    ray = RAY + 2 * RAY_WORKERS if backend == "ray" else 0.0
    return PREPARATION + ray + REPORT + REPORT_PER_TRIAL * trials


def measured_speed(study: Study, device: str) -> dict[str, Speed]:
    """The speed of each baseline at its default: one replica, one thread, this machine.

    Takes about a second each. On a machine without a GPU, from which a cluster's are used, it is
    the speed of a core.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    here = device if torch.cuda.is_available() else "cpu"
    try:
        return {
            name: _speed(baseline, study.shape, here) for name, baseline in study.baselines.items()
        }
    finally:
        torch.set_num_threads(threads)


def _speed(baseline: Baseline, shape: ImageShape, device: str) -> Speed:
    stages = baseline.skeleton(shape).stages()
    count = PROBE_BATCHES * max([stage.batch_size for stage in stages] or [PROBED])
    images = torch.rand(count, *shape, generator=torch_stream(0, "probe")).to(device)
    everything = torch.arange(count)
    replica_specs = [ReplicaSpec("probe", 0, everything)]
    config = baseline.config(shape, {})
    replica_set = ReplicaSet(
        baseline.detector, config, images, replica_specs, baseline.score_space
    )
    train, first = [], 0
    for stage in stages:
        epoch = partial(replica_set.replicas[0].train_epoch, first)
        train.append(_timed(epoch, device) / count)
        first += stage.epochs
    fit = _timed(replica_set.prepare_scoring, device)
    score = _timed(lambda: replica_set.score(0, everything), device)
    variants = _timed(lambda: replica_set.score(0, everything, every_variant=True), device)
    return Speed(tuple(train), fit / count, score / count, variants / count)


def _timed(call: Callable[[], object], device: str) -> float:
    """Seconds of a call: the least of three after one to warm up, fewer where they take long."""
    first = _seconds(call, device)
    again: list[float] = []
    while first < LONGEST and len(again) < 3 and (not again or first + sum(again) < LONG):
        again.append(_seconds(call, device))
    return min([first, *again])


def _seconds(call: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def relative_operations(study: Study, measured: Study | None = None) -> float:
    """Mean floating-point operations of sampled configurations, over those of the defaults.

    Configurations that cannot be built fail at once: they are left out.

    Args:
        study: whose configurations are sampled.
        measured: the study whose defaults were timed, where its budget has others; its epochs do
            not matter.
    """
    scheduler = TrialScheduler(
        study.search.plan, study.resolved_baselines, min(SAMPLED, study.budget.trials), study.seed
    )
    timed = study if measured is None else replace(measured, budget=_as_long(measured, study))
    ratios = []
    while (spec := scheduler.ask()) is not None:
        baseline = timed.baselines[spec.baseline]
        default = _operations(baseline.detector, baseline.config(study.shape, {}), study.shape)
        try:
            own = _operations(baseline.detector, study.config(spec), study.shape)
        except UserError:
            continue
        ratios.append(own / default if default else 1.0)
    return sum(ratios) / len(ratios) if ratios else 1.0


def _as_long(measured: Study, study: Study) -> Budget:
    return replace(measured.budget, epochs=study.budget.epochs)


def _operations(detector: type[Detector[Any]], config: Config, shape: ImageShape) -> int:
    module = skeleton(detector, config, shape)
    return sum(stage.epochs * epoch_operations(module, stage) for stage in module.stages())


def image_sizes(
    budget: Budget,
    class_images: int,
    test_images: int,
    classes: int,
    outsiders: Sequence[int] = (),
) -> Sizes:
    """The images of one replica.

    Args:
        budget: gives the caps.
        class_images: in the training files of a normal class, or of the whole set.
        test_images: of the data set.
        classes: of which one is normal; 1 where the whole set is.
        outsiders: test images of each other data set.
    """
    held_out = int(class_images * budget.validation_fraction)
    train = min(class_images - held_out, budget.train_images or class_images)
    others = held_out * (classes - 1)
    cap = held_out + others if budget.validation_images is None else budget.validation_images
    validation = min(held_out, cap) + min(others, cap)
    sides = min(classes, 2)  # a whole data set has no anomalies
    cap = test_images if budget.test_images is None else sides * budget.test_images
    test = min(test_images, cap)
    test += sum(min(n, n if budget.test_images is None else budget.test_images) for n in outsiders)
    tasks = classes if budget.classes is None else len(budget.classes)
    return Sizes(train, validation, test, tasks)


def cost(
    study: Study, sizes: Sizes, speeds: Mapping[str, Speed], ratio: float, concurrent: int
) -> Cost:
    """What the study takes if its trials are as dear as the sampled ones.

    Args:
        study: the search under its budget.
        sizes: of the suite.
        speeds: of the default configuration of each baseline.
        ratio: operations of a mean trial over the default's.
        concurrent: trials at a time.
    """
    trials, models = size(study, sizes.tasks)
    seeds = _fresh_seeds(study)
    model = _mean_model(study, sizes, speeds)
    searched = trials * study.budget.seeds * sizes.tasks * ratio * model
    fresh = seeds * sizes.tasks * max(1.0, ratio) * model
    return Cost(
        seconds=searched / min(concurrent, trials) + fresh / max(1, min(concurrent, seeds)),
        size=Size(trials, models),
        bytes=models * BYTES_PER_MODEL,
    )


def _mean_model(study: Study, sizes: Sizes, speeds: Mapping[str, Speed]) -> float:
    """Seconds of one model, from training to its last report: the mean over baselines."""
    models = [
        _model(each.skeleton(study.shape).stages(), study.budget, sizes, speeds[name])
        for name, each in study.baselines.items()
    ]
    return sum(models) / len(models)


def _model(stages: Sequence[Stage], budget: Budget, sizes: Sizes, speed: Speed) -> float:
    epochs = sum(stage.epochs for stage in stages)
    earlier = sum(stage.epochs for stage in stages[:-1])  # nothing is examined before the last
    interval = budget.interval(epochs)
    watched = sizes.validation + sizes.test * budget.test_curve
    examined = max(1, -(-epochs // interval)) - earlier // interval if watched else 1
    last = sizes.validation + sizes.test
    trained = sum(s.epochs * each for s, each in zip(stages, speed.train, strict=True))
    seconds = sizes.train * (trained + examined * speed.fit)
    return seconds + (examined - 1) * watched * speed.score + last * speed.variants
