"""What each single change of a baseline does to its test AUROC, over paired seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis import frame
from analysis.statistics import Estimate, estimate
from tune_ad.records import TrialRecord


class Effect(NamedTuple):
    """One parameter of a baseline at another value than its default.

    Attributes:
        baseline: whose default is changed.
        parameter: the only one that differs.
        value: of it.
        default: of the baseline.
        auroc: test AUROC with the change, mean over classes, one value per seed.
        difference: that minus the default's, paired by seed, in [-1, 1]; above 0 = it helps.
    """

    baseline: str
    parameter: str
    value: Any
    default: Any
    auroc: Estimate
    difference: Estimate


def effects(
    baselines: Mapping[str, Mapping[str, Any]], records: Sequence[TrialRecord]
) -> list[Effect]:
    """The effects of all single changes that were tested, by baseline, largest difference first.

    Args:
        baselines: the resolved default parameters of each baseline, by name.
        records: of the study; trials that failed, stopped early or met no test set are left out.
    """
    tested = _tested(records)
    found = [
        each
        for reference in references(baselines, records)
        for each in _of_one(
            reference,
            baselines[reference.baseline],
            [r for r in tested if r.baseline == reference.baseline],
        )
    ]
    order = list(baselines)
    return sorted(found, key=lambda e: (order.index(e.baseline), -e.difference.mean))


def references(
    baselines: Mapping[str, Mapping[str, Any]], records: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """The tested trials of which nothing is changed: one per baseline, in the baselines' order."""
    order = list(baselines)
    found = [
        record
        for record in _tested(records)
        if record.baseline in order and not _changed(baselines[record.baseline], record.params)
    ]
    return sorted(found, key=lambda record: order.index(record.baseline))


def auroc(record: TrialRecord) -> pd.Series:
    """Test AUROC of a tested trial by seed, as in `frame.by_seed`."""
    return frame.by_seed(frame.replicas([record]))


def _tested(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [r for r in records if r.state == "complete" and "test_auroc" in r.metrics]


def _of_one(
    reference: TrialRecord, default: Mapping[str, Any], records: Sequence[TrialRecord]
) -> list[Effect]:
    before = auroc(reference)
    found = []
    for record in records:
        changed, own = _changed(default, record.params), auroc(record)
        paired = (own - before).dropna()
        if len(changed) == 1 and len(paired):
            (name,) = changed
            found.append(
                Effect(
                    record.baseline,
                    name,
                    record.params[name],
                    default[name],
                    estimate(list(own)),
                    estimate(list(paired), bounds=(-1.0, 1.0)),
                )
            )
    return found


def _changed(default: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """Names of the parameters that differ; a list of JSON is as good as a tuple."""
    return [name for name, value in params.items() if _plain(value) != _plain(default.get(name))]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
