"""Planted scores give the numbers they must; trials report, fail, and go on as they should."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn

from tune_ad.data import Task
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import (
    Buffers,
    Detector,
    ScoreSpace,
    Terms,
    TrainedDetector,
    variant_name,
)
from tune_ad.detectors.config import Config, NetworkConfig, number
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.likelihood_vae.detector import LikelihoodVAEConfig
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.errors import DegenerateInputError
from tune_ad.randomness import derived_seed
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Baseline, Search
from tune_ad.search.study import Study
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.artifacts import (
    HISTOGRAM_BINS,
    KEPT_SCORES,
    histogram,
    histograms,
    pictures,
    thinned,
)
from tune_ad.training.likelihood_diagnostics import nearly_one_code, seen_again
from tune_ad.training.metrics import auroc
from tune_ad.training.replica import ReplicaSpec, build
from tune_ad.training.replica_set import ReplicaSet
from tune_ad.training.scoring import (
    DRAWS,
    Examination,
    Key,
    by_name,
    drawings,
    examine,
    labelled,
    with_bits,
)
from tune_ad.training.suite import Suite
from tune_ad.training.trial import Report, Trial

SHAPE = ImageShape(1, 8, 8)


# ------------------------------------------------------------------- detectors made for tests


@dataclass(frozen=True)
class BrightnessConfig(Config):
    """`sign` acts only when scoring."""

    sign: float = number(1.0, "(-inf, inf)")


class Brightness(Detector[BrightnessConfig]):
    """Untrained: the score is an image's brightness, so a suite's images plant its scores."""

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
    """Collapsed: every image has one score."""

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        return {"score": torch.full((len(images),), 0.25)}


class Blinded(TrainedDetector[NetworkConfig]):
    """Trains one number; the replica with the mark `unlucky` fails, in one of two ways.

    Its loss becomes NaN after `patience` updates, or its scores are after that many.
    """

    Config = NetworkConfig
    unlucky: ClassVar[float] = math.inf
    patience: ClassVar[int] = 0
    fault: ClassVar[str] = "loss"

    def __init__(self, config: NetworkConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.line = nn.Linear(1, 1)
        self.register_buffer("mark", torch.rand(()))
        self.register_buffer("steps", torch.zeros(()))

    def struck(self, fault: str, values: Tensor) -> Tensor:
        late = self.get_buffer("steps") >= self.patience
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
    """Two stages; nothing is known of the score before the second has begun.

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


def blind(
    monkeypatch: pytest.MonkeyPatch, seed: int, task: str, patience: int, fault: str
) -> None:
    """Make the replica of a seed and a task fail after so many updates."""
    module = build(Blinded, NetworkConfig(), SHAPE, derived_seed(seed, task))
    monkeypatch.setattr(Blinded, "unlucky", float(module.get_buffer("mark")))
    monkeypatch.setattr(Blinded, "patience", patience)
    monkeypatch.setattr(Blinded, "fault", fault)


# --------------------------------------------------------------------------- planted suites

