"""The curves of a trial: what it reported after each evaluation interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from tune_ad.storage.metric import Metric, Values, metrics_from_json, metrics_to_json
from tune_ad.training.artifacts import Steps, WatchedTerms, over_replicas


@dataclass
class History:
    """The curves of a trial: one entry per report.

    Attributes:
        epochs: the number of finished epochs at each report.
        learning_rates: the learning rate of the last epoch before each report.
        objectives: the value of the study's selection rule at each report.
        metrics: one number per replica at each report.
        steps: the terms that are recorded at every step, by name.
        sums: the sum and the number of the values of these terms, by name, then by replica.
        seconds: the time spent so far.
    """

    epochs: list[int] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    objectives: list[float | None] = field(default_factory=list)
    metrics: dict[Metric, list[Values]] = field(default_factory=dict)
    steps: dict[str, Steps] = field(default_factory=dict)
    sums: dict[str, list[list[float]]] = field(default_factory=dict)
    seconds: float = 0.0

    def follow(self, watched: Sequence[WatchedTerms]) -> dict[str, Steps]:
        """Append the values at every step of an interval, and return them over replicas."""
        for k, terms in enumerate(watched):
            for name, points in terms.items():
                sums = self.sums.setdefault(name, [[0.0, 0] for _ in watched])
                sums[k][0] += sum(value for _, value in points)
                sums[k][1] += len(points)
        interval = over_replicas(watched)
        for name, steps in interval.items():
            whole = self.steps.setdefault(name, {"step": [], "mean": [], "least": []})
            for key, values in steps.items():
                whole[key].extend(values)
        return interval

    def overall(self) -> dict[Metric, Values]:
        """The mean over all steps of the terms that are recorded at every step."""
        return {
            Metric("overall", name): [total / count if count else None for total, count in sums]
            for name, sums in self.sums.items()
        }

    def add(
        self, epoch: int, rate: float, objective: float | None, metrics: Mapping[Metric, Values]
    ) -> None:
        """Append a report; a metric is an empty list at reports without it."""
        before = len(self.epochs)
        self.epochs.append(epoch)
        self.learning_rates.append(rate)
        self.objectives.append(objective)
        for name in dict.fromkeys([*self.metrics, *metrics]):
            curve = self.metrics.setdefault(name, [[] for _ in range(before)])
            curve.append(metrics.get(name, []))

    def curves(self) -> dict[str, Any]:
        """The curves as plain data, for the file of details."""
        return {
            "epoch": self.epochs,
            "learning_rate": self.learning_rates,
            "objective": self.objectives,
            "replicas": metrics_to_json(self.metrics),  # type: ignore[arg-type]  # one a report
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything, as plain data."""
        state = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return state | {"metrics": self.curves()["replicas"]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Restore from `state_dict`."""
        return cls(**{**state, "metrics": metrics_from_json(state["metrics"])})
