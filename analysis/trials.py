"""Which trials were tested, and in what they differ from the default of their baseline."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

from tune_ad.storage.records import TrialRecord


def unchanged_trials(
    baselines: Mapping[str, Mapping[str, Any]],
    records: Sequence[TrialRecord],
    strata: Collection[str] = (),
) -> list[TrialRecord]:
    """The tested trials of which nothing is changed, in the baselines' order.

    Args:
        baselines: default parameters by baseline.
        records: of trials.
        strata: parameters that may have any value; without them one trial per baseline.
    """
    order = list(baselines)
    found = [
        record
        for record in tested_trials(records)
        if record.baseline in order
        and set(changed_parameters(baselines[record.baseline], record.params)) <= set(strata)
    ]
    return sorted(found, key=lambda record: order.index(record.baseline))


def tested_trials(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The complete trials that have a test AUROC."""
    return [r for r in records if r.state == "complete" and "test_auroc" in r.metrics]


def changed_parameters(default: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """Names of the parameters that differ; a list of JSON is as good as a tuple."""
    given = params.items()
    return [name for name, value in given if hashable(value) != hashable(default.get(name))]


def hashable(value: Any) -> Hashable:  # noqa: ANN401
    """The value of a parameter; a list of JSON as the tuple that it was."""
    return tuple(value) if isinstance(value, list) else value
