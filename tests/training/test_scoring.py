"""Metrics of planted scores; scoring does not change the replicas."""

import copy
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.detectors.cases import same
from tests.naming import named, short, short_variants
from tests.training.cases import (
    AGAINST,
    PARTS,
    SECOND,
    Blinded,
    Constant,
    Planted,
    blind,
    planted,
    reference,
    replica_set_on,
    score_part,
    with_nothing_anomalous,
)
from tune_ad.data.groups import Groups
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.storage.metric import BITS_PER_DIM, OTHER_CLASSES, Metric, ScoreVariant
from tune_ad.training.bits import with_bits
from tune_ad.training.score_metrics import (
    component_aurocs,
    replica_metrics,
    variant_aurocs,
    variant_names,
)
from tune_ad.training.scoring import (
    PartScores,
    ScoreKey,
    by_metric,
    by_variant,
)


def tie_metrics(values: list[int]) -> dict[str, float]:
    """The metrics of ties among planted scores, which are positive."""
    return {
        "distinct": len(set(values)),
        "tied": np.mean([values.count(value) > 1 for value in values]),
        "relative_range": (max(values) - min(values)) / max(values),
        "collapsed": 0,
    }


def metrics_of(scores):
    """The metrics of a part by their short names, one number per replica."""
    return short(by_metric(scores.metrics))


def variants_of(scores):
    """The AUROCs of a part by the short names of score variants and metrics."""
    return short_variants(by_variant(scores.variants))


@pytest.mark.parametrize(
    ("part", "anomalous"), [("validation", "validation_anomalous"), ("test", "test_anomalous")]
)
def test_a_part_gives_the_numbers_of_planted_scores(part, anomalous):
    suite = planted(PARTS, SECOND)
    replica_set = replica_set_on(suite, seeds=(0, 1))
    specs = [replica.spec for replica in replica_set.replicas]
    assert [(spec.task, spec.seed) for spec in specs] == [
        ("toy/0", 0),
        ("toy/1", 0),
        ("toy/0", 1),
        ("toy/1", 1),
    ]
    scores = score_part(replica_set, suite, part)
    metrics = metrics_of(scores)
    if part == "validation":
        assert metrics.pop("validation_seed_agreement") == pytest.approx([1.0] * 4)
    assert set(metrics) == {
        f"{part}_{name}" for name in ("auroc", "ap", "score", "light", *tie_metrics([1]))
    }
    for k, spec in enumerate(specs):
        parts = {"toy/0": PARTS, "toy/1": SECOND}[spec.task]
        normal, others = parts[f"{part}_normal"], parts[anomalous]
        expected = {
            "auroc": reference(roc_auc_score, normal, others),
            "ap": reference(average_precision_score, normal, others),
            "score": np.mean(normal),
            "light": np.mean(normal),
            **tie_metrics([*normal, *others]),
        }
        for name, value in expected.items():
            assert metrics[f"{part}_{name}"][k] == pytest.approx(value, rel=1e-6), name
        np.testing.assert_allclose(scores.normals[k]["score"], normal, rtol=1e-6)
    assert variants_of(scores) == {}
    assert scores.faults == {}
    assert set(scores.kept) == {ScoreKey("toy/0"), ScoreKey("toy/1")}
    kept = scores.kept[ScoreKey("toy/0")]
    normal, others = kept.normal, kept.outsiders[OTHER_CLASSES]
    np.testing.assert_allclose(normal, PARTS[f"{part}_normal"], rtol=1e-6)
    np.testing.assert_allclose(others, PARTS[anomalous], rtol=1e-6)


def test_score_variants_are_compared_only_when_asked():
    suite = planted(PARTS)
    replica_set = replica_set_on(suite, score_space={"sign": (1.0, -1.0)})
    assert score_part(replica_set, suite, "test").variants == [{}]
    scores = score_part(replica_set, suite, "test", every_variant=True)
    right = metrics_of(scores)["test_auroc"][0]
    assert right is not None
    assert variants_of(scores) == {
        "light": {"test_auroc": [right]},
        "sign=1.0": {"test_auroc": [right]},
        "sign=-1.0": {"test_auroc": [pytest.approx(1 - right)]},
    }
    assert set(scores.variants[0]) == {
        ScoreVariant("", "light"),
        ScoreVariant("sign", 1.0),
        ScoreVariant("sign", -1.0),
    }
    assert "test_sign=1.0" not in metrics_of(scores)


