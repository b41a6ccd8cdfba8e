"""Search files with typing errors, and bytes that are no Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from tests.faults.case import INPUT, Case, Kind, Result
from tests.faults.inputs import checked, damage
from tests.faults.kinds.options import prepare_only
from tests.faults.processes import run
from tests.faults.studies import RESULTS, SEARCH, Variety

TITLE = "damaged search files"
VALUES = (
    "-1",
    "0",
    "1e9",
    "None",
    "'text'",
    "()",
    "(0, 0)",
    "{}",
    "float('nan')",
    "10**30",
    "[1]",
)


def _with_another_value(text: str, stream: Random) -> str:
    """The text of a search file with one number or tuple replaced."""
    lines = text.splitlines()
    numbers = [k for k, line in enumerate(lines) if "=" in line and line.startswith("    ")]
    number = stream.choice(numbers)
    name, _, _ = lines[number].partition("=")
    lines[number] = f"{name}={stream.choice(VALUES)},"
    return "\n".join(lines) + "\n"


def _case(seed: str) -> Case:
    def run_case(place: Path, varieties: Mapping[str, Variety]) -> Result:
        stream, file = Random(seed), place / "mine.py"
        text = SEARCH.read_text(encoding="utf-8")
        if stream.random() < 0.5:
            file.write_text(_with_another_value(text, stream), encoding="utf-8")
            what = "another value"
        else:
            file.write_text(text, encoding="utf-8")
            what = damage(file, seed)
        words = ["--search", "mine.py", "--backend", "serial", "--results", RESULTS]
        result = checked(run(words, place, prepare_only))
        return result._replace(problems=[f"{what}: {text}" for text in result.problems])

    return Case(TITLE, seed, run_case)


def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    return [_case(f"{seed} {k}") for k in range(number)]


KINDS = (Kind(TITLE, INPUT, cases),)
