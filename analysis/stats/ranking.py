"""Several methods over several tasks: mean ranks, Friedman's test, which pairs differ.

Demsar, 2006, "Statistical comparisons of classifiers over multiple data sets".
"""

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.document import theme
from analysis.stats.estimates import LEAST_PAIRS, SIGNIFICANCE
from analysis.stats.paired import smallest_p, wilcoxon

LEAST_METHODS = 3


class Ranking(NamedTuple):
    """How methods rank over tasks.

    Attributes:
        mean_ranks: of each method, best first; 1 = the best in every task, ties share a rank.
        chi2: Friedman's statistic, corrected for ties; NaN where refused.
        p: that all methods are alike; NaN where refused.
        n: number of tasks.
        pairs: p of each pair of methods by Wilcoxon's signed-rank test over tasks, after Holm over
            all pairs; 1 on the diagonal; empty where refused.
        smallest: the smallest p that a pair can reach after Holm; above 0.05 no pair can be told
            apart, whatever the numbers. NaN where refused.
        refusal: why no test was made; empty where one was.
    """

    mean_ranks: pd.Series
    chi2: float
    p: float
    n: int
    pairs: pd.DataFrame
    smallest: float
    refusal: str


def friedman(table: pd.DataFrame) -> Ranking:
    """Rank methods in each task and test whether they are alike; values alike but for 1e-12 tie.

    Args:
        table: a row per task, a column per method; larger is better.

    Raises:
        ValueError: if a value is NaN or infinite.
    """
    if not np.isfinite(table.to_numpy(dtype=float)).all():
        raise ValueError("a ranking needs a finite value of every method in every task")
    rounded = table.astype(float).round(12)
    n, count = rounded.shape
    ranks = rounded.rank(axis=1, ascending=False).mean().sort_values(kind="stable")
    if refusal := _refusal(n, count):
        return Ranking(ranks, math.nan, math.nan, n, pd.DataFrame(), math.nan, refusal)
    chi2, p = _friedman(rounded)
    smallest = min(1.0, math.comb(count, 2) * smallest_p(n))
    return Ranking(ranks, chi2, p, n, _pairs(rounded[ranks.index]), smallest, "")


def _refusal(n: int, methods: int) -> str:
    if methods < LEAST_METHODS:
        return f"{methods} methods: a ranking is tested from {LEAST_METHODS} on"
    if n < LEAST_PAIRS:
        return f"n = {n} tasks: a ranking is tested from {LEAST_PAIRS} on"
    return ""


def _friedman(table: pd.DataFrame) -> tuple[float, float]:
    if (table.nunique(axis=1) == 1).all():  # every task is one tie: 0 / 0 in the formula
        return 0.0, 1.0
    found = stats.friedmanchisquare(*table.to_numpy().T)
    return float(found.statistic), float(found.pvalue)


def _pairs(table: pd.DataFrame) -> pd.DataFrame:
    names = list(table.columns)
    pairs = list(combinations(range(len(names)), 2))
    values = table.to_numpy()
    ps = [wilcoxon(list(values[:, i] - values[:, j])).p for i, j in pairs]
    adjusted = multipletests(ps, alpha=SIGNIFICANCE, method="holm")[1]
    square = np.ones((len(names), len(names)))
    for (i, j), p in zip(pairs, adjusted, strict=True):
        square[i, j] = square[j, i] = p
    return pd.DataFrame(square, index=names, columns=names)


def draw_critical_difference(ranking: Ranking) -> Figure:
    """Mean ranks on a line, best on the left; a bar joins methods that no test tells apart.

    Raises:
        ValueError: if the ranking was refused.
    """
    # loads pyplot and seaborn, a second that most reports need not wait for
    from scikit_posthocs import critical_difference_diagram

    if ranking.refusal:
        raise ValueError(f"there is nothing to draw: {ranking.refusal}")
    methods = len(ranking.mean_ranks)
    made = theme.canvas(height=1.3 + 0.24 * methods)
    made.one.set_xlim(1, methods)
    made.one.set_xticks(range(1, methods + 1))
    critical_difference_diagram(
        ranking.mean_ranks,
        ranking.pairs,
        alpha=SIGNIFICANCE,
        ax=made.one,
        label_fmt_left="{label:.30} ({rank:.2f}) ",
        label_fmt_right=" ({rank:.2f}) {label:.30}",
        label_props={"fontsize": 9, "parse_math": False},
        marker_props={"color": theme.colour(0), "s": 22},
        elbow_props={"color": theme.INK, "linewidth": 0.7},
        crossbar_props={"color": theme.INK, "linewidth": 3},
    )
    made.one.spines["top"].set_visible(True)
    made.one.tick_params(colors=theme.INK, labelsize=9)
    made.one.xaxis.set_label_position("top")
    made.one.set_xlabel(f"mean rank over {ranking.n} tasks (1 = best)")
    return made.figure
