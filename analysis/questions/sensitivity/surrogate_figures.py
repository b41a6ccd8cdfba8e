"""A surrogate as people see it: marginal curves, the strongest pair, the ablation path."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from analysis.document.blocks import Cell
from analysis.document.format import short
from analysis.document.theme import FAINT, INK, canvas, colour
from analysis.questions.sensitivity.kinds import Kind
from analysis.questions.sensitivity.responses import Responses, decode, encode
from analysis.questions.sensitivity.surrogate import Curve, Level, Pair, Step

COLUMNS = 2
LONGEST = 12  # letters of a choice on an axis
CROWDED = 20  # letters of all choices


class Marginals(NamedTuple):
    """What is known of the response along each parameter.

    Attributes:
        responses: the trials.
        names: of the parameters, in the order of the panels.
        curves: of the surrogate by parameter; none where it is not trusted.
        levels: means of the trials at each choice, by categorical parameter.
    """

    responses: Responses
    names: Sequence[str]
    curves: dict[str, Curve]
    levels: dict[str, list[Level]]


class Path(NamedTuple):
    """The way from the default to the choice.

    Attributes:
        kind: of the response.
        start: predicted at the default.
        steps: one per parameter.
        measured: at the default and at the end; NaN where that was not tried.
    """

    kind: Kind
    start: float
    steps: Sequence[Step]
    measured: tuple[float, float]


def draw_marginals(found: Marginals) -> Figure:
    """A small panel per parameter: trials as faint points, curve and band where trusted."""
    rows = math.ceil(len(found.names) / COLUMNS)
    drawing = canvas(height=2.1 * rows + 0.2, rows=rows, columns=COLUMNS)
    for axes, name in zip(drawing.axes, found.names, strict=False):
        _draw_marginal(axes, found, name)
    for axes in drawing.axes[1:]:
        axes.sharey(drawing.one)
    for axes in drawing.axes[len(found.names) :]:
        axes.set_visible(False)
    drawing.figure.supylabel(found.responses.kind.axis, fontsize=10, color=INK)
    return drawing.figure


def draw_pair(pair: Pair, responses: Responses) -> Figure:
    """The response over two parameters: a contour, or cells where one is categorical."""
    drawing = canvas(height=3.8)
    axes, scale = drawing.one, responses.kind.scale
    spaces = [responses.space[name] for name in pair.names]
    x, y = ([decode(s, v) for v in at] for s, at in zip(spaces, pair.at, strict=True))
    shown: ScalarMappable
    if any(isinstance(each, CategoricalDistribution) for each in spaces):
        shown = axes.pcolormesh(x, y, scale * pair.mean.T, cmap="cividis", shading="nearest")
    else:
        shown = axes.contourf(x, y, scale * pair.mean.T, levels=8, cmap="cividis")
    first, second = (_positions(responses, name, jitter=0.2) for name in pair.names)
    axes.scatter(first, second, s=10, facecolor="white", edgecolor=INK, linewidth=0.6)
    _dress(axes, "x", spaces[0], pair.names[0])
    _dress(axes, "y", spaces[1], pair.names[1])
    bar = drawing.figure.colorbar(shown, ax=axes)
    bar.set_label(responses.kind.axis, color=INK)
    bar.ax.tick_params(labelsize=9, colors=INK)
    return drawing.figure


def draw_path(path: Path) -> Figure:
    """Predicted response after each switch, from above; the measured ends beside."""
    drawing = canvas(height=0.9 + 0.34 * (len(path.steps) + 1))
    axes, scale = drawing.one, path.kind.scale
    predicted = [path.start, *(step.predicted for step in path.steps)]
    rows = np.arange(len(predicted))
    axes.plot(np.multiply(predicted, scale), rows, "o-", color=colour(0), label="predicted")
    ends = [rows[0], rows[-1]]
    measured = np.multiply(path.measured, scale)
    axes.scatter(measured, ends, marker="D", color=INK, s=36, zorder=3, label="measured")
    labels = [f"{s.parameter}: {_letters(s.before)} → {_letters(s.after)}" for s in path.steps]
    axes.set_yticks(rows, ["default", *labels])
    axes.invert_yaxis()
    axes.set_xlabel(path.kind.axis)
    axes.grid(axis="x", color=FAINT, alpha=0.25)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return drawing.figure


def explained(path: Path) -> str:
    """How much of the predicted gain the first switches explain, in a sentence."""
    gain = path.steps[-1].predicted - path.start
    if not gain > 0:
        return "The surrogate predicts no gain from the default to the chosen trial."
    first = [f"{100 * step.share:.0f}" for step in path.steps[:4]]
    unit = " points" if path.kind.percent else ""
    parameters = "parameter explains" if len(first) == 1 else f"{len(first)} parameters explain"
    return (
        f"Of the predicted gain of {path.kind.text(gain)}{unit}, the first {parameters} "
        f"{', '.join(first)} % (each with those before it)."
    )


def path_table(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The steps as people read them, and in full precision."""
    kind = path.kind
    rows = [("default", "", "", path.start, 0.0), *path.steps]
    data = pd.DataFrame(rows, columns=["switched", "from", "to", "predicted", "share"])
    data["measured"] = [path.measured[0], *[math.nan] * (len(rows) - 2), path.measured[1]]
    words = {name: [said(each) for each in data[name]] for name in ("switched", "from", "to")}
    values = {
        f"{name}, {kind.axis}": [_cell(each, kind.text(each)) for each in data[name]]
        for name in ("predicted", "measured")
    }
    shares = [_cell(each, f"{100 * each:.0f} %") for each in data["share"]]
    return pd.DataFrame({**words, **values, "share of the gain": shares}), data


