"""Learning curves: loss and selection metric over epochs, by class and seed, of a result."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from analysis.questions.sensitivity.response import TEST, VALIDATION, Response, response_of
from analysis.quoted import Result
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.storage.metric import STOPPED, Metric, metrics_from_json
from tune_ad.storage.records import TrialRecord

MOST_LOSSES = 60  # trials whose loss is drawn: each is read from its file
LEAST = 2  # reports of a curve
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
        seed: the seed of the model; -1 for a trial.
    """

    label: str
    task: str
    epochs: np.ndarray
    values: np.ndarray
    trial: int = -1
    seed: int = -1


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


def curves_on_test_images(study: StudyRecords, result: Result) -> list[Curve]:
    """The test AUROC of each model of a result over the epochs; empty if it was not recorded."""
    read = [_stored(study, record, study.retrains) for record in result.tested]
    stored = [curves for curves in read if curves is not None]
    return [*_of_models(study, stored, ORACLE.metric)]


def _candidates(study: StudyRecords) -> tuple[Response, ...]:
    """The metrics that may be drawn, the preferred one first: that by which trials are ranked."""
    return tuple(dict.fromkeys((response_of(study), VALIDATION, ORACLE)))


def _stored(study: StudyRecords, record: TrialRecord, fresh: bool) -> _Stored | None:
    """The stored curves of a record; None if it has none, or damaged ones.

    `analysis.left_out` says in the report which files are damaged.
    """
    try:
        curves = study.read_details(record, fresh).get("curves")
    except UserError:
        return None
    if not curves or len(curves["epoch"]) < LEAST:
        return None
    metrics = metrics_from_json(curves["replicas"])
    epochs, rates = (np.array(curves[name], dtype=float) for name in ("epoch", "learning_rate"))
    return _Stored(record, epochs, rates, metrics)


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
                values = sign * values[known]
                yield Curve(label, title, curves.epochs[known], values, seed=replica.seed)


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
