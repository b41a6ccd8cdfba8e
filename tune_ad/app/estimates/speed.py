"""How fast this machine trains a search: measured seconds per image, counted operations."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tune_ad.detectors.answers import BUILD_SECONDS, MEASURE_SECONDS, answering
from tune_ad.detectors.base import Detector, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import epoch_operations
from tune_ad.detectors.schedule import Stage
from tune_ad.errors import UserError
from tune_ad.execution.probe import probe
from tune_ad.execution.timing import seconds_of
from tune_ad.search.scheduler import TrialScheduler
from tune_ad.search.study import Study
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.replicas.stack import Stack

SAMPLED_TRIALS = 12  # number of configurations whose operations are counted
PROBE_SECONDS = 2.0  # of all measurements together; building models and first calls not included
FIRST_IMAGES = 2  # of the shortest call; batch normalisation needs more than one image
REPEATED = 3  # calls with the largest number of images
LONG_SECONDS = 2.0  # a longer call to prepare scoring is not repeated
MUCH_LARGER = 1.5  # ratio of operations from which a larger configuration is measured, too


class Speed(NamedTuple):
    """The speed of a baseline at its default configuration, in seconds per image.

    Attributes:
        train: seconds per training image and epoch, by the name of each stage.
        fit: seconds per training image to prepare scoring, at each evaluation.
        score: seconds per scored image.
        variants: seconds per image that is scored with every value of the score space, as at the
            last evaluation.
        growth: the relative increase of the seconds of a training step over that of its
            operations, 0 or more. It is 1 if they are proportional, and less for small networks,
            whose steps take time for other things.
    """

    train: Mapping[str, float]
    fit: float
    score: float
    variants: float
    growth: float = 1.0

    def training(self, stages: Iterable[Stage]) -> float:
        """Seconds that all epochs of some stages take, per training image.

        A stage that was not measured, because the measured budget has too few epochs for it, is
        taken to cost as much as the slowest one that was.
        """
        slowest = max(self.train.values(), default=0.0)
        return sum(stage.epochs * self.train.get(stage.name, slowest) for stage in stages)

    def relative(self, operations: float) -> float:
        """Seconds of a training step with $r$ times the operations over those of the default.

        They are $1 + g (r - 1)$ with the growth $g$, which is at most 1 if $r < 1$, so that the
        result is positive.

        Args:
            operations: the ratio $r$, above 0.
        """
        growth = self.growth if operations > 1 else min(self.growth, 1.0)
        return 1 + growth * (operations - 1)


def measured_speed(study: Study, device: str, models: int = 1) -> dict[str, Speed]:
    """The speed of each baseline at its default, as a trial trains it, with one thread.

    The measurements take about `PROBE_SECONDS` in total, and depend on the load of the machine. If
    this machine has no GPU but the cluster has, it is the speed of a CPU core.

    Args:
        study: study with the baselines to be timed.
        device: "cpu" or "cuda".
        models: number of models of a trial, of which several may be trained together.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    available = device if torch.cuda.is_available() else "cpu"
    limit = PROBE_SECONDS / len(study.baselines)
    largest = _much_larger(study)
    try:
        speeds = {}
        for name, baseline in study.baselines.items():
            with answering(baseline.detector, "cannot be trained", MEASURE_SECONDS):
                speeds[name] = _speed(name, study, available, models, largest.get(name), limit)
        return speeds
    finally:
        torch.set_num_threads(threads)


