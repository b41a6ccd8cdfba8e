"""Runs the program in forks of a process that has imported everything: a run costs a second."""

import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LONGEST = 120.0  # seconds after which a run counts as hanging
POLL = 0.002
HANGS = "hangs"
NEEDED = (
    "analysis.questions.comparison.studies",
    "analysis.report.study_report",
    "tune_ad.app.command_line.cli",
    "tune_ad.app.command_line.console",
    "tune_ad.app.preparation.validation",
    "tune_ad.app.scoring",
    "tune_ad.models.export",
)
"""The modules that the commands import when they need them."""


class Ended(NamedTuple):
    """How a run of the program ended.

    Attributes:
        code: the exit code; negative: the number of the signal that ended it.
        out: the standard output.
        errors: the standard error.
        processes: the processes that it has left behind.
        cpu: seconds of processor time that it took.
        folders: the temporary folders that it has left behind.
        struck: the milestones that it had passed when one of its processes was struck; 0 if none.
        times: when it passed each milestone of `programs`, and ended.
    """

    code: int
    out: str
    errors: str
    processes: list[int]
    cpu: float
    folders: Sequence[str] = ()
    struck: int = 0
    times: Sequence[float] = ()


class Strike(NamedTuple):
    """A signal that is sent once a run has used an amount of processor time.

    Processor time, unlike that of the wall, makes the moment independent of the load.
    """

    number: int
    cpu: float


def import_everything() -> None:
    """Import what a study needs, so that its forks need not."""
    for name in NEEDED:
        importlib.import_module(name)


def cpu_seconds(process: int) -> float:
    """The processor time that a process has used, in seconds."""
    return time.clock_gettime(((~process) << 3) | 2)


def run(
    arguments: Sequence[str],
    place: Path,
    prepare: Callable[[], None] = lambda: None,
    strike: Strike | None = None,
) -> Ended:
    """Run the program in a fork.

    Args:
        arguments: its arguments.
        place: the folder for its output, and its working directory.
        prepare: called in the fork before the program starts.
        strike: the signal that it receives.
    """
    files = place / "out", place / "errors"
    process = os.fork()
    if not process:
        _become_program(arguments, place, files, prepare)
    code, cpu = _waited(process, strike)
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    left = members_of(process)
    for member in left:
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    return Ended(code, *texts, left, cpu)


def _become_program(
    arguments: Sequence[str],
    place: Path,
    files: Sequence[Path],
    prepare: Callable[[], None],
) -> None:
    """Run the program in this process, which ends with it."""
    code = 70
    try:
        os.setsid()
        os.chdir(place)
        for number, path in enumerate(("/dev/null", *map(str, files))):
            flags = os.O_RDONLY if not number else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(path, flags, 0o644), number)
        for number in (1, 2):
            stream = open(number, "w", buffering=1, encoding="utf-8", closefd=False)
            setattr(sys, ("stdout", "stderr")[number - 1], stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["tune-ad", *arguments]
        prepare()
        from tune_ad.app.command_line.cli import main

        code = main(arguments)
        sys.stdout.flush()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def _waited(process: int, strike: Strike | None) -> tuple[int, float]:
    """The exit code of a process, and its processor time."""
    began, cpu = time.monotonic(), 0.0
    while True:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        cpu = cpu_seconds(process)
        if strike is not None and cpu >= strike.cpu:
            os.kill(process, strike.number)
            strike = None
        if time.monotonic() - began > LONGEST:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise TimeoutError(HANGS)
        time.sleep(POLL)


def members_of(session: int) -> list[int]:
    """The processes of a session, which was begun by the process of that number."""
    members = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, number = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has ended meanwhile
            continue
        if int(number) == session and state != "Z":
            members.append(int(folder.name))
    return members
