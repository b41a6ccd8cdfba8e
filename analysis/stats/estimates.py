"""Means with their intervals and numbers of seeds, as numbers and as text; thresholds of tests."""

import math
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy

from analysis.document.blocks import Cell
from analysis.document.format import PERCENT, Unit, mean_text
from tune_ad.sample_sizes import LEAST_PAIRS

LEVEL = 0.95  # level of confidence intervals
ALIKE = 1e-12  # largest standard deviation of values that are equal up to rounding
MARGIN = 0.02  # equivalence margin of AUROC
BOOTSTRAP_RESAMPLES = 5_000


class Coverage(IntEnum):
    """What the interval of an AUROC covers; a larger value covers more.

    Attributes:
        SEEDS: the variance over seeds alone.
        PARTLY: of several intervals: some also the sampling of test images, others not.
        SEPARATE_TASKS: also the sampling of test images, as if tasks shared no images.
        IMAGES: also the sampling of test images.
    """

    SEEDS = 0
    PARTLY = 1
    SEPARATE_TASKS = 2
    IMAGES = 3

    @staticmethod
    def of_all(intervals: Iterable["Coverage"]) -> "Coverage":
        """What several intervals cover; without any, everything.

        >>> Coverage.of_all([Coverage.IMAGES, Coverage.SEEDS]).name
        'PARTLY'
        """
        kinds = {*intervals} or {Coverage.IMAGES}
        least = min(kinds)
        return Coverage.PARTLY if least is Coverage.SEEDS and len(kinds) > 1 else least


class ImageError(NamedTuple):
    """The standard error of a mean that is due to the sampling of test images.

    Attributes:
        value: the standard error; NaN if it is unknown.
        coverage: what an interval with this error covers.
    """

    value: float = math.nan
    coverage: Coverage = Coverage.SEEDS


class Estimate(NamedTuple):
    """A mean of quantities in [0, 1] (differences: [-1, 1]), one per seed, with its uncertainty.

    Attributes:
        mean: the mean of the values.
        std: the sample standard deviation (n - 1); NaN for one value.
        low: the lower bound of the 95 % interval of the mean, within the range; NaN without an
            interval, as for one value.
        high: the upper bound, within the range; NaN without an interval.
        n: the number of seeds.
    """

    mean: float
    std: float
    low: float
    high: float
    n: int

    def with_error(self, error: float, bounds: tuple[float, float] = (0.0, 1.0)) -> "Estimate":
        """The estimate with an interval that also covers an independent error.

        Both half widths are added as squares; the interval is clipped to `bounds`. Without an
        interval (one seed) or an error (NaN) the estimate stays as it is.

        Args:
            error: the standard error, in the unit of the values.
            bounds: the range of the mean.
        """
        if self.n < 2 or math.isnan(error):
            return self
        of_seeds = float(scipy.special.stdtrit(self.n - 1, 0.5 + LEVEL / 2)) * self.std
        other = float(scipy.special.ndtri(0.5 + LEVEL / 2)) * error
        half = math.hypot(of_seeds / math.sqrt(self.n), other)
        least, most = bounds
        return self._replace(low=max(least, self.mean - half), high=min(most, self.mean + half))

    def mean_std(self, unit: Unit = PERCENT) -> str:
        """Mean and standard deviation, as in tables of papers; empty without a value.

        >>> estimate([0.5, 0.6, 0.7]).mean_std(), estimate([0.5]).mean_std()
        ('60.0 ± 10.0', '50.0')
        """
        return mean_text(self.mean, self.std, unit=unit) if self.n else ""

    def mean_interval(self, unit: Unit = PERCENT) -> str:
        """Mean and interval, if there is one; empty without a value.

        >>> estimate([-0.01, 0.0, 0.01], (-1, 1)).mean_interval(Unit(100, "+.1f"))
        '+0.0 [-2.5, +2.5]'
        """
        return mean_text(self.mean, low=self.low, high=self.high, unit=unit) if self.n else ""

    def interval_cell(self, unit: Unit = PERCENT) -> Cell:
        """Mean and interval as a cell of a table, sorted by the mean."""
        return Cell(self.mean_interval(unit), self.mean)

    def columns(self, name: str) -> dict[str, float]:
        """Mean and bounds of the interval as columns of a file.

        >>> estimate([0.6, 0.6]).columns("AUROC")
        {'AUROC': 0.6, 'AUROC low': 0.6, 'AUROC high': 0.6}
        """
        return {name: self.mean, f"{name} low": self.low, f"{name} high": self.high}

    def mean_std_interval(self, unit: Unit = PERCENT) -> str:
        """Mean, standard deviation and interval; only the mean for one value or equal values.

        >>> estimate([0.5, 0.6, 0.7]).mean_std_interval(), estimate([0.6, 0.6]).mean_std_interval()
        ('60.0 ± 10.0 [35.2, 84.8]', '60.0')
        """
        if self.n and self.std < ALIKE:
            has_interval = self.high - self.low > ALIKE
            return self.mean_interval(unit) if has_interval else unit.text(self.mean)
        return mean_text(*self[:4], unit=unit) if self.n else ""

    def __str__(self) -> str:
        """The mean of an AUROC and its interval in per cent, or the reason for no interval."""
        if self.n == 0:
            return "no value"
        if self.n == 1:
            why = "n = 1 seed, no interval"
        elif self.std < ALIKE:
            why = f"identical for all n = {self.n} seeds"
        else:
            why = f"n = {self.n} seeds" + (", no interval" if math.isnan(self.low) else "")
        return f"{self.mean_std_interval()} % ({why})"


