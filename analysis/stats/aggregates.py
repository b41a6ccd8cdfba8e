"""Aggregates over class tasks: interquartile mean, probability of improvement, mean rank."""

import math

import numpy as np
import pandas as pd
import scipy

from analysis.stats.estimates import Estimate, percentile_interval, seeds_alike
from tune_ad.sample_sizes import LEAST_PAIRS

Table = pd.DataFrame | np.ndarray
"""AUROC of one method, with a row per stratum (class task) and a column per seed."""


def iqm(table: Table, seed: int = 0) -> Estimate:
    """Interquartile mean over all strata and seeds: the mean without the lowest and highest 25 %.

    Seeds are resampled within each stratum. `std` is the standard deviation of the interquartile
    means of single seeds. Below 6 seeds there is no interval (NaN), since a bootstrap interval of
    few seeds is too narrow; seeds that give the same values count as one. Agarwal et al., 2021,
    "Deep reinforcement learning at the edge of the statistical precipice".

    Raises:
        ValueError: if the table is empty or a value is NaN or infinite.
    """
    values = _strata(table)
    n, middle = _seeds(values), float(_middle(values.ravel()))
    std = float(np.std(_middle(values, 0), ddof=1)) if n > 1 else math.nan
    if n < LEAST_PAIRS:
        return Estimate(middle, std, math.nan, math.nan, n)
    return Estimate(middle, std, *percentile_interval(list(values), _middle_of, seed), n)


def probability_of_improvement(a: Table, b: Table, seed: int = 0) -> Estimate:
    """Mean over strata of P(a > b) + P(a = b) / 2, for a seed of a and a seed of b.

    0.5 means no difference. Seeds are resampled within each stratum of each table; they need not
    be paired. `n` is the smaller number of seeds, of which equal ones count as one; below 6 there
    is no interval (NaN). `std` is NaN, since there is no value per seed. Agarwal et al., 2021.

    Raises:
        ValueError: if the strata differ, there is none, or a value is NaN or infinite.
    """
    first, second = _strata(a), _strata(b)
    if len(first) != len(second):
        raise ValueError(f"both need the same strata, got {len(first)} and {len(second)}")
    n = min(_seeds(first), _seeds(second))
    value = float(_improvement(*first, *second))
    if n < LEAST_PAIRS:
        return Estimate(value, math.nan, math.nan, math.nan, n)
    low, high = percentile_interval([*first, *second], _improvement, seed)
    return Estimate(value, math.nan, low, high, n)


def mean_ranks(table: pd.DataFrame) -> pd.Series:
    """Mean rank of each method over class tasks, best first; 1 = the best in every task.

    A description only: classes of one data set are not independent, so ranks over them are not
    tested. Values that differ by less than 1e-12 are tied and share their mean rank.

    Args:
        table: the results, with a row per class task and a column per method; larger is better.

    Raises:
        ValueError: if a value is NaN or infinite.
    """
    if not np.isfinite(table.to_numpy(dtype=float)).all():
        raise ValueError("a ranking needs a finite value of every method in every task")
    ranks = table.astype(float).round(12).rank(axis="columns", ascending=False)
    means: pd.Series = ranks.mean().sort_values(kind="stable")
    return means


def _strata(table: Table) -> np.ndarray:
    values = np.asarray(table, dtype=float)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"a table of strata x seeds is needed, got the shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("every stratum needs a finite value of every seed")
    return values


def _seeds(values: np.ndarray) -> int:
    """The number of seeds; 1 if all give the same values."""
    return 1 if seeds_alike(pd.DataFrame(values)) else values.shape[1]


def _middle(values: np.ndarray, axis: int = -1) -> np.ndarray:
    middle: np.ndarray = scipy.stats.trim_mean(values, 0.25, axis=axis)
    return middle


def _middle_of(*rows: np.ndarray, axis: int = -1) -> np.ndarray:
    return _middle(np.concatenate(rows, axis=axis), axis)


def _improvement(*rows: np.ndarray, axis: int = -1) -> np.ndarray:
    """The probability of improvement; `rows` are the strata of a, followed by those of b."""
    half = len(rows) // 2
    shares = [
        (np.sign(a[..., :, None] - b[..., None, :]).mean(axis=(-2, -1)) + 1) / 2
        for a, b in zip(rows[:half], rows[half:], strict=True)
    ]
    mean: np.ndarray = np.mean(shares, axis=0)
    return mean
