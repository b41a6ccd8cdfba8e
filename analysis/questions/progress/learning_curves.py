"""Learning curves: loss and selection metric over epochs, by class and seed, of a result.

Training counts as ended if, over the last `FINAL` of the epochs, the mean of the metric over all
models changes by at most `SETTLED`, and the training loss by at most `LOSS_SETTLED` of its whole
change.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.document import theme
from analysis.document.format import in_words, short
from analysis.questions.sensitivity.response import TEST, VALIDATION, Response, response_of
from analysis.quoted import Result
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.json_files import NUMBER, Kind, faults
from tune_ad.storage.jsonl import CONVERSION
from tune_ad.storage.metric import STOPPED, Metric, metrics_from_json
from tune_ad.storage.records import TrialRecord
from tune_ad.wording import count

FINAL = 0.2  # share of the epochs, at their end, over which changes are measured
SETTLED = 0.005  # largest change of an AUROC, half a point
LOSS_SETTLED = 0.02  # largest change, as a share of the whole change
MOST_LOSSES = 60  # trials whose loss is drawn: each is read from its file
LEAST = 2  # reports of a curve
DECADE = 20.0  # ratio of losses from which their axis is logarithmic
CURVES: Mapping[str, Kind] = {
    "epoch": [NUMBER],
    "learning_rate": [NUMBER],
    "replicas": [{"part": str, "term": str, "values": [[(*NUMBER, NoneType)]]}],
}
"""The fields of stored curves that are read, with their types."""
ORACLE = TEST._replace(
    name="test AUROC after every interval", metric=TEST.metric._replace(part="oracle")
)


class Curve(NamedTuple):
    """A quantity of one model, or the mean over the models of a trial, over the epochs.

    Attributes:
        label: the class and the seed, or the trial.
        task: the title of the task; empty for a trial.
        epochs: the numbers of finished epochs.
        values: the quantity then.
        trial: the number of the trial; -1 for a model on fresh seeds.
    """

    label: str
    task: str
    epochs: np.ndarray
    values: np.ndarray
    trial: int = -1


class Drop(NamedTuple):
    """A drop of the learning rate.

    Attributes:
        epoch: the number of finished epochs after which it is lower.
        before: the learning rate before.
        after: the learning rate from then on.
        is_exact: whether the epoch is that of the recorded schedule, not only the first report
            with the lower rate.
    """

    epoch: float
    before: float
    after: float
    is_exact: bool


class LearningCurves(NamedTuple):
    """The learning curves of a reported result, with those of the other trials.

    Attributes:
        label: the label of the result.
        fresh: whether its models have fresh seeds.
        response: what the metric is; None if it was recorded for fewer than two epochs.
        metric: the metric of each model.
        loss: the training loss of each model.
        loss_name: the name of the loss; empty without one.
        other_metric: the objective of every trial, if the metric is that of the selection rule.
        other_loss: the training loss of other trials, in which it measures the same.
        drops: where the learning rate drops.
        stopped: the number of models that early stopping has ended.
        rescored: whether models are scored by values that were chosen after training; the last
            values of their metric are by the declared score all the same.
        missing: the number of models of which no curves could be read.
    """

    label: str
    fresh: bool
    response: Response | None
    metric: Sequence[Curve]
    loss: Sequence[Curve]
    loss_name: str
    other_metric: Sequence[Curve]
    other_loss: Sequence[Curve]
    drops: Sequence[Drop]
    stopped: int
    rescored: bool
    missing: int


class _Stored(NamedTuple):
    """The curves in one file of details."""

    record: TrialRecord
    epochs: np.ndarray
    rates: np.ndarray
    metrics: Mapping[Metric, Sequence[Any]]  # one number per model, or none, at each report


def learning_curves(study: StudyRecords, result: Result) -> LearningCurves | None:
    """The curves of a result; None if none are stored, or only of a single epoch."""
    read = [_stored(study, record, study.retrains) for record in result.tested]
    stored = [curves for curves in read if curves is not None]
    if not stored:
        return None
    response = next((r for r in _candidates(study) if _has(stored, r.metric)), None)
    loss = next((m for m in _losses(stored) if _has(stored, m)), None)
    if response is None and loss is None:
        return None
    of_rule = response is not None and response == response_of(study)
    return LearningCurves(
        label=result.label,
        fresh=study.retrains,
        response=response,
        metric=[*_of_models(study, stored, response.metric, response.sign)] if response else [],
        loss=[*_of_models(study, stored, loss)] if loss else [],
        loss_name=f"training {loss.name.replace('/', ' ')}" if loss else "",
        other_metric=[*_objectives(study, response)] if of_rule and response else [],
        other_loss=[*_other_losses(study, result, loss)] if loss else [],
        drops=_drops(stored[0]),
        stopped=sum(int(v or 0) for r in result.tested for v in r.metrics.get(STOPPED, ())),
        rescored=any(record.changed_at_scoring for record in result.tested),
        missing=sum(
            len(record.replicas)
            for record, curves in zip(result.tested, read, strict=True)
            if curves is None
        ),
    )


def _candidates(study: StudyRecords) -> tuple[Response, ...]:
    """The metrics that may be drawn, the preferred one first: that by which trials are ranked."""
    return tuple(dict.fromkeys((response_of(study), VALIDATION, ORACLE)))


def _stored(study: StudyRecords, record: TrialRecord, fresh: bool) -> _Stored | None:
    """The stored curves of a record; None if it has none, or damaged ones.

    `analysis.left_out` says in the report which files are damaged.
    """
    seed = record.replicas[0].seed if fresh else None
    try:
        curves = study.folder.read_details(record.identity, seed).get("curves")
    except UserError:
        return None
    if curves is None or [*faults(curves, CURVES)] or len(curves["epoch"]) < LEAST:
        return None
    try:
        metrics = metrics_from_json(curves["replicas"])
    except CONVERSION:
        return None
    epochs, rates = (np.array(curves[name], dtype=float) for name in ("epoch", "learning_rate"))
    stored = _Stored(record, epochs, rates, metrics)
    return stored if _fits(stored) else None


def _fits(stored: _Stored) -> bool:
    """Whether there is a value for every report, and in it for every model or for none."""
    models, reports = len(stored.record.replicas), len(stored.epochs)
    rows = [row for values in stored.metrics.values() for row in values]
    lengths = [len(stored.rates), *map(len, stored.metrics.values())]
    return {*lengths} == {reports} and {*map(len, rows)} <= {0, models}


def _has(stored: Sequence[_Stored], metric: Metric) -> bool:
    """Whether a metric was recorded at two epochs at least."""
    return any(sum(map(bool, curves.metrics.get(metric, ()))) >= LEAST for curves in stored)


def _losses(stored: Sequence[_Stored]) -> list[Metric]:
    """The training losses, that of the last stage first."""
    names = dict.fromkeys(metric for curves in stored for metric in curves.metrics)
    losses = [m for m in names if (m.part, m.term) == ("train", "loss")]
    return sorted(losses, key=lambda metric: (bool(metric.stage), bool(metric.phase)))


def _of_models(
    study: StudyRecords, stored: Sequence[_Stored], metric: Metric, sign: float = 1.0
) -> Iterator[Curve]:
    """A metric of each model, without the epochs at which it was not recorded."""
    for curves in stored:
        rows = curves.metrics.get(metric, ())
        declared = _by_declared_score(curves.record, metric)
        for k, replica in enumerate(curves.record.replicas):
            values = np.array([_number(row[k]) if row else math.nan for row in rows])
            if declared is not None and len(values):
                values[-1] = declared[k]
            known = np.isfinite(values)
            if known.sum() >= LEAST:
                title = study.task_title(replica.task)
                label = f"{title}, seed {replica.seed}"
                yield Curve(label, title, curves.epochs[known], sign * values[known])


def _by_declared_score(record: TrialRecord, metric: Metric) -> Sequence[float] | None:
    """An AUROC of each model after training by the declared score, NaN if it was not recorded.

    None if the score is the declared one, so that the last value of a curve is comparable with
    the others. Otherwise that value is by a score that was chosen after training.
    """
    if not record.changed_at_scoring or not metric.is_auroc:
        return None
    for variant, metrics in record.variants.items():
        is_declared = variant.parameter and record.params.get(variant.parameter) == variant.value
        if is_declared and metric in metrics:
            return [_number(value) for value in metrics[metric]]
    return [math.nan] * len(record.replicas)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _objectives(study: StudyRecords, response: Response) -> Iterator[Curve]:
    """The objective of every trial at its reports."""
    for record in study.trials:
        epochs, values = (
            np.array([_number(report[k]) for report in record.reports]) for k in (0, 1)
        )
        declared = _by_declared_score(record, response.metric)
        if declared is not None and len(values):
            values[-1] = response.sign * np.mean(declared)
        known = np.isfinite(values)
        if known.sum() >= LEAST:
            name = f"trial {record.number}"
            yield Curve(name, "", epochs[known], values[known], record.number)


def _other_losses(study: StudyRecords, result: Result, loss: Metric) -> Iterator[Curve]:
    """The mean training loss of other trials in which it measures the same, at most some."""
    measures = result.tested[0].scales.get("loss")
    alike = [record for record in study.complete if record.scales.get("loss") == measures]
    alike = [record for record in alike if measures is not None]
    kept = np.unique(np.linspace(0, len(alike) - 1, min(len(alike), MOST_LOSSES)).astype(int))
    for record in (alike[k] for k in kept):
        curves = _stored(study, record, fresh=False)
        rows = curves.metrics.get(loss, ()) if curves else ()
        if curves is None or sum(map(bool, rows)) < LEAST:
            continue
        values = np.array(
            [np.mean([_number(v) for v in row]) if row else math.nan for row in rows]
        )
        known = np.isfinite(values)
        if known.sum() >= LEAST:
            name = f"trial {record.number}"
            yield Curve(name, "", curves.epochs[known], values[known], record.number)


def _drops(stored: _Stored) -> list[Drop]:
    """The drops of the recorded learning rate, at the epochs of the schedule if it tells them."""
    params = stored.record.params
    scheduled = [
        float(round(fraction * params.get("epochs", 0), 6))
        for fraction in params.get("milestones", ())
    ]
    drops = []
    points = [*zip(stored.epochs, stored.rates, strict=False)]
    for (earlier, before), (later, after) in pairwise(points):
        if after < before * (1 - 1e-9):
            # The rate at a report is that of the epoch that has just ended.
            exact = [m for m in scheduled if earlier - 1 < m <= later - 1]
            epoch = math.ceil(exact[0]) if exact else later
            drops.append(Drop(float(epoch), float(before), float(after), bool(exact)))
    return drops


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


def draw_learning_curves(curves: LearningCurves) -> Figure:
    """A panel for the loss and one for the metric; the models of a class share colour and dashes.

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
    rows = math.ceil(len(tasks) / 4)
    canvas = theme.canvas(height=2.9 + 0.2 * rows, columns=len(panels))
    for axes, (models, others, label, scale) in zip(canvas.axes, panels, strict=True):
        _draw_panel(axes, models, others, scale, tasks)
        _mark_drops(axes, curves.drops)
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
    handles = [
        canvas.one.plot([], [], color=theme.colour(k), ls=_dashes(k), label=task)[0]
        for k, task in enumerate(tasks)
    ]
    canvas.figure.legend(
        handles=handles, loc="outside lower center", ncols=4, labelcolor=theme.INK, frameon=False
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
        (line,) = axes.plot(
            curve.epochs, scale * curve.values, color=theme.INK, alpha=0.28, lw=0.8
        )
        text = f"{curve.label}: {short(float(scale * curve.values[-1]))} at the end"
        theme.describe(line, [text], [curve.trial])
    for curve in models:
        k = tasks.index(curve.task)
        values = scale * curve.values
        axes.plot(curve.epochs, values, color=theme.colour(k), ls=_dashes(k), lw=1.5)
        texts = [
            f"{curve.label}, epoch {short(float(epoch))}: {short(float(value))}"
            for epoch, value in zip(curve.epochs, values, strict=True)
        ]
        theme.points(axes, curve.epochs, values, texts, s=9, color=theme.colour(k), zorder=3)
    drawn = np.concatenate([scale * curve.values for curve in models])
    if drawn.min() > 0 and drawn.max() > DECADE * drawn.min():
        axes.set_yscale("log")
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
