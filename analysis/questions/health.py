"""The reliability of a study: failures, collapsed models, ties, parameters without effect."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import frame
from analysis.study import StudyRecords
from tune_ad.storage.metric import STOPPED, TEST_AUROC, Metric, Metrics, Values
from tune_ad.storage.records import TrialRecord

TIED = 0.01  # largest share of tied scores that is not reported


class Health(NamedTuple):
    """The health of the trials of a study, or of the evaluation of its winner.

    Attributes:
        title: "trials", or "evaluation" for the winner on fresh seeds.
        states: the number of records by state.
        reasons: the number of failed records by reason.
        collapsed: the number of collapsed models by the number of the record.
        tied: by the number of a record with more than 1 % of tied scores, the largest share over
            replicas.
        warnings: by text of the warning, the number of models by the number of the record.
        unfinished: by the number of a record, the number of its models whose validation loss was
            still improving at the last epoch.
    """

    title: str
    states: dict[str, int]
    reasons: dict[str, int]
    collapsed: dict[int, int]
    tied: dict[int, float]
    warnings: dict[str, dict[int, int]]
    unfinished: dict[int, int]


class DeadParameters(NamedTuple):
    """Parameters without any effect on any metric.

    Attributes:
        parameters: the parameters in which the trials differ.
        trials: the numbers of the trials, all metrics of which are identical.
    """

    parameters: tuple[str, ...]
    trials: tuple[int, ...]


def health(study: StudyRecords) -> list[Health]:
    """The health of the trials and of the evaluation, as far as there are any."""
    parts = (("trials", study.trials), ("evaluation", study.evaluation))
    return [_health(title, records) for title, records in parts if records]


def _health(title: str, records: Sequence[TrialRecord]) -> Health:
    collapsed = {record.number: frame.models_collapsed(record) for record in records}
    tied = {record.number: _largest(_ties(record)) for record in records}
    unfinished = {
        record.number: sum(stopped == 0 for stopped in record.metrics.get(STOPPED, []))
        for record in records
    }
    return Health(
        title=title,
        states=dict(Counter(record.state for record in records)),
        reasons=dict(Counter(record.reason for record in records if record.state == "failed")),
        collapsed={number: models for number, models in collapsed.items() if models},
        tied={number: share for number, share in tied.items() if share > TIED},
        warnings=_warnings(records),
        unfinished={number: models for number, models in unfinished.items() if models},
    )


def diagnostics(study: StudyRecords) -> pd.DataFrame:
    """Diagnostics reported by the detectors: one row per baseline and diagnostic.

    Columns: what ("trials", or "evaluation" for the winner on fresh seeds), baseline, diagnostic,
    models, mean, std (sample standard deviation over models), min, max. Empty if no detector
    has a diagnostic.
    """
    parts = (("trials", study.trials), ("evaluation", study.evaluation))
    numbers: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for what, records in parts:
        for record in records:
            for metric, values in record.metrics.items():
                if metric.is_diagnostic:
                    present = [value for value in values if value is not None and value == value]
                    numbers[what, record.baseline, str(metric)] += present
    return pd.DataFrame([_diagnostic(*key, values) for key, values in numbers.items() if values])


def _diagnostic(
    what: str, baseline: str, diagnostic: str, values: Sequence[float]
) -> dict[str, object]:
    return {
        "what": what,
        "baseline": baseline,
        "diagnostic": diagnostic,
        "models": len(values),
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else math.nan,
        "min": min(values),
        "max": max(values),
    }


def _warnings(records: Sequence[TrialRecord]) -> dict[str, dict[int, int]]:
    warnings: dict[str, dict[int, int]] = {}
    for record in records:
        for warning in record.warnings:
            warnings.setdefault(warning.text, {})[record.number] = len(warning.replicas)
    return warnings


def _ties(record: TrialRecord) -> Values:
    """The share of tied scores of each replica, on test images if there are any."""
    held_out = record.metrics.get(Metric("validation", "tied"), [])
    return record.metrics.get(Metric("test", "tied"), held_out)


def _largest(values: Iterable[float | None]) -> float:
    return max((value for value in values if value is not None and value == value), default=0.0)


def dead_parameters(study: StudyRecords) -> list[DeadParameters]:
    """Groups of complete trials that differ in parameters but in no metric."""
    groups: dict[tuple[object, ...], list[TrialRecord]] = defaultdict(list)
    for record in study.complete:
        if record.metrics:
            groups[_numbers(record)].append(record)
    return [
        DeadParameters(tuple(names), tuple(record.number for record in equal))
        for equal in groups.values()
        if len(equal) > 1 and (names := _differing([record.params for record in equal]))
    ]


def _numbers(record: TrialRecord) -> tuple[object, ...]:
    """The baseline and every metric of a trial, as a key."""
    values = (np.asarray(metric, dtype=float).tobytes() for metric in record.metrics.values())
    return (record.baseline, *record.metrics, *values)


def _differing(params: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the parameters that are not the same in all configurations."""
    return [name for name in params[0] if len({repr(p.get(name)) for p in params}) > 1]


def dead_at_scoring(study: StudyRecords) -> list[str]:
    """Score-time parameters without any effect on test AUROC, also not beside the reported one."""
    alike: dict[str, bool] = {}
    for record in [*study.complete, *study.evaluation]:
        if TEST_AUROC not in record.metrics:
            continue
        reported = _bytes(record.metrics)
        aurocs: dict[str, set[bytes]] = defaultdict(set)
        for variant, metrics in record.variants.items():
            if variant.parameter and TEST_AUROC in metrics:
                aurocs[variant.parameter] |= {reported, _bytes(metrics)}
        for name, different in aurocs.items():
            alike[name] = alike.get(name, True) and len(different) == 1
    return [name for name, same in alike.items() if same]


def _bytes(metrics: Metrics) -> bytes:
    """The test AUROCs of the models, for comparison."""
    return np.asarray(metrics[TEST_AUROC], dtype=float).tobytes()


def costs(study: StudyRecords) -> pd.DataFrame:
    """The time that trials and evaluation took: one row per baseline and device.

    Columns: what, baseline, device, records, "median seconds", "longest seconds", "total
    seconds", "core-seconds", "GPU-seconds", "parameters" (smallest to largest).
    """
    resources = study.stored.get("resources") or {}
    parts = (("trials", study.trials), ("evaluation", study.evaluation))
    return pd.DataFrame([row for what, r in parts if r for row in _costs(what, r, resources)])


def _costs(
    what: str, records: Sequence[TrialRecord], resources: Mapping[str, Any]
) -> Iterator[dict[str, object]]:
    table = frame.trials(records)
    devices = [record.device for record in sorted(records, key=lambda record: record.number)]
    for (baseline, device), group in table.groupby([table["baseline"], devices]):
        total = group["seconds"].sum()
        yield {
            "what": what,
            "baseline": baseline,
            "device": device,
            "records": len(group),
            "median seconds": group["seconds"].median(),
            "longest seconds": group["seconds"].max(),
            "total seconds": total,
            "core-seconds": total * (resources.get("cpus") or 1),
            "GPU-seconds": total * (resources.get("gpus") or 0.0),
            "parameters": _range(group["parameters"].dropna()),
        }


def _range(sizes: "pd.Series[Any]") -> str:
    """The range of parameter counts as text."""
    if sizes.empty:
        return ""
    least, most = int(sizes.min()), int(sizes.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
