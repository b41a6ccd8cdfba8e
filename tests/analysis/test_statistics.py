import math

import pytest
from scipy import stats

from analysis.statistics import estimate


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
    import numpy as np

    return np.random.default_rng(0)
