"""Figures of partial dependence: a panel per parameter, and the strongest interaction."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.distributions import BaseDistribution, CategoricalDistribution

from analysis.document.theme import INK, band, canvas, colour, points
from analysis.questions.sensitivity.axes import positions, set_parameter_axis, value_text
from analysis.questions.sensitivity.dependence import ChoiceMean, Interaction, MarginalCurve
from analysis.questions.sensitivity.observations import Observations, decode

COLUMNS = 2


class Marginals(NamedTuple):
    """The response along each parameter.

    Attributes:
        observations: the trials.
        names: the names of the parameters, in the order of the panels.
        curves: the curves of the surrogate by parameter; empty if the surrogate is not trusted.
        choices: the means of the trials at each choice, by categorical parameter.
    """

    observations: Observations
    names: Sequence[str]
    curves: dict[str, MarginalCurve]
    choices: dict[str, list[ChoiceMean]]


def draw_marginals(marginals: Marginals) -> Figure:
    """A small panel per parameter: trials as faint points, curve and band if trusted."""
    rows = math.ceil(len(marginals.names) / COLUMNS)
    drawing = canvas(height=2.1 * rows + 0.2, rows=rows, columns=COLUMNS)
    for axes, name in zip(drawing.axes, marginals.names, strict=False):
        _draw_marginal(axes, marginals, name)
    for axes in drawing.axes[1:]:
        axes.sharey(drawing.one)
    for axes in drawing.axes[len(marginals.names) :]:
        axes.set_visible(False)
    drawing.figure.supylabel(marginals.observations.response.axis, fontsize=10, color=INK)
    return drawing.figure


def trial_texts(observations: Observations, names: Sequence[str]) -> tuple[list[str], list[int]]:
    """What a reader sees when pointing at each trial, and the numbers of the trials."""
    numbers = [int(number) for number in observations.params.index]
    response = observations.response
    texts = []
    for row, value in zip(numbers, observations.values, strict=True):
        params = observations.params.loc[row]
        listed = ", ".join(f"{name} = {value_text(params[name])}" for name in names)
        shown = f"{response.text(float(value))}{' %' * response.percent}"
        texts.append(f"trial {row}: {listed}; {response.name} {shown}")
    return texts, numbers


def draw_interaction(pair: Interaction, observations: Observations) -> Figure:
    """The predicted response over two parameters: a contour, or cells if one is categorical."""
    drawing = canvas(height=3.8)
    axes, scale = drawing.one, observations.response.scale
    spaces = [observations.space[name] for name in pair.names]
    x, y = ([decode(s, v) for v in at] for s, at in zip(spaces, pair.at, strict=True))
    surface: ScalarMappable
    if any(isinstance(distribution, CategoricalDistribution) for distribution in spaces):
        surface = axes.pcolormesh(x, y, scale * pair.mean.T, cmap="cividis", shading="nearest")
    else:
        surface = axes.contourf(x, y, scale * pair.mean.T, levels=8, cmap="cividis")
    _describe_grid(axes, pair, observations, x, y)
    first, second = (positions(observations, name, jitter=0.2) for name in pair.names)
    texts, numbers = trial_texts(observations, pair.names)
    style = {"color": None, "facecolor": "white", "edgecolor": "black", "linewidth": 0.6}
    points(axes, first, second, texts, numbers, s=14, zorder=3, **style)
    set_parameter_axis(axes, "x", spaces[0], pair.names[0])
    set_parameter_axis(axes, "y", spaces[1], pair.names[1])
    bar = drawing.figure.colorbar(surface, ax=axes)
    bar.set_label(observations.response.axis, color=INK)
    bar.ax.tick_params(labelsize=9, colors=INK)
    return drawing.figure


def _describe_grid(
    axes: Axes,
    pair: Interaction,
    observations: Observations,
    x: Sequence[float],
    y: Sequence[float],
) -> None:
    """Points that are not seen, with the prediction at each node of the grid."""
    nodes = [(i, j) for i in range(len(x)) for j in range(len(y))]
    response = observations.response
    texts = [
        f"predicted: {response.text(float(pair.mean[i, j]))}{' %' * response.percent} near "
        f"{pair.names[0]} = {_tick(observations, pair.names[0], x[i])}, "
        f"{pair.names[1]} = {_tick(observations, pair.names[1], y[j])}"
        for i, j in nodes
    ]
    points(axes, [x[i] for i, _ in nodes], [y[j] for _, j in nodes], texts, s=160, alpha=0)


def _tick(observations: Observations, name: str, position: float) -> str:
    """The value of a parameter at a position on its axis."""
    distribution = observations.space[name]
    if isinstance(distribution, CategoricalDistribution):
        return value_text(distribution.choices[round(position)])
    return value_text(float(position))


def _draw_marginal(axes: Axes, marginals: Marginals, name: str) -> None:
    observations, scale = marginals.observations, marginals.observations.response.scale
    distribution = observations.space[name]
    x = positions(observations, name, jitter=0.15)
    texts, numbers = trial_texts(observations, [name])
    points(axes, x, scale * observations.values, texts, numbers, s=10, alpha=0.55)
    if name in marginals.curves:
        _draw_curve(axes, marginals.curves[name], distribution, scale)
    elif name in marginals.choices:
        _draw_choices(axes, marginals.choices[name], scale)
    set_parameter_axis(axes, "x", distribution, name)
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _draw_curve(
    axes: Axes, curve: MarginalCurve, distribution: BaseDistribution, scale: float
) -> None:
    x = [decode(distribution, value) for value in curve.at]
    mean, low, high = scale * curve.mean, scale * curve.low, scale * curve.high
    if isinstance(distribution, CategoricalDistribution):
        axes.vlines(x, low, high, color=colour(0), linewidth=3, alpha=0.5)
        axes.plot(x, mean, "o", color=colour(0))
    else:
        band(axes, x, low, high)
        axes.plot(x, mean, color=colour(0), linewidth=1.8)


def _draw_choices(axes: Axes, choices: Sequence[ChoiceMean], scale: float) -> None:
    for choice in choices:
        bounds = scale * choice.low, scale * choice.high
        axes.vlines(choice.at, *bounds, color=INK, linewidth=1.6)
        axes.plot(choice.at, scale * choice.mean, "_", color=INK, markersize=14, markeredgewidth=2)
