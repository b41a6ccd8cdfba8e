"""The selection rules by name; each chooses a configuration from records alone.

The values used for selection are never reported as results: the winner is trained again on fresh
seeds. Every complete trial is also tested, so that the regret of each rule can be shown; only
`oracle` uses test results. A rule is one entry of `RULES`, which the command line, the search, the
report and the sensitivities use.
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
        title: description of the rule that completes the sentence "Selected by ...".
        looks_at: data that the rule needs: "held-out anomalies", "held-out normals",
            "test images" or "nothing".
        metrics: metrics of which the first recorded one is averaged; none for a random choice.
        labels: name of the value of each metric.
        sign: -1 if a smaller metric is better, otherwise 1.
        is_auroc: whether the value is an AUROC, in [0, 1] and shown in per cent.
        quantity: quantity of `Detector.scales` that the rule compares; only trials with the same
            scale can be ranked. Empty if all trials are comparable.
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
        """The value of the rule for a configuration; larger = better.

        Args:
            metrics: metrics of the configuration, with one number per replica.
            identity: hash of the configuration.

        Returns:
            The mean over replicas, times `sign`; None if a replica has no number. For a rule
            without metrics a uniform number in [0, 1) that follows from `identity`.
        """
        if not self.metrics:
            return (derived_seed(0, "random pick", identity) >> 10) / 2**53
        recorded = (metrics[metric] for metric in self.metrics if metrics.get(metric))
        average = mean(next(recorded, ()))
        return None if average is None else self.sign * average

    def compares(self, records: Iterable[TrialRecord]) -> bool:
        """Whether the rule can rank trials, because its quantity has the same scale in all.

        Failed trials are ignored. Schema 1 words scales differently, so trials are compared only
        with trials of the same schema.
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
        title="test AUROC (optimistic, because the test set is used for selection)",
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
    """The mean over replicas; None if there is no replica, or if one has no number."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    return sum(present) / len(present) if present and len(present) == len(values) else None


def rule_value(record: TrialRecord, rule: str) -> float | None:
    """The value of a rule for a trial; None if it has none or the trial is not complete."""
    if record.state != "complete":
        return None
    return RULES[rule].value(record.metrics, record.identity)


def ranked(records: Iterable[TrialRecord], rule: str) -> list[TrialRecord]:
    """The complete trials that have a value of the rule, best first.

    Of equal trials the earlier one comes first.
    """
    values = [(rule_value(record, rule), record) for record in records]
    present = [(value, record) for value, record in values if value is not None]
    return [record for value, record in sorted(present, key=lambda p: (-p[0], p[1].number))]
