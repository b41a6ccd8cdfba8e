"""Parallel coordinates: an axis per searched parameter, a line per trial, coloured by response."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution

from analysis.document import theme
from analysis.document.format import short
from analysis.questions.sensitivity.axes import shortened
from analysis.questions.sensitivity.dependence_figures import trial_texts
from analysis.questions.sensitivity.observations import Observations, encode

LEAST_TRIALS = 3
LEAST_AXES = 2
MOST_LINES = 1000
BEST, MOST_BEST = 0.1, 10  # share and largest number of the trials that are drawn in full
JITTER = 0.12  # of the distance of two choices, so that lines do not hide each other
AXIS_WIDTH = 0.82  # inches that an axis needs
TICKS = 5  # largest number of ticks of a number's axis


class Coordinates(NamedTuple):
    """The trials of a baseline on parallel axes.

    Attributes:
        observations: the trials that are drawn.
        positions: the position of each trial on each parameter's axis, in [0, 1], then of its
            response, 1 = the best; of shape (trials, parameters + 1).
        ranks: the rank of each response, from 0 = worst to 1 = best; equal ones share theirs.
        left_out: the number of trials that are not drawn.
    """

    observations: Observations
    positions: np.ndarray
    ranks: np.ndarray
    left_out: int

    @property
    def best(self) -> int:
        """The number of the best trials, which are drawn in full."""
        return min(MOST_BEST, max(1, int(BEST * len(self.ranks))))


def coordinates(observations: Observations) -> Coordinates | None:
    """The positions of all trials; None with too few trials or parameters."""
    if observations.n < LEAST_TRIALS or len(observations.names) < LEAST_AXES:
        return None
    drawn = observations.subsample(MOST_LINES)
    columns = [
        _position(distribution, np.array([encode(distribution, v) for v in drawn.params[name]]))
        for name, distribution in drawn.space.items()
    ]
    values = drawn.values
    low, high = float(values.min()), float(values.max())
    columns.append((values - low) / (high - low) if high > low else np.full(len(values), 0.5))
    order = np.searchsorted(np.sort(values), values, side="left")
    ranks = order / max(1, order.max())
    return Coordinates(drawn, np.array(columns).T, ranks, observations.n - drawn.n)


def _ends(distribution: BaseDistribution) -> tuple[float, float]:
    """The smallest and the largest encoded value of a parameter."""
    if isinstance(distribution, CategoricalDistribution):
        return 0.0, float(len(distribution.choices) - 1)
    return encode(distribution, distribution.low), encode(distribution, distribution.high)


def _position(distribution: BaseDistribution, encoded: np.ndarray) -> np.ndarray:
    low, high = _ends(distribution)
    position: np.ndarray = (encoded - low) / (high - low) if high > low else encoded * 0 + 0.5
    return position


def ticks(distribution: BaseDistribution) -> list[tuple[float, str]]:
    """The ticks of a parameter's axis: positions in [0, 1] and labels."""
    if isinstance(distribution, CategoricalDistribution):
        values = [*distribution.choices]
        at = _position(distribution, np.arange(len(values), dtype=float))
        return [*zip(map(float, at), map(shortened, values), strict=True)]
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        step = max(1, math.ceil((last - first + 1) / TICKS))
        numbers = [10.0**k for k in range(first, last + 1, step)]
        numbers = numbers if len(numbers) > 1 else [low, high]
    else:
        numbers = [low, (low + high) / 2, high]
    inside = [min(max(number, low), high) for number in numbers]
    encoded = np.array([math.log(n) if distribution.log else n for n in inside])
    at = _position(distribution, encoded)
    return [*zip(map(float, at), [short(n) for n in inside], strict=True)]


def draw_parallel(coordinates: Coordinates) -> Figure:
    """A line per trial from axis to axis, the best on top; points on the axis of the response."""
    trials = coordinates.observations
    axes_count = len(trials.names) + 1
    canvas = theme.canvas(3.9, width=max(theme.WIDTH, AXIS_WIDTH * axes_count + 0.4))
    axes = canvas.one
    order = np.argsort(coordinates.ranks, kind="stable")
    at = _jittered(coordinates)[order]
    ranks = coordinates.ranks[order]
    labelled, known = trial_texts(trials, trials.names)
    texts, numbers = [labelled[k] for k in order], [known[k] for k in order]
    best = np.arange(len(order)) >= len(order) - coordinates.best
    colours = theme.SCALE(ranks)
    colours[:, 3] = np.where(best, 1.0, 0.6 if len(order) <= 200 else 0.25)
    lines = LineCollection(
        [np.column_stack([np.arange(axes_count), row]) for row in at],
        colors=colours,
        linewidths=np.where(best, 2.0, 0.9),
        clip_on=False,
    )
    axes.add_collection(lines)
    theme.describe(lines, texts, numbers)
    theme.points(
        axes,
        np.full(len(at), axes_count - 1.0),
        at[:, -1],
        texts,
        numbers,
        s=np.where(best, 26, 12),
        color=theme.SCALE(ranks),
        zorder=3,
    )
    _draw_axes(axes, trials)
    return canvas.figure


def _jittered(coordinates: Coordinates) -> np.ndarray:
    """The positions, with choices apart from each other; the same in every report."""
    at = coordinates.positions.copy()
    rng = np.random.default_rng(0)
    for k, distribution in enumerate(coordinates.observations.space.values()):
        if isinstance(distribution, CategoricalDistribution):
            gap = JITTER / max(1, len(distribution.choices) - 1)
            at[:, k] = np.clip(at[:, k] + rng.uniform(-gap, gap, len(at)), 0, 1)
    return at


def _in_two_lines(name: str) -> str:
    r"""A name that is broken at its first blank, or after its first underscore.

    >>> _in_two_lines("learning_rate"), _in_two_lines("test AUROC (%)")
    ('learning_\nrate', 'test\nAUROC (%)')
    """
    return name.replace(" ", "\n", 1) if " " in name else name.replace("_", "_\n", 1)


def _draw_axes(axes: Axes, trials: Observations) -> None:
    low, high = float(trials.values.min()), float(trials.values.max())
    of_response = [(p, trials.response.text(low + p * (high - low))) for p in (0.0, 0.5, 1.0)]
    per_axis = [*map(ticks, trials.space.values()), of_response]
    for k, labelled in enumerate(per_axis):
        axes.axvline(k, color=theme.INK, lw=1.0, zorder=2)
        is_last = k == len(per_axis) - 1
        for position, label in labelled:
            axes.annotate(
                label,
                (k, position),
                xytext=(5 if is_last else -4, 0),
                textcoords="offset points",
                ha="left" if is_last else "right",
                va="center",
                fontsize=8,
                color=theme.INK,
                bbox=theme.ON_PAPER,
                zorder=4,
            )
    names = [*trials.names, trials.response.axis]
    axes.set_xticks(range(len(names)), [*map(_in_two_lines, names)])
    axes.tick_params(axis="x", length=0, pad=8, labelsize=8.5)
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlim(-0.35, len(names) - 0.65)
    axes.set_ylim(-0.03, 1.03)
