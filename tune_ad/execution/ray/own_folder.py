"""The folder of a Ray that this program starts: its sockets, logs and spilled objects.

Ray itself shares one folder among all users of a machine and never removes anything from it.
Nothing here imports Ray.
"""

import fcntl
import os
import shutil
import signal
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tune_ad.errors import MachineError
from tune_ad.signals import signals_afterwards

PREFIX = "tune_ad-"
LOCK = "in_use"
RANDOM_LETTERS = 8  # with which `tempfile` ends a name
LONGEST_SOCKET = 107  # bytes of the path of a UNIX socket
INSIDE = "r"  # Ray lets everyone write in the folder that it is given, so it is one inside
LONGEST_INSIDE = 66  # bytes of "/r/session_<date>_<pid>/sockets/plasma_store"
ENDING_SECONDS = 10.0  # Ray's processes end by themselves after the one that started them
PROCESSES = Path("/proc")


def place() -> Path:
    """The folder for temporary files: RAY_TMPDIR, or that of all programs (TMPDIR)."""
    return Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())


@contextmanager
def own_folder() -> Iterator[Path]:
    """Context manager: a new folder, in one that only this user can read; removed afterwards.

    Folders that processes left which were killed are removed first.

    Raises:
        MachineError: if it cannot be created, or its path is too long for Ray's sockets.
    """
    remove_left_folders()
    check_length()
    with signals_afterwards():  # a folder whose name nobody knows could not be removed
        path, lock = _new_folder()
        remove = weakref.finalize(lock, shutil.rmtree, path, ignore_errors=True)
    try:
        yield path / INSIDE
    finally:  # if a signal prevents even this, the folder goes with the object `lock`
        with lock:
            _end_processes(path)
            with signals_afterwards():
                remove()


def check_place() -> None:
    """Check that a folder for Ray can be created, before anything else is written.

    Raises:
        MachineError: if it cannot, or its path is too long for Ray's sockets.
    """
    check_length()
    with signals_afterwards():
        path, lock = _new_folder()
        with lock:
            shutil.rmtree(path, ignore_errors=True)


def check_length() -> None:
    """Check that the path of a folder for Ray is short enough.

    Raises:
        MachineError: if it is too long for Ray's sockets.
    """
    most = LONGEST_SOCKET - LONGEST_INSIDE
    if len(os.fsencode(place() / PREFIX)) + RANDOM_LETTERS > most:
        raise MachineError(
            f"the folder for temporary files, {place()}, is too long for the sockets of Ray; set "
            "RAY_TMPDIR to a shorter one, such as /tmp, or use --backend serial"
        )


def _new_folder() -> tuple[Path, IO[str]]:
    """A new folder, and its lock, which nobody else has had since the folder has its name.

    Raises:
        MachineError: if it cannot be created.
    """
    try:
        hidden = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=place()))
        (hidden / INSIDE).mkdir()
        lock = (hidden / LOCK).open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return hidden.rename(hidden.with_name(hidden.name[1:])), lock
    except OSError as error:
        raise MachineError(
            f"no folder for Ray can be created in {place()} ({error.strerror}); set RAY_TMPDIR to "
            "a folder that can be written, or use --backend serial"
        ) from error


def remove_left_folders() -> None:
    """Remove the folders of this user's processes that were killed, and what still runs there."""
    for path in place().glob(f"{PREFIX}*"):
        with suppress(OSError):  # of another user, or removed by another process at this moment
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            with (path / LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _end_processes(path)
                shutil.rmtree(path, ignore_errors=True)


def _end_processes(folder: Path) -> None:
    """Wait for the processes that use a folder, and end those that stay."""
    deadline = time.monotonic() + ENDING_SECONDS
    while running := _processes(folder):
        if time.monotonic() > deadline:
            for process in running:
                with suppress(OSError):  # it has ended
                    os.kill(process, signal.SIGKILL)
            return
        time.sleep(0.1)


def _processes(folder: Path) -> list[int]:
    """This user's processes whose command line names a folder; none without `PROCESSES`."""
    name = os.fsencode(folder) + b"/"
    found = []
    for entry in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if entry.stat().st_uid == os.getuid() and name in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found
