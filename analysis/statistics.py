"""Estimates with their intervals and counts."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95
ALIKE = 1e-12  # standard deviation of values that differ by rounding alone


class Estimate(NamedTuple):
    """A mean of quantities in [0, 1] (differences: [-1, 1]), one per seed, with its uncertainty.

    Attributes:
        mean: of the values.
        std: sample standard deviation (n - 1); NaN for one value.
        low: lower end of the 95 % interval of the mean, within the range; NaN for one value.
        high: upper end, within the range.
        n: number of seeds.
    """

    mean: float
    std: float
    low: float
    high: float
    n: int

    @property
    def short(self) -> str:
        """Mean and standard deviation in per cent, the form of the papers' tables."""
        if self.n == 0:
            return ""
        return f"{100 * self.mean:.1f}" + (f" ± {100 * self.std:.1f}" if self.n > 1 else "")

    def __str__(self) -> str:
        """The mean and its interval in per cent, or why there is none."""
        if self.n == 0:
            return "no value"
        if self.n == 1:
            return f"{100 * self.mean:.1f} % (n = 1 seed, no interval)"
        if self.std < ALIKE:
            return f"{100 * self.mean:.1f} % (the same for all n = {self.n} seeds)"
        ends = f"{100 * self.low:.1f}, {100 * self.high:.1f}"
        return f"{100 * self.mean:.1f} ± {100 * self.std:.1f} [{ends}] % (n = {self.n} seeds)"


def estimate(values: Sequence[float], bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """Mean, sample standard deviation and Student's 95 % interval of the mean.

    The values must be independent: one per seed, not one per class. The interval assumes that they
    are roughly normal and is cut to `bounds`; with few seeds it is wide, and rightly so.

    >>> estimate([0.5, 0.6, 0.7]).n
    3

    Raises:
        ValueError: if a value is NaN or infinite.
    """
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"an estimate needs finite values, got {list(values)}")
    n = len(values)
    if n < 2:
        mean = values[0] if n else math.nan
        return Estimate(mean, math.nan, math.nan, math.nan, n)
    mean, std = math.fsum(values) / n, float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1)) * std / math.sqrt(n)
    least, most = bounds
    return Estimate(mean, std, max(least, mean - half), min(most, mean + half), n)
