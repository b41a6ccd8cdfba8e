import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.document.format import PERCENTAGE_POINTS, Unit
from analysis.stats.aggregates import iqm, mean_ranks, probability_of_improvement
from analysis.stats.estimates import bootstrap, estimate, resampling_interval, share_interval


def test_interval_is_the_one_of_the_t_test():
    values = [0.61, 0.64, 0.6, 0.7, 0.66]
    estimated = estimate(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert estimated.mean == pytest.approx(sum(values) / 5)
    assert estimated.std == pytest.approx(stats.tstd(values))
    assert (estimated.low, estimated.high, estimated.n) == pytest.approx((low, high, 5))


def test_interval_covers_the_mean_as_often_as_it_says(rng):
    draws = 0.7 + 0.02 * rng.standard_normal((2000, 4))
    covered = sum(
        interval.low <= 0.7 <= interval.high for interval in map(estimate, draws.tolist())
    )
    assert stats.binomtest(covered, 2000, 0.95).pvalue > 0.001


def test_one_seed_has_no_interval():
    estimated = estimate([0.7])
    assert estimated.mean == 0.7
    assert math.isnan(estimated.low)
    assert str(estimated) == "70.0 % (n = 1 seed, no interval)"


def test_an_interval_ends_where_auroc_does():
    assert estimate([0.99, 1.0, 0.98]).high == 1.0
    assert estimate([0.01, 0.0, 0.02]).low == 0.0


def test_nothing_is_averaged_around_nan():
    with pytest.raises(ValueError, match="finite"):
        estimate([0.5, math.nan])
    assert str(estimate([])) == "no value"


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([], ("", "", "", "no value")),
        ([0.7], ("70.0", "70.0", "70.0", "70.0 % (n = 1 seed, no interval)")),
        (
            [0.7, 0.7],
            (
                "70.0 ± 0.0",
                "70.0 [70.0, 70.0]",
                "70.0",
                "70.0 % (identical for all n = 2 seeds)",
            ),
        ),
        (
            [0.6, 0.7, 0.8],
            (
                "70.0 ± 10.0",
                "70.0 [45.2, 94.8]",
                "70.0 ± 10.0 [45.2, 94.8]",
                "70.0 ± 10.0 [45.2, 94.8] % (n = 3 seeds)",
            ),
        ),
    ],
)
def test_an_estimate_as_text(values, texts):
    auroc = estimate(values)
    assert (
        auroc.mean_std(),
        auroc.mean_interval(),
        auroc.mean_std_interval(),
        str(auroc),
    ) == texts


def test_a_difference_is_signed_and_its_standard_deviation_is_not():
    difference = estimate([0.01, 0.02, 0.03], (-1, 1))
    assert difference.mean_std_interval(PERCENTAGE_POINTS) == "+2.0 ± 1.0 [-0.5, +4.5]"
    assert difference._replace(low=math.nan).mean_interval(PERCENTAGE_POINTS) == "+2.0"
    assert difference.mean_interval(Unit(1, "+.3f")) == "+0.020 [-0.005, +0.045]"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_bootstrap_covers_the_mean_nearly_as_often_as_it_says(rng):
    draws = 0.7 + 0.02 * rng.standard_normal((300, 20))
    covered = np.mean([e.low <= 0.7 <= e.high for e in map(bootstrap, draws.tolist())])
    assert 0.88 < covered < 0.98


def test_bootstrap_of_what_does_not_vary_and_of_one_value():
    same = bootstrap([0.5] * 6)
    assert (same.low, same.high, same.std) == (0.5, 0.5, 0.0)
    assert math.isnan(bootstrap([0.5]).low)
    assert bootstrap([-0.5, 0.5, 1.0] * 2, bounds=(-1, 1)).low < 0
    with pytest.raises(ValueError, match="finite"):
        bootstrap([0.5, math.inf])


def test_an_interval_from_few_resamples_is_as_wide_as_the_standard_error_asks(rng):
    """The interval of the mean of 50 values covers it about as often as it says."""
    covered = 0
    for _ in range(400):
        values = rng.standard_normal(50)
        resampled = np.array([rng.choice(values, 50).mean() for _ in range(20)])
        low, high = resampling_interval(values.mean(), resampled)
        covered += low <= 0 <= high
    assert 0.92 < covered / 400 < 0.98


def test_an_interval_from_resamples_keeps_the_shape_of_the_value():
    resampled = np.array([[1.0, 5.0], [3.0, 5.0]])
    low, high = resampling_interval(np.array([2.0, 5.0]), resampled)
    half = stats.t.ppf(0.975, 1) * math.sqrt(2)
    assert low == pytest.approx([2 - half, 5]) and high == pytest.approx([2 + half, 5])