Planted = Mapping[str, list[int]]
PARTS: Planted = {
    "train": [1, 2, 3, 4, 5, 6, 7, 8],
    "validation_normal": [3, 10, 10, 20, 40],
    "validation_anomalous": [10, 30, 40, 50],
    "test_normal": [1, 2, 9, 70],
    "test/rest": [2, 80, 81, 9, 9],
}
SECOND: Planted = {
    "train": [9, 10, 11],
    "validation_normal": [100, 90],
    "validation_anomalous": [80, 95, 110],
    "test_normal": [100, 101],
    "test/rest": [99],
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
    """A suite whose images have the given brightness (the largest pixel), one task for each."""
    values = [value for parts in tasks for each in parts.values() for value in each]
    images = np.zeros((len(values), *SHAPE), np.uint8)
    images[...] = np.array(values, np.uint8)[:, None, None, None]
    if stripes:
        noise = np.random.default_rng(0).random(images.shape)
        noise[:, 0, 0, 0] = 1
        images = (images * noise).astype(np.uint8)
    splits, start = [], 0
    for parts in tasks:
        cuts = {}
        for name, each in parts.items():
            cuts[name] = np.arange(start, start + len(each))
            start += len(each)
        splits.append(cuts)
    named = tuple(Task(f"toy/{k}", "toy", k, ()) for k in range(len(tasks)))
    return Suite(images, named, tuple(splits), {"toy": "planted"})


def cohort_on(
    suite: Suite,
    detector: type[Detector[Any]] = Brightness,
    seeds: tuple[int, ...] = (0,),
    score_space: ScoreSpace | None = None,
) -> tuple[ReplicaSet, list[Key]]:
    keys = [Key(task, seed) for seed in seeds for task in range(len(suite.tasks))]
    images = torch.tensor(suite.images) / 255
    replica_specs = [
        ReplicaSpec(suite.tasks[k.task].name, k.seed, suite.positions(k.task, "train"))
        for k in keys
    ]
    return ReplicaSet(detector, detector.Config(), images, replica_specs, score_space), keys


def reference(metric: Any, normal: list[int], anomalous: list[int]) -> float:
    return float(metric([0] * len(normal) + [1] * len(anomalous), [*normal, *anomalous]))


# ---------------------------------------------------------------------------------- examine


def apart(values: list[int]) -> dict[str, float]:
    """How well planted scores, which are positive, tell images apart."""
    return {
        "distinct": len(set(values)),
        "tied": np.mean([values.count(value) > 1 for value in values]),
        "relative_range": (max(values) - min(values)) / max(values),
        "collapsed": 0,
    }


@pytest.mark.parametrize(
    ("part", "anomalous"), [("validation", "validation_anomalous"), ("test", "test/rest")]
)
def test_examine_gives_the_numbers_of_planted_scores(part, anomalous):
    suite = planted(PARTS, SECOND)
    replica_set, keys = cohort_on(suite, seeds=(0, 1))
    assert keys == [Key(0, 0), Key(1, 0), Key(0, 1), Key(1, 1)]
    found = examine(replica_set, suite, keys, part)
    assert set(found.metrics) == {
        f"{part}_{name}" for name in ("auroc", "ap", "score", "light", *apart([1]))
    }
    for k, key in enumerate(keys):
        parts = (PARTS, SECOND)[key.task]
        normal, others = parts[f"{part}_normal"], parts[anomalous]
        expected = {
            "auroc": reference(roc_auc_score, normal, others),
            "ap": reference(average_precision_score, normal, others),
            "score": np.mean(normal),
            "light": np.mean(normal),
            **apart([*normal, *others]),
        }
        for name, value in expected.items():
            assert found.metrics[f"{part}_{name}"][k] == pytest.approx(value, rel=1e-6), name
    assert found.variants == {}
    assert set(found.scores) == {"toy/0", "toy/1"}
    normal, others = (found.scores["toy/0"][side] for side in ("normal", "rest"))
    np.testing.assert_allclose(normal, PARTS[f"{part}_normal"], rtol=1e-6)
    np.testing.assert_allclose(others, PARTS[anomalous], rtol=1e-6)


def test_examine_compares_score_variants_only_when_asked():
    suite = planted(PARTS)
    replica_set, keys = cohort_on(suite, score_space={"sign": (1.0, -1.0)})
    assert examine(replica_set, suite, keys, "test").variants == {}
    found = examine(replica_set, suite, keys, "test", every_variant=True)
    right = found.metrics["test_auroc"][0]
    assert right is not None
    assert found.variants == {
        "light": {"test_auroc": [right]},
        "sign=1.0": {"test_auroc": [right]},
        "sign=-1.0": {"test_auroc": [pytest.approx(1 - right)]},
    }
    assert "test_sign=1.0" not in found.metrics


def test_each_outsider_set_has_its_numbers():
    suite = planted(AGAINST)
    replica_set, keys = cohort_on(suite)
    found = examine(replica_set, suite, keys, "test", every_variant=True)
    for name in ("bright", "dark"):
        sides = AGAINST["test_normal"], AGAINST[f"test/{name}"]
        for metric, judge in (("auroc", roc_auc_score), ("ap", average_precision_score)):
            ours = found.metrics[f"test_{metric}/{name}"][0]
            assert ours == pytest.approx(reference(judge, *sides))
    for metric in ("test_auroc", "test_ap"):
        assert found.metrics[metric] == found.metrics[f"{metric}/bright"], "the first set's"
    assert set(found.scores["toy/0"]) == {"normal", "bright", "dark"}
    light = found.variants["light"]
    assert set(light) == {"test_auroc", "test_auroc/bright", "test_auroc/dark"}
    assert light["test_auroc"] == light["test_auroc/bright"]


def test_without_held_out_anomalies_normals_are_still_scored():
    suite = planted(AGAINST)
    replica_set, keys = cohort_on(suite)
    found = examine(replica_set, suite, keys, "validation", every_variant=True)
    assert replica_set.failures == {}
    assert found.metrics["validation_score"] == [pytest.approx(20 / 3)]
    assert found.metrics["validation_distinct"] == [3.0]
    assert "validation_auroc" not in found.metrics


def test_collapse_is_told():
    suite = planted(PARTS)
    replica_set, keys = cohort_on(suite, Constant)
    found = examine(replica_set, suite, keys, "validation")
    numbers = {name: values[0] for name, values in found.metrics.items()}
    assert numbers == {
        "validation_auroc": 0.5,
        "validation_ap": pytest.approx(4 / 9),
        "validation_score": 0.25,
        "validation_distinct": 1.0,
        "validation_tied": 1.0,
        "validation_relative_range": 0.0,
        "validation_collapsed": 1.0,
    }
    assert replica_set.failures == {}


@pytest.mark.parametrize(
    ("factor", "collapsed"), [(1.0, 0.0), (1e-3, 0.0), (1e-6, 1.0), (1e-7, 1.0)]
)
def test_a_trained_model_whose_scores_differ_by_roundings_has_collapsed(factor, collapsed):
    suite = planted(PARTS, stripes=True)
    replica_set, keys = cohort_on(suite, DeepSVDD)
    replica_set.train(2)
    with torch.no_grad():
        replica_set.replicas[0].module.encoder[1].weight.mul_(factor)
    numbers = examine(replica_set, suite, keys, "test").metrics
    assert numbers["test_distinct"][0] > 1
    assert numbers["test_collapsed"] == [collapsed]
    units = numbers["test_relative_range"][0] / 2.0**-23
    assert units < 16 if collapsed else units > 64


@pytest.mark.parametrize("part", ["validation", "test"])
def test_scores_that_are_not_finite_end_their_replica(part, monkeypatch):
    suite = planted(PARTS)
    blind(monkeypatch, 1, "toy/0", 0, "score")
    replica_set, keys = cohort_on(suite, Blinded, seeds=(0, 1, 2))
    replica_set.train(3)
    found = examine(replica_set, suite, keys, part)
    assert list(replica_set.failures) == [1]
    assert replica_set.failures[1].epoch == 3
    assert "normal scores are NaN or infinite" in replica_set.failures[1].reason
    assert replica_set.living() == [0, 2]
    for values in found.metrics.values():
        assert values[1] is None
        assert None not in (values[0], values[2])


def test_scores_kept_are_those_of_a_tasks_first_living_replica(monkeypatch):
    suite = planted(PARTS)
    blind(monkeypatch, 0, "toy/0", 0, "score")
    replica_set, keys = cohort_on(suite, Blinded, seeds=(0, 1))
    found = examine(replica_set, suite, keys, "test")
    expected = np.array(PARTS["test_normal"]) / 255
    np.testing.assert_allclose(found.scores["toy/0"]["normal"], expected, rtol=1e-6)


def test_scores_kept_are_those_of_the_first_seed():
    suite = planted(PARTS, SECOND, stripes=True)
    replica_set, keys = cohort_on(suite, AE, seeds=(0, 1))
    found = examine(replica_set, suite, keys, "test")
    for task in (0, 1):
        normal = suite.positions(task, "test_normal")
        kept = found.scores[f"toy/{task}"]["normal"]
        assert np.array_equal(kept, replica_set.score(task, normal)["score"].numpy())
        assert not np.array_equal(kept, replica_set.score(2 + task, normal)["score"].numpy())


def test_numbers_by_name():
    assert by_name([]) == {}
    assert by_name([{}, {}]) == {}
    assert by_name([{"a": 1.0}, {"b": 2.0, "a": 3.0}]) == {"a": [1.0, 3.0], "b": [None, 2.0]}
    assert Examination() == Examination({}, {}, {})


def with_nothing_anomalous(parts: Planted) -> Planted:
    """The normal parts of a suite, as those of a whole data set."""
    normal = {name: values for name, values in parts.items() if not name.startswith("test/")}
    return {**normal, "validation_anomalous": []}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_without_anomalies_there_are_scores_and_no_auroc(part):
    suite = planted(with_nothing_anomalous(PARTS))
    replica_set, keys = cohort_on(suite, seeds=(0, 1), score_space={"sign": (-1.0,)})
    found = examine(replica_set, suite, keys, part, every_variant=True)
    values = PARTS[f"{part}_normal"]
    expected = {
        "score": np.mean(values),
        "light": np.mean(values),
        **apart(values),
    }
    assert found.metrics == {
        f"{part}_{name}": [pytest.approx(value)] * 2 for name, value in expected.items()
    }
    assert {name: metrics for name, metrics in found.variants.items() if metrics} == {}
    assert set(found.scores["toy/0"]) == {"normal"}
    assert replica_set.failures == {}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_without_anomalies_too_a_score_that_is_not_finite_ends_its_replica(part, monkeypatch):
    suite = planted(with_nothing_anomalous(PARTS))
    blind(monkeypatch, 1, "toy/0", 0, "score")
    replica_set, keys = cohort_on(suite, Blinded, seeds=(0, 1, 2))
    found = examine(replica_set, suite, keys, part)
    count = len(PARTS[f"{part}_normal"])
    reason = f"{count} of {count} normal scores are NaN or infinite"
    assert replica_set.failures == {1: (0, reason)}
    for values in found.metrics.values():
        assert [value is None for value in values] == [False, True, False]


def test_what_is_in_nats_is_told_in_bits_per_dimension_too():
    shape, nat = (3, 4, 5), 60 * math.log(2)
    metrics: dict[str, list[float | None]] = {
        "validation_rate": [nat, None, 3 * nat],
        "train_rate": [nat / 2],
        "test_rate": [-nat],
        "validation_score": [1.0],
        "validation_auroc": [0.5],
        "train_pretrain/rate": [nat / 4],
        "train_pretrain/encode/rate": [nat / 8],
        "train_rate/loss": [1.0],
        "rate": [1.0],
    }
    found = with_bits(metrics, ("rate", "elbo"), shape)
    assert {name: found.pop(name) for name in list(metrics)} == metrics
    assert found == {
        "validation_rate_bits_per_dim": [pytest.approx(1), None, pytest.approx(3)],
        "train_rate_bits_per_dim": [pytest.approx(0.5)],
        "test_rate_bits_per_dim": [pytest.approx(-1)],
        "train_pretrain/rate_bits_per_dim": [pytest.approx(0.25)],
        "train_pretrain/encode/rate_bits_per_dim": [pytest.approx(0.125)],
    }
    assert with_bits(metrics, (), shape) == metrics


# ------------------------------------------------------------------- histograms and pictures


@pytest.mark.parametrize(
    "scores",
    [
        {"normal": np.linspace(0, 1, 77), "rest": np.linspace(0.5, 9, 13)},
        {"normal": np.random.default_rng(0).lognormal(0, 4, 500), "rest": np.array([0.0])},
        {"normal": np.full(6, 0.25), "rest": np.full(3, 0.25)},
        {"normal": np.zeros(6), "rest": np.zeros(1)},
        {"normal": np.full(5, 0.3), "rest": np.array([np.nextafter(0.3, 1)])},
        {"normal": np.full(5, 5e-9), "rest": 5e-9 + 1e-24 * np.arange(9)},
        {"normal": np.full(5, -1e5), "rest": -1e5 + 1e-11 * np.arange(50)},
        {"normal": np.zeros(2), "rest": np.array([5e-324])},
        {"normal": np.array([7.0])},
    ],
    ids=str,
)
def test_histogram_counts_add_up(scores):
    found = histogram(scores)
    assert set(found) == {"edges", *scores}
    edges = found.pop("edges")
    assert len(edges) == HISTOGRAM_BINS + 1
    assert edges == sorted(set(edges))
    everything = np.concatenate(list(scores.values()))
    assert edges[0] <= everything.min() <= everything.max() <= edges[-1]
    for side, counts in found.items():
        assert len(counts) == HISTOGRAM_BINS
        assert sum(counts) == len(scores[side])
        for k in (0, HISTOGRAM_BINS - 1):
            last = k == HISTOGRAM_BINS - 1
            above = scores[side] >= edges[k]
            below = scores[side] <= edges[k + 1] if last else scores[side] < edges[k + 1]
            assert counts[k] == (above & below).sum()


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1500, 9999])
def test_thinned_scores_are_few_and_evenly_taken(count):
    kept = thinned({"normal": np.arange(count)})["normal"]
    assert len(kept) <= KEPT_SCORES
    assert len(kept) > min(count, KEPT_SCORES) / 2
    assert len(set(np.diff(kept))) <= 1
    assert kept[0] == 0
    assert kept[-1] >= count - (count // KEPT_SCORES + 1)


def test_pictures_are_of_each_task_once():
    suite = planted(PARTS, SECOND, stripes=True)
    replica_set, keys = cohort_on(suite, AE, seeds=(0, 1))
    shown = pictures(replica_set, suite, keys, 3)
    assert set(shown) == {"toy/0", "toy/1"}
    for task, count in (("toy/0", 3), ("toy/1", 2)):
        assert set(shown[task]) == {"image", "reconstruction"}
        for each in shown[task].values():
            assert each.dtype == torch.uint8
            assert each.shape == (count, 8, 8, 1)
    held_out = suite.images[suite.splits[0]["validation_normal"][:3]].transpose(0, 2, 3, 1)
    assert np.array_equal(shown["toy/0"]["image"].numpy(), held_out)
    without, keys = cohort_on(suite)
    assert pictures(without, suite, keys, 3) == {"toy/0": {}, "toy/1": {}}


# ----------------------------------------------------------------------------------- trials


def study_of(
    detector: type[Detector[Any]],
    epochs: int = 6,
    selection: str = "validation",
    score_space: ScoreSpace | None = None,
    **changes: Any,
) -> Study:
    patience = changes.pop("patience", 0)
    trained = issubclass(detector, TrainedDetector)
    settings = {"batch_size": 4, "learning_rate": 1e-3} if trained else {}
    baseline = Baseline(detector, settings=settings, score_space=score_space or {})
    budget = Budget(**{"trials": 1, "epochs": epochs, "seeds": 2, "evaluations": 3, **changes})
    budgets = dict.fromkeys(("quick", "standard", "paper"), budget)
    search = Search("toy", ("toy",), (baseline,), budgets, patience=patience)
    return Study("toy", search, "toy", SHAPE, "quick", budget, selection)


def trial_of(study: Study, suite: Suite | None = None, **params: Any) -> Trial:
    spec = TrialSpec(4, study.search.baselines[0].title, params)
    chosen = suite if suite is not None else planted(PARTS, SECOND, stripes=True)
    return Trial(study, chosen, spec, "cpu")


def run(trial: Trial) -> list[Report]:
    reports = [trial.step()]
    while not reports[-1].done:
        reports.append(trial.step())
    return reports


def test_a_trial_reports_after_every_interval():
    study = study_of(PGN, score_space={"mc_samples": (0, "inf")}, seeds=2)
    reports = run(trial_of(study, latent_dim=8))
    assert [each.epoch for each in reports] == [2, 4, 6]
    assert [each.done for each in reports] == [False, False, True]
    assert {each.epochs for each in reports} == {6}
    assert [each.learning_rate for each in reports] == pytest.approx([1e-3, 1e-3, 1e-4])
    for report in reports:
        values = report.metrics["validation_auroc"]
        assert report.objective == pytest.approx(np.mean([v for v in values if v is not None]))
        assert {len(each) for each in report.metrics.values()} == {4}
        assert "train_loss" in report.metrics
        assert set(report.scores) == {"toy/0", "toy/1"}
    last = reports[-1].record
    assert last.state == "complete"
    assert [each.record.state for each in reports[:-1]] == ["pruned", "pruned"]
    assert last.reports == [(each.epoch, each.objective) for each in reports]
    assert (last.number, last.detector, last.baseline) == (4, "PGN", "PGN")
    assert last.searched == ["latent_dim"]
    assert last.params["latent_dim"] == 8
    assert set(last.params) == {each for each in asdict(PGN.Config())}
    assert last.models["parameters"] > 0
    assert [(each.task, each.seed) for each in last.replicas] == [
        ("toy/0", 0),
        ("toy/1", 0),
        ("toy/0", 1),
        ("toy/1", 1),
    ]
    assert {(each.state, each.epoch, each.reason) for each in last.replicas} == {
        ("complete", 6, "")
    }
    assert reports[0].record.variants == {}
    assert {"mc_samples=0", "mc_samples=inf", "kl"} <= set(last.variants)
    assert TrialRecord.from_json(json.loads(to_text(last))).metrics == last.metrics
    curves = reports[-1].details["curves"]
    assert curves["epoch"] == [2, 4, 6]
    assert curves["objective"] == [each.objective for each in reports]
    assert {len(each) for each in curves["replicas"].values()} == {3}
    json.loads(to_text(reports[-1].details))


def test_a_trials_own_seeds_take_the_place_of_the_studys():
    study = study_of(Brightness)
    trial = Trial(study, planted(PARTS), TrialSpec(0, "Brightness", {}, (7, 9)), "cpu")
    assert trial.keys == [Key(0, 7), Key(0, 9)]


def test_a_detector_without_stages_is_done_at_once():
    (report,) = run(trial_of(study_of(Brightness), planted(PARTS)))
    assert (report.epoch, report.epochs, report.learning_rate) == (0, 0, 0.0)
    expected = reference(roc_auc_score, PARTS["validation_normal"], PARTS["validation_anomalous"])
    assert report.objective == pytest.approx(expected)
    assert report.record.state == "complete"


def test_the_test_set_is_met_once_at_the_end():
    reports = run(trial_of(study_of(DeepSVDD)))
    for report in reports[:-1]:
        assert not [name for name in report.metrics if name.startswith("test")]
    assert None not in reports[-1].metrics["test_auroc"]
    curve = reports[-1].details["curves"]["replicas"]["test_auroc"]
    assert len(curve) == 3
    assert curve[-1] == reports[-1].metrics["test_auroc"]
    assert not any(curve[:-1])


def test_the_test_curve_is_recorded_where_the_search_asks():
    reports = run(trial_of(study_of(DeepSVDD, test_curve=True)))
    assert all(None not in report.metrics["oracle_auroc"] for report in reports)
    assert ["test_auroc" in report.metrics for report in reports] == [False, False, True]
    assert reports[-1].metrics["oracle_auroc"] == reports[-1].metrics["test_auroc"]


BLIND_TO_THE_TEST = ("validation", "normal_only", "random")


def on_other_test_images(parts: Planted) -> Planted:
    """The same suite but for the brightness of its test images."""
    return {
        name: [255 - value for value in values] if name.startswith("test") else values
        for name, values in parts.items()
    }


@pytest.mark.parametrize("curve", [False, True])
@pytest.mark.parametrize("rule", [*BLIND_TO_THE_TEST, "oracle"])
def test_a_trial_is_tested_and_only_the_oracle_selects_by_it(rule, curve):
    study = study_of(DeepSVDD, selection=rule, test_curve=curve)
    ours, theirs = (
        run(trial_of(study, planted(*map(change, (PARTS, SECOND)))))
        for change in (dict, on_other_test_images)
    )
    assert ours[-1].metrics["test_auroc"] != theirs[-1].metrics["test_auroc"]
    same = [one.objective == other.objective for one, other in zip(ours, theirs, strict=True)]
    assert same == [True, True, rule != "oracle"]
    for one, other in zip(ours, theirs, strict=True):
        for name in one.metrics:
            if not name.startswith(("test", "oracle")):
                assert one.metrics[name] == other.metrics[name]
    assert ours[-1].record.labelled == theirs[-1].record.labelled


class Unsure(Brightness):
    """Its scores of bright images, which only the test set has, are not finite."""

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        found = super().score_variants(images, noise, score_space)
        score = found["score"]
        return {**found, "score": torch.where(score > 60, torch.nan, score)}


@pytest.mark.parametrize("rule", BLIND_TO_THE_TEST)
def test_scores_of_test_images_that_are_not_finite_do_not_take_a_trial_from_the_choice(rule):
    (report,) = run(trial_of(study_of(Unsure, selection=rule), planted(PARTS)))
    (plain,) = run(trial_of(study_of(Brightness, selection=rule), planted(PARTS)))
    record = report.record
    assert record.state == "complete"
    assert (report.objective is None) == (rule == "normal_only"), "which is not trained"
    if rule == "validation":
        assert report.objective == plain.objective
    assert not [name for name in record.metrics if name.startswith("test")]
    assert {(each.state, each.reason) for each in record.replicas} == {
        ("complete", "not tested: 1 of 4 normal scores are NaN or infinite")
    }
    assert len(record.labelled["1"]) == 20
    assert None not in record.labelled["1"]


@pytest.mark.parametrize(
    ("rule", "changes", "seeds"),
    [
        ("oracle", {}, ()),
        ("validation", {}, (1000,)),
        ("validation", {"validation_fraction": 0.0}, ()),
    ],
)
def test_a_trial_that_is_quoted_fails_where_it_cannot_be_tested(rule, changes, seeds):
    study = study_of(Unsure, selection=rule, **changes)
    trial = Trial(study, planted(PARTS), TrialSpec(0, "Unsure", {}, seeds), "cpu")
    (report,) = run(trial)
    assert report.record.state == "failed"
    assert report.objective is None
    assert "1 of 4 normal scores are NaN or infinite" in report.record.reason


def test_a_trial_that_is_stopped_early_is_not_tested():
    reports = run(trial_of(study_of(DeepSVDD)))
    for report in reports[:-1]:
        assert report.record.state == "pruned"
        assert not [name for name in report.record.metrics if name.startswith("test")]
        assert report.record.labelled == {}


# ------------------------------------------------------------------------- a few anomalies


MANY: Planted = {
    **PARTS,
    "validation_normal": [10, 20, 20, 30, 90],
    "validation_anomalous": [5, 20, 25, 30, 95, 96, 97, 98, 99, 100, 20],
}


def test_placements_of_planted_scores_and_of_what_is_drawn_are_their_auroc():
    suite = planted(MANY, {**SECOND, "validation_anomalous": [80, 95, 110, 90, 105]})
    replica_set, keys = cohort_on(suite, seeds=(0, 1))
    found = examine(replica_set, suite, keys, "validation")
    means = labelled(suite, keys, found.placements, seed=3)
    assert {name: len(values) for name, values in means.items()} == dict.fromkeys("125", DRAWS)
    assert [each.mean() for _, each in sorted(found.placements.items())] == pytest.approx(
        found.metrics["validation_auroc"]
    )
    for count, values in means.items():
        expected = []
        for k, key in enumerate(keys):
            name, known = suite.tasks[key.task].name, len(found.placements[k])
            normal = replica_set.score(k, suite.positions(key.task, "validation_normal"))["score"]
            others = replica_set.score(k, suite.positions(key.task, "validation_anomalous"))[
                "score"
            ]
            draws = drawings(3, name, int(count), known)
            expected.append([auroc(normal, others[torch.tensor(draw)]) for draw in draws])
        assert values == pytest.approx(np.mean(expected, axis=0))
    assert np.std(means["5"]) < np.std(means["1"]), "more anomalies, less luck"


def test_draws_take_distinct_images_and_belong_to_study_task_number_and_draw():
    draws = drawings(0, "toy/0", 5, 40)
    assert draws.shape == (DRAWS, 5)
    assert all(len(set(draw)) == 5 for draw in draws.tolist())
    assert len({tuple(draw) for draw in draws.tolist()}) == DRAWS
    assert draws.min() >= 0
    assert draws.max() < 40
    for other in (drawings(1, "toy/0", 5, 40), drawings(0, "toy/1", 5, 40)):
        assert not np.array_equal(draws, other)
    again = drawings.__wrapped__(0, "toy/0", 5, 40)
    np.testing.assert_array_equal(draws, again)


def test_every_trial_of_a_study_draws_the_same_images():
    first, second = (
        run(trial_of(study_of(Brightness, seeds=seeds), planted(MANY)))[-1].record
        for seeds in (1, 3)
    )
    assert first.labelled == {
        name: pytest.approx(values) for name, values in second.labelled.items()
    }
    assert set(first.labelled) == {"1", "2", "5", "10"}, "there are eleven anomalies"


def test_where_nothing_held_out_is_anomalous_nothing_is_drawn():
    for suite in (planted(with_nothing_anomalous(PARTS)), planted(AGAINST)):
        assert run(trial_of(study_of(Brightness), suite))[-1].record.labelled == {}
    blindfold = study_of(Brightness, validation_fraction=0.0)
    nothing = {**PARTS, "validation_normal": [], "validation_anomalous": []}
    assert run(trial_of(blindfold, planted(nothing)))[-1].record.labelled == {}


@pytest.mark.parametrize("fault", ["loss", "score"])
def test_with_a_failed_replica_the_draws_have_no_mean(fault, monkeypatch):
    blind(monkeypatch, 1, "toy/0", 2 * 3, fault)
    last = run(trial_of(study_of(Blinded), planted(PARTS, SECOND, stripes=True)))[-1]
    assert last.record.state == "failed"
    assert last.record.labelled == {"1": [None] * DRAWS, "2": [None] * DRAWS}


@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_normal_only_sees_the_loss_and_not_the_score(objective):
    study = study_of(DeepSVDD, selection="normal_only")
    trial = trial_of(study, objective=objective, nu=0.5)
    last = run(trial)[-1]
    losses = []
    for k, key in enumerate(trial.keys):
        module = trial.replica_set.replicas[k].module
        normals = trial.replica_set.replicas[k].images[
            trial.suite.positions(key.task, "validation_normal")
        ]
        with torch.no_grad():
            losses.append(float(module.eval().loss("train", normals, {})))
    assert last.metrics["validation_loss"] == pytest.approx(losses, rel=1e-5)
    assert last.objective == pytest.approx(-np.mean(losses), rel=1e-5)
    same = last.metrics["validation_score"] == pytest.approx(losses, rel=1e-5)
    assert same == (objective == "one-class")


def test_the_loss_of_held_out_normals_has_the_same_noise_at_every_call():
    replica_set = trial_of(study_of(PGN), latent_dim=8).replica_set
    replica_set.train(1)
    indices = torch.arange(5)
    assert torch.equal(replica_set.losses(0, indices), replica_set.losses(0, indices))
    assert not torch.equal(replica_set.losses(0, indices), replica_set.losses(1, indices))


def test_each_rule_sees_its_own_numbers():
    suite = planted(PARTS)
    seen = {
        rule: run(trial_of(study_of(Brightness, selection=rule), suite))[0].objective
        for rule in ("validation", "normal_only", "oracle", "random")
    }
    sides = (PARTS["validation_normal"], PARTS["validation_anomalous"])
    assert seen["validation"] == pytest.approx(reference(roc_auc_score, *sides))
    assert seen["normal_only"] is None, "a detector that is not trained has no loss"
    expected = reference(roc_auc_score, PARTS["test_normal"], PARTS["test/rest"])
    assert seen["oracle"] == pytest.approx(expected)
    assert 0 <= (seen["random"] or 0) < 1
    assert seen["random"] not in (None, seen["validation"], seen["oracle"])


def test_without_validation_there_is_no_objective():
    study = study_of(DeepSVDD, validation_fraction=0.0)
    reports = run(trial_of(study))
    assert [each.objective for each in reports] == [None] * 3
    assert not [name for name in reports[-1].metrics if name.startswith("validation")]
    assert None not in reports[-1].metrics["test_auroc"]


def test_a_collapsed_trial_says_so():
    (report,) = run(trial_of(study_of(Constant), planted(PARTS)))
    assert report.objective == 0.5
    for part in ("validation", "test"):
        assert report.metrics[f"{part}_collapsed"] == [1.0, 1.0]
        assert report.metrics[f"{part}_auroc"] == [0.5, 0.5]
    assert report.record.state == "complete"
    assert report.details["histograms_of"] == "test"
    assert sum(report.details["histograms"]["toy/0"]["normal"]) == 4, "test normals"


@pytest.mark.parametrize(
    ("fault", "reason", "epoch"),
    [("loss", "loss became nan in epoch 4", 3), ("score", "scores are NaN or infinite", 4)],
)
def test_a_failed_replica_fails_the_trial_and_the_others_go_on(fault, reason, epoch, monkeypatch):
    blind(monkeypatch, 1, "toy/0", 2 * 3, fault)  # two batches an epoch: after three epochs
    reports = run(trial_of(study_of(Blinded), planted(PARTS, SECOND, stripes=True)))
    assert [each.epoch for each in reports] == [2, 4, 6]
    assert None not in reports[0].metrics["validation_auroc"]
    assert reports[0].objective is not None
    assert reports[0].record.state == "pruned"
    for report in reports[1:]:
        assert report.objective is None
        for name, values in report.metrics.items():
            assert [value is None for value in values] == [False, False, True, False], name
        assert report.record.state == "failed"
        assert "1 of 4 replicas failed, first toy/0 with seed 1" in report.record.reason
        assert reason in report.record.reason
        failed = report.record.replicas[2]
        assert (failed.state, failed.epoch) == ("failed", epoch)
        assert reason in failed.reason
    states = [each.state for each in reports[-1].record.replicas]
    assert states == ["complete", "complete", "failed", "complete"]
    monkeypatch.setattr(Blinded, "unlucky", math.inf)
    fine = run(trial_of(study_of(Blinded), planted(PARTS, SECOND, stripes=True)))
    for ours, theirs in zip(reports, fine, strict=True):
        for name, values in theirs.metrics.items():
            expected = values if ours is reports[0] else [*values[:2], None, values[3]]
            assert ours.metrics[name] == expected


@pytest.mark.parametrize("fault", ["loss", "score"])
def test_a_trial_of_failures_alone_ends(fault, monkeypatch):
    blind(monkeypatch, 0, "toy/0", 0, fault)
    (report,) = run(trial_of(study_of(Blinded, seeds=1), planted(PARTS)))
    assert report.done
    assert report.objective is None
    assert report.record.state == "failed"
    assert report.scores == {}
    assert report.pictures == {}
    assert report.details["histograms"] == {}


def test_nothing_is_examined_before_the_last_stage():
    study = study_of(Staged, epochs=7, evaluations=4, test_curve=True)  # 12 epochs in all
    reports = run(trial_of(study))
    assert [each.epoch for each in reports] == [3, 6, 9, 12]
    assert {each.epochs for each in reports} == {12}
    assert [each.objective is None for each in reports] == [True, False, False, False]
    early = {"train_first/loss", "train_first/first", "train_first/first_bits_per_dim"}
    assert set(reports[0].metrics) == early
    assert reports[0].scores == {}
    assert reports[0].details["histograms"] == {}
    for report in reports[1:]:
        assert {"train_loss", "validation_auroc", "oracle_auroc"} <= set(report.metrics)
        assert not early & set(report.metrics)
    last = reports[-1]
    assert last.record.reports == [(each.epoch, each.objective) for each in reports]
    assert last.record.state == "complete"
    assert {each.epoch for each in last.record.replicas} == {12}
    assert last.record.models == {"parameters": 2, "flops": 4.0}, "of two linear layers"
    curves = last.details["curves"]["replicas"]
    assert [len(each) for each in curves["train_first/loss"]] == [4, 0, 0, 0]
    assert [len(each) for each in curves["validation_auroc"]] == [0, 4, 4, 4]


def test_metrics_in_nats_are_recorded_in_bits_too():
    (*_, last) = run(trial_of(study_of(Staged, epochs=3)))
    told_twice = ("train_first", "validation_score", "test_score")
    bits = {name for name in last.metrics if name.endswith("_bits_per_dim")}
    assert bits == {f"{name}_bits_per_dim" for name in told_twice}
    for name in told_twice:
        expected = [value / (64 * math.log(2)) for value in last.metrics[name] if value]
        assert last.metrics[f"{name}_bits_per_dim"] == pytest.approx(expected)
    assert last.record.metrics == last.metrics


def test_a_trial_whose_replicas_all_fail_in_an_early_stage_ends(monkeypatch):
    class Broken(Staged):
        def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
            return {n: each * math.nan for n, each in super().terms(phase, images, noise).items()}

    (report,) = run(trial_of(study_of(Broken, epochs=7, evaluations=4)))
    assert report.done
    assert report.record.state == "failed"
    assert {each.reason for each in report.record.replicas} == {"first/loss became nan in epoch 1"}
    assert all(value is None for values in report.metrics.values() for value in values)


class Unfit(Blinded):
    """Fitted to the contrast of the first pixel of the training images."""

    def finish(self, batches: Any, seed: int) -> Buffers:
        if not torch.cat(list(batches))[:, 0, 0, 0].std() > 0:
            raise DegenerateInputError("the training images have no contrast")
        return {}


def test_a_replica_that_cannot_be_fitted_fails_its_trial():
    suite = planted(PARTS, {**SECOND, "train": [9, 9, 9]})
    reports = run(trial_of(study_of(Unfit), suite))
    assert [each.epoch for each in reports] == [2, 4, 6]
    record = reports[-1].record
    assert record.state == "failed"
    assert [each.state for each in record.replicas] == ["complete", "failed"] * 2
    reasons = {(each.reason, each.epoch) for each in record.replicas if each.state == "failed"}
    assert reasons == {("the training images have no contrast", 2)}
    assert "2 of 4 replicas failed, first toy/1 with seed 0: the training" in record.reason
    assert [value is None for value in record.metrics["test_auroc"]] == [False, True] * 2
    assert record.objective is None


def told(report: Report) -> dict[str, Any]:
    """A report without the time that it took."""
    values = {**vars(report), "record": asdict(replace(report.record, seconds=0.0))}
    plain = ("scores", "pictures")
    return values | {name: as_lists(values[name]) for name in plain}


def as_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: as_lists(each) for name, each in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("detector", [AE, DeepSVDD, PGN, Blinded, Staged])
def test_a_saved_trial_goes_on_with_equal_reports(detector, after, monkeypatch, tmp_path):
    blind(monkeypatch, 1, "toy/0", 2 * 3, "loss")
    settings = {"latent_dim": 16} if detector not in (Blinded, Staged) else {}
    study = study_of(detector, test_curve=True)
    straight = run(trial_of(study, **settings))
    first = trial_of(study, **settings)
    for _ in range(after):
        first.step()
    torch.save(first.state_dict(), tmp_path / "trial.pt")
    second = trial_of(study, **settings)
    second.load_state_dict(torch.load(tmp_path / "trial.pt", weights_only=True))
    assert [told(each) for each in run(second)] == [told(each) for each in straight[after:]]
    assert second.history.seconds >= first.history.seconds


# ------------------------------------------------------- data sets against others, and patience


class Bounded(Brightness):
    """The score is called a bound of the likelihood, in nats."""

    nats = ("negative_elbo",)

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        found = super().score_variants(images, noise, score_space)
        return {"negative_elbo": found["score"], **found}


def test_a_trial_against_other_sets_keeps_what_it_made_of_test_images():
    report = trial_of(study_of(Bounded, selection="oracle"), planted(AGAINST)).step()
    assert set(report.scores["toy/0"]) == {"normal", "bright", "dark"}
    np.testing.assert_allclose(report.scores["toy/0"]["normal"], AGAINST["test_normal"])
    kept = report.details["histograms"]
    assert {name: set(each) for name, each in kept.items()} == {
        "toy/0-vs-bright": {"edges", "normal", "bright"},
        "toy/0-vs-dark": {"edges", "normal", "dark"},
    }
    assert {sum(each["normal"]) for each in kept.values()} == {3}
    assert report.record.variants["light"]["test_auroc"] == report.metrics["test_auroc"]
    assert report.objective == pytest.approx(np.mean(report.metrics["test_auroc/bright"]))


def test_one_outsider_set_has_the_histogram_of_its_task():
    sides = {"normal": np.array([1.0, 2.0]), "b": np.array([3.0])}
    assert histograms("a-vs-b", sides) == {"a-vs-b": histogram(sides)}


class Telling(Blinded):
    """Its loss is told at every step."""

    watched = ("loss",)


def test_a_trial_tells_steps_with_their_mean_and_least_over_replicas():
    trial = trial_of(study_of(Telling, epochs=4, evaluations=2, seeds=2), planted(PARTS))
    first, last = run(trial)
    steps = -(-len(PARTS["train"]) // 4)
    assert first.steps["loss"]["step"] == list(range(1, 2 * steps + 1))
    assert last.steps["loss"]["step"] == list(range(2 * steps + 1, 4 * steps + 1))
    told = last.details["steps"]["loss"]
    assert told["step"] == [*first.steps["loss"]["step"], *last.steps["loss"]["step"]]
    assert all(least < mean for least, mean in zip(told["least"], told["mean"], strict=True))
    assert np.mean(last.metrics["overall_loss"]) == pytest.approx(np.mean(told["mean"]))
    averaged = np.mean(last.metrics["train_loss"])
    assert np.mean(told["mean"][-steps:]) == pytest.approx(averaged)


class Shown(Bounded):
    """Twice the score is a part of it, of which a histogram is kept, too."""

    shown = ("twice",)

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        found = super().score_variants(images, noise, score_space)
        return {"twice": 2 * found["score"], **found}


def test_a_part_of_the_score_has_histograms_of_its_own():
    report = trial_of(study_of(Shown, selection="oracle"), planted(AGAINST)).step()
    assert list(report.scores) == ["toy/0", "toy/0, twice"]
    for side, scores in report.scores["toy/0"].items():
        np.testing.assert_allclose(report.scores["toy/0, twice"][side], 2 * scores)
    kept = report.details["histograms"]
    assert set(kept) == {
        f"toy/0-vs-{name}{part}" for name in ("bright", "dark") for part in ("", ", twice")
    }
    assert kept["toy/0-vs-dark, twice"]["edges"] == pytest.approx(
        [2 * each for each in kept["toy/0-vs-dark"]["edges"]]
    )


def test_the_train_test_gap_is_told_in_nats_and_bits():
    report = trial_of(study_of(Bounded, selection="oracle"), planted(AGAINST)).step()
    seen, tested = np.mean(AGAINST["train"]), np.mean(AGAINST["test_normal"])
    assert report.metrics["training_negative_elbo"] == pytest.approx([seen] * 2)
    assert report.metrics["gap_negative_elbo"] == pytest.approx([tested - seen] * 2)
    bits = (tested - seen) / math.log(2) / math.prod(SHAPE)
    assert report.metrics["gap_negative_elbo_bits_per_dim"] == pytest.approx([bits] * 2)
    plain = trial_of(study_of(Brightness), planted(AGAINST)).step()
    assert "gap_negative_elbo" not in plain.metrics


def test_the_training_images_seen_again_are_no_more_than_the_normal_test_images():
    suite = planted({**PARTS, "test_normal": [1, 2]})
    assert seen_again(suite, 0).tolist() == [0, 4], "evenly taken"
    assert seen_again(planted(SECOND), 0).tolist() == [0, 1]


def test_operations_are_recorded_of_what_is_trained():
    small = trial_of(study_of(PGN), latent_dim=8).models
    large = trial_of(study_of(PGN), latent_dim=64).models
    assert 0 < small["flops"] < large["flops"]
    assert trial_of(study_of(Brightness)).models == {"parameters": 0}


def test_weights_on_nearly_one_code_are_counted():
    shares = {"train_effective_share": [0.24, 0.25, None, 0.26]}
    assert nearly_one_code(shares, {"samples": 8}) == 1
    shares["overall_effective_share"] = [0.3, 0.1, None, 0.3]
    assert nearly_one_code(shares, {"samples": 8}) == 2, "in the last epoch, or on average"
    assert nearly_one_code({"train_effective_share": [0.5]}, {"samples": 2}) == 0
    assert nearly_one_code({}, {}) == 0


class Thin(Blinded):
    """Trains with importance weights, it says."""

    Config = LikelihoodVAEConfig

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        found = super().terms(phase, images, noise)
        return {**found, "effective_share": torch.full((len(images),), 0.3)}


def test_a_trial_warns_at_its_end_where_weights_lie_on_nearly_one_code():
    for samples, warns in ((4, True), (8, False)):
        reports = run(trial_of(study_of(Thin), samples=samples))
        assert [bool(each.warning) for each in reports] == [False, False, warns]
    assert "4 of 4 replicas" in run(trial_of(study_of(Thin), samples=4))[-1].warning


class Turning(Blinded):
    """The loss of held-out images falls for three epochs and rises again."""

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        if self.training:
            return super().terms(phase, images, noise)
        return {"loss": (self.get_buffer("steps") - 6).abs().expand(len(images))}


def patient(**changes: Any) -> Study:
    study = study_of(Turning, epochs=12, evaluations=12, patience=2, **changes)
    return replace(study, settings={"batch_size": 4})


def test_a_trial_with_patience_ends_when_its_replicas_have_stopped():
    reports = run(trial_of(patient(), planted(PARTS)))
    assert [each.epoch for each in reports] == [1, 2, 3, 4, 5]
    assert [each.done for each in reports] == [False] * 4 + [True]
    record = reports[-1].record
    assert record.state == "complete"
    assert [each.epoch for each in record.replicas] == [5, 5]
    assert record.metrics["best_epoch"] == [3.0, 3.0]
    assert record.metrics["plateau"] == [1.0, 1.0]
    assert record.metrics["validation_loss"] == [0.0, 0.0], "of the weights that are kept"
    assert "test_auroc" in record.metrics
    assert "plateau" not in reports[0].metrics


def test_a_trial_whose_epochs_run_out_says_so():
    study = patient()
    short = replace(study, budget=replace(study.budget, epochs=4))
    last = run(trial_of(short, planted(PARTS)))[-1]
    assert last.metrics["plateau"] == [0.0, 0.0]
    assert last.metrics["best_epoch"] == [3.0, 3.0]
    assert last.metrics["validation_loss"] == [0.0, 0.0]


@pytest.mark.parametrize("after", [2, 4])
def test_a_saved_trial_with_patience_goes_on_with_equal_reports(after, tmp_path):
    straight, first, second = (trial_of(patient(), planted(PARTS)) for _ in range(3))
    whole = run(straight)
    for _ in range(after):
        first.step()
    torch.save(first.state_dict(), tmp_path / "trial.pt")
    second.load_state_dict(torch.load(tmp_path / "trial.pt", weights_only=True))
    assert [told(each) for each in run(second)] == [told(each) for each in whole[after:]]


def test_equal_controls_are_no_ties():
    suite = planted({**AGAINST, "test/constant": [3, 3, 3]})
    replica_set, keys = cohort_on(suite)
    found = examine(replica_set, suite, keys, "test").metrics
    without = planted(AGAINST)
    alone = examine(cohort_on(without)[0], without, keys, "test").metrics
    for name in ("distinct", "tied", "relative_range", "collapsed"):
        assert found[f"test_{name}"] == alone[f"test_{name}"]
