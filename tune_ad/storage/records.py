"""The records of trials: self-contained plain data."""

import hashlib
import json
import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from types import NoneType
from typing import Any, Literal, Self, get_args

from tune_ad.errors import UserError, cut
from tune_ad.storage.earlier.later_parameters import completed, without_earlier_values
from tune_ad.storage.earlier.schema1 import upgraded_trial
from tune_ad.storage.json_files import NUMBER, Kind, check_kind
from tune_ad.storage.metric import (
    Metric,
    ScoreVariant,
    Values,
    metrics_from_json,
    metrics_to_json,
    variants_from_json,
    variants_to_json,
)
from tune_ad.storage.precision import FLOAT32
from tune_ad.storage.values import decode, encode

SCHEMA = 2
State = Literal["complete", "pruned", "failed"]
STATES: tuple[State, ...] = get_args(State)
REMEDY = "restore the file from a backup or remove that line"
VALUES = {int, float, NoneType}
"""The types of the values of a metric."""
SPEC: Mapping[str, Kind] = {"number": int, "baseline": str, "params": dict, "seeds": [int]}
TRIAL: Mapping[str, Kind] = {
    "number": int,
    "identity": str,
    "baseline": str,
    "detector": str,
    "params": dict,
    "searched": [str],
    "state": frozenset(STATES),
    "reason": str,
    "objective": (*NUMBER, NoneType),
    "reports": list,
    "replicas": list,
    "metrics": list,
    "chosen?": dict,
    "models?": {"*": (*NUMBER, NoneType)},
    "main_score?": str,
    "scales?": {"*": str},
    "warnings?": [{"text": str, "replicas": [int]}],
    "seconds?": NUMBER,
    "device?": str,
    "precision?": str,
}
"""The fields of a stored trial."""
REPLICA: Mapping[str, Kind] = {
    "task": str,
    "seed": int,
    "state": frozenset(STATES),
    "reason": str,
    "epoch": int,
}
REPORT: Mapping[str, Kind] = {"epoch": int, "objective": (*NUMBER, NoneType)}