def test_the_value_of_a_variant_has_the_type_of_the_score_space():
    groups = Groups(torch.zeros(2), {OTHER_CLASSES: torch.ones(2)}).map(
        lambda values: {"score": values, "sign=1": values, "sign=1.5": values}
    )
    variants = variant_aurocs(
        "test", component_aurocs({0: groups})[0], variant_names({"sign": (1, 1.5)})
    )
    assert [(repr(variant.value), variant.parameter) for variant in variants] == [
        ("1", "sign"),
        ("1.5", "sign"),
    ]
    assert variants[ScoreVariant("sign", 1)] == {Metric("test", "auroc"): 1.0}


def test_each_outsider_set_has_its_metrics():
    suite = planted(AGAINST)
    scores = score_part(replica_set_on(suite), suite, "test", every_variant=True)
    metrics = metrics_of(scores)
    for name in ("bright", "dark"):
        sides = AGAINST["test_normal"], AGAINST[f"test/{name}"]
        for metric, judge in (("auroc", roc_auc_score), ("ap", average_precision_score)):
            assert metrics[f"test_{metric}/{name}"][0] == pytest.approx(reference(judge, *sides))
    for metric in ("test_auroc", "test_ap"):
        assert metrics[metric] == metrics[f"{metric}/bright"], "the first set's"
    assert set(scores.kept[ScoreKey("toy/0")].outsiders) == {"bright", "dark"}
    light = variants_of(scores)["light"]
    assert set(light) == {"test_auroc", "test_auroc/bright", "test_auroc/dark"}
    assert light["test_auroc"] == light["test_auroc/bright"]


def test_an_outsider_set_may_have_any_name():
    sets = {"normal": [6, 200, 201], "rest": [0, 1, 9], "train": [7, 7], "auroc": [300 - 291]}
    parts = {name: AGAINST[name] for name in ("train", "validation_normal", "test_normal")}
    tested = {f"test/{name}": values for name, values in sets.items()}
    suite = planted({**parts, "validation_anomalous": [], **tested})
    scores = score_part(replica_set_on(suite), suite, "test", every_variant=True)
    aurocs = {
        metric.outsider: value for metric, value in scores.metrics[0].items() if metric.is_auroc
    }
    expected = {
        name: reference(roc_auc_score, parts["test_normal"], values)
        for name, values in sets.items()
    }
    assert aurocs == pytest.approx({**expected, OTHER_CLASSES: expected["normal"]})
    assert 0 < min(expected.values()) < max(expected.values()) < 1, "all of them differ from luck"
    variant = scores.variants[0][ScoreVariant("", "light")]
    assert {metric.outsider: value for metric, value in variant.items()} == aurocs
    assert scores.normals[0]["score"].tolist() == pytest.approx(parts["test_normal"])
    kept = scores.kept[ScoreKey("toy/0")]
    np.testing.assert_allclose(kept.normal, parts["test_normal"])
    np.testing.assert_allclose(kept.outsiders["normal"], sets["normal"])


def test_an_outsider_is_a_field_of_its_metric():
    groups = Groups([1, 2], {"a/b": [3, 4], "auroc": [0, 1]}).map(
        lambda scores: {"score": torch.tensor(scores).double()}
    )
    numbers = replica_metrics(groups, "test", component_aurocs({0: groups})[0])
    aurocs = {metric: value for metric, value in numbers.items() if metric.is_auroc}
    assert aurocs == {
        Metric("test", "auroc", "a/b"): 1.0,
        Metric("test", "auroc", "auroc"): 0.125,
        Metric("test", "auroc"): 1.0,
    }


def test_without_validation_anomalies_normal_images_are_still_scored():
    suite = planted(AGAINST)
    scores = score_part(replica_set_on(suite), suite, "validation", every_variant=True)
    assert scores.faults == {}
    metrics = metrics_of(scores)
    assert metrics["validation_score"] == [pytest.approx(20 / 3)]
    assert metrics["validation_distinct"] == [3.0]
    assert "validation_auroc" not in metrics


