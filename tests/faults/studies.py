"""The studies that are faulted, and what a study without a fault leaves."""

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.processes import Ended, Strike, run
from tune_ad.errors import UserError
from tune_ad.storage.folder import StudyFolder

SEARCH = Path(__file__).with_name("searches.py")
RESULTS = "it's results"  # a name that a printed command must quote
NAME = "faulted"
WRITTEN_ANEW = ("report.", "tables/", "figures/", "tensorboard/", "optuna.journal")
IGNORED = ("seconds", "created", "runs", "commit", "backend", "concurrent")
"""Fields in which two runs may differ; no number depends on the last two here."""
VARIETIES: Mapping[str, Sequence[str]] = {
    "winner kept": (),
    "every model kept": ("--keep-models", "all"),
    "no evaluation": ("--no-evaluation",),
}
"""Options of the studies, by title."""


class Variety(NamedTuple):
    """A study without a fault.

    Attributes:
        options: its options.
        leaves: what is in its folder, see `content`.
        changes: every change of a file of its run, as (kind, path).
        cpu: seconds of processor time of its run.
        folder: its folder, which is only read.
        run: runs a command on it.
        times: seconds from each milestone of `programs` to the next, and to the end.
    """

    options: Sequence[str]
    leaves: Mapping[str, str]
    changes: Sequence[tuple[str, str]]
    cpu: float
    folder: Path
    run: Callable[[Sequence[str], Path], Ended] = run
    times: Sequence[float] = ()


def arguments(options: Sequence[str]) -> list[str]:
    """The command that begins a study in the working directory."""
    return ["--search", str(SEARCH), "--backend", "serial", "--results", RESULTS, *options]


def start(
    options: Sequence[str],
    place: Path,
    prepare: Callable[[], None] = lambda: None,
    strike: Strike | None = None,
) -> Ended:
    """Begin a study in a folder."""
    return run(arguments(options), place, prepare, strike)


def folder_in(place: Path) -> StudyFolder:
    """The folder of the study that `start` writes."""
    return StudyFolder(place / RESULTS / NAME)


def resume_line(ended: Ended) -> list[str] | None:
    """The arguments of the command that an ended run has printed; None if it printed none."""
    for line in f"{ended.out}\n{ended.errors}".splitlines():
        _, found, command = line.partition("continue with: ")
        if found:
            words = shlex.split(command)
            return words[words.index("--search") :]
    return None


def resume(variety: Variety, place: Path, ended: Ended) -> Ended:
    """Continue a study by the command that it has printed, or as its user would."""
    printed = resume_line(ended)
    for path in folder_in(place).path.rglob(".*"):  # so that it belongs to no process that runs
        os.utime(path, (0, 0))
    if printed is None:
        exists = folder_in(place).exists()
        printed = [*arguments(variety.options), *(["--resume"] if exists else [])]
    elif "--no-evaluation" in variety.options:
        printed.append("--no-evaluation")
    return variety.run(printed, place)


def content(folder: Path) -> dict[str, str]:
    """What a study has left, by file: digests without times; of files made anew only the name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name.startswith("tensorboard/") or name == ".lock":
            continue
        anew = name.startswith(WRITTEN_ANEW)
        found[name] = "" if anew else hashlib.sha256(_timeless(path)).hexdigest()
    return found


def _timeless(path: Path) -> bytes:
    """The bytes of a file without the times in it; records in the order of their numbers."""
    if path.suffix not in (".json", ".jsonl"):
        return b"" if path.name == "README.md" else path.read_bytes()
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = lines if path.suffix == ".jsonl" else ["\n".join(lines)]
    return "\n".join(sorted(json.dumps(_without(json.loads(text))) for text in texts)).encode()


def _without(value: Any) -> Any:
    """Plain data without the fields that are ignored."""
    if isinstance(value, dict):
        return {k: _without(v) for k, v in value.items() if k not in IGNORED}
    return [_without(item) for item in value] if isinstance(value, list) else value


def leftovers(place: Path) -> list[str]:
    """Unfinished files of a study that has ended, and locks that are held."""
    results = place / RESULTS
    found = [
        path.relative_to(results).as_posix()
        for path in results.rglob("*")
        if path.name.startswith((".", "unfinished-")) and path.name != ".lock"
    ]
    folder = folder_in(place)
    return [*found, *(["its lock"] if folder.is_locked() else [])]


def recorded(folder: StudyFolder) -> list[str]:
    """The trials and seeds of which a record exists, one entry a record."""
    try:
        trials = [f"trial {record.number}" for record in folder.read_trials()]
        seeds = [f"seed {record.replicas[0].seed}" for record in folder.read_evaluation()]
    except UserError:
        return []
    return trials + seeds


def begun(folder: StudyFolder) -> int:
    """The number of trials that were proposed."""
    path = folder.suggested.path
    return path.read_bytes().count(b"\n") if os.path.isfile(path) else 0
