"""One fault or one bad input: what is done, and what must hold afterwards."""

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.processes import Ended
from tests.faults.studies import (
    Variety,
    begun,
    content,
    folder_in,
    leftovers,
    recorded,
    resume,
    resume_line,
)

DONE, FAILED, REFUSED, MACHINE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143
KILLED = -signal.SIGKILL
ODD = ("Traceback", "Exception ignored", "Warning:", "Error:", "rror in ", "core dumped")
"""What no line of the program may contain."""


class Result(NamedTuple):
    """How a case ended.

    Attributes:
        ended: the exit code, in words.
        problems: what should not have happened; empty if all is well.
        lost: records that were there before the fault and are not there afterwards.
        again: trials and seeds that had begun and were trained again.
    """

    ended: str
    problems: Sequence[str] = ()
    lost: int = 0
    again: int = 0


class Case(NamedTuple):
    """One fault or one bad input.

    Attributes:
        kind: the row of the table.
        what: what is done, in words, by which it can be found again.
        run: does it, in an empty folder.
    """

    kind: str
    what: str
    run: Callable[[Path, Mapping[str, Variety]], Result]


FAULT, INPUT, PROGRAM = "faults", "inputs", "programs"
"""The parts of the campaign: in forks of one process, and programs with all their processes."""


class Kind(NamedTuple):
    """A kind of cases; each module of `kinds` has the tuple `KINDS`.

    Attributes:
        title: the row of the table.
        part: the part of the campaign, `FAULT`, `INPUT` or `PROGRAM`.
        cases: a function that makes a number of cases from a seed.
    """

    title: str
    part: str
    cases: Callable[[int, int, Mapping[str, Variety]], Sequence[Case]]


def said(ended: Ended, codes: Sequence[int]) -> list[str]:
    """What is wrong with the exit code and the lines of a run.

    Args:
        ended: the run.
        codes: the exit codes that are right.
    """
    problems = []
    if ended.code not in codes:
        last = " | ".join(f"{ended.out}\n{ended.errors}".strip().splitlines()[-2:])
        right = " or ".join(map(str, codes))
        problems.append(f"exit code {ended.code}, not {right}: {last[:400]}")
    for line in f"{ended.out}\n{ended.errors}".splitlines():
        if any(odd in line for odd in ODD) and not line.startswith("error: "):
            problems.append(f"printed: {line[:200]}")
    if ended.code in (REFUSED, MACHINE):
        errors = [s for s in f"{ended.out}\n{ended.errors}".splitlines() if s.startswith("error:")]
        if not errors:
            problems.append(f"exit code {ended.code} without an error line")
    if ended.processes:
        problems.append(f"left {len(ended.processes)} processes")
    problems += [f"left the temporary folder {name}" for name in ended.folders]
    return problems


def after(
    ended: Ended,
    variety: Variety,
    place: Path,
    codes: Sequence[int],
    mend: Callable[[], None] = lambda: None,
    is_there: bool = True,
) -> Result:
    """Check a faulted study, continue it, and compare it with one without a fault.

    Args:
        ended: the faulted run.
        variety: the study without a fault.
        place: the folder of the case.
        codes: the exit codes that are right.
        mend: removes the fault.
        is_there: whether the program could find the study when it ended.
    """
    folder = folder_in(place)
    problems = said(ended, codes)
    stopped = ended.code in (MACHINE, INTERRUPTED, TERMINATED)
    if stopped and is_there and folder.exists() and resume_line(ended) is None:
        problems.append("no line that continues the study")
    if ended.code != KILLED:
        problems += [f"left {name}" for name in leftovers(place)] if not mend_needed(ended) else []
    mend()
    before, proposed = recorded(folder), begun(folder)
    again = resume(variety, place, ended)
    problems += [f"resumed: {problem}" for problem in said(again, (DONE,))]
    now = recorded(folder)
    lost = [name for name in before if name not in now]
    problems += [f"lost {name}" for name in lost]
    problems += [f"twice: {name}" for name in {n for n in now if now.count(n) > 1}]
    problems += [f"after all, left {name}" for name in leftovers(place)]
    problems += differences(content(folder.path), variety.leaves)
    trained = len([name for name in before if name.startswith("trial")])
    return Result(named(ended.code), problems, len(lost), max(0, proposed - trained))


def mend_needed(ended: Ended) -> bool:
    """Whether what is left cannot have been removed, because the machine refused it."""
    return ended.code == MACHINE


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """The files in which a study differs from one without a fault."""
    names = sorted(found.keys() | expected.keys())
    return [
        f"{name} differs" if name in found and name in expected else f"{name} only in one"
        for name in names
        if found.get(name) != expected.get(name)
    ][:5]


def named(code: int) -> str:
    """An exit code in words."""
    return f"signal {-code}" if code < 0 else str(code)
