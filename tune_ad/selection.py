"""The named rules by which a configuration is chosen; each reads records and nothing else.

What a rule looks at is never what is reported: the winner is trained again on fresh seeds.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from tune_ad.records import TrialRecord, Values

Metrics = Mapping[str, Values]


def mean(values: Sequence[float | None]) -> float | None:
    """The mean over replicas; None if there are none or one of them has no number."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    return sum(present) / len(present) if present and len(present) == len(values) else None


def validation(metrics: Metrics) -> float | None:
    """Mean AUROC of held-out normals against held-out anomalies, both cut from training files."""
    return mean(metrics.get("validation_auroc", []))


def normal_only(metrics: Metrics) -> float | None:
    """Minus the mean loss of held-out normals: needs no anomaly, and selects poorly."""
    value = mean(metrics.get("validation_loss", []))
    return None if value is None else -value


def oracle(metrics: Metrics) -> float | None:
    """Mean AUROC on the test set: what the papers select by; optimistic, for comparison only."""
    return mean(metrics.get("test_auroc", []))


RULES: dict[str, Callable[[Metrics], float | None]] = {
    "validation": validation,
    "normal_only": normal_only,
    "oracle": oracle,
}


def describe(rule: str) -> str:
    """One line that says what a rule looks at, for the head of a table."""
    return f"{rule}: {(RULES[rule].__doc__ or '').strip()}"


def ranked(records: Iterable[TrialRecord], rule: str) -> list[TrialRecord]:
    """Complete trials, best first by the rule; those that it cannot judge are left out.

    Ties go to the earlier trial.
    """
    judged = [
        (value, record)
        for record in records
        if record.state == "complete" and (value := RULES[rule](record.metrics)) is not None
    ]
    return [record for value, record in sorted(judged, key=lambda p: (-p[0], p[1].number))]
