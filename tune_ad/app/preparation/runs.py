"""The runs of a study: with which code, versions and hardware each of them trains.

A study is begun by one run and may be continued by others. Trials that other code or other
versions or another device trained are not comparable, so that a run refuses to add to them unless
the user accepts the changes; the report shows the runs.
"""

import ast
import hashlib
import time
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import tune_ad
from tune_ad.app.provenance import PACKAGES, hardware, versions
from tune_ad.errors import UserError
from tune_ad.extensions import DISTRIBUTIONS
from tune_ad.search.own_code import Code, contents, contents_of_file, is_of_package
from tune_ad.search.own_detector import own_class
from tune_ad.search.study import Study
from tune_ad.storage.folder import StudyFolder

NUMBERS = (
    "randomness.py",
    "sample_sizes.py",
    "sampling.py",
    "storage/metric.py",
    "storage/score_ranks.py",
    "data",
    "pseudo_outliers",
    "selection",
    "detectors",
    "search/baseline.py",
    "search/budgets.py",
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
            **{name: code_digest(files) for name, files in _own(study, own_files).items()},
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
        accept: whether the user accepts that code, versions or device have changed.
        folder: the folder of the study.

    Raises:
        UserError: if they have changed and the user does not accept it.
    """
    runs = [dict(earlier) for earlier in stored.get("runs", [])]
    changed = list(_changes(runs[-1] if runs else _first(stored), run))
    if changed and not accept:
        raise UserError(
            f"{folder.path}: since its last run, {'; '.join(changed)}; trials of both are not "
            "comparable. Go back to what it was, or mix them with --accept-changes, or use "
            "another --results"
        )
    return [*runs, {**run, "accepted": changed}]


def _first(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the code that trained a study that has noted no run.

    Studies of earlier versions have no list of runs; if it is empty, nothing has been trained.
    """
    if "runs" in stored:
        return {"versions": {}, "code": {}}
    return {"versions": stored["versions"], "code": {}, "hardware": stored["hardware"]}


def device_of_last_run(stored: Mapping[str, Any]) -> str:
    """The device on which a study was trained last; empty if it has noted none.

    Args:
        stored: the content of `study.json`.
    """
    runs = stored.get("runs", [])
    return _device(runs[-1]) if runs else ""


def _device(run: Mapping[str, Any]) -> str:
    return str(run.get("hardware", {}).get("device") or "")


def code_digest(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of what Python files do: of their syntax trees, without docstrings and comments.

    Args:
        files: the content of each, by its name; of what is not Python every byte counts.
    """
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\n".encode() + _code(content, name) + b"\n")
    return digest.hexdigest()


def _code(content: bytes, name: str) -> bytes:
    """What a file does, as text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in texts, said when it was imported
            tree = ast.parse(content, name)
    except (SyntaxError, ValueError):  # packages may hold templates
        return content
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree).encode()


@cache
def _digest_of_numbers() -> str:
    """The digest of the files of this package that compute the numbers of a trial."""
    root = Path(tune_ad.__file__).parent
    places = [root / name for name in NUMBERS]
    files = (f for place in places for f in ([place] if place.is_file() else place.rglob("*.py")))
    return code_digest({f.relative_to(root).as_posix(): f.read_bytes() for f in files})


def _own(study: Study, own_files: Mapping[str, Path]) -> dict[str, Mapping[str, bytes]]:
    """The user's own code: the contents of files that have a digest together, by its name.

    A second file of the same name is called by what it belongs to as well.
    """
    known: dict[str, frozenset[Path]] = {}
    code: dict[str, Mapping[str, bytes]] = {}
    for title, parts in _parts(study, own_files):
        for name, files in parts.items():
            paths = frozenset(file.path for file in files.values())
            other = known.setdefault(name, paths) != paths
            code[f"{name} ({title})" if other else name] = {
                place: file.content for place, file in files.items()
            }
    return code


def _parts(
    study: Study, own_files: Mapping[str, Path]
) -> Iterator[tuple[str, Mapping[str, Mapping[str, Code]]]]:
    """The own code of each part of a study: its title, and files that belong together by name.

    Packages whose versions are compared need no digest.
    """
    for role, path in own_files.items():
        yield role.replace("_", " "), _each(contents_of_file(path))
    classes = [(name, own_class(b.detector)) for name, b in study.baselines.items()]
    for title, declared in [*classes, ("plan", type(study.search.plan))]:
        top = declared.__module__.partition(".")[0]
        if not is_of_package(declared):
            yield title, _each(contents(declared))
        elif DISTRIBUTIONS.get(top, top) not in PACKAGES:
            yield title, {top: contents(declared)}


def _each(code: Mapping[str, Code]) -> dict[str, dict[str, Code]]:
    """Files that each have a digest of their own."""
    return {place: {place: file} for place, file in code.items()}


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
    devices = [_device(run) for run in (before, now)]
    if all(devices) and len({*devices}) > 1:
        yield f"the device has changed from {devices[0]} to {devices[1]} (--device)"
