"""Deaths of the processes of a program: of the study, its watch, its trials and Ray's own."""

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.faults import programs
from tests.faults.case import (
    DONE,
    FAILED,
    INTERRUPTED,
    KILLED,
    MACHINE,
    PROGRAM,
    TERMINATED,
    Case,
    Kind,
    Result,
    after,
    differences,
    named,
    said,
)
from tests.faults.processes import Ended
from tests.faults.programs import MILESTONES, RAY, Blow, Process
from tests.faults.studies import Variety, arguments, content, folder_in, leftovers

FIRST_LINE, DESCRIBED, LAST = 1, 2, MILESTONES
RAY_SECONDS = 10.0  # that the start of Ray takes, about
REACH_SECONDS = 2.0  # that a trial under Ray takes, about
STEPS = 500  # of a trial, in which it may meet its fate, about
TIMEOUT = ("--trial-timeout", "0.25")
AGAIN, AS_FAILED = "it is trained again", "it counts as failed"
RAY_AGAIN = "the study goes on"


class Death(NamedTuple):
    """How a process of a program dies.

    Attributes:
        title: the row of the table.
        target: whether a process is the one that dies.
        number: the signal.
        codes: the exit codes of the program that are right.
        first: the first milestone after which it may die.
        last: the last one.
        words: what is said if the study goes on; empty if nothing is.
    """

    title: str
    target: Callable[[Process, int], bool]
    number: signal.Signals
    codes: Sequence[int]
    first: int = FIRST_LINE
    last: int = LAST
    words: str = ""


GOES_ON = (DONE, MACHINE)
WATCHER, DRIVER = programs.watcher, programs.driver
SERIAL_DEATHS = (
    Death("study killed", DRIVER, signal.SIGKILL, GOES_ON, words=AGAIN),
    Death("study ends by SIGSEGV", DRIVER, signal.SIGSEGV, GOES_ON, words=AGAIN),
    Death("watch killed", WATCHER, signal.SIGKILL, (KILLED,)),
    Death("SIGTERM", WATCHER, signal.SIGTERM, (TERMINATED,)),
    Death("SIGINT", WATCHER, signal.SIGINT, (INTERRUPTED,)),
    Death("SIGUSR1", WATCHER, signal.SIGUSR1, (TERMINATED,)),
)
RAY_DEATHS = (
    Death("worker killed", programs.worker, signal.SIGKILL, (DONE,), DESCRIBED, LAST - 1),
    Death(
        "raylet killed", programs.raylet, signal.SIGKILL, GOES_ON, DESCRIBED, LAST - 1, RAY_AGAIN
    ),
    Death("gcs_server killed", programs.gcs_server, signal.SIGKILL, GOES_ON, DESCRIBED, LAST - 1),
    Death("study killed", DRIVER, signal.SIGKILL, GOES_ON, words=RAY_AGAIN),
    Death("watch killed", WATCHER, signal.SIGKILL, (KILLED,)),
    Death("SIGTERM", WATCHER, signal.SIGTERM, (TERMINATED,)),
)


def _remains(place: Path, is_whole: bool) -> list[str]:
    """What a program has left in its study: a lock, files of Ray, and unfinished files.

    Args:
        place: the folder of the case.
        is_whole: whether no process was killed that may have left an unfinished file.
    """
    folder = folder_in(place)
    found = leftovers(place) if is_whole else ["its lock"] * folder.is_locked()
    return [f"left {name}" for name in (*found, *["files of Ray"] * folder.ray.exists())]


def _struck(death: Death, backend: str, stream: Random) -> Case:
    """A case in which a process dies at a random moment."""
    first = stream.randint(death.first, death.last)
    share, pick = stream.random(), stream.random()
    parallel = ("--concurrent", str(stream.choice((1, 2)))) if backend == "Ray" else ()

    def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
        variety = varieties[PROGRAM]
        most = variety.times[first - 1]
        if backend == "Ray":
            most += RAY_SECONDS if first == DESCRIBED else REACH_SECONDS
            variety = variety._replace(options=(*RAY, *parallel))
        blow = Blow(death.target, death.number, first, share * most, pick)
        ended = programs.run(arguments(variety.options), place, blow)
        codes = death.codes if ended.struck else (DONE,)
        if backend == "Ray" and ended.struck == DESCRIBED:  # it may not start, and say so
            codes = (*codes, MACHINE)
        is_whole = ended.code == DONE or death.target is WATCHER
        remains = _remains(place, is_whole)
        result = after(ended, variety, place, (*codes, *[DONE] * (ended.struck == LAST)))
        problems = [*result.problems, *remains, *_silence(ended, death)]
        late = "" if ended.struck else ", no process left to end"
        return result._replace(problems=problems, ended=f"{result.ended}{late}")

    how = " ".join(parallel)
    what = f"{share:.0%} of the way from milestone {first} to the next; {how}"
    return Case(_title(backend, death.title), what, run)


