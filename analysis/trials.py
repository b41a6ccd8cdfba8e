"""Which trials were tested, and in which parameters they differ from their baseline's defaults."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tune_ad.storage.metric import TEST_AUROC
from tune_ad.storage.records import TrialRecord


def unchanged_trials(
    baselines: Mapping[str, Mapping[str, Any]],
    records: Sequence[TrialRecord],
    strata: Collection[str] = (),
) -> list[TrialRecord]:
    """The tested trials with the default parameters of their baseline, in the baselines' order.

    Args:
        baselines: the default parameters by baseline.
        records: the records of trials.
        strata: the parameters that may differ from the default.
    """
    order = list(baselines)
    unchanged = [
        record
        for record in tested_trials(records)
        if record.baseline in order
        and set(changed_parameters(baselines[record.baseline], record.params)) <= set(strata)
    ]
    return sorted(unchanged, key=lambda record: order.index(record.baseline))


def tested_trials(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The complete trials that have a test AUROC."""
    return [r for r in records if r.state == "complete" and TEST_AUROC in r.metrics]


def changed_parameters(default: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """The names of the parameters that differ from the default."""
    return [name for name, value in params.items() if value != default.get(name)]
