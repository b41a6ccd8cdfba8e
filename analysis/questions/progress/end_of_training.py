"""Whether training had ended.

It had if, over the last `FINAL` of the epochs, the mean of the metric over all models changes by
at most `SETTLED`, and the training loss by at most `LOSS_SETTLED` of its whole change.
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
    """What changes over the last part of training.

    Attributes:
        start: the epoch from which changes are measured.
        end: the last epoch.
        change: the mean change over models.
        share: that change as a share of the whole change; NaN if there is none.
    """

    start: float
    end: float
    change: float
    share: float


def ending(curves: Sequence[Curve]) -> Ending | None:
    """The mean change over the last part of training; None without a report before it."""
    changes, wholes, starts = [], [], []
    for curve in curves:
        before = np.flatnonzero(curve.epochs <= (1 - FINAL) * curve.epochs[-1] + 1e-9)
        if not len(before):
            return None
        starts.append(curve.epochs[before[-1]])
        changes.append(curve.values[-1] - curve.values[before[-1]])
        wholes.append(curve.values[-1] - curve.values[0])
    if not changes:
        return None
    change, whole = float(np.mean(changes)), float(np.mean(wholes))
    return Ending(
        start=float(np.median(starts)),
        end=float(np.median([curve.epochs[-1] for curve in curves])),
        change=change,
        share=change / whole if whole else math.nan,
    )


def verdict(curves: LearningCurves) -> str:
    """Whether training had ended, with the rule and its numbers, in sentences."""
    metric, loss = ending(curves.metric), ending(curves.loss)
    parts, open_parts = [], []
    if metric is not None and curves.response is not None:
        text, settled = _of_metric(curves.response, metric)
        parts.append(text)
        open_parts += [] if settled else [curves.response.name]
    if loss is not None:
        text, settled = _of_loss(loss)
        parts.append(text)
        open_parts += [] if settled else ["the training loss"]
    if not parts:
        return "Whether training had ended cannot be said: too few epochs were recorded."
    at = metric or loss
    assert at is not None
    head = "Training had ended" if not open_parts else "Training had not ended"
    sentences = [
        f"{head}: from epoch {short(at.start)} to {short(at.end)}, the last fifth, "
        f"{in_words(parts)} (means over models)."
    ]
    if open_parts:
        sentences.append(_advice(curves, metric, open_parts))
    elif curves.drops and at.start >= curves.drops[-1].epoch:
        sentences.append(
            "The learning rate is low by then, so small changes do not show that longer training "
            "at the higher rate would change little."
        )
    if curves.stopped:
        sentences.append(f"Early stopping ended {count(curves.stopped, 'model')}.")
    return " ".join(sentences)


def _advice(curves: LearningCurves, metric: Ending | None, unsettled: Sequence[str]) -> str:
    """What follows if training had not ended."""
    if metric is not None and metric.change < 0 and curves.response is not None:
        if curves.response.name in unsettled:
            return "It was getting worse: fewer epochs, or early stopping, may be better."
    return f"More epochs (--epochs) may change {in_words(unsettled)}."


def _of_metric(response: Response, metric: Ending) -> tuple[str, bool]:
    """The change of the metric in words, and whether it has settled."""
    if response.percent:
        return (
            f"{response.name} changed by {100 * metric.change:+.1f} points (rule: at most "
            f"{100 * SETTLED:g})"
        ), abs(metric.change) <= SETTLED
    return _share(response.name, metric)


def _of_loss(loss: Ending) -> tuple[str, bool]:
    return _share("the training loss", loss)


def _share(name: str, ending: Ending) -> tuple[str, bool]:
    """A change as a share of the whole change, in words, and whether it is small enough."""
    if math.isnan(ending.share):
        return f"{name} never changed", True
    return (
        f"{name} changed by {100 * abs(ending.share):.1f} % of its whole change (rule: at most "
        f"{100 * LOSS_SETTLED:g} %)"
    ), abs(ending.share) <= LOSS_SETTLED