def test_collapse_is_recorded():
    suite = planted(PARTS)
    scores = score_part(replica_set_on(suite, Constant), suite, "validation")
    assert short(scores.metrics[0]) == {
        "validation_auroc": 0.5,
        "validation_ap": pytest.approx(4 / 9),
        "validation_score": 0.25,
        "validation_distinct": 1.0,
        "validation_tied": 1.0,
        "validation_relative_range": 0.0,
        "validation_collapsed": 1.0,
    }
    assert scores.faults == {}


@pytest.mark.parametrize(
    ("factor", "collapsed"), [(1.0, 0.0), (1e-3, 0.0), (1e-6, 1.0), (1e-7, 1.0)]
)
def test_a_trained_model_whose_scores_are_identical_up_to_rounding_has_collapsed(
    factor, collapsed
):
    suite = planted(PARTS, stripes=True)
    replica_set = replica_set_on(suite, DeepSVDD)
    replica_set.train(2)
    with torch.no_grad():
        replica_set.replicas[0].module.encoder[1].weight.mul_(factor)
    metrics = metrics_of(score_part(replica_set, suite, "test"))
    assert metrics["test_distinct"][0] > 1
    assert metrics["test_collapsed"] == [collapsed]
    units = metrics["test_relative_range"][0] / 2.0**-23
    assert units < 16 if collapsed else units > 64


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_replica_whose_scores_are_not_finite_has_a_fault_and_no_numbers(part, monkeypatch):
    suite = planted(PARTS)
    blind(monkeypatch, 1, "toy/0", 0, "score")
    replica_set = replica_set_on(suite, Blinded, seeds=(0, 1, 2))
    replica_set.train(3)
    scores = score_part(replica_set, suite, part)
    assert list(scores.faults) == [1]
    assert "normal scores are NaN or infinite" in scores.faults[1]
    assert (scores.metrics[1], scores.variants[1]) == ({}, {})
    assert 1 not in scores.normals
    for values in metrics_of(scores).values():
        assert values[1] is None
        assert None not in (values[0], values[2])


@pytest.mark.parametrize("fault", ["loss", "score"])
def test_scoring_changes_nothing_of_the_replicas(fault, monkeypatch):
    suite = planted(PARTS, SECOND, stripes=True)
    blind(monkeypatch, 1, "toy/0", 0, fault)
    replica_set = replica_set_on(suite, Blinded, seeds=(0, 1))
    before = copy.deepcopy(replica_set.state_dict())
    score_part(replica_set, suite, "validation", every_variant=True)
    score_part(replica_set, suite, "test", every_variant=True)
    assert same(replica_set.state_dict(), before)
    assert replica_set.failures == {}


def test_a_held_out_loss_that_is_not_finite_is_a_fault(monkeypatch):
    suite = planted(PARTS)
    blind(monkeypatch, 1, "toy/0", 0, "loss")
    replica_set = replica_set_on(suite, Blinded, seeds=(0, 1))
    scores = score_part(replica_set, suite, "validation")
    assert scores.faults == {1: "the loss of normal validation images is not finite"}
    assert scores.metrics[1] == {}
    assert score_part(replica_set, suite, "test").faults == {}, "test images have no loss"


def test_a_replica_that_has_failed_is_not_scored():
    suite = planted(PARTS)
    replica_set = replica_set_on(suite, seeds=(0, 1))
    replica_set.fail(0, 0, "made to")
    scores = score_part(replica_set, suite, "test")
    assert scores.metrics[0] == {}
    assert scores.metrics[1]
    assert scores.faults == {}
    assert list(scores.normals) == [1]


def test_scores_kept_are_those_of_a_tasks_first_replica_with_finite_scores(monkeypatch):
    suite = planted(PARTS)
    blind(monkeypatch, 0, "toy/0", 0, "score")
    scores = score_part(replica_set_on(suite, Blinded, seeds=(0, 1)), suite, "test")
    expected = np.array(PARTS["test_normal"]) / 255
    np.testing.assert_allclose(scores.kept[ScoreKey("toy/0")].normal, expected, rtol=1e-6)


def test_scores_kept_are_those_of_the_first_seed():
    suite = planted(PARTS, SECOND, stripes=True)
    replica_set = replica_set_on(suite, AE, seeds=(0, 1))
    scores = score_part(replica_set, suite, "test")
    for k, task in enumerate(("toy/0", "toy/1")):
        normal = suite.split(task).test.normal
        kept = scores.kept[ScoreKey(task)].normal
        assert np.array_equal(kept, replica_set.score(k, normal)["score"].numpy())
        assert not np.array_equal(kept, replica_set.score(2 + k, normal)["score"].numpy())


