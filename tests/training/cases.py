"""Detectors made for tests, suites of planted scores, and trials on them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tune_ad.data import Split, Task
from tune_ad.data.groups import Groups
from tune_ad.detectors.base import (
    Buffers,
    Detector,
    ScoreSpace,
    Terms,
    TrainedDetector,
    variant_name,
)
from tune_ad.detectors.config import Config, NetworkConfig, number
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.randomness import derived_seed
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Search
from tune_ad.search.study import Study
from tune_ad.storage.metric import OTHER_CLASSES
from tune_ad.storage.records import TrialSpec
from tune_ad.training.replicas.replica import ReplicaSpec, build
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.report import Report
from tune_ad.training.scoring import PartScores, measure, score_images
from tune_ad.training.suite import Suite
from tune_ad.training.trial import Trial

SHAPE = ImageShape(1, 8, 8)


# ------------------------------------------------------------------- detectors made for tests


@dataclass(frozen=True)
class BrightnessConfig(Config):
    """`sign` acts only when scoring."""

    sign: float = number(1.0, "(-inf, inf)")


class Brightness(Detector[BrightnessConfig]):
    """Not trained: the score of an image is its brightness, so the images set the scores."""

    Config = BrightnessConfig
    score_parameters = ("sign",)

    def stages(self) -> tuple[Stage, ...]:
        return ()

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        raise AssertionError("there is nothing to train")

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        light = images.flatten(1).amax(1).double() * 255
        others = {variant_name("sign", s): s * light for s in score_space.get("sign", ())}
        return {"score": self.config.sign * light, "light": light} | others


class Constant(Brightness):
    """Collapsed: all images have the same score."""

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        return {"score": torch.full((len(images),), 0.25)}


class Blinded(TrainedDetector[NetworkConfig]):
    """Trains one number; the replica with the mark `unlucky` fails, in one of two ways.

    Its loss becomes NaN after `fails_after` updates, or its scores are after that many.
    """

    Config = NetworkConfig
    unlucky: ClassVar[float] = math.inf
    fails_after: ClassVar[int] = 0
    fault: ClassVar[str] = "loss"

    def __init__(self, config: NetworkConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.line = nn.Linear(1, 1)
        self.register_buffer("mark", torch.rand(()))
        self.register_buffer("steps", torch.zeros(()))

    def struck(self, fault: str, values: Tensor) -> Tensor:
        late = self.get_buffer("steps") >= self.fails_after
        chosen = (self.get_buffer("mark") == self.unlucky) & (fault == self.fault)
        return torch.where(late & chosen, torch.nan, values)

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        return {"loss": self.struck("loss", self.line(images[:, 0, 0, :1]).squeeze(1))}

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        return {"steps": self.get_buffer("steps") + 1}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        return {"score": self.struck("score", images.flatten(1).amax(1))}


@dataclass(frozen=True)
class StagedConfig(NetworkConfig):
    """Epochs of the first stage."""

    earlier: int = number(5, "[1, 99]")


class Staged(TrainedDetector[StagedConfig]):
    """Two stages; scores are refused before the second has begun.

    The bias of a linear layer is the score. "first" is in nats, as is the score.
    """

    Config = StagedConfig
    nats = ("first", "score")

    def __init__(self, config: StagedConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.line = nn.Linear(1, 1)
        self.head = nn.Linear(1, 1)
        self.register_buffer("begun", torch.zeros(()))

    def stages(self) -> tuple[Stage, ...]:
        main = self.stage(Phase("train", ("line",)))
        both = (Phase("train", ("line", "head")),)
        first = replace(main, name="first", epochs=self.config.earlier, phases=both)
        return replace(first, batch_size=2), main

    def begin(self, stage: str, batches: Any) -> Buffers:
        return {"begun": torch.tensor(float(stage == "train"))}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        value = self.head(self.line(images[:, 0, 0, :1])).squeeze(1)
        return {"loss": value.square(), "first": value.detach()}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        assert float(self.get_buffer("begun")), "scored before the last stage"
        return {"score": images.flatten(1).amax(1) * self.line.bias}


class Turning(Blinded):
    """The loss of held-out images falls for three epochs and rises again."""

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        if self.training:
            return super().terms(phase, images, noise)
        return {"loss": (self.get_buffer("steps") - 6).abs().expand(len(images))}


def blind(
    monkeypatch: pytest.MonkeyPatch, seed: int, task: str, fails_after: int, fault: str
) -> None:
    """Make the replica of a seed and a task fail after `fails_after` updates."""
    module = build(Blinded, NetworkConfig(), SHAPE, derived_seed(seed, task))
    monkeypatch.setattr(Blinded, "unlucky", float(module.get_buffer("mark")))
    monkeypatch.setattr(Blinded, "fails_after", fails_after)
    monkeypatch.setattr(Blinded, "fault", fault)


# --------------------------------------------------------------------------- planted suites

Planted = Mapping[str, list[int]]
PARTS: Planted = {
    "train": [1, 2, 3, 4, 5, 6, 7, 8],
    "validation_normal": [3, 10, 10, 20, 40],
    "validation_anomalous": [10, 30, 40, 50],
    "test_normal": [1, 2, 9, 70],
    "test_anomalous": [2, 80, 81, 9, 9],
}
SECOND: Planted = {
    "train": [9, 10, 11],
    "validation_normal": [100, 90],
    "validation_anomalous": [80, 95, 110],
    "test_normal": [100, 101],
    "test_anomalous": [99],
}
AGAINST: Planted = {
    "train": [5, 6],
    "validation_normal": [5, 7, 8],
    "validation_anomalous": [],
    "test_normal": [5, 7, 9],
    "test/bright": [6, 200, 201],
    "test/dark": [0, 1, 9],
}


def planted(*tasks: Planted, stripes: bool = False) -> Suite:
    """A suite whose images have the given brightness (the largest pixel).

    Its tasks are "toy/0", "toy/1" and so on, one for each mapping; "test_anomalous" are images of
    other classes, "test/<name>" those of an outsider set.
    """
    values = [value for parts in tasks for part in parts.values() for value in part]
    images = np.zeros((len(values), *SHAPE), np.uint8)
    images[...] = np.array(values, np.uint8)[:, None, None, None]
    if stripes:
        noise = np.random.default_rng(0).random(images.shape)
        noise[:, 0, 0, 0] = 1
        images = (images * noise).astype(np.uint8)
    splits, start = {}, 0
    for k, parts in enumerate(tasks):
        positions = {}
        for name, part in parts.items():
            positions[name] = np.arange(start, start + len(part))
            start += len(part)
        splits[f"toy/{k}"] = split_of(positions)
    named = tuple(Task(name, "toy", k, ()) for k, name in enumerate(splits))
    labels, places = np.zeros(len(images), dtype=np.int64), np.arange(len(images))
    return Suite(images, named, splits, {"toy": "planted"}, labels, places)


def with_titles(suite: Suite, *names: str) -> Suite:
    """The suite whose tasks have classes with names."""
    tasks = [replace(task, class_name=name) for task, name in zip(suite.tasks, names, strict=True)]
    return replace(suite, tasks=tuple(tasks))


def split_of(parts: Mapping[str, np.ndarray]) -> Split[np.ndarray]:
    """A split from named parts, as in `planted`."""
    known = parts["validation_anomalous"]
    tested = {name[5:]: part for name, part in parts.items() if name.startswith("test/")}
    if "test_anomalous" in parts:
        tested[OTHER_CLASSES] = parts["test_anomalous"]
    return Split(
        parts["train"],
        Groups(parts["validation_normal"], {OTHER_CLASSES: known} if len(known) else {}),
        Groups(parts["test_normal"], tested),
    )


def with_nothing_anomalous(parts: Planted) -> Planted:
    """The normal parts of a suite, as those of a whole data set."""
    kept = ("train", "validation_normal", "test_normal")
    return {name: parts[name] for name in kept} | {"validation_anomalous": []}


def replica_set_on(
    suite: Suite,
    detector: type[Detector[Any]] = Brightness,
    seeds: tuple[int, ...] = (0,),
    score_space: ScoreSpace | None = None,
) -> ReplicaSet:
    """One replica for each seed and each task of a suite."""
    specs = [
        ReplicaSpec(task.name, seed, suite.split(task.name).train)
        for seed in seeds
        for task in suite.tasks
    ]
    images = torch.tensor(suite.images) / 255
    return ReplicaSet(detector, detector.Config(), images, specs, score_space)


def reference(metric: Any, normal: list[int], anomalous: list[int]) -> float:
    """The metric as scikit-learn computes it."""
    return float(metric([0] * len(normal) + [1] * len(anomalous), [*normal, *anomalous]))


# ------------------------------------------------------------------------------------ trials


def study_of(
    detector: type[Detector[Any]],
    epochs: int = 6,
    selection: str = "validation",
    score_space: ScoreSpace | None = None,
    **changes: Any,
) -> Study:
    """A study of one configuration of a detector; `changes` are of its budget, or `patience`."""
    patience = changes.pop("patience", 0)
    trained = issubclass(detector, TrainedDetector)
    settings = {"batch_size": 4, "learning_rate": 1e-3} if trained else {}
    baseline = Baseline(detector, settings=settings, score_space=score_space or {})
    budget = Budget(**{"trials": 1, "epochs": epochs, "seeds": 2, "evaluations": 3, **changes})
    budgets = dict.fromkeys(("quick", "standard", "paper"), budget)
    search = Search("toy", ("toy",), (baseline,), budgets, patience=patience)
    return Study("toy", search, "toy", SHAPE, "quick", budget, selection)


def patient(**changes: Any) -> Study:
    """A study of `Turning` with a patience of two epochs."""
    study = study_of(Turning, epochs=12, evaluations=12, patience=2, **changes)
    return replace(study, settings={"batch_size": 4})


def trial_of(study: Study, suite: Suite | None = None, **params: Any) -> Trial:
    """The trial of a study with number 4."""
    spec = TrialSpec(4, study.search.baselines[0].title, params)
    chosen = suite if suite is not None else planted(PARTS, SECOND, stripes=True)
    return Trial(study, chosen, spec, "cpu")


def stepped(trial: Trial) -> Report:
    """The report of a trial after its next interval."""
    while not isinstance(message := trial.advance(), Report):
        pass
    return message


def run(trial: Trial) -> list[Report]:
    """The reports of a trial to its end."""
    reports = [stepped(trial)]
    while not reports[-1].done:
        reports.append(stepped(trial))
    return reports


def without_seconds(report: Report) -> dict[str, Any]:
    """A report as plain data, without the time that it took."""
    record = replace(report.record, seconds=0.0).to_json()
    values = {**vars(report), "record": record}
    return values | {name: as_lists(values[name]) for name in ("scores", "pictures")}


def as_lists(value: Any) -> Any:
    """Nested mappings of arrays as mappings of lists."""
    if isinstance(value, Mapping):
        return {name: as_lists(item) for name, item in value.items()}
    if isinstance(value, Groups):
        return as_lists(vars(value))
    return value.tolist() if isinstance(value, np.ndarray) else value


def score_part(
    replica_set: ReplicaSet, suite: Suite, part: str, every_variant: bool = False
) -> PartScores:
    """The measured scores of one part of the images."""
    scored = score_images(replica_set, suite, part, every_variant)
    return measure(replica_set, suite, part, scored, every_variant)