@pytest.mark.parametrize(("successes", "trials"), [(0, 8), (3, 8), (8, 8), (148, 1000), (1, 1)])
def test_the_ends_of_the_interval_of_a_share_leave_2_5_per_cent_on_each_side(successes, trials):
    low, high = share_interval(successes, trials)
    if successes:
        assert stats.binom.sf(successes - 1, trials, low) == pytest.approx(0.025)
    else:
        assert low == 0.0
    if successes < trials:
        assert stats.binom.cdf(successes, trials, high) == pytest.approx(0.025)
    else:
        assert high == 1.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 8), (9, 8)])
def test_an_impossible_share_is_refused(successes, trials):
    with pytest.raises(ValueError, match=f"{successes} of {trials}"):
        share_interval(successes, trials)


def test_iqm_is_the_mean_of_the_middle_half():
    table = np.array([[0.0, 0.5], [0.5, 0.6], [0.6, 0.7], [0.7, 1.0]])
    assert iqm(table).mean == pytest.approx(np.mean([0.5, 0.6, 0.6, 0.7]))
    assert iqm(table).n == 2
    estimated = iqm(np.tile(table, 3))
    assert estimated.low < estimated.mean < estimated.high
    assert estimated == iqm(np.tile(table, 3))
    assert math.isnan(iqm(table[:, :1]).low)


def test_one_wild_seed_moves_the_mean_and_not_the_iqm(rng):
    table = 0.9 + 0.001 * rng.standard_normal((4, 5))
    table[0, 0] = 0.0
    assert table.mean() < 0.87
    assert iqm(table).mean == pytest.approx(0.9, abs=0.002)


def test_iqm_resamples_seeds_within_each_stratum():
    nearly = np.repeat([[0.1], [0.4], [0.6], [0.9]], 6, axis=1) + 1e-9 * np.arange(6)
    estimated = iqm(nearly)
    assert (estimated.low, estimated.high) == pytest.approx((0.5, 0.5), abs=1e-7)


def test_few_seeds_and_copies_have_no_bootstrap_interval(rng):
    a, b = rng.uniform(0.5, 0.6, (3, 8)), rng.uniform(0.5, 0.6, (3, 8))
    copies = np.repeat(b[:, :1], 8, axis=1)
    few = (iqm(a[:, :5]), probability_of_improvement(a[:, :5], b), bootstrap(list(a[0, :5])))
    for interval in few:
        assert (interval.n, math.isnan(interval.low), math.isnan(interval.high)) == (5, True, True)
    assert str(few[0]).endswith("% (n = 5 seeds, no interval)")
    for interval in (iqm(copies), probability_of_improvement(a, copies)):
        assert (interval.n, math.isnan(interval.low)) == (1, True)
    assert probability_of_improvement(a, b[:, :6]).n == 6
    assert not math.isnan(probability_of_improvement(a, b[:, :6]).low)


def test_probability_of_improvement_of_planted_tables(rng):
    low, high = rng.uniform(0.5, 0.6, (3, 7)), rng.uniform(0.7, 0.8, (3, 6))
    assert probability_of_improvement(high, low).mean == 1.0
    assert probability_of_improvement(low, high).mean == 0.0
    same = probability_of_improvement(low, low)
    assert same.mean == 0.5
    assert same.low < 0.5 < same.high
    assert probability_of_improvement(low, high).n == 6


def test_probability_of_improvement_is_that_of_mann_and_whitney(rng):
    a, b = rng.integers(0, 5, (2, 6)) / 10, rng.integers(0, 5, (2, 7)) / 10
    expected = [stats.mannwhitneyu(x, y).statistic / 42 for x, y in zip(a, b, strict=True)]
    assert probability_of_improvement(a, b).mean == pytest.approx(np.mean(expected))


def test_tables_that_cannot_be_aggregated_are_refused():
    with pytest.raises(ValueError, match="same strata"):
        probability_of_improvement(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="strata x seeds"):
        iqm(np.ones((0, 3)))
    with pytest.raises(ValueError, match="finite"):
        iqm(np.array([[0.5, math.nan]]))


def test_mean_ranks_by_hand_and_ties_share_a_rank():
    table = pd.DataFrame({"c": [0.1, 0.9, 0.1], "a": [0.3, 0.3, 0.3], "b": [0.2, 0.2, 0.1 + 0.2]})
    ranks = mean_ranks(table)
    assert list(ranks.index) == ["a", "b", "c"]
    assert list(ranks) == pytest.approx([(1 + 2 + 1.5) / 3, (2 + 3 + 1.5) / 3, (3 + 1 + 3) / 3])


def test_nan_is_no_rank():
    with pytest.raises(ValueError, match="finite"):
        mean_ranks(pd.DataFrame({"a": [0.1, math.nan], "b": [0.2, 0.3]}))
