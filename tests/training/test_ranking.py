"""The metrics agree with scikit-learn and refuse undefined input."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from tune_ad.errors import DegenerateInputError
from tune_ad.training.bits import bits_per_dimension
from tune_ad.training.ranking import (
    Ties,
    auroc,
    auroc_interval,
    average_precision,
    require_finite,
    ties,
)

METRICS = {auroc: roc_auc_score, average_precision: average_precision_score}


def reference(metric, normal: np.ndarray, anomalous: np.ndarray) -> float:
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    return float(METRICS[metric](labels, np.concatenate([normal, anomalous])))


def drawn(seed: int, levels: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two sides of random sizes; with `levels`, whole numbers that tie."""
    stream = np.random.default_rng(seed)
    sides = stream.integers(1, 60, 2)
    if levels is None:
        return stream.normal(0, 1, sides[0]), stream.normal(0.5, 2, sides[1])
    return stream.integers(0, levels, sides[0]), stream.integers(0, levels + 1, sides[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("levels", [None, 1, 2, 5, 20])
def test_agrees_with_scikit_learn(metric, levels):
    for seed in range(40):
        normal, anomalous = drawn(seed, levels)
        ours = metric(torch.from_numpy(normal), torch.from_numpy(anomalous))
        assert ours == pytest.approx(reference(metric, normal, anomalous), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.float32])
def test_takes_every_type_of_number(metric, dtype):
    normal, anomalous = drawn(3, 6)
    ours = metric(torch.from_numpy(normal).to(dtype), torch.from_numpy(anomalous).to(dtype))
    assert ours == pytest.approx(reference(metric, normal, anomalous), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_takes_strided_and_read_in_any_order(metric):
    scores = torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0], dtype=torch.float64)
    expected = reference(metric, scores[::2].numpy(), scores[1::2].numpy())
    assert metric(scores[::2], scores[1::2]) == pytest.approx(expected)
    assert metric(scores[::2].flip(0), scores[1::2].flip(0)) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 7.25, 1e-300, -4.0])
def test_constant_scores_are_chance(value):
    normal, anomalous = torch.full((30,), value), torch.full((10,), value)
    assert auroc(normal, anomalous) == 0.5
    assert average_precision(normal, anomalous) == 0.25


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    normal, anomalous = torch.tensor([0.0, 1.0, 1.0]), torch.tensor([1.0, 2.0])
    # pairs: 1 beats 0, ties with 1 twice; 2 beats all three
    assert auroc(normal, anomalous) == (1 + 0.5 + 0.5 + 3) / 6
    assert auroc(anomalous, normal) == (0 + 0.5 + 0.5 + 0) / 6
    assert auroc(torch.zeros(4), torch.ones(4)) == 1.0
    assert auroc(torch.ones(4), torch.zeros(4)) == 0.0


def test_differences_below_single_precision_count():
    base = torch.tensor(1.0, dtype=torch.float64)
    assert auroc(base.repeat(3), (base + 1e-15).repeat(3)) == 1.0
    assert average_precision(base.repeat(3), (base + 1e-15).repeat(3)) == 1.0


def test_monotone_maps_change_neither():
    normal, anomalous = (torch.from_numpy(side) for side in drawn(11, None))
    for metric in METRICS:
        assert metric(normal.exp(), anomalous.exp()) == metric(normal, anomalous)


@pytest.mark.parametrize("metric", METRICS)
def test_refuses_an_empty_side(metric):
    some, none = torch.ones(3), torch.ones(0)
    with pytest.raises(DegenerateInputError, match="no normal score"):
        metric(none, some)
    with pytest.raises(DegenerateInputError, match="no anomalous score"):
        metric(some, none)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_refuses_scores_that_are_not_finite(metric, value):
    fine, bad = torch.ones(3), torch.tensor([1.0, value, 2.0, value])
    with pytest.raises(DegenerateInputError, match="2 of 4 normal scores are NaN or infinite"):
        metric(bad, fine)
    with pytest.raises(DegenerateInputError, match="2 of 4 anomalous scores"):
        metric(fine, bad)


@pytest.mark.parametrize(
    ("scores", "distinct", "share", "relative", "collapsed"),
    [
        ([1, 1, 2, 4], 3, 0.5, 0.75, False),
        ([4, 3, 2, 1], 4, 0.0, 0.75, False),
        ([2, 1, 2, 1, 2], 2, 1.0, 0.5, False),
        ([-4, 2, -1], 3, 0.0, 1.5, False),
        ([1e308, -1e308], 2, 0.0, 2.0, False),
        ([0, 1e-300], 2, 0.0, 1.0, False),
        ([5, 5, 5], 1, 1.0, 0.0, True),
        ([0, 0], 1, 1.0, 0.0, True),
        ([5], 1, 0.0, 0.0, True),
    ],
)
def test_ties(scores, distinct, share, relative, collapsed):
    tied = ties(torch.tensor(scores, dtype=torch.float64))
    assert tied == Ties(distinct, share, relative)
    assert tied.collapsed is collapsed


@pytest.mark.parametrize("size", [1e-30, 1.0, -1e30])
@pytest.mark.parametrize(("units", "collapsed"), [(5, True), (31.9, True), (33, False)])
def test_scores_that_are_identical_up_to_rounding_have_collapsed(size, units, collapsed):
    steps = torch.linspace(0, units, 9, dtype=torch.float64) * 2.0**-23
    tied = ties(size * (1 - steps))
    assert tied.distinct == 9
    assert tied.relative_range == pytest.approx(units * 2.0**-23)
    assert tied.collapsed is collapsed


def test_ties_sees_the_smallest_difference():
    scores = torch.tensor([1.0, 1.0 + 2**-52, 5e-324, 0.0], dtype=torch.float64)
    assert ties(scores).distinct == 4


@pytest.mark.parametrize("dimensions", [1, 784, 3072])
def test_a_uniform_density_over_k_levels_has_log2_k_bits_per_dimension(dimensions):
    for levels in (1, 2, 256):
        nats = dimensions * math.log(levels)
        assert bits_per_dimension(nats, dimensions) == pytest.approx(math.log2(levels))
    assert bits_per_dimension(-3.5, dimensions) == -bits_per_dimension(3.5, dimensions)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_counted(value):
    require_finite("normal", torch.zeros(4))
    with pytest.raises(DegenerateInputError, match="2 of 4 normal scores are NaN or infinite"):
        require_finite("normal", torch.tensor([0.0, value, value, 1.0]))


def test_the_interval_of_an_auroc_is_that_of_delong_and_of_repeated_sampling():
    """The closed form without ties, and the error of many samples of planted scores."""
    stream = torch.Generator().manual_seed(0)
    normal = torch.randn(60, generator=stream, dtype=torch.float64)
    anomalous = torch.randn(40, generator=stream, dtype=torch.float64) + 1
    wins = (anomalous[:, None] > normal[None]).double()
    error = (wins.mean(1).var() / 40 + wins.mean(0).var() / 60).sqrt()
    low, high = auroc_interval(normal, anomalous)
    assert (high - low) / 2 == pytest.approx(1.96 * float(error))
    assert (high + low) / 2 == pytest.approx(auroc(normal, anomalous))
    values = [
        auroc(
            torch.randn(60, generator=stream, dtype=torch.float64),
            torch.randn(40, generator=stream, dtype=torch.float64) + 1,
        )
        for _ in range(2000)
    ]
    assert torch.tensor(values).std() == pytest.approx(float(error), rel=0.25)
    assert auroc_interval(normal, normal.max() + anomalous.exp()) == (1.0, 1.0)
