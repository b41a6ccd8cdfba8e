"""The runs of a study: with which code, versions and hardware each of them trains.

A study is begun by one run and may be continued by others. Trials that other code or other
versions trained are not comparable, so that a run refuses to add to them unless the user accepts
the changes; the report shows the runs.
"""

import ast
import hashlib
import inspect
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import tune_ad
from tune_ad.app.provenance import hardware, versions
from tune_ad.errors import UserError
from tune_ad.search.own_code import contents, file_of
from tune_ad.search.study import Study
from tune_ad.storage.folder import StudyFolder

NUMBERS = (
    "randomness.py",
    "sample_sizes.py",
    "storage/metric.py",
    "storage/score_ranks.py",
    "data",
    "pseudo_outliers",
    "selection",
    "detectors",
    "search/baseline.py",
    "search/plans.py",
    "search/scheduler.py",
    "search/study.py",
    "training",
)
"""The files and folders of this package that compute the numbers of a trial."""
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PROJECT = "tune_ad"
UNCOMPARED = (PROJECT, "commit", "ray", "tensorboard")
"""Versions without an effect on the numbers of a trial; the code itself is compared."""


def this_run(
    study: Study, own_files: Mapping[str, Path], device: str, trials: int
) -> dict[str, Any]:
    """The description of a run that begins now.

    Args:
        study: the study.
        own_files: the files of the user's own code that options name, by their role.
        device: the device that trains.
        trials: the number of trials that had ended before.
    """
    return {
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "trials_before": trials,
        "code": {
            PROJECT: _digest_of_numbers(),
            **{name: code_digest({name: code}) for name, code in _own(study, own_files).items()},
        },
        "versions": versions(),
        "hardware": hardware(device),
        "accepted": [],
    }


def with_run(
    stored: Mapping[str, Any], run: Mapping[str, Any], accept: bool, folder: StudyFolder
) -> list[dict[str, Any]]:
    """The runs of a study with one more.

    Args:
        stored: the content of `study.json`.
        run: the description of the run.
        accept: whether the user accepts that code or versions have changed.
        folder: the folder of the study.

    Raises:
        UserError: if they have changed and the user does not accept it.
    """
    runs = [dict(earlier) for earlier in stored.get("runs", [])]
    before = runs[-1] if runs else {"versions": stored["versions"], "code": {}}
    changed = list(_changes(before, run))
    if changed and not accept:
        raise UserError(
            f"{folder.path}: since its last run, {'; '.join(changed)}; trials of both are not "
            "comparable. Go back to what it was, or mix them with --accept-changes, or use "
            "another --results"
        )
    return [*runs, {**run, "accepted": changed}]


def code_digest(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of what Python files do: of their syntax trees, without docstrings and comments.

    Args:
        files: the content of each, by its name.

    Raises:
        SyntaxError: if a file is not Python.
    """
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        tree = ast.parse(content, name)
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        digest.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


@cache
def _digest_of_numbers() -> str:
    """The digest of the files of this package that compute the numbers of a trial."""
    root = Path(tune_ad.__file__).parent
    places = [root / name for name in NUMBERS]
    files = (f for place in places for f in ([place] if place.is_file() else place.rglob("*.py")))
    return code_digest({f.relative_to(root).as_posix(): f.read_bytes() for f in files})


def _own(study: Study, own_files: Mapping[str, Path]) -> dict[str, bytes]:
    """The content of each file of the user's own code, by its name: also of imported ones."""
    files = {file.name: file.read_bytes() for file in own_files.values()}
    for baseline in study.baselines.values():
        module = baseline.detector.__module__
        if file_of(module):
            files |= contents(module)
        elif not module.startswith(f"{PROJECT}."):
            file = inspect.getsourcefile(baseline.detector)
            files |= {Path(file).name: Path(file).read_bytes()} if file else {}
    return files


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two runs, in words; what one of them did not record is not compared."""
    commits = [run["versions"].get("commit", "unknown") for run in (before, now)]
    for name, digest in now["code"].items():
        if before["code"].get(name, digest) != digest:
            of_project = f"{PROJECT} that computes numbers (commit {commits[0]} to {commits[1]})"
            yield f"the code of {of_project if name == PROJECT else name} has changed"
    for name, version in now["versions"].items():
        earlier = before["versions"].get(name, version)
        if name not in UNCOMPARED and earlier != version:
            yield f"{name} has changed from {earlier} to {version}"