def _speed(
    name: str,
    study: Study,
    device: str,
    models: int,
    larger: tuple[Config, float] | None,
    limit: float,
) -> Speed:
    """The speed of a baseline, measured in about `limit` seconds.

    Args:
        name: the name of the baseline.
        study: the study.
        device: "cpu" or "cuda".
        models: number of models of a trial.
        larger: a configuration with more operations, and their ratio to those of the default.
        limit: the number of seconds.
    """

    def built(config: Config) -> _Probe:
        return _Probe(probe(study.baselines[name], config, study, device, models), device)

    default = built(_default(study, name))
    limit /= len(default.stages) + 2 + (larger is not None)  # with the two kinds of scores
    train = {stage.name: default.train(stage, limit) for stage in default.stages}
    variants = partial(default.score, limit, every_variant=True)
    speed = Speed(train, default.fit(), default.score(limit), variants())
    if larger is None:
        return speed
    config, operations = larger
    large = built(config)
    seconds = large.train(large.stages[-1], limit) / train[default.stages[-1].name]
    return speed._replace(growth=max(0.0, seconds - 1) / (operations - 1))


class _Probe:
    """Models on random images, to be timed.

    Args:
        replica_set: models of one configuration that are trained together.
        device: "cpu" or "cuda".
    """

    def __init__(self, replica_set: ReplicaSet, device: str) -> None:
        self.replica_set, self.device = replica_set, device
        self.stages = replica_set.replicas[0].stages
        self.together = len(replica_set.replicas)
        self.indices = replica_set.replicas[0].spec.train.to(device)

    def train(self, stage: Stage, limit: float) -> float:
        """Seconds per training image and epoch of a stage, measured in about `limit` seconds."""
        stack = self.replica_set.stack_of(range(self.together))
        stack.begin_epoch(stage, 0)
        step = partial(self._step, stack, stage)
        return _seconds_per_image(step, stage.batch_size, limit, self.device) / self.together

    def _step(self, stack: Stack, stage: Stage, images: int) -> None:
        """A step of all models with a number of images of each."""
        indices: Tensor = self.indices[:images].expand(self.together, -1)
        progress = torch.zeros((), device=self.device)
        stack.update(stage, indices, progress, stage.learning_rate(0))

    def fit(self) -> float:
        """Seconds per training image to prepare scoring; the first of two calls may load."""
        calls = [seconds_of(self.replica_set.prepare_scoring, self.device)]
        if calls[0] < LONG_SECONDS:
            calls.append(seconds_of(self.replica_set.prepare_scoring, self.device))
        return min(calls) / (len(self.indices) * self.together)

    def score(self, limit: float, every_variant: bool = False) -> float:
        """Seconds per scored image, measured in about `limit` seconds."""

        def scored(images: int) -> None:
            self.replica_set.score(0, self.indices[:images], every_variant)

        return _seconds_per_image(scored, len(self.indices), limit, self.device)


def _seconds_per_image(
    call: Callable[[int], object], largest: int, limit: float, device: str
) -> float:
    """Seconds per image of a call with `largest` images, from calls with 2, 4, 8, ... images.

    If `limit` seconds do not suffice for a call with `largest` images, its seconds are those on
    the line through the two largest calls. Otherwise the fastest of a few counts.

    Args:
        call: a function of the number of images; its first call may include loading.
        largest: the largest number of images.
        limit: about how many seconds all calls but the first may take.
        device: "cpu" or "cuda".
    """
    call(min(FIRST_IMAGES, largest))
    fastest: dict[int, float] = {}
    spent = last = 0.0
    for images in _numbers(largest):
        if fastest and spent + 2 * last > limit:
            break
        last = seconds_of(partial(call, images), device)
        spent += last
        fastest[images] = min(last, fastest.get(images, last))
    measured = max(fastest)
    if measured < largest and len(fastest) > 1:
        before = sorted(fastest)[-2]
        slope = (fastest[measured] - fastest[before]) / (measured - before)
        if slope > 0:
            return max(slope, (fastest[measured] + slope * (largest - measured)) / largest)
    return fastest[measured] / measured


def _numbers(largest: int) -> Iterator[int]:
    """2, 4, 8, ... below `largest`; then `largest` a few times."""
    images = FIRST_IMAGES
    while images < largest:
        yield images
        images *= 2
    yield from [largest] * REPEATED


