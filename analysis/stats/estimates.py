"""Estimates with their intervals and counts; the thresholds of every test."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
ALIKE = 1e-12  # standard deviation of values that differ by rounding alone
SIGNIFICANCE = 0.05
LEAST_PAIRS = 6  # seeds for a test over seeds, and for an interval by the bootstrap
LEAST_SEEDS = 3  # for a test that counts classes of a seed, or published seeds, too
MARGIN = 0.02  # of AUROC: less is no effect
RESAMPLES = 5_000


class Estimate(NamedTuple):
    """A mean of quantities in [0, 1] (differences: [-1, 1]), one per seed, with its uncertainty.

    Attributes:
        mean: of the values.
        std: sample standard deviation (n - 1); NaN for one value.
        low: lower end of the 95 % interval of the mean, within the range; NaN where there is
            none, as for one value.
        high: upper end, within the range; NaN where there is none.
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

    @property
    def interval(self) -> str:
        """Mean, standard deviation and interval in per cent, without n: for a table with n."""
        if self.n == 0:
            return ""
        if self.n == 1 or self.std < ALIKE:
            return f"{100 * self.mean:.1f}"
        return f"{self.short} [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def __str__(self) -> str:
        """The mean and its interval in per cent, or why there is none."""
        if self.n == 0:
            return "no value"
        if self.n == 1:
            return f"{100 * self.mean:.1f} % (n = 1 seed, no interval)"
        if self.std < ALIKE:
            return f"{100 * self.mean:.1f} % (the same for all n = {self.n} seeds)"
        if math.isnan(self.low):
            return f"{self.short} % (n = {self.n} seeds, no interval)"
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


def bootstrap(
    values: Sequence[float], bounds: tuple[float, float] = (0.0, 1.0), seed: int = 0
) -> Estimate:
    """Mean with the 95 % percentile interval of its bootstrap, cut to `bounds`.

    Assumes no distribution, but is too narrow for few values: with n of them the standard error is
    a factor sqrt((n - 1) / n) short. Below 6 there is no interval (NaN). Efron & Tibshirani, 1993.

    Raises:
        ValueError: if a value is NaN or infinite.
    """
    plain = estimate(values, bounds)
    if plain.n < LEAST_PAIRS:
        return plain._replace(low=math.nan, high=math.nan)
    low, high = percentile_interval([finite(values)], np.mean, seed)
    return plain._replace(low=max(bounds[0], low), high=min(bounds[1], high))


def percentile_interval(
    samples: Sequence[np.ndarray], statistic: Callable[..., Any], seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of samples, each resampled by itself.

    Args:
        samples: one per stratum, of at least 2 values.
        statistic: takes the samples, and the axis along which they lie.
        seed: of the resampling.
    """
    found = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        batch=500,
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def finite(values: Sequence[float]) -> np.ndarray:
    """The values as an array.

    Raises:
        ValueError: if one is NaN or infinite.
    """
    made = np.asarray(values, dtype=float)
    if not np.isfinite(made).all():
        raise ValueError(f"a statistic needs finite values, got {made.tolist()}")
    return made


def seeds_alike(values: pd.DataFrame) -> bool:
    """Whether the seeds (columns) change nothing but for rounding: they are copies, no evidence.

    So it is with a detector that draws nothing, such as a kernel density.
    """
    spread = values.max(axis="columns") - values.min(axis="columns")
    return bool((spread < ALIKE).all())
