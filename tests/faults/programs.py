"""Runs the program as its users do: in processes of its own, under its watch, with a real Ray."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.faults.processes import HANGS, Ended, members_of
from tests.faults.studies import Variety, arguments, content, folder_in

PROJECT = Path(__file__).parents[2]
MORTAL = Path(__file__).with_name("mortal") / "searches.py"
LONGEST = 400.0  # seconds after which a run counts as hanging
GRACE = 60.0  # seconds in which what the program has left may still end by itself
ENDING = 120.0  # the same for a study over which nobody watches any more
POLL = 0.02
SERIAL = ("--search", str(MORTAL), "--device", "cpu")
RAY = (*SERIAL, "--backend", "ray")
TRIALS, SEEDS = 3, 2
MILESTONES = 2 + 2 * TRIALS + SEEDS
"""The first line, `study.json`, each proposal and each record: the last begins the report."""


class Process(NamedTuple):
    """A process of a run.

    Attributes:
        number: its number.
        parent: the number of its parent.
        name: its name, as `ps` shows it.
        line: its command line.
    """

    number: int
    parent: int
    name: str
    line: str


def watcher(process: Process, program: int) -> bool:
    """Whether it is the process that watches over the study."""
    return process.number == program


def driver(process: Process, program: int) -> bool:
    """Whether it is the process of the study."""
    return process.parent == program


def raylet(process: Process, program: int) -> bool:
    """Whether it is Ray's process of the node."""
    return process.name == "raylet"


def gcs_server(process: Process, program: int) -> bool:
    """Whether it is Ray's process of the cluster."""
    return process.name == "gcs_server"


def worker(process: Process, program: int) -> bool:
    """Whether it is a process of Ray's that trains, or is about to."""
    is_worker = process.line.startswith("ray::") or "default_worker.py" in process.line
    return is_worker and "Agent" not in process.line


class Blow(NamedTuple):
    """A signal that is sent to a process of a run.

    Attributes:
        target: whether a process is the one, by the number of the program; several may be.
        number: the signal.
        after: the milestone after which it is sent, see `MILESTONES`.
        seconds: how long after it.
        pick: which of several processes, as a number in [0, 1).
    """

    target: Callable[[Process, int], bool]
    number: signal.Signals
    after: int
    seconds: float
    pick: float = 0.0


def run(
    arguments: Sequence[str],
    place: Path,
    blow: Blow | None = None,
    variables: Mapping[str, str] | None = None,
) -> Ended:
    """Run the program to its end, and wait for what it leaves behind.

    Args:
        arguments: its arguments.
        place: the folder for its output, and its working directory.
        blow: the signal that one of its processes receives.
        variables: further environment variables.
    """
    temporary = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short, for sockets
    files = place / "out", place / "errors"
    private = {"RAY_TMPDIR": str(temporary), "RAY_worker_niceness": "0"}  # fast on a busy machine
    environment = {**os.environ, **private, **(variables or {})}
    with files[0].open("wb") as out, files[1].open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / "run.py"), *arguments],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        struck, times = _followed(process, place, blow)
        alone = process.returncode == -signal.SIGKILL
        left = _left(process.pid, ENDING if alone else GRACE)
        folders = sorted(path.name for path in temporary.iterdir())
    finally:
        _kill(members_of(process.pid))
        process.wait()
        shutil.rmtree(temporary, ignore_errors=True)
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    return Ended(process.returncode, *texts, left, 0.0, folders, struck, times)


def without_fault(place: Path) -> Variety:
    """The study without a fault, by the serial backend: Ray's records are the same."""
    place.mkdir(parents=True)
    ended = run(arguments(SERIAL), place)
    if ended.code or len(ended.times) != MILESTONES + 1:
        raise AssertionError(f"a program without a fault: {ended}")
    folder = folder_in(place).path
    times = [later - earlier for earlier, later in pairwise(ended.times)]
    return Variety(SERIAL, content(folder), (), 0.0, folder, run, times)


def _followed(
    process: subprocess.Popen[bytes], place: Path, blow: Blow | None
) -> tuple[int, list[float]]:
    """Wait for the end; return the milestones before the blow, and the times of all."""
    began, times, struck = time.monotonic(), [], 0
    while process.poll() is None:
        now = time.monotonic()
        if now - began > LONGEST:
            raise TimeoutError(HANGS)
        times += [now] * (milestone(place) - len(times))
        if blow is not None and not struck and len(times) >= blow.after:
            if now >= times[blow.after - 1] + blow.seconds:
                struck = len(times) * _strike(blow, process.pid)
        time.sleep(POLL)
    return struck, [*times, time.monotonic()]


def milestone(place: Path) -> int:
    """The number of milestones that a study has passed."""
    folder = folder_in(place)
    journals = (folder.suggested, folder.trials, folder.evaluation)
    lines = sum(file.path.read_bytes().count(b"\n") for file in journals if file.path.exists())
    return lines + folder.study.exists() + ((place / "out").stat().st_size > 0)


def _strike(blow: Blow, program: int) -> bool:
    """Send a signal; return whether there is a process that receives it."""
    targets = [p for p in map(_process, members_of(program)) if p and blow.target(p, program)]
    if not targets:
        return False
    with suppress(ProcessLookupError):
        os.kill(targets[int(blow.pick * len(targets))].number, blow.number)
        return True
    return False


def _process(number: int) -> Process | None:
    """What is known of a process; None if it has ended."""
    folder = Path("/proc") / str(number)
    with suppress(OSError):
        status = (folder / "stat").read_text()
        line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
        name = status[status.index("(") + 1 : status.rindex(")")]
        parent = int(status.rpartition(")")[2].split()[1])
        return Process(number, parent, name, line.decode(errors="replace"))
    return None


def _left(session: int, seconds: float) -> list[int]:
    """The processes of a session that do not end by themselves in time."""
    deadline = time.monotonic() + seconds
    while (left := members_of(session)) and time.monotonic() < deadline:
        time.sleep(POLL)
    return left


def _kill(processes: Sequence[int]) -> None:
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
