"""Verdicts as sentences and as figures."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.document import theme
from analysis.document.format import PERCENT, POINTS, Unit
from analysis.questions.claims.rules import CHANCE, FIXED
from analysis.questions.claims.verdict import WITHOUT_BOUNDS, Verdict
from analysis.stats.estimates import Estimate, estimate

BITS_CHANGE = Unit(1, "+.3f")


def sentence(found: Verdict, title: str) -> str:
    """The verdict, and the numbers that it rests on.

    Args:
        found: to be told.
        title: the task and the response.
    """
    parts = [f"{title}, {found.stratum}: {found.outcome} ({found.reason})."]
    if found.n > 1 and len(found.levels) > 1:
        parts += _numbers(found)
    return " ".join(parts)


def _numbers(found: Verdict) -> list[str]:
    capacity = found.claim == "capacity"
    last = f"width {found.levels[-1]:g}" if capacity else str(found.levels[1])
    per = "per doubling of the width" if capacity else "paired"
    said = [
        f"AUROC {spread(found.effect, POINTS)} points {per};",
        f"{spread(found.last, PERCENT)} % at {last}, {place(found.last)};",
        f"{found.unit} of normals {spread(found.bits, BITS_CHANGE)} {per}",
        f"(n = {found.n} paired seeds, 95 % intervals).",
    ]
    if found.control.n:
        said.append(
            f"The control, {found.levels[2]}, moves AUROC by "
            f"{spread(found.control, POINTS)} points."
        )
    elif not capacity:
        said.append("There is no control: a gain may be that of another bound on the same model.")
    return said


def spread(found: Estimate, unit: Unit) -> str:
    """A mean and its interval, or why there is none.

    >>> spread(Estimate(0.02, 0.01, 0.01, 0.03, 8), POINTS)
    '+2.0 [+1.0, +3.0]'
    """
    if found.n == 0:
        return "unknown"
    return found.mean_interval(unit) + (" (n = 1, no interval)" if found.n == 1 else "")


def place(auroc: Estimate) -> str:
    """Where an interval lies against chance and against what counts as fixed.

    >>> place(Estimate(0.2, 0.01, 0.19, 0.21, 6))
    'still inverted (below chance)'
    """
    if auroc.high < CHANCE:
        return "still inverted (below chance)"
    if auroc.low > FIXED:
        return f"above {100 * FIXED:.0f} %"
    if auroc.low > CHANCE:
        return f"above chance, not shown to exceed {100 * FIXED:.0f} %"
    return "not told from chance"


def draw_capacity(found: Verdict) -> Figure:
    """AUROC and bits per dimension against width: seeds thin, mean with its interval."""
    figure = _draw(found, [float(level) for level in found.levels], "width")
    for axes in figure.axes:
        axes.set_xscale("log", base=2)
        axes.set_xticks(found.levels, [f"{level:g}" for level in found.levels])
        axes.minorticks_off()
    return figure


def draw_forward_kl(found: Verdict) -> Figure:
    """AUROC and bits per dimension at each level: seeds thin, mean with its interval."""
    positions = [float(k) for k in range(len(found.levels))]
    figure = _draw(found, positions, "")
    for axes in figure.axes:
        axes.set_xticks(positions, [str(level).replace("_", " ") for level in found.levels])
        axes.margins(x=0.15)
    return figure


def _draw(found: Verdict, positions: Sequence[float], across: str) -> Figure:
    canvas = theme.canvas(3.0, columns=2)
    left, right = canvas.axes
    _lines(left, positions, 100 * found.auroc, (0.0, 100.0))
    for height, name in ((CHANCE, "chance"), (FIXED, f"{100 * FIXED:.0f} %")):
        left.axhline(100 * height, color=theme.FAINT, linewidth=1.0, linestyle=(0, (5, 3)))
        place: dict[str, Any] = {
            "xycoords": ("axes fraction", "data"),
            "ha": "right",
            "va": "bottom",
        }
        left.annotate(name, (1.0, 100 * height), fontsize=9, color=theme.INK, **place)
    left.set_ylim(0, 103)
    left.set_ylabel("test AUROC, %")
    if found.bits_per_dim.notna().any(axis=None):
        _lines(right, positions, found.bits_per_dim, WITHOUT_BOUNDS)
    right.set_ylabel(f"{found.unit}, normals")
    for axes in canvas.axes:
        axes.set_xlabel(across)
    return canvas.figure


def _lines(
    axes: Axes, positions: Sequence[float], values: pd.DataFrame, bounds: tuple[float, float]
) -> None:
    """Seeds as thin lines, their mean with the band of its interval; gaps where one is missing."""
    axes.plot(positions, values.to_numpy().T, color=theme.FAINT, linewidth=0.7, alpha=0.7)
    means = [estimate(values[level].dropna().tolist(), bounds) for level in values]
    colour = theme.colour(0)
    low, high = [each.low for each in means], [each.high for each in means]
    axes.fill_between(positions, low, high, color=colour, alpha=0.25, linewidth=0)
    style: dict[str, Any] = {"color": colour, "linewidth": 2.0, "marker": "o", "markersize": 5}
    axes.plot(positions, [each.mean for each in means], **style)
