"""The figure of learning curves."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.document import theme
from analysis.document.format import short
from analysis.questions.progress.learning_curves import Curve, Drop, LearningCurves

DECADE = 20.0  # ratio of losses from which their axis is logarithmic


def draw_learning_curves(curves: LearningCurves) -> Figure:
    """A panel for the loss, below it one for the metric; a class has its colour and dashes.

    Other trials are faint; dotted vertical lines mark drops of the learning rate.
    """
    panels = [
        (curves.loss, curves.other_loss, curves.loss_name, 1.0),
        (
            curves.metric,
            curves.other_metric,
            curves.response.axis if curves.response else "",
            curves.response.scale if curves.response else 1.0,
        ),
    ]
    panels = [panel for panel in panels if panel[0]]
    tasks = [*dict.fromkeys(curve.task for panel in panels for curve in panel[0])]
    columns = theme.legend_columns(tasks)
    lines = math.ceil(len(tasks) / columns)
    canvas = theme.canvas(0.3 + 2.1 * len(panels) + 0.2 * lines, rows=len(panels))
    for axes, (models, others, label, scale) in zip(canvas.axes, panels, strict=True):
        _draw_panel(axes, models, others, scale, tasks)
        _mark_drops(axes, curves.drops)
        axes.sharex(canvas.axes[-1])
        axes.set_ylabel(label)
    canvas.axes[-1].set_xlabel("epoch")
    canvas.axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [
        canvas.one.plot([], [], color=theme.colour(k), ls=_dashes(k), label=task)[0]
        for k, task in enumerate(tasks)
    ]
    canvas.figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        labelcolor=theme.INK,
        frameon=False,
    )
    return canvas.figure


def _dashes(k: int) -> Any:  # noqa: ANN401
    """The line style of the k-th class: another one for each use of a colour."""
    return theme.LINES[(k + k // len(theme.PALETTE)) % len(theme.LINES)]


def _draw_panel(
    axes: Axes,
    models: Sequence[Curve],
    others: Sequence[Curve],
    scale: float,
    tasks: Sequence[str],
) -> None:
    for curve in others:
        (line,) = axes.plot(curve.epochs, scale * curve.values, **theme.THIN)
        text = f"{curve.label}: {short(float(scale * curve.values[-1]))} at the end"
        theme.describe(line, [text], [curve.trial])
    for curve in models:
        k = tasks.index(curve.task)
        values = scale * curve.values
        (line,) = axes.plot(
            curve.epochs, values, "o", color=theme.colour(k), ls=_dashes(k), lw=1.5, ms=3
        )
        theme.describe(line, [curve.label])
        texts = [
            f"{curve.label}, epoch {short(float(epoch))}: {short(float(value))}"
            for epoch, value in zip(curve.epochs, values, strict=True)
        ]
        theme.points(axes, curve.epochs, values, texts, s=64, alpha=0, zorder=3)
    drawn = np.concatenate([scale * curve.values for curve in models])
    if drawn.min() > 0 and drawn.max() > DECADE * drawn.min():
        axes.set_yscale("log")
        theme.plain_ticks(axes.yaxis)
    elif others:
        _focus(axes, drawn)


def _focus(axes: Axes, drawn: np.ndarray) -> None:
    """Show the models, and of the other trials what lies near them."""
    low, high = float(drawn.min()), float(drawn.max())
    room = 0.6 * (high - low) or 1.0
    least, most = axes.get_ylim()
    axes.set_ylim(max(least, low - room), min(most, high + room))


def _mark_drops(axes: Axes, drops: Sequence[Drop]) -> None:
    for drop in drops:
        line = axes.axvline(drop.epoch, color=theme.INK, ls=(0, (1, 2)), lw=1.2, alpha=0.8)
        text = (
            f"learning rate {drop.before:.3g} until epoch {short(float(drop.epoch))}, then "
            f"{drop.after:.3g}"
        )
        theme.describe(line, [text])
