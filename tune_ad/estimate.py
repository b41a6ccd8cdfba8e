"""What a study would cost on this machine: from a short measurement and counted operations."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from tune_ad.cohort import Cohort, Member
from tune_ad.detectors.base import Detector, skeleton
from tune_ad.detectors.config import Config, NetworkConfig
from tune_ad.errors import UserError
from tune_ad.nets import ImageShape
from tune_ad.randomness import torch_stream
from tune_ad.search import Baseline, Budget, Study
from tune_ad.sweep import Sweep

SAMPLED = 12  # configurations whose cost is counted
PROBE_BATCHES = 2
PROBED = 200  # images for a detector that is fitted
LONG = 1.0  # seconds after which a first call is measurement enough
BYTES_PER_MODEL = 20_000  # of records and event files


class Speed(NamedTuple):
    """Seconds that one image takes.

    Attributes:
        train: to train, over all epochs of all stages.
        fit: to fit what scoring needs, before each report.
        score: to score.
        variants: to score with every value of the score space, which the last report does.
    """

    train: float
    fit: float
    score: float
    variants: float


class Sizes(NamedTuple):
    """Images of one replica.

    Attributes:
        train: trained on in each epoch.
        validation: scored at each report.
        test: scored at the end of the evaluation.
        tasks: in the panel, of every class that the budget names.
    """

    train: int
    validation: int
    test: int
    tasks: int


@dataclass(frozen=True)
class Cost:
    """What a study would take.

    Attributes:
        seconds: of wall time, on this machine.
        trials: configurations.
        models: trained in all, evaluation included.
        bytes: of records and event files, roughly.
    """

    seconds: float
    trials: int
    models: int
    bytes: int


def measured_speed(study: Study, device: str) -> Speed:
    """The mean speed of the baselines at their defaults: one replica, one thread, this machine.

    Takes about a second each. On a machine without a GPU, from which a cluster's are used, it is
    the speed of a core.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    here = device if torch.cuda.is_available() else "cpu"
    try:
        speeds = [
            _speed(baseline, baseline.config(study.shape, {}), study.shape, here)
            for baseline in study.baselines.values()
        ]
    finally:
        torch.set_num_threads(threads)
    return Speed(*(sum(each) / len(speeds) for each in zip(*speeds, strict=True)))


def _speed(baseline: Baseline, config: Config, shape: ImageShape, device: str) -> Speed:
    stages = skeleton(baseline.detector, config, shape).stages()
    count = PROBE_BATCHES * max([stage.batch_size for stage in stages] or [PROBED])
    images = torch.rand(count, *shape, generator=torch_stream(0, "probe")).to(device)
    everything = torch.arange(count)
    members = [Member("probe", 0, everything)]
    # The first of the two epochs warms up.
    short = replace(config, epochs=2) if isinstance(config, NetworkConfig) else config
    cohort = Cohort(baseline.detector, short, images, members, baseline.score_space)
    train = 0.0
    for stage, probed in zip(stages, cohort.learners[0].stages, strict=True):
        epochs = [_seconds(lambda: cohort.train(1), device) for _ in range(probed.epochs)]
        train += stage.epochs * epochs[-1]
    fit = _timed(cohort.prepare_scoring, device)
    score = _timed(lambda: cohort.score(0, everything), device)
    variants = _timed(lambda: cohort.score(0, everything, every_variant=True), device)
    return Speed(train / count, fit / count, score / count, variants / count)


def _timed(call: Callable[[], object], device: str) -> float:
    """Seconds of a call, after one to warm up unless that took long."""
    first = _seconds(call, device)
    return first if first > LONG else _seconds(call, device)


def _seconds(call: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def relative_operations(study: Study) -> float:
    """Mean floating-point operations of sampled configurations, over those of the defaults.

    Configurations that cannot be built fail at once: they are left out.
    """
    sweep = Sweep(study.search.plan, study.arms, SAMPLED, study.seed)
    ratios = []
    while (suggestion := sweep.ask()) is not None:
        baseline = study.baselines[suggestion.baseline]
        default = _operations(baseline.detector, baseline.config(study.shape, {}), study.shape)
        try:
            own = _operations(baseline.detector, study.config(suggestion), study.shape)
        except UserError:
            continue
        ratios.append(own / default if default else 1.0)
    return sum(ratios) / len(ratios) if ratios else 1.0


def _operations(detector: type[Detector[Any]], config: Config, shape: ImageShape) -> int:
    module = skeleton(detector, config, shape)
    with torch.device("meta"):
        phases = [phase for stage in module.stages() for phase in stage.phases]
        images = torch.empty(2, *shape)
        with FlopCounterMode(display=False) as counter:
            for phase in phases:
                wanted = module.noise(phase.name, len(images))
                noise = {name: torch.empty(each.shape) for name, each in wanted.items()}
                module.terms(phase.name, images, noise)
        return int(counter.get_total_flops())


def image_sizes(budget: Budget, class_images: int, test_images: int, classes: int) -> Sizes:
    """The images of one replica: `class_images` in its training files, of `classes` classes."""
    held_out = int(class_images * budget.validation_fraction)
    train = min(class_images - held_out, budget.train_images or class_images)
    others = held_out * (classes - 1)
    cap = held_out + others if budget.validation_images is None else budget.validation_images
    validation = min(held_out, cap) + min(others, cap)
    test = test_images if budget.test_images is None else min(test_images, 2 * budget.test_images)
    tasks = classes if budget.classes is None else len(budget.classes)
    return Sizes(train, validation, test, tasks)


def cost(study: Study, sizes: Sizes, speed: Speed, ratio: float, concurrent: int) -> Cost:
    """What the study takes if its trials are as dear as the sampled ones.

    Args:
        study: the search under its budget.
        sizes: of the panel.
        speed: of the default configuration.
        ratio: operations of a mean trial over the default's.
        concurrent: trials at a time.
    """
    budget = study.budget
    trials = Sweep(study.search.plan, study.arms, budget.trials, study.seed).trials
    epochs = max(1, *study.epochs().values())
    reports = -(-epochs // budget.interval(epochs))
    model = sizes.train * (speed.train + reports * speed.fit)
    model += sizes.validation * ((reports - 1) * speed.score + speed.variants)
    tested = sizes.test * speed.variants
    replicas = budget.seeds * sizes.tasks
    searched = trials * replicas * ratio * (model + tested * study.tests_trials)
    fresh = budget.evaluation_seeds * sizes.tasks * max(1.0, ratio) * (model + tested)
    return Cost(
        seconds=searched / min(concurrent, trials)
        + fresh / max(1, min(concurrent, budget.evaluation_seeds)),
        trials=trials,
        models=trials * replicas + budget.evaluation_seeds * sizes.tasks,
        bytes=(trials * budget.seeds + budget.evaluation_seeds) * sizes.tasks * BYTES_PER_MODEL,
    )
