"""What a study stores, and every file name: self-contained text, written atomically.

A study is a folder:

    study.json                    what was asked: search, space, budget, suite, versions, hardware
    suggested.jsonl               each configuration as it was handed out, one a line
    trials.jsonl                  each configuration as it ended, one a line
    trials/<identity>.json        its curves and histograms
    evaluation/evaluation.jsonl   the winner on fresh seeds, one line a seed
    evaluation/<identity>-<seed>.json  their curves and histograms
    tensorboard/                  event files
    report.*, tables/, figures/   the report

One process writes a study at a time. Neither torch nor Ray is needed to read it.
"""

import hashlib
import json
import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from typing import Any, Literal, Self

from tune_ad.errors import UserError

SCHEMA = 1
EFFECTIVE = ("train_effective_share", "overall_effective_share")
"""Metrics of effective sample size over K: of the last epoch, and over all steps with weights."""
State = Literal["complete", "pruned", "failed"]
Values = Sequence[float | None]
"""One number per replica, in the suite's order; None where the replica has none.

Compact values, of eight bytes each, have NaN there (`StudyFolder.read_trials`).
"""


def identity(baseline: str, params: Mapping[str, Any]) -> str:
    """The name of a configuration: 12 hexadecimal digits from its baseline and every parameter.

    >>> identity("PGN", {"a": 1, "b": 2.0}) == identity("PGN", {"b": 2.0, "a": 1})
    True
    """
    text = json.dumps([baseline, dict(params)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class TrialSpec:
    """A configuration as the plan proposed it.

    Attributes:
        number: of the trial in its study, from 0.
        baseline: name of the baseline it varies.
        params: the parameters that the plan chose.
        seeds: of the replicas where they differ from the study's; empty = the study's.
    """

    number: int
    baseline: str
    params: dict[str, Any]
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReplicaRecord:
    """One model of a trial and how it ended.

    Attributes:
        task: name of the task.
        seed: of the replica.
        state: "complete", "pruned" (its trial was stopped early) or "failed".
        reason: why it failed, or why it has no numbers on test images; empty otherwise.
        epoch: epochs that it finished.
    """

    task: str
    seed: int
    state: State
    reason: str
    epoch: int


@dataclass(frozen=True)
class TrialRecord:
    """One configuration as it ended.

    Attributes:
        number: of the trial in its study, from 0.
        identity: hash of baseline and `params`.
        baseline: name of the baseline.
        detector: class name of the detector.
        params: every parameter, searched or fixed.
        searched: names of the parameters that the plan chose.
        state: "complete", "pruned" (stopped early), or "failed".
        reason: why it failed, empty otherwise.
        objective: what selection saw, larger = better; None where the trial failed or the
            protocol has no selection.
        reports: (epoch, objective) of each evaluation interval.
        replicas: the models, in the suite's order.
        metrics: final numbers by name, one per replica.
        variants: score variant -> metric -> one number per replica.
        labelled: by k as text, what `validation` would see with k held-out anomalies: the mean
            AUROC over replicas, one number a draw, None where a replica failed. Each draw takes
            the same images in every trial of a study.
        models: parameters per model and similar constants of the configuration.
        seconds: wall time of the trial.
        device: "cpu" or "cuda".
        schema: version of this layout.
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
    metrics: dict[str, Values]
    variants: dict[str, dict[str, Values]] = field(default_factory=dict)
    labelled: dict[str, list[float | None]] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    device: str = "cpu"
    schema: int = SCHEMA

    @classmethod
    def from_json(cls, data: Mapping[str, Any], compact: bool = False) -> Self:
        """The record in a line of `trials.jsonl`; fields of later minor additions are ignored.

        Args:
            data: the line.
            compact: whether to keep metrics and variants in eight bytes a number, NaN for None.

        Raises:
            UserError: if the line was written by a newer schema, or lacks what every record has.
        """
        schema = data.get("schema", SCHEMA)
        if not isinstance(schema, int) or schema > SCHEMA:
            raise UserError(
                f"trial {data.get('number')} was recorded with schema {schema}, this "
                f"version reads up to {SCHEMA}; install a newer tune_ad"
            )
        required = [
            e for e in fields(cls) if e.default is MISSING and e.default_factory is MISSING
        ]
        if lost := [each.name for each in required if each.name not in data]:
            raise UserError(
                f"a trial's record lacks {', '.join(lost)}; remove that line or restore the file"
            )
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        values["replicas"] = [_replica(replica) for replica in data["replicas"]]
        values["reports"] = [(epoch, value) for epoch, value in data["reports"]]
        values["metrics"] = _named(data["metrics"], compact)
        variants = data.get("variants", {})
        values["variants"] = {sys.intern(v): _named(each, compact) for v, each in variants.items()}
        return cls(**values)


_shared = lru_cache(maxsize=4096)(ReplicaRecord)  # hundreds of trials have equal ones


def _replica(data: Mapping[str, Any]) -> ReplicaRecord:
    """A replica; equal ones are one object.

    Raises:
        UserError: if a field is missing.
    """
    names = [each.name for each in fields(ReplicaRecord)]
    if lost := [name for name in names if name not in data]:
        raise UserError(
            f"a replica in a trial's record lacks {', '.join(lost)}; remove that line or restore "
            "the file"
        )
    return _shared(*(data[name] for name in names))


def _named(metrics: Mapping[str, list[float | None]], compact: bool) -> dict[str, Values]:
    """Numbers by name; the name is one object over all records."""
    return {
        sys.intern(name): _compacted(values) if compact else values
        for name, values in metrics.items()
    }


def _compacted(values: Sequence[float | None]) -> "array[float]":
    try:
        return array("d", values)  # type: ignore[arg-type]  # the fast way, if there is no None
    except TypeError:
        return array("d", [math.nan if value is None else value for value in values])