def _cell(value: float, text: str) -> Cell:
    return Cell("" if math.isnan(value) else text, value)


def _draw_marginal(axes: Axes, found: Marginals, name: str) -> None:
    responses, scale = found.responses, found.responses.kind.scale
    distribution = responses.space[name]
    x = _positions(responses, name, jitter=0.15)
    axes.scatter(x, scale * responses.values, s=9, color=FAINT, alpha=0.45, linewidth=0)
    if name in found.curves:
        _draw_curve(axes, found.curves[name], distribution, scale)
    elif name in found.levels:
        _draw_levels(axes, found.levels[name], scale)
    _dress(axes, "x", distribution, name)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _draw_curve(axes: Axes, curve: Curve, distribution: BaseDistribution, scale: float) -> None:
    x = [decode(distribution, each) for each in curve.at]
    mean, low, high = scale * curve.mean, scale * curve.low, scale * curve.high
    if isinstance(distribution, CategoricalDistribution):
        axes.vlines(x, low, high, color=colour(0), linewidth=3, alpha=0.5)
        axes.plot(x, mean, "o", color=colour(0))
    else:
        axes.fill_between(x, low, high, color=colour(0), alpha=0.25, linewidth=0)
        axes.plot(x, mean, color=colour(0), linewidth=1.8)


def _draw_levels(axes: Axes, levels: Sequence[Level], scale: float) -> None:
    for level in levels:
        axes.vlines(level.at, scale * level.low, scale * level.high, color=INK, linewidth=1.6)
        axes.plot(level.at, scale * level.mean, "_", color=INK, markersize=14, markeredgewidth=2)


def _positions(responses: Responses, name: str, jitter: float) -> np.ndarray:
    """Where the trials stand along a parameter; choices are spread a little, always alike."""
    distribution = responses.space[name]
    at = np.array(
        [decode(distribution, encode(distribution, value)) for value in responses.params[name]]
    )
    if not isinstance(distribution, CategoricalDistribution):
        return at
    rng = np.random.default_rng(list(name.encode()))  # each parameter its own
    spread: np.ndarray = at + rng.uniform(-jitter, jitter, len(at))
    return spread


def _dress(axes: Axes, side: str, distribution: BaseDistribution, name: str) -> None:
    """Scale, ticks and label of the axis of a parameter."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_label_text(name)
    if isinstance(distribution, CategoricalDistribution):
        labels = [_letters(choice) for choice in distribution.choices]
        axis.set_ticks(range(len(labels)), labels)
        if side == "x" and sum(map(len, labels)) > CROWDED:
            axes.tick_params(axis="x", labelrotation=30)
    elif distribution.log and distribution.high >= 10 * distribution.low:
        axes.set_xscale("log") if side == "x" else axes.set_yscale("log")
        axis.set_minor_formatter(NullFormatter())
    else:
        whole = isinstance(distribution, IntDistribution)
        axis.set_major_locator(MaxNLocator(4, integer=whole))


def said(value: object) -> str:
    """A parameter's value as people read it, None included.

    >>> said(None), said(0.000123456), said("inf")
    ('None', '0.0001235', 'inf')
    """
    return str(value) if value is None else short(value)


def _letters(value: object) -> str:
    text = said(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
