"""What a reader must know before trusting a study: failures, collapses, ties, dead parameters."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import frame
from analysis.study import StudyRecords
from tune_ad.storage.records import EFFECTIVE, TrialRecord, Values

TIED = 0.01  # share of images that share their score with another one
FEW_CODES = 2.0  # effective importance samples below which one code carries the weight


class Group(NamedTuple):
    """The health of a group of records.

    Attributes:
        title: "trials", or "evaluation" for the winner on fresh seeds.
        states: how many ended in each state.
        reasons: of failed records, with how often each occurred.
        collapsed: records, by number, in which a model gave every image one score, but for
            rounding; with the number of such models.
        tied: records, by number, of which more than 1 % of the images share their score; with the
            largest share over replicas.
        starved: records, by number, in which importance weights rest on less than two of K codes
            in the last epoch or on average over all steps; with the smallest effective sample
            size over replicas.
        unfinished: records, by number, with models that ran out of epochs before their held-out
            loss reached its plateau; with the number of such models.
    """

    title: str
    states: dict[str, int]
    reasons: dict[str, int]
    collapsed: dict[int, int]
    tied: dict[int, float]
    starved: dict[int, float]
    unfinished: dict[int, int]


class Dead(NamedTuple):
    """Parameters that changed no number.

    Attributes:
        parameters: that differ between trials whose every number is the same.
        trials: the numbers of such trials.
    """

    parameters: tuple[str, ...]
    trials: tuple[int, ...]


def groups(study: StudyRecords) -> list[Group]:
    """The health of the trials and of the evaluation."""
    parts = (("trials", study.trials), ("evaluation", study.evaluation))
    return [_group(title, records) for title, records in parts if records]


def _group(title: str, records: Sequence[TrialRecord]) -> Group:
    collapsed = {record.number: frame.models_collapsed(record) for record in records}
    tied = {record.number: _largest(_ties(record)) for record in records}
    carried = {record.number: _effective(record) for record in records}
    plateaus = {r.number: [v for v in r.metrics.get("plateau", []) if v == 0] for r in records}
    return Group(
        title,
        dict(Counter(record.state for record in records)),
        dict(Counter(record.reason for record in records if record.state == "failed")),
        {number: models for number, models in collapsed.items() if models},
        {number: share for number, share in tied.items() if share > TIED},
        {number: codes for number, codes in carried.items() if codes < FEW_CODES},
        {number: len(models) for number, models in plateaus.items() if models},
    )


def _ties(record: TrialRecord) -> Values:
    return record.metrics.get("test_tied", record.metrics.get("validation_tied", []))


def _largest(values: Iterable[float | None]) -> float:
    return max((value for value in values if value is not None and value == value), default=0.0)


def _effective(record: TrialRecord) -> float:
    """The smallest effective sample size over replicas; infinite where no weights are used."""
    shares = [share for name in EFFECTIVE for share in record.metrics.get(name, [])]
    known = [share for share in shares if share is not None and math.isfinite(share)]
    codes = float(record.params.get("samples", 1))
    return codes * min(known) if known and codes > FEW_CODES else math.inf


def dead(study: StudyRecords) -> list[Dead]:
    """Groups of complete trials that differ in parameters and in no number."""
    same: dict[tuple[object, ...], list[TrialRecord]] = defaultdict(list)
    for record in study.complete:
        if record.metrics:
            same[_numbers(record)].append(record)
    return [
        Dead(tuple(names), tuple(record.number for record in alike))
        for alike in same.values()
        if len(alike) > 1 and (names := _differing([record.params for record in alike]))
    ]


def _numbers(record: TrialRecord) -> tuple[object, ...]:
    values = (np.asarray(each, dtype=float).tobytes() for each in record.metrics.values())
    return (record.baseline, *record.metrics, *values)


def _differing(params: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in params[0] if len({repr(each.get(name)) for each in params}) > 1]


def dead_at_scoring(study: StudyRecords) -> list[str]:
    """Score-time parameters under whose every value every model has the same test AUROC."""
    alike: dict[str, bool] = {}
    for record in [*study.complete, *study.evaluation]:
        curves: dict[str, set[bytes]] = defaultdict(set)
        for variant, metrics in record.variants.items():
            name, equals, _ = variant.partition("=")
            if equals and "test_auroc" in metrics:
                curves[name].add(np.asarray(metrics["test_auroc"], dtype=float).tobytes())
        for name, values in curves.items():
            alike[name] = alike.get(name, True) and len(values) == 1
    return [name for name, same in alike.items() if same]


def costs(study: StudyRecords) -> pd.DataFrame:
    """What the trials and the evaluation took, by baseline and device: one row each.

    Columns: what, baseline, device, records, "seconds (median)", "seconds (longest)", "hours in
    all", "core-hours", "GPU-hours", "parameters" (least to most).
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
        hours = group["seconds"].sum() / 3600
        yield {
            "what": what,
            "baseline": baseline,
            "device": device,
            "records": len(group),
            "seconds (median)": group["seconds"].median(),
            "seconds (longest)": group["seconds"].max(),
            "hours in all": round(hours, 4),
            "core-hours": round(hours * (resources.get("cpus") or 1), 4),
            "GPU-hours": round(hours * (resources.get("gpus") or 0.0), 4),
            "parameters": _span(group["parameters"].dropna()),
        }


def _span(sizes: "pd.Series[Any]") -> str:
    if sizes.empty:
        return ""
    least, most = int(sizes.min()), int(sizes.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
