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


def by_seed(record: TrialRecord) -> pd.Series:
    """Test AUROC of each seed of which every class is complete: the mean over classes."""
    table = frame.replicas([record])
    if "test_auroc" not in table:
        return pd.Series(dtype=float)
    groups = table.groupby("seed")
    whole = groups["test_auroc"].count() == groups.size()
    means: pd.Series = groups["test_auroc"].mean()
    return means[whole]


def effects(
    baselines: Mapping[str, Mapping[str, Any]], records: Sequence[TrialRecord]
) -> list[Effect]:
    """The effects of all single changes that were tested, by baseline, largest difference first.

    Args:
        baselines: the resolved default parameters of each baseline, by name.
        records: of the study; trials that failed, stopped early or met no test set are left out.
    """
    tested = [r for r in records if r.state == "complete" and "test_auroc" in r.metrics]
    found = [
        each
        for name, default in baselines.items()
        for each in _of_one(dict(default), [r for r in tested if r.baseline == name])
    ]
    order = list(baselines)
    return sorted(found, key=lambda e: (order.index(e.baseline), -e.difference.mean))


def references(
    baselines: Mapping[str, Mapping[str, Any]], records: Sequence[TrialRecord]
) -> dict[str, Estimate]:
    """Test AUROC of each baseline with nothing changed, one value per seed, by its name."""
    return {
        record.baseline: estimate(list(by_seed(record)))
        for record in records
        if record.state == "complete"
        and record.baseline in baselines
        and not _changed(baselines[record.baseline], record.params)
        and "test_auroc" in record.metrics
    }


def _of_one(default: dict[str, Any], records: Sequence[TrialRecord]) -> list[Effect]:
    changes = [(record, _changed(default, record.params)) for record in records]
    reference = next((by_seed(record) for record, changed in changes if not changed), None)
    if reference is None:
        return []
    found = []
    for record, changed in changes:
        own = by_seed(record)
        paired = (own - reference).dropna()
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
