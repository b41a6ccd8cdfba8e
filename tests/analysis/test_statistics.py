import math

import numpy as np
import pytest
from scipy import stats

from analysis.aggregates import iqm, probability_of_improvement
from analysis.statistics import (
    Paired,
    bootstrap,
    equivalence,
    estimate,
    holm,
    sign_flip,
    slope,
    smallest_p,
    wilcoxon,
)


def test_interval_is_the_one_of_the_t_test():
    values = [0.61, 0.64, 0.6, 0.7, 0.66]
    found = estimate(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(sum(values) / 5)
    assert found.std == pytest.approx(stats.tstd(values))
    assert (found.low, found.high, found.n) == pytest.approx((low, high, 5))


def test_interval_covers_the_mean_as_often_as_it_says(rng):
    draws = 0.7 + 0.02 * rng.standard_normal((2000, 4))
    covered = sum(found.low <= 0.7 <= found.high for found in map(estimate, draws.tolist()))
    assert stats.binomtest(covered, 2000, 0.95).pvalue > 0.001


def test_one_seed_has_no_interval():
    found = estimate([0.7])
    assert found.mean == 0.7
    assert math.isnan(found.low)
    assert str(found) == "70.0 % (n = 1 seed, no interval)"


def test_an_interval_ends_where_auroc_does():
    assert estimate([0.99, 1.0, 0.98]).high == 1.0
    assert estimate([0.01, 0.0, 0.02]).low == 0.0


def test_nothing_is_averaged_around_nan():
    with pytest.raises(ValueError, match="finite"):
        estimate([0.5, math.nan])
    assert str(estimate([])) == "no value"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def planted(p, n=20, mean=0.1):
    return Paired(estimate([mean] * n, (-1, 1)), p, "a test", n, "")


def test_bootstrap_covers_the_mean_nearly_as_often_as_it_says(rng):
    draws = 0.7 + 0.02 * rng.standard_normal((300, 20))
    covered = np.mean([e.low <= 0.7 <= e.high for e in map(bootstrap, draws.tolist())])
    assert 0.88 < covered < 0.98


def test_bootstrap_of_what_does_not_vary_and_of_one_value():
    same = bootstrap([0.5] * 4)
    assert (same.low, same.high, same.std) == (0.5, 0.5, 0.0)
    assert math.isnan(bootstrap([0.5]).low)
    assert bootstrap([-0.5, 0.5, 1.0], bounds=(-1, 1)).low < 0
    with pytest.raises(ValueError, match="finite"):
        bootstrap([0.5, math.inf])


def test_iqm_is_the_mean_of_the_middle_half():
    table = np.array([[0.0, 0.5], [0.5, 0.6], [0.6, 0.7], [0.7, 1.0]])
    found = iqm(table)
    assert found.mean == pytest.approx(np.mean([0.5, 0.6, 0.6, 0.7]))
    assert found.n == 2
    assert found.low < found.mean < found.high
    assert found == iqm(table)
    assert math.isnan(iqm(table[:, :1]).low)


def test_one_wild_seed_moves_the_mean_and_not_the_iqm(rng):
    table = 0.9 + 0.001 * rng.standard_normal((4, 5))
    table[0, 0] = 0.0
    assert table.mean() < 0.87
    assert iqm(table).mean == pytest.approx(0.9, abs=0.002)


def test_iqm_resamples_seeds_within_each_stratum():
    fixed = np.repeat([[0.1], [0.4], [0.6], [0.9]], 5, axis=1)
    found = iqm(fixed)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_probability_of_improvement_of_planted_tables(rng):
    low, high = rng.uniform(0.5, 0.6, (3, 6)), rng.uniform(0.7, 0.8, (3, 4))
    assert probability_of_improvement(high, low).mean == 1.0
    assert probability_of_improvement(low, high).mean == 0.0
    same = probability_of_improvement(low, low)
    assert same.mean == 0.5
    assert same.low < 0.5 < same.high
    assert probability_of_improvement(low, high).n == 4


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


@pytest.mark.parametrize("test", [wilcoxon, sign_flip])
def test_tests_reach_the_smallest_p_and_are_symmetric(test):
    values = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    assert test(values).p == smallest_p(6) == 0.03125
    assert test([-value for value in values]).p == 0.03125
    assert test(values).difference.mean == pytest.approx(0.035)


@pytest.mark.parametrize("test", [wilcoxon, sign_flip])
def test_tests_of_nothing_say_one(test):
    assert test([0.0] * 8).p == 1.0
    assert test([0.1, -0.1, 0.2, -0.2, 0.3, -0.3]).p == 1.0


@pytest.mark.parametrize("test", [wilcoxon, sign_flip])
def test_too_few_pairs_are_refused_in_a_sentence(test):
    found = test([0.1, 0.2, 0.3])
    assert math.isnan(found.p)
    assert found.difference.mean == pytest.approx(0.2)
    assert found.refusal == ("n = 3 paired seeds: the smallest two-sided p is 0.25; 6 are needed")
    assert test([0.1]).refusal.startswith("n = 1 paired seed: the smallest two-sided p is 1;")
    assert test([]).refusal.startswith("n = 0 paired seeds: nothing to test")


@pytest.mark.parametrize("test", [wilcoxon, sign_flip])
def test_a_planted_null_is_rejected_as_often_as_promised(test, rng):
    ps = [test(list(row)).p for row in 0.02 * rng.standard_normal((300, 8))]
    assert stats.binomtest(sum(p <= 0.05 for p in ps), 300, 0.05).pvalue > 0.001


def test_wilcoxon_is_scipys_without_ties_and_exact_with_them(rng):
    values = list(rng.normal(0.3, 1, 12))
    assert wilcoxon(values).p == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)
    # ranks 2, 2, 2, 4, 5, 6, a 2 is negative: so are none or one 2 in 4 of the 64 flips
    tied = [-0.1, 0.3 - 0.2, 0.1, 0.2, 0.3, 0.4]
    assert wilcoxon(tied).p == pytest.approx(2 * 4 / 64)