def estimate(values: Sequence[float], bounds: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """Mean, sample standard deviation and Student's 95 % interval of the mean.

    The values must be independent: one per seed, not one per class. The interval assumes that they
    are roughly normal and is clipped to `bounds`; with few seeds it is wide.

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
    half = float(scipy.special.stdtrit(n - 1, 0.5 + LEVEL / 2)) * std / math.sqrt(n)
    least, most = bounds
    return Estimate(mean, std, max(least, mean - half), min(most, mean + half), n)


def unpaired_difference(first: Estimate, second: Estimate, error: float = math.nan) -> Estimate:
    r"""The difference of two means over other seeds, with Welch's 95 % interval.

    Half its width is $t \sqrt{s_1^2 / n_1 + s_2^2 / n_2}$ with Welch's degrees of freedom; an
    independent error, such as that of the sampling of test images, is added as a square. No
    interval (NaN) if either has fewer than 2 values.

    >>> unpaired_difference(estimate([0.7, 0.8]), estimate([0.5])).mean_interval()
    '25.0'

    Args:
        first: the mean from which the other is subtracted.
        second: the other mean.
        error: the standard error of the difference that is not due to seeds; NaN = none known.
    """
    mean, n = first.mean - second.mean, min(first.n, second.n)
    if n < 2:
        return Estimate(mean, math.nan, math.nan, math.nan, n)
    of_means = [each.std**2 / each.n for each in (first, second)]
    freedom = [each.n - 1 for each in (first, second)]
    spread = math.fsum(v**2 / f for v, f in zip(of_means, freedom, strict=True))
    variance = math.fsum(of_means)
    half = 0.0
    if spread > 0:
        half = float(scipy.special.stdtrit(variance**2 / spread, 0.5 + LEVEL / 2))
        half *= math.sqrt(variance)
    if not math.isnan(error):
        half = math.hypot(half, float(scipy.special.ndtri(0.5 + LEVEL / 2)) * error)
    return Estimate(mean, math.nan, max(-1.0, mean - half), min(1.0, mean + half), n)


def bootstrap(
    values: Sequence[float], bounds: tuple[float, float] = (0.0, 1.0), seed: int = 0
) -> Estimate:
    """Mean with its 95 % percentile bootstrap interval, clipped to `bounds`.

    Assumes no distribution, but is too narrow for few values: the standard error of n values is
    too small by a factor sqrt((n - 1) / n). Below 6 values there is no interval (NaN).
    Efron & Tibshirani, 1993.

    Raises:
        ValueError: if a value is NaN or infinite.
    """
    plain = estimate(values, bounds)
    if plain.n < LEAST_PAIRS:
        return plain._replace(low=math.nan, high=math.nan)
    low, high = percentile_interval([finite_array(values)], np.mean, seed)
    return plain._replace(low=max(bounds[0], low), high=min(bounds[1], high))


def percentile_interval(
    samples: Sequence[np.ndarray], statistic: Callable[..., Any], seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of samples, each resampled separately.

    Args:
        samples: one sample per stratum, of at least 2 values.
        statistic: the function of the samples and of the axis along which they lie.
        seed: the seed of the resampling.
    """
    interval = scipy.stats.bootstrap(
        samples,
        statistic,
        n_resamples=BOOTSTRAP_RESAMPLES,
        batch=500,
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def resampling_interval(value: np.ndarray, resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""The 95 % interval of a value from few bootstrap resamples, $v \pm t_{B - 1} s$.

    s is the standard deviation over the B resamples, an estimate of the standard error, and t the
    97.5th percentile of Student's t. The percentiles of a few resamples would be too narrow:
    between those of 20 lies only about 87 % of the distribution.

    Args:
        value: the values, of any shape.
        resampled: the values of each resample, shape (B, ...), B >= 2.
    """
    half = float(scipy.special.stdtrit(len(resampled) - 1, (1 + LEVEL) / 2))
    half = half * resampled.std(axis=0, ddof=1)
    return value - half, value + half


def share_interval(successes: int, trials: int) -> tuple[float, float]:
    """The exact 95 % interval of a share, from `successes` of `trials` independent draws.

    The interval of Clopper and Pearson, Biometrika 26, 1934.

    Raises:
        ValueError: without draws, or with more successes than draws.
    """
    if not 0 <= successes <= trials or not trials:
        raise ValueError(f"a share needs 0 to n successes of n > 0 draws: {successes} of {trials}")
    tail, failures = (1 - LEVEL) / 2, trials - successes
    low = scipy.special.betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = scipy.special.betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return float(low), float(high)


def finite_array(values: Sequence[float]) -> np.ndarray:
    """The values as an array.

    Raises:
        ValueError: if one is NaN or infinite.
    """
    array = np.asarray(values, dtype=float)
    if not np.isfinite(array).all():
        raise ValueError(f"a statistic needs finite values, got {array.tolist()}")
    return array


def seeds_alike(values: pd.DataFrame) -> bool:
    """Whether all seeds (columns) give the same values up to rounding.

    True for deterministic detectors such as a kernel density; their seeds count as one.
    """
    spread = values.max(axis="columns") - values.min(axis="columns")
    return bool((spread < ALIKE).all())
