"""The named rules by which a configuration is chosen; each reads records and nothing else.

What a rule looks at is never what is reported: the winner is trained again on fresh seeds. Every
complete trial is tested, too, so that what each rule costs can be shown; `oracle` alone sees it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from tune_ad.randomness import derived_seed
from tune_ad.storage.records import TrialRecord, Values

Metrics = Mapping[str, Values]
Rule = Callable[[Metrics, str], float | None]
"""From the metrics of a configuration, one number per replica, and its identity to a value.

Larger = better; None = the rule has nothing to look at.
"""
BOUND = "validation_negative_iwae"


def mean(values: Sequence[float | None]) -> float | None:
    """The mean over replicas; None if there are none or one of them has no number."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    return sum(present) / len(present) if present and len(present) == len(values) else None


def validation(metrics: Metrics, identity: str) -> float | None:
    """Mean AUROC of held-out normals against held-out anomalies, both cut from training files."""
    return mean(metrics.get("validation_auroc", []))


def normal_only(metrics: Metrics, identity: str) -> float | None:
    """Minus the mean loss of held-out normals: needs no anomaly, and selects poorly."""
    value = mean(metrics.get("validation_loss", []))
    return None if value is None else -value


def likelihood(metrics: Metrics, identity: str) -> float | None:
    """Minus the mean bits per dimension of held-out normals by the IWAE bound; no anomaly is seen.

    In nats per image where bits mean nothing. The bound is the tightest that is recorded: the ELBO
    of an encoder that was trained by the forward KL is looser by construction.
    """
    for name in (f"{BOUND}_bits_per_dim", BOUND):
        if metrics.get(name):
            value = mean(metrics[name])
            return None if value is None else -value
    return None


def oracle(metrics: Metrics, identity: str) -> float | None:
    """Mean AUROC on the test set: what the papers select by; optimistic, for comparison only."""
    return mean(metrics.get("test_auroc", []))


def random(metrics: Metrics, identity: str) -> float:
    """A uniform number in [0, 1) from the configuration's hash: a pick that sees no result."""
    return (derived_seed(0, "random pick", identity) >> 10) / 2**53


RULES: dict[str, Rule] = {
    "validation": validation,
    "normal_only": normal_only,
    "likelihood": likelihood,
    "oracle": oracle,
    "random": random,
}


def describe(rule: str) -> str:
    """One line that says what a rule looks at, for the head of a table."""
    return f"{rule}: {(RULES[rule].__doc__ or '').strip().splitlines()[0]}"


def judged(record: TrialRecord, rule: str) -> float | None:
    """What a rule makes of a trial; None where it cannot judge it or the trial is not complete."""
    if record.state != "complete":
        return None
    return RULES[rule](record.metrics, record.identity)


def ranked(records: Iterable[TrialRecord], rule: str) -> list[TrialRecord]:
    """Complete trials, best first by the rule; those that it cannot judge are left out.

    Ties go to the earlier trial.
    """
    values = [(judged(record, rule), record) for record in records]
    found = [(value, record) for value, record in values if value is not None]
    return [record for value, record in sorted(found, key=lambda p: (-p[0], p[1].number))]
