"""The ablation path: which parameters explain the gain from the default to the chosen trial.

Fawcett and Hoos, Analysing differences between algorithm configurations through ablation, Journal
of Heuristics, 2016; on a surrogate as in Biedenkapp et al., AAAI 2017.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.document.blocks import Cell
from analysis.document.theme import FAINT, INK, canvas, colour
from analysis.questions.sensitivity.axes import shortened, value_text
from analysis.questions.sensitivity.observations import encode
from analysis.questions.sensitivity.response import Response
from analysis.questions.sensitivity.surrogate import Surrogate


class Switch(NamedTuple):
    """One step of an ablation path: one parameter is switched to its final value.

    Attributes:
        parameter: the name of the parameter.
        before: the value at the start of the path.
        after: the value at the end of the path.
        predicted: the predicted response after the switch.
        share: the share of the whole predicted gain that is reached so far; NaN if the gain is not
            larger than the error of the surrogate.
    """

    parameter: str
    before: Any
    after: Any
    predicted: float
    share: float


class AblationPath(NamedTuple):
    """The path from the default to the chosen trial.

    Attributes:
        response: the response that is predicted and measured.
        start: the predicted response of the default.
        switches: the switches in their order, one per parameter.
        measured: the response of the default and of the chosen trial; NaN if it was not run.
        error: the error of a prediction (`Surrogate.error`).
    """

    response: Response
    start: float
    switches: Sequence[Switch]
    measured: tuple[float, float]
    error: float


def switches(
    surrogate: Surrogate, start: Mapping[str, Any], end: Mapping[str, Any]
) -> list[Switch]:
    """The path between two configurations: each time the switch with the best predicted response.

    Only parameters in which both differ are switched.

    Args:
        surrogate: the model that predicts the response.
        start: the first configuration of the path.
        end: the last configuration of the path.

    Returns:
        One switch per parameter; empty if the configurations agree.
    """
    space = surrogate.observations.space
    left = [name for name, d in space.items() if encode(d, start[name]) != encode(d, end[name])]
    current, first = dict(start), surrogate.predict(start)
    gain, path = surrogate.predict(end) - first, []
    while left:
        predicted = {name: surrogate.predict({**current, name: end[name]}) for name in left}
        name = max(left, key=lambda name: predicted[name])
        current[name] = end[name]
        left.remove(name)
        share = (predicted[name] - first) / gain if gain > surrogate.error else math.nan
        path.append(
            Switch(
                parameter=name,
                before=start[name],
                after=end[name],
                predicted=predicted[name],
                share=share,
            )
        )
    return path


def explained(path: AblationPath) -> str:
    """The share of the predicted gain that the first switches explain, in a sentence."""
    gain = path.switches[-1].predicted - path.start
    if not gain > 0:
        return "The surrogate predicts no gain from the default to the chosen trial."
    unit = " points" if path.response.percent else ""
    if not gain > path.error:
        return (
            f"The surrogate predicts a gain of {path.response.text(gain)}{unit} from the default "
            "to the chosen trial, not more than the error of its predictions, "
            f"{path.response.text(path.error)}{unit}: no parameter can be credited with it."
        )
    shares = [f"{100 * switch.share:.0f}" for switch in path.switches[:4]]
    parameters = "parameter explains" if len(shares) == 1 else f"{len(shares)} parameters explain"
    listed = " and ".join(filter(None, (", ".join(shares[:-1]), shares[-1])))
    return (
        f"The first {parameters} {listed} % (cumulative) of the predicted gain of "
        f"{path.response.text(gain)}{unit}."
    )


def path_table(path: AblationPath) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The switches as formatted text, and in full precision."""
    response = path.response
    rows = [("default", "", "", path.start, 0.0), *path.switches]
    data = pd.DataFrame(rows, columns=["switched", "from", "to", "predicted", "share"])
    data["measured"] = [path.measured[0], *[math.nan] * (len(rows) - 2), path.measured[1]]
    words = {name: [*map(value_text, data[name])] for name in ("switched", "from", "to")}
    values = {
        f"{name}, {response.axis}": [_cell(value, response.text(value)) for value in data[name]]
        for name in ("predicted", "measured")
    }
    shown = pd.DataFrame({**words, **values})
    if not math.isnan(path.switches[-1].share):
        shown["share of the gain"] = [_cell(s, f"{100 * s:.0f} %") for s in data["share"]]
    return shown, data


def _cell(value: float, text: str) -> Cell:
    return Cell("" if math.isnan(value) else text, value)


def draw_path(path: AblationPath) -> Figure:
    """The predicted response after every switch (top to bottom), and measured at both ends."""
    drawing = canvas(height=0.9 + 0.34 * (len(path.switches) + 1))
    axes, scale = drawing.one, path.response.scale
    predicted = [path.start, *(switch.predicted for switch in path.switches)]
    rows = np.arange(len(predicted))
    axes.plot(np.multiply(predicted, scale), rows, "o-", color=colour(0), label="predicted")
    ends = [rows[0], rows[-1]]
    measured = np.multiply(path.measured, scale)
    axes.scatter(measured, ends, marker="D", color=INK, s=36, zorder=3, label="measured")
    axes.set_yticks(rows, ["default", *map(_label, path.switches)])
    axes.invert_yaxis()
    axes.set_xlabel(path.response.axis)
    axes.grid(axis="x", color=FAINT, alpha=0.25)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return drawing.figure


def _label(switch: Switch) -> str:
    return f"{switch.parameter}: {shortened(switch.before)} → {shortened(switch.after)}"
