"""Whether training had ended.

It had if, over the last `FINAL` of the epochs, the mean of the metric over the models of every
class changes by at most `SETTLED`, and the training loss by at most `LOSS_SETTLED` of its whole
change.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.document.format import in_words, short
from analysis.questions.progress.learning_curves import Curve, LearningCurves
from analysis.questions.sensitivity.response import Response
from tune_ad.wording import count

FINAL = 0.2  # share of the epochs, at their end, over which changes are measured
SETTLED = 0.005  # largest change of an AUROC, half a point
LOSS_SETTLED = 0.02  # largest change, as a share of the whole change


class Ending(NamedTuple):
    """What changes over the last part of training, for the models of a class.

    Attributes:
        task: the title of the class.
        start: the epoch from which changes are measured.
        end: the last epoch.
        change: the mean change over the models.
        share: that change as a share of the whole change; NaN if there is none.
    """

    task: str
    start: float
    end: float
    change: float
    share: float


def endings(curves: Sequence[Curve]) -> list[Ending]:
    """The mean change of each class over the last part of training.

    Empty if a model has no report before that part.
    """
    tasks = dict.fromkeys(curve.task for curve in curves)
    groups = [[curve for curve in curves if curve.task == task] for task in tasks]
    found = [_ending(group) for group in groups]
    return [one for one in found if one is not None] if None not in found else []


def _ending(curves: Sequence[Curve]) -> Ending | None:
    changes, wholes, starts = [], [], []
    for curve in curves:
        before = np.flatnonzero(curve.epochs <= (1 - FINAL) * curve.epochs[-1] + 1e-9)
        if not len(before):
            return None
        starts.append(curve.epochs[before[-1]])
        changes.append(curve.values[-1] - curve.values[before[-1]])
        wholes.append(curve.values[-1] - curve.values[0])
    change, whole = float(np.mean(changes)), float(np.mean(wholes))
    return Ending(
        task=curves[0].task,
        start=float(np.median(starts)),
        end=float(np.median([curve.epochs[-1] for curve in curves])),
        change=change,
        share=change / whole if whole else math.nan,
    )


def verdict(curves: LearningCurves) -> str:
    """Whether training had ended, with the rule and its numbers, in sentences."""
    metric, loss = endings(curves.metric), endings(curves.loss)
    parts, open_parts = [], []
    if metric and curves.response is not None:
        text, settled = _of_metric(curves.response, metric)
        parts.append(text)
        open_parts += [] if settled else [curves.response.name]
    if loss:
        text, settled = _share("the training loss", loss)
        parts.append(text)
        open_parts += [] if settled else ["the training loss"]
    if not parts:
        return "Whether training had ended cannot be said: too few epochs were recorded."
    at = (metric or loss)[0]
    is_low = bool(curves.drops) and at.start >= curves.drops[-1].epoch
    head = "Training had not ended"
    if not open_parts:
        head = "Training had ended" + " at the lowered learning rate" * is_low
    most = len(metric or loss) > 1
    means = f"means over the models of a class{'; the class that changed most' * most}"
    sentences = [
        f"{head}: from epoch {short(at.start)} to {short(at.end)}, the last fifth, "
        f"{in_words(parts)} ({means})."
    ]
    if open_parts:
        sentences.append(_advice(curves, metric, open_parts))
    elif is_low:
        sentences.append(
            "Small changes at a low rate do not show that longer training at the higher rate "
            "would change little."
        )
    if curves.stopped:
        sentences.append(f"Early stopping ended {count(curves.stopped, 'model')}.")
    return " ".join(sentences)


def _advice(curves: LearningCurves, metric: Sequence[Ending], unsettled: Sequence[str]) -> str:
    """What follows if training had not ended."""
    if metric and curves.response is not None and curves.response.name in unsettled:
        if max(metric, key=_size).change < 0:
            return "It was getting worse: fewer epochs, or early stopping, may be better."
    return f"More epochs (--epochs) may change {in_words(unsettled)}."


def _size(ending: Ending) -> float:
    return abs(ending.change)


def _relative_size(ending: Ending) -> float:
    return 0.0 if math.isnan(ending.share) else abs(ending.share)


def _of_metric(response: Response, metric: Sequence[Ending]) -> tuple[str, bool]:
    """The largest change of the metric in words, and whether it has settled."""
    if not response.percent:
        return _share(response.name, metric)
    largest = max(metric, key=_size)
    return (
        f"{response.name} changed by {100 * largest.change:+.1f} points{_where(largest, metric)} "
        f"(rule: at most {100 * SETTLED:g})"
    ), abs(largest.change) <= SETTLED


def _share(name: str, endings: Sequence[Ending]) -> tuple[str, bool]:
    """The largest change as a share of the whole, in words, and whether it is small enough."""
    largest = max(endings, key=_relative_size)
    if math.isnan(largest.share):
        return f"{name} never changed", True
    return (
        f"{name} changed by {100 * abs(largest.share):.1f} % of its whole change"
        f"{_where(largest, endings)} (rule: at most {100 * LOSS_SETTLED:g} %)"
    ), abs(largest.share) <= LOSS_SETTLED


def _where(ending: Ending, among: Sequence[Ending]) -> str:
    return f" for {ending.task}" if len(among) > 1 else ""
