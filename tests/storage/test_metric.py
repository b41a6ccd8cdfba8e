"""Names of numbers: texts that people read, fields that a file gives back."""

import json
import math

import pytest

from tests.naming import named, short, short_variants, variants
from tune_ad.storage.metric import (
    BITS_PER_DIM,
    PARTS,
    RESUBSTITUTION,
    TEST_AUROC,
    VALIDATION_AUROC,
    Metric,
    ScoreVariant,
    metrics_from_json,
    metrics_to_json,
    variants_from_json,
    variants_to_json,
)

NAMES = [
    (Metric("test", "auroc"), "test_auroc", "test/auroc"),
    (Metric("test", "auroc", "svhn"), "test_auroc/svhn", "test/auroc/svhn"),
    (Metric("validation", "rate"), "validation_rate", "validation/rate"),
    (
        Metric("validation", "rate", unit=BITS_PER_DIM),
        "validation_rate_bits_per_dim",
        "validation/rate_bits_per_dim",
    ),
    (Metric("train", "loss"), "train_loss", "train/loss"),
    (
        Metric("train", "loss", stage="warm start"),
        "train_warm start/loss",
        "train/warm start/loss",
    ),
    (Metric("train", "loss", phase="encoder"), "train_encoder/loss", "train/encoder/loss"),
    (
        Metric("train", "rate", unit=BITS_PER_DIM, stage="first", phase="encoder"),
        "train_first/encoder/rate_bits_per_dim",
        "train/first/encoder/rate_bits_per_dim",
    ),
    (
        Metric("early_stopping", "best_epoch"),
        "early_stopping_best_epoch",
        "early_stopping/best_epoch",
    ),
    (Metric("gap", "negative_elbo"), "gap_negative_elbo", "gap/negative_elbo"),
    (Metric("test", "test_auroc"), "test_test_auroc", "test/test_auroc"),
]


@pytest.mark.parametrize(("metric", "name", "tag"), NAMES, ids=lambda case: str(case))
def test_a_metric_has_a_name_and_a_tag(metric, name, tag):
    assert str(metric) == name
    assert metric.tag == tag


def test_a_metric_has_a_name_without_its_part():
    assert Metric("train", "loss", stage="warm start", phase="encode").name == (
        "warm start/encode/loss"
    )
    assert Metric("test", "rate", "svhn", BITS_PER_DIM).name == "rate/svhn_bits_per_dim"
    assert Metric("test_", "_auroc").name == "_auroc"


def test_metrics_of_one_name_may_differ_in_their_fields():
    stage, phase = Metric("train", "loss", stage="a"), Metric("train", "loss", phase="a")
    assert str(stage) == str(phase)
    assert stage != phase


@pytest.mark.parametrize(
    ("metric", "is_auroc"),
    [
        (TEST_AUROC, True),
        (VALIDATION_AUROC, True),
        (Metric("oracle", "auroc", "svhn"), True),
        (Metric("test", "ap"), False),
        (Metric("test", "auroc_gap"), False),
        (Metric("auroc", "rate"), False),
    ],
    ids=str,
)
def test_an_auroc_is_told_by_its_term(metric, is_auroc):
    assert metric.is_auroc is is_auroc


def test_a_part_that_not_every_detector_has_is_a_diagnostic():
    assert not any(Metric(part, "rate").is_diagnostic for part in PARTS)
    assert Metric("gap", "rate").is_diagnostic
    assert Metric(RESUBSTITUTION, "rate").is_diagnostic


METRICS = {metric: [0.1 + 0.2, None, float(k)] for k, (metric, *_) in enumerate(NAMES)}


def through_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


def test_metrics_come_back_as_they_were():
    assert metrics_from_json(through_json(metrics_to_json(METRICS))) == METRICS
    assert list(metrics_from_json(metrics_to_json(METRICS))) == list(METRICS), "in their order"
    assert metrics_from_json(metrics_to_json({})) == {}


def test_fields_that_are_empty_are_not_written():
    assert metrics_to_json({TEST_AUROC: (0.5,)}) == [
        {"part": "test", "term": "auroc", "values": [0.5]}
    ]
    (row,) = metrics_to_json({Metric("train", "rate", unit=BITS_PER_DIM, stage="first"): []})
    assert row == {
        "part": "train",
        "term": "rate",
        "unit": BITS_PER_DIM,
        "stage": "first",
        "values": [],
    }


def test_rows_name_every_field_that_is_not_empty():
    """A file can be read without knowing how a name is composed."""
    for metric, row in zip(METRICS, metrics_to_json(METRICS), strict=True):
        fields = {name: text for name, text in row.items() if name != "values"}
        assert fields == {name: text for name, text in metric._asdict().items() if text}


VALUES = [5, 5.0, "5", True, 1, 1.0, None, "inf", math.inf, -math.inf, (0.5, 0.75), (), (None,)]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_value_of_a_score_variant_comes_back_with_its_type(value):
    variant = ScoreVariant("parameter", value)
    rows = through_json(variants_to_json({variant: {TEST_AUROC: [0.5]}}))
    ((read, metrics),) = variants_from_json(rows).items()
    assert read == variant
    assert repr(read) == repr(variant)
    assert metrics == {TEST_AUROC: [0.5]}


def test_a_variant_is_named_by_its_parameter_or_as_a_component_of_the_score():
    assert str(ScoreVariant("mc_samples", 5)) == "mc_samples=5"
    assert str(ScoreVariant("mc_samples", "inf")) == "mc_samples=inf"
    assert str(ScoreVariant.of_component("rate")) == "rate"
    assert ScoreVariant.of_component("rate") == ScoreVariant("", "rate")
    assert ScoreVariant.of_component("mc_samples=5") != ScoreVariant("mc_samples", 5)
    assert variants_from_json([]) == {}


def test_the_short_names_of_tests_are_those_of_metrics():
    metrics = {"test_auroc/svhn": [0.5], "train_loss": [None], "gap_negative_elbo": [1.0]}
    assert short(named(metrics)) == metrics
    assert short_variants(variants({"T=5": metrics, "rate": {}})) == {"T=5": metrics, "rate": {}}
    assert named({TEST_AUROC: [0.5]}) == named({"test_auroc": [0.5]})
