"""How alike the kinds of pseudo-outliers rank the trials."""

from typing import NamedTuple

import numpy as np

from analysis.questions.selection.pool import TrialPool
from analysis.questions.selection.regret import LEAST_RANKED, rank_correlation
from analysis.stats.estimates import Estimate, estimate
from tune_ad.pseudo_outliers import generators


class Agreement(NamedTuple):
    """The rank correlation of the AUROCs of two kinds of pseudo-outliers over the trials.

    Attributes:
        first: the name of one generator.
        second: the name of the other.
        correlation: in [-1, 1], one value per task.
    """

    first: str
    second: str
    correlation: Estimate


def agreements(pool: TrialPool) -> list[Agreement]:
    """The agreement of every pair of generators; empty if they were not scored."""
    values = {name: pool.values(f"pseudo_{name}") for name in generators()}
    known = {name: v for name, v in values.items() if np.isfinite(v).all()}
    names = list(known) if len(pool.records) >= LEAST_RANKED else []
    return [
        Agreement(first, second, _between(known[first], known[second]))
        for k, first in enumerate(names)
        for second in names[k + 1 :]
    ]


def _between(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The rank correlation of two arrays (trials, tasks), one value per task."""
    pairs = zip(first.T, second.T, strict=True)
    return estimate([rank_correlation(a, b) for a, b in pairs], bounds=(-1.0, 1.0))
