"""The folder of a study: every file name in one place.

    study.json                    definition of the study: search, space, budget, suite, versions,
                                  hardware
    suggested.jsonl               proposed configurations, one per line
    trials.jsonl                  finished trials, one per line
    retried.jsonl                 failed trials that were trained again, as they had failed
    trials/<identity>.json        curves and histograms of a trial
    trials/<identity>.npz         ranks of the scores of its validation and test images
    evaluation/evaluation.jsonl   the winner on fresh seeds, one line per seed
    evaluation/<identity>-<seed>.json, .npz  the same for one of these seeds
    models/<identity>/            kept models: of the winner on fresh seeds, or of every trial
    best/                         the winner's models with thresholds (see `tune_ad.models`)
    examples.npz                  test images that these models judge best and worst
    tensorboard/                  event files
    optuna.journal                a copy of the trials for optuna-dashboard, which nothing reads
    mlflow/, wandb/               files of these trackers, if --log-to names them
    report.*, tables/, figures/   the report

Only one process at a time writes a study. Studies of schema 1 are converted when they are read.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import filelock

from tune_ad.errors import UserError, cut, did_you_mean, one_line
from tune_ad.storage import score_ranks
from tune_ad.storage.earlier.later_parameters import completed
from tune_ad.storage.earlier.schema1 import upgraded_details, upgraded_study
from tune_ad.storage.json_files import read_object
from tune_ad.storage.jsonl import CONVERSION, JsonLines, to_text
from tune_ad.storage.precision import FLOAT32
from tune_ad.storage.records import SCHEMA, TrialRecord, TrialSpec
from tune_ad.storage.stored_fields import wrong_details, wrong_fields

LONGEST_TITLE = 100
UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}(\.new|\.old)?|unfinished-\d+")
"""The names of files and folders that are not yet in their place, see `replacing`."""
REPORT = ("tables", "figures")
OLD = 3600.0  # seconds after which an unfinished file of a report belongs to no process
RESTORE = "restore it from a backup"
HOLDS = "or remove it (the report then lacks what it holds)"


def study_folder(results: Path, name: str) -> Path:
    """The folder of a study that is given by its name in `results`, or by a path with a slash.

    Raises:
        UserError: if there is no such study; the message suggests similar names.
    """
    if not name:
        raise UserError(f"a study needs a name, got {name!r}; {_studies_in(results)}")
    path = Path(name) if "/" in name else results / name
    if StudyFolder(path).exists():
        return path
    if "/" in name:
        raise UserError(f"{name} contains no study.json; {_studies_in(results)}")
    if not results.is_dir():
        raise UserError(
            f"there is no study {name!r}, because the folder {results.resolve()} does not exist; "
            "begin the study with --search, or use another --results"
        )
    hint = did_you_mean(name, _studies(results))
    if not hint:
        hint = f"{_studies_in(results)}; begin a new one with --search"
    raise UserError(f"{results.resolve()} contains no study {name!r}; {hint}")


def _studies(results: Path) -> list[str]:
    """The names of the studies in a folder of results."""
    return sorted(path.parent.name for path in results.glob("*/study.json"))


def _studies_in(results: Path) -> str:
    """The studies in a folder of results, in words."""
    return f"the studies in {results.resolve()} are: {', '.join(_studies(results)) or 'none'}"


def comparison_folder(results: Path, names: Sequence[str]) -> Path:
    """The folder for a comparison of studies, each given by name or by path.

    If studies are given by path, its name contains a hash of the paths.

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


def _check_unique(file: JsonLines, keys: Sequence[object], noun: str) -> None:
    """Refuse a file of records of which two have the same key.

    Args:
        file: the file.
        keys: the key of each line.
        noun: what a line records, for the message.

    Raises:
        UserError: with the line that repeats another one.
    """
    known = set()
    for number, key in enumerate(keys, 1):
        if key in known:
            raise UserError(f"{file.path}, line {number} repeats {noun} {key}; remove that line")
        known.add(key)