def _silence(ended: Ended, death: Death) -> list[str]:
    """What a program should have said of a death."""
    text = f"{ended.out}\n{ended.errors}"
    is_quiet = ended.struck in (0, LAST)  # at its end, nothing is trained again
    if is_quiet or ended.code != DONE or death.words in text:
        return []
    return [f"does not say: {death.words}"]


def _title(backend: str, title: str) -> str:
    return f"{backend}: {title}"


def _in_a_trial(way: str, title: str, cause: str) -> Kind:
    """The kind of deaths in a trial, once or twice."""

    def case(step: int, deaths: int) -> Case:
        def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
            variety = varieties[PROGRAM]
            ended = programs.run(
                arguments(variety.options), place, variables=_fate(place, way, step, deaths)
            )
            problems = [*_remains(place, True)]
            if f"{cause}; {AGAIN}" not in ended.out:
                problems.append(f"does not say: {cause}; {AGAIN}")
            result = after(ended, variety, place, (DONE,))
            return result._replace(problems=[*result.problems, *problems])

        return Case(_title("serial", title), f"at step {step}, {deaths} times", run)

    def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
        stream = Random(f"{seed} {title}")
        return [case(stream.randint(1, STEPS), stream.choice((1, 2))) for _ in range(number)]

    return Kind(_title("serial", title), PROGRAM, cases)


def _fate(place: Path, way: str, step: int, times: int) -> dict[str, str]:
    """The environment variable by which a trial dies or hangs."""
    (place / "fate").write_bytes(b"x" * times)
    return {"FATE": f"{way} {step} {place / 'fate'}"}


def _hang(step: int) -> Case:
    """A case in which a trial hangs, fails, and is tried again by hand."""

    def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
        begin = [*arguments(varieties[PROGRAM].options), *TIMEOUT]
        ended = programs.run(begin, place, variables=_fate(place, "hang", step, 1))
        problems = [*said(ended, (FAILED,)), *_remains(place, True)]
        if AS_FAILED not in ended.out:
            problems.append(f"does not say: {AS_FAILED}")
        again = programs.run([*begin, "--resume", "--retry-failed"], place)
        problems += [f"tried again: {problem}" for problem in said(again, (DONE,))]
        problems += [f"after all, {problem}" for problem in _remains(place, True)]
        found, expected = content(folder_in(place).path), varieties[PROGRAM].leaves
        problems += differences(_of_trials(found), _of_trials(expected))
        return Result(named(ended.code), problems, 0, 1)

    return Case(_title("serial", HANGING), f"at step {step}", run)


def _of_trials(files: Mapping[str, str]) -> dict[str, str]:
    """What the search has left: with a trial less, another may have been the winner meanwhile."""
    search = ("trials", "suggested")
    return {name: digest for name, digest in files.items() if name.startswith(search)}


HANGING = "a trial that hangs, with --trial-timeout"


def _hangs(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    stream = Random(f"{seed} {HANGING}")
    return [_hang(stream.randint(1, STEPS)) for _ in range(number)]


def _kind(death: Death, backend: str) -> Kind:
    title = _title(backend, death.title)

    def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
        stream = Random(f"{seed} {title}")
        return [_struck(death, backend, stream) for _ in range(number)]

    return Kind(title, PROGRAM, cases)


KINDS = (
    *(_kind(death, "serial") for death in SERIAL_DEATHS),
    _in_a_trial("exit", "os._exit in a trial", "exit code 7"),
    _in_a_trial("crash", "SIGSEGV in a trial", "SIGSEGV"),
    Kind(_title("serial", HANGING), PROGRAM, _hangs),
    *(_kind(death, "Ray") for death in RAY_DEATHS),
)
