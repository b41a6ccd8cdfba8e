"""What a study stores, and every file name: self-contained text, written atomically.

A study is a folder:

    study.json                    what was asked: search, space, budget, panel, versions, hardware
    suggested.jsonl               each configuration as it was handed out, one a line
    trials.jsonl                  each configuration as it ended, one a line
    trials/<identity>.json        its curves and histograms
    evaluation/evaluation.jsonl   the winner on fresh seeds, one line a seed
    evaluation/<identity>-<seed>.json  their curves and histograms
    tensorboard/                  event files
    report.md, tables/*.csv       the report

One process writes a study at a time. Neither torch nor Ray is needed to read it.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import filelock

from tune_ad.errors import UserError

SCHEMA = 1
State = Literal["complete", "pruned", "failed"]
Values = list[float | None]
"""One number per replica, in the panel's order; None where the replica has none."""


def identity(baseline: str, params: Mapping[str, Any]) -> str:
    """The name of a configuration: 12 hexadecimal digits from its baseline and every parameter.

    >>> identity("PGN", {"a": 1, "b": 2.0}) == identity("PGN", {"b": 2.0, "a": 1})
    True
    """
    text = json.dumps([baseline, dict(params)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Suggestion:
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
class Replica:
    """One model of a trial and how it ended.

    Attributes:
        task: name of the task.
        seed: of the replica.
        state: "complete", "pruned" (its trial was stopped early) or "failed".
        reason: why it failed, empty otherwise.
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
        replicas: the models, in the panel's order.
        metrics: final numbers by name, one per replica.
        variants: score variant -> metric -> one number per replica.
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
    replicas: list[Replica]
    metrics: dict[str, Values]
    variants: dict[str, dict[str, Values]] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    device: str = "cpu"
    schema: int = SCHEMA

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The record in a line of `trials.jsonl`; fields of later minor additions are ignored.

        Raises:
            UserError: if the line was written by a newer schema, or lacks what every record has.
        """
        if data.get("schema", SCHEMA) > SCHEMA:
            raise UserError(
                f"trial {data.get('number')} was recorded with schema {data['schema']}, this "
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
        values["replicas"] = [Replica(**replica) for replica in data["replicas"]]
        values["reports"] = [(epoch, value) for epoch, value in data["reports"]]
        return cls(**values)


def jsonable(value: Any) -> Any:  # noqa: ANN401
    """`value` with NaN and infinity as None and tuples as lists: strict JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    return value


def to_text(value: Any, indent: int | None = None) -> str:  # noqa: ANN401
    """Strict JSON of plain data or of a dataclass."""
    data = value if isinstance(value, dict) else asdict(value)
    return json.dumps(jsonable(data), indent=indent, allow_nan=False)


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a neighbour first, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


class Journal:
    """A file of JSON lines that is only ever appended to.

    A crash can leave its last line cut off: that line is not read, and the next append starts by
    removing it. A fault anywhere else is an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mended = False

    def read(self) -> list[dict[str, Any]]:
        """The lines, oldest first; none if there is no file.

        Raises:
            UserError: if a line other than a cut-off last one is no JSON object.
        """
        if not self.path.exists():
            return []
        complete, _, _ = self.path.read_text(encoding="utf-8").rpartition("\n")
        return [self._parsed(line, k) for k, line in enumerate(complete.splitlines(), 1)]

    def _parsed(self, line: str, number: int) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{self.path}, line {number} is not JSON ({error}); restore the file from a "
                "backup or remove that line"
            ) from error
        if not isinstance(value, dict):
            raise UserError(f"{self.path}, line {number} is not a JSON object; remove that line")
        return value

    def append(self, value: Any) -> None:  # noqa: ANN401
        """Add one line and see it onto the disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._mended:
            self._remove_cut_line()
        with self.path.open("ab") as file:
            file.write(to_text(value).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _remove_cut_line(self) -> None:
        if self.path.exists():
            with self.path.open("rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
        self._mended = True


class StudyFolder:
    """The one object that knows the file names of a study.

    Args:
        path: the folder, `<results>/<study>`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.study = path / "study.json"
        self.suggested = Journal(path / "suggested.jsonl")
        self.trials = Journal(path / "trials.jsonl")
        self.evaluation = Journal(path / "evaluation" / "evaluation.jsonl")
        self.tensorboard = path / "tensorboard"
        self.ray = path / "ray"
        self.report = path / "report.md"
        self.tables = path / "tables"

    def exists(self) -> bool:
        """Whether the folder holds a study."""
        return self.study.exists()

    def details(self, identity: str, seed: int | None = None) -> Path:
        """The file with the curves and histograms of a trial, or of an evaluation seed."""
        if seed is None:
            return self.path / "trials" / f"{identity}.json"
        return self.path / "evaluation" / f"{identity}-{seed}.json"

    def read_study(self) -> dict[str, Any]:
        """What was asked.

        Raises:
            UserError: if the folder holds no study, a damaged one, or one of a newer schema.
        """
        if not self.exists():
            raise UserError(
                f"{self.path} holds no study; run one with --search, or name another --results"
            )
        try:
            study: dict[str, Any] = json.loads(self.study.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"{self.study} is not JSON ({error}); restore it from a backup"
            ) from error
        if not {"schema", "study"} <= study.keys():
            raise UserError(f"{self.study} does not describe a study; restore it from a backup")
        if study["schema"] > SCHEMA:
            raise UserError(
                f"{self.study} has schema {study['schema']}, this version reads up to {SCHEMA}; "
                "install a newer tune_ad"
            )
        return study

    def read_suggestions(self) -> list[Suggestion]:
        """The configurations handed out, oldest first."""
        return [
            Suggestion(line["number"], line["baseline"], line["params"], tuple(line["seeds"]))
            for line in self.suggested.read()
        ]

    def read_trials(self) -> list[TrialRecord]:
        """The configurations that ended, in the order in which they did."""
        return [TrialRecord.from_json(line) for line in self.trials.read()]

    def read_evaluation(self) -> list[TrialRecord]:
        """The winner on fresh seeds, one record a seed."""
        return [TrialRecord.from_json(line) for line in self.evaluation.read()]

    def read_details(self, identity: str, seed: int | None = None) -> dict[str, Any]:
        """The curves and histograms of a trial, or of an evaluation seed."""
        text = self.details(identity, seed).read_text(encoding="utf-8")
        details: dict[str, Any] = json.loads(text)
        return details

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from writing this study.

        Raises:
            UserError: if another process is at it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise UserError(
                f"another process is writing {self.path}; wait for it, or name another --results"
            ) from error
        try:
            yield
        finally:
            lock.release()