class StudyFolder:
    """All file names of a study.

    Args:
        path: the folder of the study, `<results>/<study>`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.study = path / "study.json"
        self.suggested = JsonLines(path / "suggested.jsonl")
        self.trials = JsonLines(path / "trials.jsonl")
        self.evaluation = JsonLines(path / "evaluation" / "evaluation.jsonl")
        self.retried = JsonLines(path / "retried.jsonl")
        self.tensorboard = path / "tensorboard"
        self.optuna = path / "optuna.journal"
        self.mlflow = path / "mlflow"
        self.ray = path / "ray"
        self._lock_path = path / ".lock"

    @property
    def journals(self) -> tuple[JsonLines, ...]:
        """All files of JSON lines."""
        return self.suggested, self.trials, self.evaluation, self.retried

    def exists(self) -> bool:
        """Whether the folder contains a study."""
        return self.study.exists()

    def details(self, identity: str, seed: int | None = None) -> Path:
        """The file with the curves and histograms of a trial, or of an evaluation seed."""
        if seed is None:
            return self.path / "trials" / f"{identity}.json"
        return self.path / "evaluation" / f"{identity}-{seed}.json"

    def ranks(self, identity: str, seed: int | None = None) -> Path:
        """The file with the ranks of the scores of a trial, or of an evaluation seed."""
        return self.details(identity, seed).with_suffix(".npz")

    def models(self, identity: str) -> Path:
        """The folder with the kept models of a configuration."""
        return self.path / "models" / identity

    @property
    def best(self) -> Path:
        """The folder of the winner's models with their thresholds."""
        return self.path / "best"

    @property
    def examples(self) -> Path:
        """The file with test images that the winner's models judge best and worst."""
        return self.path / "examples.npz"

    def read_study(self) -> dict[str, Any]:
        """The definition of the study, `study.json`.

        Raises:
            UserError: if the folder contains no study, a damaged one, or one of a newer schema.
        """
        if not self.exists():
            raise UserError(
                f"{self.path} contains no study; run one with --search, or use another --results"
            )
        study = read_object(self.study, RESTORE)
        schema = study.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise UserError(
                f"{self.study} has schema {cut(repr(schema))}, this version reads up to {SCHEMA}; "
                "install a newer tune_ad"
            )
        if lost := wrong_fields(study):
            raise UserError(
                f"{self.study} is not a complete study, {cut(', '.join(lost))} missing or of the "
                f"wrong type; {RESTORE}"
            )
        try:
            study = upgraded_study(study) if schema == 1 else study
        except CONVERSION as error:
            raise UserError(f"{self.study} is damaged ({one_line(error)}); {RESTORE}") from error
        # Before studies had a precision, everything was trained in float32.
        of_earlier_versions = dict.fromkeys(study["study"]["baselines"], FLOAT32)
        study["study"].setdefault("precision", of_earlier_versions)
        # Nor did they choose score-time parameters after training.
        study["study"].setdefault("chooses_scores", False)
        # Nor did their budgets have settings.
        study["study"]["budget"].setdefault("settings", {})
        for baseline in study["study"]["baselines"].values():
            if "params" in baseline:
                baseline["params"] = completed(baseline["params"])
        return study

    def read_trial_specs(self) -> list[TrialSpec]:
        """The proposed configurations, oldest first.

        Raises:
            UserError: if a line is damaged, or repeats or lacks a trial.
        """
        specs = self.suggested.converted(TrialSpec.from_json)
        numbers = [spec.number for spec in specs]
        _check_unique(self.suggested, numbers, "trial")
        if lacking := sorted(set(range(len(numbers))) - set(numbers)):
            raise UserError(
                f"{self.suggested.path} lacks trial {lacking[0]}; restore the file from a backup"
            )
        return specs

    def read_trials(self, compact: bool = False) -> list[TrialRecord]:
        """The finished trials, in the order in which they finished.

        Args:
            compact: whether to store metrics and variants as float64 arrays (None becomes NaN),
                which saves memory for thousands of trials.

        Raises:
            UserError: if a line is damaged, or repeats a trial.
        """
        records = self.trials.converted(partial(TrialRecord.from_json, compact=compact))
        _check_unique(self.trials, [record.number for record in records], "trial")
        return records

    def read_evaluation(self) -> list[TrialRecord]:
        """The winner on fresh seeds, one record per seed.

        Raises:
            UserError: if a line is damaged, or repeats a seed of a winner.
        """
        records = self.evaluation.converted(TrialRecord.from_json)
        runs = [f"{r.identity} on seed {r.replicas[0].seed}" for r in records if r.replicas]
        _check_unique(self.evaluation, runs, "the winner")
        return records

    def withdraw_failed(self) -> None:
        """Move the records of failed trials to `retried.jsonl`, so that they are trained again."""
        for file in (self.trials, self.evaluation):
            lines = file.read()
            failed = [line for line in lines if line["state"] == "failed"]
            for line in failed:
                self.retried.append(line)
            if failed:
                file.rewrite([line for line in lines if line["state"] != "failed"])

    def read_retried(self) -> list[TrialRecord]:
        """The failed trials that were trained again, oldest first; a repeated line counts once.

        Raises:
            UserError: if a line is damaged.
        """
        records = self.retried.converted(TrialRecord.from_json)
        return list({to_text(record): record for record in records}.values())

    def read_details(self, identity: str, seed: int | None = None) -> dict[str, Any]:
        """The curves and histograms of a trial, or of an evaluation seed.

        Raises:
            UserError: if the file is missing or damaged.
        """
        path = self.details(identity, seed)
        if not os.path.lexists(path):
            raise UserError(f"{path} does not exist; {RESTORE}")
        details = read_object(path, f"{RESTORE}, {HOLDS}")
        try:
            details = details if details.get("schema", 1) > 1 else upgraded_details(details)
        except CONVERSION as error:
            raise UserError(f"{path} is damaged ({one_line(error)}); {RESTORE}") from error
        if wrong := wrong_details(details):
            raise UserError(
                f"{path} is damaged, {cut(wrong[0])} missing or of the wrong type; {RESTORE}"
            )
        return details

    def read_ranks(self, identity: str, seed: int | None = None) -> score_ranks.ScoreRanks:
        """The ranks of the scores of a trial, or of an evaluation seed; empty if not stored.

        Raises:
            UserError: if the file is damaged.
        """
        return score_ranks.read(self.ranks(identity, seed))

    def is_locked(self) -> bool:
        """Whether another process is writing this study; writes nothing itself."""
        if not self._lock_path.is_file():
            return False
        try:
            with self._lock_path.open(encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except BlockingIOError:
            return True
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Context manager: a lock, so that no other process writes this study.

        Raises:
            UserError: if another process is writing it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._lock_path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise UserError(
                f"another process is writing {self.path}; wait for it to finish, or use another "
                "--results"
            ) from error
        try:
            self._remove_unfinished()
            yield
        finally:
            lock.release()

    def _remove_unfinished(self) -> None:
        """Remove the unfinished files of a process that was killed.

        Those of a report that are not old may belong to a process that writes one just now, since
        that needs no lock.
        """
        for path in sorted(self.path.rglob("*")):
            if not UNFINISHED.fullmatch(path.name):
                continue
            is_of_report = path.parent.name in REPORT or path.name.startswith(".report.")
            if not path.exists() or (is_of_report and time.time() - path.stat().st_mtime < OLD):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