def _much_larger(study: Study) -> dict[str, tuple[Config, float]]:
    """By baseline, the largest sampled configuration, if it is much larger than the default.

    Returns:
        the configuration, and its operations in the last stage divided by those of the default.
    """
    largest: dict[str, tuple[Config, float]] = {}
    for name, config in _sampled(study):
        detector = study.baselines[name].detector
        unit = _last_operations(detector, _default(study, name), study.shape)
        ratio = _last_operations(detector, config, study.shape) / unit if unit else 1.0
        if ratio >= MUCH_LARGER and (name not in largest or ratio > largest[name][1]):
            largest[name] = config, ratio
    return largest


def _sampled(study: Study) -> list[tuple[str, Config]]:
    """A few configurations that a study could train, each with its baseline.

    Configurations that cannot be built are left out, because they fail at once.
    """
    scheduler = TrialScheduler(
        study.search.plan,
        study.resolved_baselines,
        min(max(SAMPLED_TRIALS, 3 * len(study.baselines)), study.budget.trials),
        study.seed,
    )
    configs = []
    while (spec := scheduler.ask()) is not None:
        try:
            config = study.config(spec)
            _stages(study.baselines[spec.baseline].detector, config, study.shape)
        except UserError:
            continue
        configs.append((spec.baseline, config))
    return configs


def relative_seconds(
    study: Study, speeds: Mapping[str, Speed], measured: Study | None = None
) -> dict[str, float]:
    """Mean seconds of the sampled configurations of each baseline divided by those of its default.

    1 for a baseline that is only fitted, or of which no configuration was sampled.

    Args:
        study: study whose configurations are sampled.
        speeds: the speed of each baseline at its default.
        measured: study whose defaults were timed, if its budget has other defaults; its number of
            epochs does not matter. None = `study` itself.
    """
    timed = study
    if measured is not None:
        timed = replace(measured, budget=measured.budget.with_epochs(study.budget.epochs))
    by_baseline: dict[str, list[float]] = {name: [] for name in study.baselines}
    for name, ratio in sampled_ratios(study, timed, speeds):
        by_baseline[name].append(ratio)
    return {name: sum(r) / len(r) if r else 1.0 for name, r in by_baseline.items()}


def sampled_ratios(
    study: Study, timed: Study, speeds: Mapping[str, Speed]
) -> list[tuple[str, float]]:
    """The seconds of sampled configurations over those of the default of their baselines.

    Args:
        study: study whose configurations are sampled.
        timed: study whose defaults were timed.
        speeds: the speed of each baseline at its default.

    Returns:
        The baseline and the ratio of each configuration.
    """
    ratios = []
    for name, config in _sampled(study):
        detector, default = timed.baselines[name].detector, _default(timed, name)
        unit = _last_operations(detector, default, study.shape)
        seconds = [
            sum(
                epochs * speeds[name].relative(operations / unit)
                for epochs, operations in _stages(detector, either, study.shape)
            )
            for either in (config, default)
            if unit
        ]
        ratios.append((name, seconds[0] / seconds[1] if seconds else 1.0))
    return ratios


def _default(study: Study, name: str) -> Config:
    config: Config = study.baselines[name].config(study.shape, {})
    return config


def _last_operations(detector: type[Detector[Any]], config: Config, shape: ImageShape) -> float:
    """Operations of the last stage per image; 0 for a detector that is only fitted."""
    stages = _stages(detector, config, shape)
    return stages[-1][1] if stages else 0


@cache
def _stages(
    detector: type[Detector[Any]], config: Config, shape: ImageShape
) -> tuple[tuple[int, float], ...]:
    """The number of epochs of each stage, and its operations per image and epoch.

    Raises:
        UserError: if the configuration cannot be built for the images.
    """
    module = skeleton(detector, config, shape)
    with answering(detector, "has operations that cannot be counted", BUILD_SECONDS):
        return tuple((stage.epochs, epoch_operations(module, stage)) for stage in module.stages())
