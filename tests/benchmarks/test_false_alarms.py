"""The rate of false alarms of real images is within its guarantee over 20 splits."""

import math

import numpy as np
import pytest
from scipy.stats import beta

from tune_ad.data import locate


@pytest.mark.slow
@pytest.mark.parametrize("name", ["OCSVM", "PGN"])
def test_the_rate_over_20_splits_is_the_wished_one(name):
    if not locate("fmnist"):
        pytest.skip("Fashion-MNIST is not here")
    import false_alarms

    splits = 20
    found = false_alarms.rates(name, false_alarms.normal_images(), splits)
    for rate, of_splits in found.items():
        n = false_alarms.CALIBRATED
        k = math.floor(rate * (n + 1) + 1e-9)
        error = beta.std(k, n + 1 - k) / math.sqrt(splits)
        mean = np.mean([alarms for alarms, _ in of_splits])
        assert mean <= k / (n + 1) + 3 * error
        assert mean >= k / (n + 1) - 3 * error  # nor is the threshold needlessly high
        assert sum(inside for _, inside in of_splits) >= splits - 4
