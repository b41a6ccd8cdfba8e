"""The folder of a study: every file name in one place.

    study.json                    what was asked: search, space, budget, suite, versions, hardware
    suggested.jsonl               each configuration as it was handed out, one a line
    trials.jsonl                  each configuration as it ended, one a line
    trials/<identity>.json        its curves and histograms
    evaluation/evaluation.jsonl   the winner on fresh seeds, one line a seed
    evaluation/<identity>-<seed>.json  their curves and histograms
    tensorboard/                  event files
    report.*, tables/, figures/   the report

One process writes a study at a time. Studies of schema 1 are read as what they mean today.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from tune_ad.errors import UserError, did_you_mean
from tune_ad.storage.jsonl import JsonLines
from tune_ad.storage.records import SCHEMA, TrialRecord, TrialSpec
from tune_ad.storage.schema1 import upgraded_details, upgraded_study

LONGEST_TITLE = 100
NEEDED: Mapping[str, Any] = {
    "schema": int,
    "study": {
        "name": str,
        "selection": str,
        "settings": dict,
        "budget_name": str,
        "budget": {"trials": int, "evaluation_seeds": int},
        "baselines": {"*": {"space": dict}},
    },
    "tasks": list,
    "data": dict,
    "versions": dict,
    "hardware": dict,
    "created": str,
}
"""What every `study.json` holds, by name: a kind, or what it holds in turn."""
SINCE_SCHEMA_2: Mapping[str, Any] = {
    "study": {"chooses": bool, "quotes": str, "plan": {"name": str, "traits": {"title": str}}}
}
"""What it holds beside that; of schema 1 it is derived."""


def study_folder(results: Path, name: str) -> Path:
    """The folder of a study: by its name among the results, or by its own path.

    Raises:
        UserError: if there is none, with the nearest names.
    """
    for path in (results / name, Path(name)):
        if name and StudyFolder(path).exists():
            return path
    studies = sorted(path.parent.name for path in results.glob("*/study.json"))
    hint = did_you_mean(name, studies) or "run it with --search first"
    raise UserError(f"{results} holds no study {name!r}; {hint}")


def comparison_folder(results: Path, names: Sequence[str]) -> Path:
    """Where the comparison of studies goes, each given by name or by path.

    Studies given by path are told apart by a hash of their places.

    >>> comparison_folder(Path("results"), ["vae_mnist", "pgn_mnist"]).as_posix()
    'results/comparisons/vae_mnist+pgn_mnist'
    """
    places = [Path(name).resolve() for name in names]
    cleaned = [re.sub(r"[^\w.-]+", "-", place.name).strip("-.") or "study" for place in places]
    title = "+".join(cleaned)
    if len(title) > LONGEST_TITLE or title != "+".join(names):  # file systems take 255 bytes
        marked = "\n".join(map(str, places) if title != "+".join(names) else names)
        title = f"{title[:LONGEST_TITLE]}-{hashlib.sha256(marked.encode()).hexdigest()[:8]}"
    return results / "comparisons" / title


def _lost(value: Any, needed: Mapping[str, Any], where: str = "") -> list[str]:  # noqa: ANN401
    """Names of what a description lacks or has as another kind; "*" stands for every name."""
    if not isinstance(value, dict):
        return [where.rstrip(".") or "everything"]
    lost = []
    for name, kind in needed.items():
        for key in value if name == "*" else [name]:
            inner, path = value.get(key), f"{where}{key}"
            if isinstance(kind, Mapping):
                lost += _lost(inner, kind, f"{path}.")
            elif not isinstance(inner, kind):
                lost.append(path)
    return lost


class StudyFolder:
    """The one object that knows the file names of a study.

    Args:
        path: the folder, `<results>/<study>`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.study = path / "study.json"
        self.suggested = JsonLines(path / "suggested.jsonl")
        self.trials = JsonLines(path / "trials.jsonl")
        self.evaluation = JsonLines(path / "evaluation" / "evaluation.jsonl")
        self.tensorboard = path / "tensorboard"
        self.ray = path / "ray"

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
        schema = study.get("schema") if isinstance(study, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise UserError(
                f"{self.study} has schema {schema}, this version reads up to {SCHEMA}; "
                "install a newer tune_ad"
            )
        lost = _lost(study, NEEDED)
        if lost or (schema != 1 and (lost := _lost(study, SINCE_SCHEMA_2))):
            raise UserError(
                f"{self.study} does not describe a study, it lacks {', '.join(lost)}; restore it "
                "from a backup"
            )
        return upgraded_study(study) if schema == 1 else study

    def read_trial_specs(self) -> list[TrialSpec]:
        """The configurations handed out, oldest first."""
        return [TrialSpec.from_json(line) for line in self.suggested.lines()]

    def read_trials(self, compact: bool = False) -> list[TrialRecord]:
        """The configurations that ended, in the order in which they did.

        Args:
            compact: whether to keep metrics and variants as arrays of eight bytes a number, with
                NaN for None: for thousands of trials of a hundred replicas.
        """
        return [TrialRecord.from_json(line, compact) for line in self.trials.lines()]

    def read_evaluation(self) -> list[TrialRecord]:
        """The winner on fresh seeds, one record a seed."""
        return [TrialRecord.from_json(line) for line in self.evaluation.lines()]

    def read_details(self, identity: str, seed: int | None = None) -> dict[str, Any]:
        """The curves and histograms of a trial, or of an evaluation seed."""
        text = self.details(identity, seed).read_text(encoding="utf-8")
        details: dict[str, Any] = json.loads(text)
        return details if details.get("schema", 1) > 1 else upgraded_details(details)

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
