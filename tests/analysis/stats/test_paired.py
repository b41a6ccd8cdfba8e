import math

import numpy as np
import pytest
from scipy import stats

from analysis.stats.estimates import Coverage, ImageError, estimate
from analysis.stats.paired import (
    NOT_ON_OTHER_IMAGES,
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


# ------------------------------------------------------------------------ sampling of test images


def over_classes(stream, mean=0.01, seeds=3):
    """Differences of ten classes and some seeds, and their means over classes."""
    differences = stream.normal(mean, 0.008, (10, seeds))
    return list(differences.ravel()), list(differences.mean(axis=0))


def decided(differences, per_seed, error=None):
    known = ImageError() if error is None else ImageError(error, Coverage.IMAGES)
    test = sign_flip(differences, per_seed, known)
    (decision,) = holm([test])
    return test, decision


def test_without_an_error_of_images_the_sign_flip_test_decides_alone(rng):
    decisions = set()
    for _ in range(40):
        pairs = over_classes(rng, mean=0.004)
        test, decision = decided(*pairs, error=0.0)
        assert decision == decided(*pairs)[1]
        assert test.p_images == test.p
        decisions.add(decision.tone)
    assert decisions == {"better", "unsure"}


def test_few_seeds_are_not_said_to_be_few_images():
    """The interval over three seeds contains 0, but the test over 30 pairs is significant."""
    seeds = (0.002, 0.012, 0.022)
    differences = [seed + 0.001 * k for k in range(-4, 6) for seed in seeds]
    per_seed = [seed + 0.0005 for seed in seeds]
    test, decision = decided(differences, per_seed, error=0.0005)
    assert test.difference.low < 0 < test.difference.mean
    assert decision.p < 1e-3
    assert decision.tone == "better"
    assert not decision.on_these_images
    wide, alone = decided(differences, per_seed, error=0.01)
    assert wide.p == test.p
    assert (alone.tone, alone.on_these_images) == ("unsure", True)
    assert alone.reason.endswith(NOT_ON_OTHER_IMAGES)


def test_the_error_of_images_adds_to_the_variance_of_the_flips_as_a_square(rng):
    values = np.array(over_classes(rng, seeds=20)[0])
    deviation = math.sqrt(np.square(values).sum()) / len(values)
    error = math.sqrt((abs(values.mean()) / 1.96) ** 2 - deviation**2)
    for factor, least, most in ((0.95, 0.03, 0.05), (1.05, 0.05, 0.07)):
        p = decided(values, values.reshape(10, 20).mean(axis=0), error * factor)[0].p_images
        assert least < p < most


def test_the_p_with_an_error_of_images_is_at_least_that_of_the_flips():
    for error in (1e-9, 1e-3, 1e-2, 1.0):
        test = sign_flip([0.01, 0.02, 0.03, 0.04, 0.05, 0.06], error=ImageError(error))
        assert test.p <= test.p_images <= 1
    assert math.isnan(sign_flip([0.1] * 3, error=ImageError(0.01)).p_images), "not tested"
