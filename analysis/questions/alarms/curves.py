"""ROC and precision-recall curves of a result, from the stored ranks of its scores."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import frame
from analysis.document import theme
from analysis.questions.alarms.images import pairs, part_of, share
from analysis.quoted import Result
from analysis.stats.rank_aurocs import main_outsider
from analysis.stats.rank_curves import LEVELS, precision_recall, roc
from tune_ad.wording import count

SAID = (0, 2, *range(10, len(LEVELS) - 10, 10), len(LEVELS) - 3, len(LEVELS) - 1)
"""The positions in `LEVELS` of the rates at which a reader sees the values: every 5 %, and 1 %
beside both ends, where curves are steep."""
MOST_PANELS = 12
FEW = 4  # tasks, up to which there are two panels beside each other, and then three
ROC_WORDS = ("a false positive rate of", "the true positive rate is")
PRECISION_WORDS = ("a recall of", "the precision is")


class Curves(NamedTuple):
    """The curves of one task, averaged over models at the rates `LEVELS`.

    Attributes:
        task: the title of the task.
        roc: the true positive rate at each false positive rate, shape (seeds, levels).
        precision: the precision at each recall, shape (seeds, levels).
        share: the share of anomalies among the test images, the precision of chance.
    """

    task: str
    roc: np.ndarray
    precision: np.ndarray
    share: float


def curves(result: Result) -> list[Curves]:
    """The curves of each task of which ranks are stored, in the order of the tasks."""
    seeds = list(frame.by_seed(frame.replicas(result.tested)).index)
    drawn = []
    for task in result.classes:
        part = part_of(result, task)
        scored = list(pairs(part, None, seeds)) if part is not None else []
        if part is None or not scored:
            continue
        sizes = part.images(main_outsider(part.outsiders))
        drawn.append(
            Curves(
                result.titles.get(task, task),
                np.stack([roc(*pair) for pair in scored]),
                np.stack([precision_recall(*pair, sizes) for pair in scored]),
                share(part, None),
            )
        )
    return drawn


def draw_roc(tasks: Sequence[Curves]) -> Figure:
    """One panel per task: the mean ROC curve, the band of the models, and chance."""
    return _panels(
        tasks,
        lambda axes, task: _curve(axes, task.task, task.roc, (0, 1), ROC_WORDS),
        ("false positive rate (normal images that raise an alarm)", "true positive rate"),
    )


def draw_precision_recall(tasks: Sequence[Curves]) -> Figure:
    """One panel per task: the mean precision-recall curve, the band of the models, and chance."""
    return _panels(
        tasks,
        lambda axes, task: _curve(
            axes, task.task, task.precision, (task.share, task.share), PRECISION_WORDS
        ),
        ("recall (anomalies that raise an alarm)", "precision"),
        _rounded_down(min(float(min(task.precision.min(), task.share)) for task in tasks)),
    )


def _rounded_down(value: float) -> float:
    """A tenth below a value, at least 0, so that a curve does not lie on the axis.

    >>> _rounded_down(0.87)
    0.8
    """
    return max(0.0, math.floor(10 * value - 0.5) / 10)


def _curve(
    axes: Axes,
    title: str,
    curves: np.ndarray,
    chance: tuple[float, float],
    words: tuple[str, str],
) -> None:
    """The mean curve with its values, the band of the models, and chance at both ends."""
    colour, mean = theme.colour(0), curves.mean(axis=0)
    (line,) = axes.plot((0, 1), chance, color=theme.FAINT, linestyle=":", linewidth=1.2)
    theme.describe(line, [f"{title}: chance"])
    if len(curves) > 1:
        theme.band(axes, LEVELS, curves.min(axis=0), curves.max(axis=0))
    (line,) = axes.plot(LEVELS, mean, color=colour, linewidth=1.6)
    theme.describe(line, [f"{title}: mean of {count(len(curves), 'model')}"])
    at = list(SAID)
    texts = [_said(title, LEVELS[k], curves[:, k], words) for k in at]
    theme.points(axes, LEVELS[at], mean[at], texts, alpha=0, s=36, zorder=4)


def _said(title: str, rate: float, values: np.ndarray, words: tuple[str, str]) -> str:
    """The values of all models at one rate."""
    across, up = words
    text = f"{title}: at {across} {100 * rate:.0f} %, {up} {100 * values.mean():.1f} %"
    if len(values) < 2:
        return text
    return f"{text} ({100 * values.min():.1f} to {100 * values.max():.1f} %, n = {len(values)})"


def _panels(
    tasks: Sequence[Curves],
    draw: Callable[[Axes, Curves], None],
    labels: tuple[str, str],
    lowest: float = 0.0,
) -> Figure:
    """A grid of panels with the same axes.

    Args:
        tasks: the curves of each task.
        draw: draws one of them.
        labels: the labels of both axes.
        lowest: where the vertical axis begins.
    """
    shown = list(tasks)[:MOST_PANELS]
    columns = min(2 if len(shown) <= FEW else 3, len(shown))
    rows = math.ceil(len(shown) / columns)
    canvas = theme.canvas(0.5 + (2.6, 1.8, 1.4)[columns - 1] * rows, rows, columns)
    for axes, task in zip(canvas.axes, shown, strict=False):
        draw(axes, task)
        axes.set(xlim=(0, 1), ylim=(lowest, 1.02), xticks=(0, 0.5, 1))
        axes.set_title(task.task, fontsize=9)
    for axes in canvas.axes[len(shown) :]:
        axes.set_axis_off()
    canvas.figure.supxlabel(labels[0], fontsize=10, color=theme.INK)
    canvas.figure.supylabel(labels[1], fontsize=10, color=theme.INK)
    return canvas.figure
