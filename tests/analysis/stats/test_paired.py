import math

import numpy as np
import pytest
from scipy import stats

from analysis.stats.estimates import estimate
from analysis.stats.paired import (
    Paired,
    equivalence,
    holm,
    holm_adjusted,
    sign_flip,
    untested,
)
from tune_ad.sample_sizes import smallest_p


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def planted(p, n=20, mean=0.1):
    return Paired(estimate([mean] * n, (-1, 1)), p, "a test", n, "")


def test_sign_flip_reaches_the_smallest_p_and_is_symmetric():
    values = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    assert sign_flip(values).p == smallest_p(6) == 0.03125
    assert sign_flip([-value for value in values]).p == 0.03125
    assert sign_flip(values).difference.mean == pytest.approx(0.035)


def test_sign_flip_of_nothing_says_one():
    assert sign_flip([0.0] * 8).p == 1.0
    assert sign_flip([0.1, -0.1, 0.2, -0.2, 0.3, -0.3]).p == 1.0


def test_too_few_pairs_are_refused_in_a_sentence():
    test = sign_flip([0.1, 0.2, 0.3])
    assert math.isnan(test.p)
    assert test.difference.mean == pytest.approx(0.2)
    assert test.refusal == ("n = 3 paired seeds: the smallest two-sided p is 0.25; 6 are needed")
    assert sign_flip([0.1]).refusal.startswith("n = 1 paired seed: the smallest two-sided p is 1;")
    assert sign_flip([]).refusal.startswith("no paired seeds; at least 6 are needed")


def test_a_planted_null_is_rejected_as_often_as_promised(rng):
    ps = [sign_flip(list(row)).p for row in 0.02 * rng.standard_normal((300, 8))]
    assert stats.binomtest(sum(p <= 0.05 for p in ps), 300, 0.05).pvalue > 0.001


def test_drawn_flips_agree_with_all_flips(rng):
    values = rng.normal(0.02, 0.05, 16)
    padded = [*values, 0.0]  # a 17th that no flip changes
    assert sign_flip(padded).p == pytest.approx(sign_flip(list(values)).p, rel=0.05)


def test_sign_flip_over_classes_estimates_over_seeds():
    test = sign_flip([0.1, 0.2, 0.3, 0.1, 0.2, 0.3], per_seed=[0.2, 0.2, 0.2])
    assert (test.n, test.difference.n) == (6, 3)
    assert test.p == 0.03125
    assert "class x seed" in sign_flip([], per_seed=[]).refusal


@pytest.mark.parametrize("seeds", [1, 2])
def test_many_classes_of_one_or_two_seeds_are_no_verdict(seeds):
    test = sign_flip([0.1] * (10 * seeds), per_seed=[0.1] * seeds)
    assert math.isnan(test.p)
    assert test.refusal == f"the test needs 3 paired seeds, got {seeds}"
    assert holm([test])[0].tone == "unsure"


def test_a_difference_without_a_test_keeps_its_value():
    test = untested([0.1], "no test: planted")
    assert (test.difference.mean, test.n) == (0.1, 1)
    assert holm([test])[0].reason == "no test: planted"
    assert untested([], "no test: planted").difference.n == 0


def test_holm_multiplies_the_smallest_p_by_the_number_of_tests():
    decisions = holm([planted(0.01), planted(0.04, mean=-0.1), planted(0.02, mean=-0.1)])
    assert [decision.p for decision in decisions] == pytest.approx([0.03, 0.04, 0.04])
    assert [decision.tone for decision in decisions] == ["better", "worse", "worse"]
    assert holm([]) == []


def test_a_test_that_was_not_made_is_no_member_of_its_family():
    refused = sign_flip([0.1] * 3)
    decisions = holm([planted(0.03), refused])
    assert decisions[0].p == pytest.approx(0.03)
    assert (decisions[0].tone, decisions[1].tone) == ("better", "unsure")
    assert decisions[1].reason == refused.refusal
    assert math.isnan(decisions[1].p)
    assert [decision.tone for decision in holm([refused])] == ["unsure"]


def test_a_family_may_count_tests_that_were_not_made():
    refused = sign_flip([0.1] * 3)
    for tests in ([planted(0.03), refused], [planted(0.03)]):
        decision, *_ = holm(tests, family=2)
        assert decision.p == pytest.approx(0.06)
        assert decision.tone == "unsure"


def test_six_tests_need_eight_seeds():
    six = [sign_flip([0.01 * k for k in range(1, 7)])] * 6
    decisions = holm(six)
    assert all(math.isnan(decision.p) for decision in decisions)
    assert decisions[0].reason.endswith("the smallest p after Holm is 0.19; 8 are needed")
    eight = [sign_flip([0.01 * k for k in range(1, 9)])] * 6
    assert {decision.tone for decision in holm(eight)} == {"better"}


def test_equivalence_of_a_planted_null_and_of_an_effect(rng):
    assert equivalence(list(0.005 * rng.standard_normal(8))).equivalent
    assert not equivalence(list(0.03 + 0.005 * rng.standard_normal(8))).equivalent
    noisy = equivalence(list(0.1 * rng.standard_normal(8)))
    assert not noisy.equivalent


def test_equivalence_is_the_larger_of_two_t_tests(rng):
    values = 0.01 * rng.standard_normal(9)
    result = equivalence(list(values))
    above = stats.ttest_1samp(values, -0.02, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.02, alternative="less").pvalue
    assert result.p == pytest.approx(max(above, below))
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (result.low, result.high) == pytest.approx(tuple(interval))
    assert result.equivalent == (-0.02 < result.low and result.high < 0.02)


def test_equivalence_without_spread_compares_the_mean_itself():
    assert equivalence([0.01] * 6).equivalent
    assert not equivalence([0.02] * 6).equivalent
    assert equivalence([0.01] * 5).refusal
    with pytest.raises(ValueError, match="margin > 0"):
        equivalence([0.01] * 6, margin=0)


def test_holm_multiplies_in_order_and_never_decreases():
    assert holm_adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_adjusted([0.5, 0.9]) == [1.0, 1.0]
    assert holm_adjusted([0.2]) == [0.2]
    assert holm_adjusted([]) == []
    with_gap = holm_adjusted([0.01, math.nan, 0.04])
    assert with_gap[::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(with_gap[1])
    assert holm_adjusted([0.02, 0.02, 0.02]) == pytest.approx([0.06] * 3)