def test_numbers_by_metric():
    a, b = Metric("test", "a"), Metric("test", "b")
    assert by_metric([]) == {}
    assert by_metric([{}, {}]) == {}
    assert by_metric([{a: 1.0}, {b: 2.0, a: 3.0}]) == {a: [1.0, 3.0], b: [None, 2.0]}
    variant = ScoreVariant("sign", 1)
    assert by_variant([{}, {variant: {a: 1.0}}]) == {variant: {a: [None, 1.0]}}
    assert PartScores.nothing(2) == PartScores([{}, {}], [{}, {}])


@pytest.mark.parametrize("part", ["validation", "test"])
def test_without_anomalies_there_are_scores_and_no_auroc(part):
    suite = planted(with_nothing_anomalous(PARTS))
    replica_set = replica_set_on(suite, seeds=(0, 1), score_space={"sign": (-1.0,)})
    scores = score_part(replica_set, suite, part, every_variant=True)
    values = PARTS[f"{part}_normal"]
    expected = {
        "score": np.mean(values),
        "light": np.mean(values),
        **tie_metrics(values),
        **({"seed_agreement": 1.0} if part == "validation" else {}),
    }
    assert metrics_of(scores) == {
        f"{part}_{name}": [pytest.approx(value)] * 2 for name, value in expected.items()
    }
    assert {name: metrics for name, metrics in variants_of(scores).items() if metrics} == {}
    assert scores.kept[ScoreKey("toy/0")].outsiders == {}
    assert scores.faults == {}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_without_anomalies_too_a_score_that_is_not_finite_is_a_fault(part, monkeypatch):
    suite = planted(with_nothing_anomalous(PARTS))
    blind(monkeypatch, 1, "toy/0", 0, "score")
    scores = score_part(replica_set_on(suite, Blinded, seeds=(0, 1, 2)), suite, part)
    count = len(PARTS[f"{part}_normal"])
    assert scores.faults == {1: f"{count} of {count} normal scores are NaN or infinite"}
    for values in metrics_of(scores).values():
        assert [value is None for value in values] == [False, True, False]


def test_metrics_in_nats_are_also_reported_in_bits_per_dimension():
    shape, nat = (3, 4, 5), 60 * math.log(2)
    metrics = named(
        {
            "validation_rate": [nat, None, 3 * nat],
            "train_rate": [nat / 2],
            "test_rate": [-nat],
            "validation_score": [1.0],
            "validation_auroc": [0.5],
            "train_pretrain/rate": [nat / 4],
            "train_pretrain/encode/rate": [nat / 8],
            "train_rate/loss": [1.0],
            "rate_loss": [1.0],
        }
    )
    converted = with_bits(metrics, ("rate", "elbo"), shape)
    assert {metric: converted.pop(metric) for metric in metrics} == metrics
    assert short(converted) == {
        "validation_rate_bits_per_dim": [pytest.approx(1), None, pytest.approx(3)],
        "train_rate_bits_per_dim": [pytest.approx(0.5)],
        "test_rate_bits_per_dim": [pytest.approx(-1)],
        "train_pretrain/rate_bits_per_dim": [pytest.approx(0.25)],
        "train_pretrain/encode/rate_bits_per_dim": [pytest.approx(0.125)],
    }
    assert {metric.unit for metric in converted} == {BITS_PER_DIM}
    assert with_bits(metrics, (), shape) == metrics


def test_equal_controls_are_no_ties():
    suite = planted({**AGAINST, "test/constant": [3, 3, 3]})
    metrics = metrics_of(score_part(replica_set_on(suite), suite, "test"))
    without = planted(AGAINST)
    alone = metrics_of(score_part(replica_set_on(without), without, "test"))
    for name in ("distinct", "tied", "relative_range", "collapsed"):
        assert metrics[f"test_{name}"] == alone[f"test_{name}"]


# ------------------------------------------------------------------------- a few anomalies

MANY: Planted = {
    **PARTS,
    "validation_normal": [10, 20, 20, 30, 90],
    "validation_anomalous": [5, 20, 25, 30, 95, 96, 97, 98, 99, 100, 20],
}