def test_drawn_flips_agree_with_all_flips(rng):
    values = rng.normal(0.02, 0.05, 16)
    padded = [*values, 0.0]  # a 17th that no flip changes
    assert sign_flip(padded).p == pytest.approx(sign_flip(list(values)).p, rel=0.05)


def test_sign_flip_over_classes_estimates_over_seeds():
    found = sign_flip([0.1, 0.2, 0.3, 0.1, 0.2, 0.3], per_seed=[0.2, 0.2])
    assert (found.n, found.difference.n) == (6, 2)
    assert found.p == 0.03125
    assert "class x seed" in sign_flip([0.1, 0.2], per_seed=[0.15]).refusal


def test_holm_multiplies_the_smallest_p_by_the_number_of_tests():
    found = holm([planted(0.01), planted(0.04, mean=-0.1), planted(0.02, mean=-0.1)])
    assert [each.p for each in found] == pytest.approx([0.03, 0.04, 0.04])
    assert [each.tone for each in found] == ["better", "worse", "worse"]
    assert holm([]) == []


def test_a_refused_test_counts_as_a_member_of_its_family():
    refused = sign_flip([0.1] * 3)
    found = holm([planted(0.03), refused])
    assert found[0].p == pytest.approx(0.06)
    assert (found[0].tone, found[1].tone) == ("unsure", "unsure")
    assert found[1].reason == refused.refusal
    assert math.isnan(found[1].p)


def test_six_tests_need_eight_seeds():
    six = [sign_flip([0.01 * k for k in range(1, 7)])] * 6
    found = holm(six)
    assert all(math.isnan(each.p) for each in found)
    assert found[0].reason.endswith("the smallest p after Holm is 0.19; 8 are needed")
    eight = [sign_flip([0.01 * k for k in range(1, 9)])] * 6
    assert {each.tone for each in holm(eight)} == {"better"}


def test_equivalence_of_a_planted_null_and_of_an_effect(rng):
    assert equivalence(list(0.005 * rng.standard_normal(8))).equivalent
    assert not equivalence(list(0.03 + 0.005 * rng.standard_normal(8))).equivalent
    noisy = equivalence(list(0.1 * rng.standard_normal(8)))
    assert not noisy.equivalent


def test_equivalence_is_the_larger_of_two_t_tests(rng):
    values = 0.01 * rng.standard_normal(9)
    found = equivalence(list(values))
    above = stats.ttest_1samp(values, -0.02, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.02, alternative="less").pvalue
    assert found.p == pytest.approx(max(above, below))
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx(tuple(interval))
    assert found.equivalent == (-0.02 < found.low and found.high < 0.02)


def test_equivalence_without_spread_compares_the_mean_itself():
    assert equivalence([0.01] * 6).equivalent
    assert not equivalence([0.02] * 6).equivalent
    assert equivalence([0.01] * 5).refusal
    with pytest.raises(ValueError, match="margin > 0"):
        equivalence([0.01] * 6, margin=0)


def test_slope_of_a_line_and_its_interval(rng):
    assert slope([1, 2, 3], [2, 4, 6]) == pytest.approx((2, 2, 2, 3))
    assert slope([1, 2, 3], [5, 5, 5]) == (0, 0, 0, 3)
    x = np.arange(6.0)
    covered = 0
    for _ in range(400):
        found = slope(list(x), list(0.5 * x + rng.standard_normal(6)))
        covered += found.low <= 0.5 <= found.high
    assert stats.binomtest(covered, 400, 0.95).pvalue > 0.001


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([1, 2], [1, 2], "3 points"),
        ([1, 1, 1], [1, 2, 3], "x that varies"),
        ([1, 2, 3], [1, 2], "same length"),
        ([1, 2, 3], [1, 2, math.nan], "finite"),
    ],
)
def test_a_slope_of_too_little_is_refused(x, y, said):
    with pytest.raises(ValueError, match=said):
        slope(x, y)