def identity(baseline: str, params: Mapping[str, Any]) -> str:
    """The identifier of a configuration: a hash of 12 hexadecimal digits of baseline and params.

    Values that earlier versions had fixed do not count (`later_parameters`).

    >>> identity("PGN", {"a": 1, "b": 2.0}) == identity("PGN", {"b": 2.0, "a": 1})
    True
    """
    text = json.dumps([baseline, without_earlier_values(params)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run: a configuration that the plan proposed, and its number.

    Attributes:
        number: the number of the trial in its study, from 0.
        baseline: name of the baseline that it varies.
        params: the parameters that the plan chose.
        seeds: the seeds of the replicas; empty = the seeds of the study.
    """

    number: int
    baseline: str
    params: dict[str, Any]
    seeds: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The line of `suggested.jsonl`."""
        return {**asdict(self), "params": encode(self.params), "seeds": list(self.seeds)}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """The trial in a line of `suggested.jsonl`.

        Raises:
            UserError: if a field is missing or has the wrong type.
        """
        check_kind(line, SPEC, "a configuration", REMEDY)
        return cls(line["number"], line["baseline"], decode(line["params"]), tuple(line["seeds"]))


@dataclass(frozen=True)
class ReplicaRecord:
    """One model of a trial and its final state.

    Attributes:
        task: name of the task, which `study.json` describes.
        seed: the seed of the replica.
        state: "complete", "pruned" (its trial was pruned) or "failed".
        reason: why it failed, or why it has no numbers on test images; empty otherwise.
        epoch: the number of epochs that it finished.
    """

    task: str
    seed: int
    state: State
    reason: str
    epoch: int


@dataclass(frozen=True)
class DetectorWarning:
    """A warning of a detector about some models of a trial.

    Attributes:
        text: a sentence without a full stop, with the problem and the remedy.
        replicas: indices of these models.
    """

    text: str
    replicas: tuple[int, ...]


@dataclass(frozen=True)
class TrialRecord:
    """The result of a trial.

    Attributes:
        number: the number of the trial in its study, from 0.
        identity: hash of the baseline and `params`.
        baseline: name of the baseline.
        detector: class name of the detector.
        params: every parameter, searched or fixed.
        searched: names of the parameters that the plan chose.
        chosen: values of score-time parameters that were chosen on held-out images after training,
            by name; `params` has the declared ones. Empty if nothing was chosen.
        state: "complete", "pruned" or "failed".
        reason: why it failed; empty otherwise.
        objective: the value of the selection rule, larger = better; None if the trial failed or
            the protocol has no selection.
        reports: (epoch, objective) after each evaluation interval.
        replicas: the models, in the suite's order.
        metrics: the final numbers, one per replica.
        variants: the AUROCs of each score variant, one per replica.
        models: number of parameters per model and similar constants of the configuration.
        main_score: what the score is: the component that is the score, such as "negative_elbo",
            or a score that is no component, such as "regret"; empty if it has no other name.
        scales: for every quantity, such as `LOSS`, a text that says what it measures; two trials
            may be compared by a quantity only if their texts are equal.
        warnings: the warnings of the detector, and its errors in `diagnose` and `warnings`.
        seconds: wall time of the trial.
        device: "cpu" or "cuda".
        precision: the precision of training, "float32" or "bfloat16"; scores are computed in
            float32.
        schema: version of the layout of the stored record; records of schema 1 are converted when
            read, except for the wording of `scales`.
    """

    number: int
    identity: str
    baseline: str
    detector: str
    params: dict[str, Any]
    searched: list[str]
    state: State
    reason: str
    objective: float | None
    reports: list[tuple[int, float | None]]
    replicas: list[ReplicaRecord]
    metrics: dict[Metric, Values]
    variants: dict[ScoreVariant, dict[Metric, Values]] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)
    main_score: str = ""
    scales: dict[str, str] = field(default_factory=dict)
    warnings: list[DetectorWarning] = field(default_factory=list)
    seconds: float = 0.0
    device: str = "cpu"
    precision: str = FLOAT32
    schema: int = SCHEMA

    @property
    def scored_with(self) -> dict[str, Any]:
        """Every parameter with the value that is used for scoring."""
        return {**self.params, **self.chosen}

    @property
    def changed_at_scoring(self) -> dict[str, Any]:
        """The chosen score-time parameters that differ from the declared ones."""
        return {name: value for name, value in self.chosen.items() if value != self.params[name]}

    def scored_by(self, variant: ScoreVariant) -> bool:
        """Whether a score variant is the score of this trial itself."""
        changed = self.changed_at_scoring
        if not variant.parameter:
            return not changed and self.main_score == variant.value
        values = changed or self.params
        return variant.parameter in values and bool(values[variant.parameter] == variant.value)

    def to_json(self) -> dict[str, Any]:
        """The line of `trials.jsonl`."""
        plain = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {
            **plain,
            "schema": SCHEMA,
            "params": encode(self.params),
            "chosen": encode(self.chosen),
            "reports": [list(report) for report in self.reports],
            "replicas": [asdict(replica) for replica in self.replicas],
            "metrics": metrics_to_json(self.metrics),
            "variants": variants_to_json(self.variants),
            "warnings": [
                {"text": warning.text, "replicas": list(warning.replicas)}
                for warning in self.warnings
            ],
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any], compact: bool = False) -> Self:
        """The record in a line of `trials.jsonl`; unknown fields are ignored.

        A line of schema 1 is converted.

        Args:
            line: the result of `to_json`.
            compact: whether to store metrics and variants as float64 arrays (None becomes NaN).

        Raises:
            UserError: if the line has a newer schema, or a field is missing or has the wrong type.
        """
        schema = line.get("schema", SCHEMA)
        if not isinstance(schema, int) or schema > SCHEMA:
            raise UserError(
                f"trial {line.get('number')} was recorded with schema {schema}, this "
                f"version reads up to {SCHEMA}; install a newer tune_ad"
            )
        if schema == 1:
            line = upgraded_trial(line)
        check_kind(line, TRIAL, "a trial's record", REMEDY)
        if not line["replicas"]:
            raise UserError(f"the record of trial {line['number']} has no models; {REMEDY}")
        known = {entry.name for entry in fields(cls)}
        values = {name: value for name, value in line.items() if name in known}
        values["params"] = completed(decode(line["params"]))
        values["chosen"] = decode(line.get("chosen", {}))
        values["replicas"] = [_replica(replica) for replica in line["replicas"]]
        values["reports"] = [_report(report) for report in line["reports"]]
        values["metrics"] = _shared_metrics(metrics_from_json(line["metrics"]), compact)
        values["variants"] = {
            variant: _shared_metrics(metrics, compact)
            for variant, metrics in variants_from_json(line.get("variants", [])).items()
        }
        values["warnings"] = [
            DetectorWarning(warning["text"], tuple(warning["replicas"]))
            for warning in line.get("warnings", [])
        ]
        return cls(**values)


_shared_replica = lru_cache(maxsize=4096)(ReplicaRecord)  # equal in many trials: saves memory
_shared_metric = lru_cache(maxsize=4096)(Metric)


def _replica(line: Mapping[str, Any]) -> ReplicaRecord:
    """The record of a replica; equal records are the same object.

    Raises:
        UserError: if a field is missing.
    """
    check_kind(line, REPLICA, "a replica in a trial's record", REMEDY)
    return _shared_replica(*(line[name] for name in REPLICA))


def _report(report: Sequence[Any]) -> tuple[int, float | None]:
    """An epoch and the objective then.

    Raises:
        UserError: if a value has the wrong type.
    """
    epoch, objective = report
    check_kind({"epoch": epoch, "objective": objective}, REPORT, "a report", REMEDY)
    return epoch, objective


def _shared_metrics(
    metrics: Mapping[Metric, list[float | None]], compact: bool
) -> dict[Metric, Values]:
    """The metrics, with names that are shared between all records.

    Raises:
        UserError: if a value is no number.
    """
    for metric, values in metrics.items():
        if not set(map(type, values)) <= VALUES:
            raise UserError(f"the values of {cut(str(metric))} must be numbers; {REMEDY}")
    return {
        _shared_metric(*map(sys.intern, metric)): _compacted(values) if compact else values
        for metric, values in metrics.items()
    }


def _compacted(values: Sequence[float | None]) -> "array[float]":
    try:
        return array("d", values)  # type: ignore[arg-type]  # fast, if there is no None
    except TypeError:
        return array("d", [math.nan if value is None else value for value in values])
