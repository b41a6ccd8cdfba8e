"""Axes of figures along a searched parameter: scale, ticks and labels."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from analysis.document.format import short
from analysis.document.theme import plain_ticks
from analysis.questions.sensitivity.observations import Observations, decode, encode

LONGEST = 12  # maximum length of the label of a choice
FEW_DECADES = 1e3  # ratio of a range's ends below which a decade has two ticks
CROWDED = 20  # total length of all labels above which they are rotated


def positions(observations: Observations, name: str, jitter: float) -> np.ndarray:
    """The positions of the trials on the axis of a parameter.

    Choices are jittered by at most `jitter` so that trials do not hide each other; the jitter is
    the same in every report.
    """
    distribution = observations.space[name]
    values = observations.params[name]
    at = np.array([decode(distribution, encode(distribution, value)) for value in values])
    if not isinstance(distribution, CategoricalDistribution):
        return at
    rng = np.random.default_rng(list(name.encode()))  # another stream for each parameter
    jittered: np.ndarray = at + rng.uniform(-jitter, jitter, len(at))
    return jittered


def set_parameter_axis(axes: Axes, side: str, distribution: BaseDistribution, name: str) -> None:
    """Set scale, ticks and label of an axis along a parameter.

    Args:
        axes: the axes of the figure.
        side: "x" or "y".
        distribution: the distribution of the parameter.
        name: the name of the parameter.
    """
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_label_text(name)
    if isinstance(distribution, CategoricalDistribution):
        labels = [shortened(choice) for choice in distribution.choices]
        axis.set_ticks(range(len(labels)), labels)
        if side == "x" and sum(map(len, labels)) > CROWDED:
            axes.tick_params(axis="x", labelrotation=30)
    elif distribution.log and distribution.high >= 10 * distribution.low:
        axes.set_xscale("log") if side == "x" else axes.set_yscale("log")
        if distribution.high < FEW_DECADES * distribution.low:
            axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        plain_ticks(axis)
        axis.set_minor_formatter(NullFormatter())
        axis.set_tick_params(labelrotation=30 if side == "x" else 0)
    else:
        integer = isinstance(distribution, IntDistribution)
        axis.set_major_locator(MaxNLocator(4, integer=integer))


def value_text(value: object) -> str:
    """A parameter's value as text, None included.

    >>> value_text(None), value_text(0.000123456), value_text("inf")
    ('None', '0.0001235', 'inf')
    """
    return str(value) if value is None else short(value)


def shortened(value: object) -> str:
    """A parameter's value in at most `LONGEST` characters.

    >>> shortened("discretised_logistic")
    'discretised…'
    """
    text = value_text(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
