"""Conformal p-values and thresholds: closed forms, and the guarantee on planted scores."""

import math

import numpy as np
import pytest
from scipy.stats import beta

from tune_ad.errors import UserError
from tune_ad.models.conformal import (
    cross_check,
    p_values,
    rank_of_threshold,
    threshold,
)

STREAM = np.random.default_rng


def test_p_values_are_the_share_of_normal_scores_that_are_at_least_as_high():
    calibration = np.array([4.0, 1.0, 2.0, 2.0])
    scores = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert (p_values(calibration, scores) * 5).tolist() == [5, 5, 4, 2, 2, 1]


@pytest.mark.parametrize("n", [1, 7, 19, 20, 99, 100, 250])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1, 0.3])
def test_an_alarm_is_a_p_value_of_at_most_the_rate(n, rate):
    stream = STREAM(n)
    calibration, scores = stream.normal(size=n), stream.normal(size=2000)
    limit = threshold(calibration, rate)
    assert np.array_equal(
        scores > limit.value, p_values(calibration, scores) <= limit.rate + 1e-12
    )
    assert (scores > limit.value)[scores == limit.value].sum() == 0
    if limit.is_met:
        assert limit.rate <= rate < limit.rate + 1 / (n + 1)
        assert limit.shortfall == ""
    else:
        assert limit.rate == 1 / (n + 1) > rate
        assert limit.value == calibration.max()


def test_too_few_images_say_what_they_support_and_how_many_would_do():
    limit = threshold(np.arange(30.0), 0.01)
    assert "false-alarm rate of 0.01: the least rate that 30 normal images support is 0.0323" in (
        limit.shortfall
    )
    assert limit.shortfall.endswith("99 would do")
    assert threshold(np.arange(99.0), 0.01).is_met
    assert not threshold(np.arange(98.0), 0.01).is_met
    assert rank_of_threshold(99, 0.01) == 1


def test_the_interval_of_the_rate_is_that_of_the_beta_distribution():
    limit = threshold(STREAM(0).normal(size=399), 0.05)
    assert (limit.low, limit.high) == pytest.approx(beta.ppf([0.025, 0.975], 20, 380))


@pytest.mark.slow
def test_the_rate_of_false_alarms_is_kept_on_average_and_follows_its_distribution():
    """Exact rates under the uniform distribution: the share above the threshold is 1 - value."""
    stream, n, rate = STREAM(3), 59, 0.05
    rates = [1 - threshold(stream.random(n), rate).value for _ in range(20_000)]
    k = math.floor(rate * (n + 1))
    assert np.mean(rates) == pytest.approx(k / (n + 1), abs=4 * np.std(rates) / math.sqrt(20_000))
    low, high = beta.ppf([0.025, 0.975], k, n + 1 - k)
    outside = np.mean([not low <= value <= high for value in rates])
    assert outside == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 20_000))


def test_ties_never_raise_the_rate():
    calibration = np.repeat([1.0, 2.0], 50)
    limit = threshold(calibration, 0.1)
    assert limit.value == 2.0
    assert not (calibration > limit.value).any()


def test_the_cross_check_holds_every_image_out_once():
    stream = STREAM(1)
    scores = stream.normal(size=400)
    checked = cross_check(scores, 0.1, stream.permutation(400))
    assert checked is not None and checked.images == 400
    assert checked.guaranteed == pytest.approx(20 / 201)
    assert 0 < checked.alarms < 80
    assert cross_check(scores[:1], 0.1, np.array([0])) is None
    shifted = np.where(np.arange(400) < 200, scores, scores + 100)  # not exchangeable: many alarms
    assert cross_check(shifted, 0.1, np.arange(400)).alarms > 150


@pytest.mark.parametrize(
    ("scores", "rate", "words"),
    [
        (np.zeros(0), 0.05, "there is none; add normal test images"),
        (np.zeros(3), 0.0, r"must lie in \(0, 1\), got 0.0"),
        (np.zeros(3), 1.0, r"must lie in \(0, 1\), got 1.0"),
    ],
)
def test_what_cannot_be_a_threshold_is_refused(scores, rate, words):
    with pytest.raises(UserError, match=words):
        threshold(scores, rate)
