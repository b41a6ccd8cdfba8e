"""The named rules by which a configuration is chosen; each reads records and nothing else.

What a rule looks at is never what is reported: the winner is trained again on fresh seeds. Every
complete trial is tested, too, so that what each rule costs can be shown; `oracle` alone sees it.
A rule is one entry of `RULES`: the command line, the search, the report and the sensitivities read
everything about it there.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tune_ad.randomness import derived_seed
from tune_ad.storage.metric import (
    BITS_PER_DIM,
    LIKELIHOOD,
    LOSS,
    TEST_AUROC,
    VALIDATION_AUROC,
    Metric,
    Metrics,
)
from tune_ad.storage.records import TrialRecord


@dataclass(frozen=True)
class SelectionRule:
    """How trials are ranked: by the mean of one metric over the replicas.

    Attributes:
        title: what a trial is selected by, in words that end the sentence "Selected by ...".
        looks_at: the data that it needs: "held-out anomalies", "held-out normals", "test images"
            or "nothing".
        metrics: of which the first that is recorded is averaged; none for a rule that picks at
            random.
        labels: name of the value of each metric.
        sign: -1 if a smaller metric is better, otherwise 1.
        is_auroc: whether the value is an AUROC, in [0, 1] and shown in per cent.
        quantity: the quantity of `Detector.scales` whose values it compares; it ranks only trials
            that are measured in the same. Empty where all trials compare.
    """

    title: str
    looks_at: Literal["held-out anomalies", "held-out normals", "test images", "nothing"]
    metrics: tuple[Metric, ...] = ()
    labels: tuple[str, ...] = ()
    sign: float = 1.0
    is_auroc: bool = False
    quantity: str = ""

    @property
    def responses(self) -> tuple[str, ...]:
        """The name of the value of each metric, times `sign`: larger is better."""
        return self.labels if self.sign > 0 else tuple(f"minus the {x}" for x in self.labels)

    def shown(self, metrics: Metrics, value: float) -> str:
        """A value of the rule with its name, as in "validation AUROC 98.8 %".

        Args:
            metrics: metrics of the configuration.
            value: value of the rule for it, larger = better.
        """
        pairs = zip(self.metrics, self.labels, strict=True)
        label = next((name for metric, name in pairs if metrics.get(metric)), self.labels[0])
        number = f"{100 * value:.1f} %" if self.is_auroc else f"{self.sign * value:.4g}"
        return f"{label} {number}"

    def value(self, metrics: Metrics, identity: str) -> float | None:
        """What the rule makes of a configuration; larger = better.

        Args:
            metrics: of the configuration, one number per replica.
            identity: of the configuration.

        Returns:
            the mean over replicas, times `sign`; None where a replica has no number. Without
            metrics a uniform number in [0, 1) from the configuration's hash.
        """
        if not self.metrics:
            return (derived_seed(0, "random pick", identity) >> 10) / 2**53
        recorded = (metrics[metric] for metric in self.metrics if metrics.get(metric))
        average = mean(next(recorded, ()))
        return None if average is None else self.sign * average

    def compares(self, records: Iterable[TrialRecord]) -> bool:
        """Whether the rule can rank trials: its quantity is measured in the same in all of them.

        A trial that lacks the quantity is measured in nothing; one that failed does not count.
        Schema 1 worded scales in another way, so each schema's trials are held against their own.
        """
        if not self.quantity:
            return True
        measured = {
            (record.schema, record.scales.get(self.quantity, ""))
            for record in records
            if record.state != "failed"
        }
        return len(measured) == len({schema for schema, _ in measured})


IWAE_BOUND = Metric("validation", "negative_iwae")
RULES: dict[str, SelectionRule] = {
    "validation": SelectionRule(
        title="validation AUROC (held-out training images)",
        looks_at="held-out anomalies",
        metrics=(VALIDATION_AUROC,),
        labels=("validation AUROC",),
        is_auroc=True,
    ),
    "normal_only": SelectionRule(
        title="the training loss of held-out normal images (no anomaly is used)",
        looks_at="held-out normals",
        metrics=(Metric("validation", "loss"),),
        labels=("loss of held-out normal images",),
        sign=-1.0,
        quantity=LOSS,
    ),
    # The tightest bound that is recorded: the ELBO of an encoder that was trained by the forward
    # KL is looser by construction.
    "likelihood": SelectionRule(
        title="bits per dimension of held-out normal images (IWAE bound; no anomaly is used)",
        looks_at="held-out normals",
        metrics=(IWAE_BOUND._replace(unit=BITS_PER_DIM), IWAE_BOUND),
        labels=(
            "bits per dimension of held-out normal images",
            "nats per held-out normal image",
        ),
        sign=-1.0,
        quantity=LIKELIHOOD,
    ),
    "oracle": SelectionRule(
        title="test AUROC, which is optimistic: the test set itself selects",
        looks_at="test images",
        metrics=(TEST_AUROC,),
        labels=("test AUROC",),
        is_auroc=True,
    ),
    "random": SelectionRule(
        title="chance (no result is used)",
        looks_at="nothing",
    ),
}


def mean(values: Sequence[float | None]) -> float | None:
    """The mean over replicas; None if there are none or one of them has no number."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    return sum(present) / len(present) if present and len(present) == len(values) else None


def rule_value(record: TrialRecord, rule: str) -> float | None:
    """What a rule makes of a trial; None where it cannot judge it or the trial is not complete."""
    if record.state != "complete":
        return None
    return RULES[rule].value(record.metrics, record.identity)


def ranked(records: Iterable[TrialRecord], rule: str) -> list[TrialRecord]:
    """Complete trials, best first by the rule; those that it cannot judge are left out.

    Ties go to the earlier trial.
    """
    values = [(rule_value(record, rule), record) for record in records]
    judged = [(value, record) for value, record in values if value is not None]
    return [record for value, record in sorted(judged, key=lambda p: (-p[0], p[1].number))]
