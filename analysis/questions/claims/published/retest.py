"""Tests of the printed numbers of a paper themselves: a method against all others of its tables.

Only printed means, standard deviations and numbers of seeds are used, so no study is needed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

from analysis.questions.claims.published import MEAN, PublishedTable
from analysis.stats.paired import holm_adjusted
from tune_ad.sample_sizes import SIGNIFICANCE

PRINTED_DIGITS = 3
"""Decimals of an AUROC in [0, 1] as printed; differences are rounded to them, so that ties tie."""


class Opponent(NamedTuple):
    """A method compared with another one of the same tables, over some tasks.

    Attributes:
        name: the name of the other method.
        data_set: the data set of the tasks; empty = all tasks.
        difference: mean of the differences of printed means; above 0 = the other one is worse.
        n: the number of tasks.
        p: two-sided p of Wilcoxon's signed-rank test over tasks.
        adjusted: p after Holm's correction over all other methods on the same tasks.
        better: cells in which the other method is worse by Welch's test at 0.05.
        worse: cells in which it is better.
        better_holm: the same after Holm's correction over these cells.
        worse_holm: the same.
    """

    name: str
    data_set: str
    difference: float
    n: int
    p: float
    adjusted: float
    better: int
    worse: int
    better_holm: int
    worse_holm: int


class Retest(NamedTuple):
    """Tests of printed numbers.

    Attributes:
        method: the method that is compared with the others.
        tasks: the number of tasks.
        ranks: mean rank over tasks by method, the best first; 1 = the highest AUROC, ties share
            their ranks.
        chi2: Friedman's statistic.
        p: its p.
        opponents: comparisons over all tasks, then over those of each data set.
    """

    method: str
    tasks: int
    ranks: dict[str, float]
    chi2: float
    p: float
    opponents: tuple[Opponent, ...]


class _Numbers(NamedTuple):
    """Printed numbers of methods (columns) on tasks (rows), and the number of seeds."""

    data_sets: np.ndarray
    means: np.ndarray
    stds: np.ndarray
    seeds: int


def retest(tables: Sequence[PublishedTable], method: str) -> Retest:
    """Friedman's test of all methods; Wilcoxon's and Welch's of one method against each other.

    Friedman, 1937; Wilcoxon, 1945 (exact distribution without ties, otherwise that of all signs or
    the normal approximation, as scipy chooses); Welch, 1947; Holm, 1979. All tests over tasks
    treat tasks as independent.

    Args:
        tables: tables with the same methods and the same number of seeds.
        method: the name of the method that is compared with the others.

    Raises:
        ValueError: if a cell has no mean or no standard deviation.
    """
    cells = {
        (cell.data_set, cell.class_name, cell.method.name): cell
        for table in tables
        for cell in table.cells
        if cell.class_name != MEAN
    }
    names = list(dict.fromkeys(name for *_, name in cells))
    tasks = list(dict.fromkeys((data_set, label) for data_set, label, _ in cells))
    if missing := [(*task, n) for task in tasks for n in names if (*task, n) not in cells]:
        raise ValueError(f"a re-test needs every cell, but {missing[0]} is missing")
    grid = [[cells[*task, name] for name in names] for task in tasks]
    numbers = _Numbers(
        np.array([data_set for data_set, _ in tasks]),
        np.array([[cell.mean for cell in row] for row in grid]).round(PRINTED_DIGITS),
        np.array([[cell.std for cell in row] for row in grid]),
        tables[0].seeds,
    )
    if not np.isfinite(numbers.stds).all():
        raise ValueError("a re-test needs the standard deviation of every cell")
    friedman = scipy.stats.friedmanchisquare(*numbers.means.T)
    ranks = scipy.stats.rankdata(-numbers.means, axis=1).mean(axis=0)
    by_rank = sorted(zip(names, map(float, ranks), strict=True), key=lambda pair: pair[1])
    groups = ["", *dict.fromkeys(data_set for data_set, _ in tasks)]
    opponents = [o for group in groups for o in _opponents(numbers, names, method, group)]
    return Retest(
        method=method,
        tasks=len(tasks),
        ranks=dict(by_rank),
        chi2=float(friedman.statistic),
        p=float(friedman.pvalue),
        opponents=tuple(opponents),
    )


def _opponents(
    numbers: _Numbers, names: Sequence[str], method: str, data_set: str
) -> list[Opponent]:
    """The comparisons with every other method over the tasks of a data set, or over all."""
    kept = numbers.data_sets == data_set if data_set else np.full(len(numbers.data_sets), True)
    first = names.index(method)
    others = [k for k, name in enumerate(names) if name != method]
    differences = {
        k: (numbers.means[kept, first] - numbers.means[kept, k]).round(PRINTED_DIGITS)
        for k in others
    }
    ps = [float(scipy.stats.wilcoxon(differences[k]).pvalue) for k in others]
    return [
        Opponent(
            name=names[k],
            data_set=data_set,
            difference=float(differences[k].mean()),
            n=int(kept.sum()),
            p=p,
            adjusted=adjusted,
            **_welch_counts(numbers, kept, first, k),
        )
        for k, p, adjusted in zip(others, ps, holm_adjusted(ps), strict=True)
    ]


def _welch_counts(numbers: _Numbers, kept: np.ndarray, first: int, other: int) -> dict[str, int]:
    """The numbers of cells that Welch's test decides for and against the first method."""
    one, two = (
        (numbers.means[kept, k], numbers.stds[kept, k], numbers.seeds) for k in (first, other)
    )
    tests = scipy.stats.ttest_ind_from_stats(*one, *two, equal_var=False)
    counts = {}
    for suffix, ps in (("", tests.pvalue), ("_holm", np.array(holm_adjusted(list(tests.pvalue))))):
        decided = ps <= SIGNIFICANCE
        counts[f"better{suffix}"] = int((decided & (tests.statistic > 0)).sum())
        counts[f"worse{suffix}"] = int((decided & (tests.statistic < 0)).sum())
    return counts
