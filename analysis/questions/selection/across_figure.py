"""The figure of selection rules over several studies."""

import math

import numpy as np
from matplotlib.figure import Figure

from analysis.document import theme
from analysis.document.format import PERCENTAGE_POINTS
from analysis.questions.selection.across import Across

MARKERS = "vsDP^"


def draw_across(found: Across) -> Figure:
    """The regret of each rule with its interval; a small mark for each detector."""
    drawing = theme.canvas(1.3 + 0.3 * len(found.rules))
    axes, rows = drawing.one, np.arange(len(found.rules))[::-1]
    detectors = list(dict.fromkeys(name for one in found.rules for name in one.by_detector))
    for row, one in zip(rows, found.rules, strict=True):
        ends = [one.regret.low, one.regret.mean, one.regret.high]
        at = 100 * np.array(ends if not math.isnan(ends[0]) else ends[1:2])
        height = np.full(len(at), row)
        middle = [len(at) // 2]
        (drawn,) = axes.plot(
            at, height, color=theme.INK, linewidth=2, marker="o", markersize=7, markevery=middle
        )
        theme.describe(
            drawn, [f"{one.rule}: {one.regret.mean_interval(PERCENTAGE_POINTS)} points"]
        )
    for k, detector in enumerate(detectors):
        means = [100 * one.by_detector[detector].mean for one in found.rules]
        marks = axes.scatter(
            means,
            rows + 0.18,
            s=18,
            marker=MARKERS[k % len(MARKERS)],
            color=theme.colour(k),
            label=detector,
        )
        texts = [
            f"{one.rule}, {detector}: {value:.1f} points"
            for one, value in zip(found.rules, means, strict=True)
        ]
        theme.describe(marks, texts)
    axes.set_yticks(rows, [one.rule for one in found.rules])
    axes.set_xlabel("regret, points of test AUROC")
    columns = theme.legend_columns(detectors)
    drawing.figure.legend(loc="outside lower center", ncols=columns, frameon=False)
    return drawing.figure
