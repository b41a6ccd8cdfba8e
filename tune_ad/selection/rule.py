"""What a selection rule is: what it needs, and the value by which it ranks trials."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tune_ad.randomness import derived_seed
from tune_ad.storage.metric import Metric, Metrics
from tune_ad.storage.records import TrialRecord

Images = Literal["held-out anomalies", "held-out normals", "test images", "nothing"]


@dataclass(frozen=True)
class SelectionRule:
    """How trials are ranked: by the mean of one metric over the replicas.

    Attributes:
        name: name of the rule, for `--selection`.
        title: description of the rule that completes the sentence "Selected by ...".
        looks_at: the images that the rule needs.
        seeds: the least number of seeds of a configuration that the rule needs.
        metrics: metrics of which the first recorded one is averaged; none for a random choice.
        labels: name of the value of each metric.
        sign: -1 if a smaller metric is better, otherwise 1.
        is_auroc: whether the value is an AUROC, in [0, 1] and shown in per cent.
        quantity: quantity of `Detector.scales` that the rule compares; only trials with the same
            scale can be ranked. Empty if all trials are comparable.
    """

    name: str
    title: str
    looks_at: Images
    seeds: int = 1
    metrics: tuple[Metric, ...] = ()
    labels: tuple[str, ...] = ()
    sign: float = 1.0
    is_auroc: bool = False
    quantity: str = ""

    @property
    def needs(self) -> str:
        """What the rule needs, in words, as in "held-out normals, 2 seeds"."""
        seeds = f", at least {self.seeds} seeds" if self.seeds > 1 else ""
        return f"{self.looks_at}{seeds}"

    @property
    def parts(self) -> set[str]:
        """The parts of the images whose numbers the rule averages."""
        return {metric.part for metric in self.metrics}

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


def mean(values: Sequence[float | None], only_finite: bool = True) -> float | None:
    """The mean over replicas; None if there is no replica, or if one has no number.

    Args:
        values: the number of each replica.
        only_finite: whether one that is infinite or NaN counts as none.
    """
    present = [v for v in values if v is not None and (math.isfinite(v) or not only_finite)]
    return sum(present) / len(present) if present and len(present) == len(values) else None
