"""Damaged records of a study that has ended, or has not, read by every command that reads them."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from tests.faults.case import INPUT, REFUSED, Case, Kind, Result
from tests.faults.inputs import checked, damage
from tests.faults.processes import run
from tests.faults.studies import NAME, RESULTS, Variety, arguments, folder_in

TITLE = "damaged records"
KINDS_OF_FILES = (
    "study.json",
    "suggested.jsonl",
    "trials.jsonl",
    "evaluation/evaluation.jsonl",
    "retried.jsonl",
    "trials/*.json",
    "trials/*.npz",
    "evaluation/*.json",
    "evaluation/*.npz",
)
JOURNALS = KINDS_OF_FILES[:5]
COMMANDS: Mapping[str, Sequence[str]] = {
    "--resume": ("--resume",),
    "--extend": ("--extend", "1"),
    "--report": (),
    "--compare": (),
}


def _arguments(command: str) -> list[str]:
    if command == "--report":
        return ["--report", NAME, "--results", RESULTS]
    if command == "--compare":
        return ["--compare", NAME, f"../{RESULTS}/intact/{NAME}", "--results", RESULTS]
    return [*arguments(()), *COMMANDS[command]]


def _case(title: str, pattern: str, command: str, seed: str) -> Case:
    def run_case(place: Path, varieties: Mapping[str, Variety]) -> Result:
        source, folder = varieties[title].folder, folder_in(place).path
        shutil.copytree(source, folder)
        if pattern == "retried.jsonl":  # of studies in which no trial has failed there is none
            shutil.copy(folder / "trials.jsonl", folder / pattern)
        if command == "--compare":
            shutil.copytree(source, place / RESULTS / "intact" / NAME)
        stream = Random(seed)
        file = stream.choice(sorted(folder.glob(pattern)) or [folder / "study.json"])
        what = damage(file, seed)
        before = {name: _bytes(folder / name) for name in JOURNALS}
        ended = run(_arguments(command), place)
        result = checked(ended)
        problems = [f"{file.relative_to(folder)}, {what}: {text}" for text in result.problems]
        if ended.code == REFUSED and pattern in JOURNALS:  # the report alone reads the others
            changed = [name for name in JOURNALS if _bytes(folder / name) != before[name]]
            problems += [f"{what}: refused, but changed {name}" for name in changed]
        return result._replace(problems=problems)

    return Case(TITLE, f"{title}: {pattern} before {command}, {seed}", run_case)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    stream, titles = Random(f"{seed} {TITLE}"), sorted(varieties)
    return [
        _case(
            stream.choice(titles),
            stream.choice(KINDS_OF_FILES),
            stream.choice(sorted(COMMANDS)),
            f"{seed} {k}",
        )
        for k in range(number)
    ]


KINDS = (Kind(TITLE, INPUT, cases),)
