"""Runs npm or apt-get as a child process, which is killed if the call is interrupted."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tune_ad.data.declaration import SourceError
from tune_ad.signals import signals_afterwards

CLIENT_SECONDS = 1800
POLL_SECONDS = 0.2


def run_client(command: list[str], folder: Path, watch: Callable[[], None] | None = None) -> None:
    """Run a client in `folder`, without input; if it fails, its error output is the message.

    The client and its children are killed if the call is interrupted, by Ctrl-C or another signal.

    Args:
        command: the program and its arguments.
        folder: its working folder.
        watch: a function called several times a second while the client runs, e.g. to show its
            progress.

    Raises:
        SourceError: the client fails, or takes too long.
        OSError: the client cannot be started.
    """
    process: subprocess.Popen[str] | None = None
    try:
        with signals_afterwards():  # a client whose process id is unknown could not be killed
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                process_group=0,  # a group of its own, so that its children can be killed with it
            )
        error_output = _wait(process, command[0], watch)
    finally:
        if process is not None:
            _end(process)
    if process.returncode:
        reason = failure_reason(error_output)
        raise SourceError(f"{command[0]} failed with code {process.returncode}: {reason}")


def _wait(process: subprocess.Popen[str], client: str, watch: Callable[[], None] | None) -> str:
    """Wait for the process to finish and return its standard error."""
    deadline = time.monotonic() + CLIENT_SECONDS
    while True:
        try:
            return process.communicate(timeout=POLL_SECONDS)[1]
        except subprocess.TimeoutExpired as error:
            if time.monotonic() > deadline:
                raise SourceError(f"{client} took more than {CLIENT_SECONDS} s") from error
        if watch:
            watch()


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a client that still runs, with its children, and collect what is left of it."""
    with process:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def failure_reason(error_output: str) -> str:
    """The first error lines of the output, or else its last line, joined into one short line."""
    lines = [line.strip() for line in error_output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("npm error", "E:", "dpkg-deb: error"))]
    chosen = [line.removeprefix("npm error").strip() for line in errors[:3]] or lines[-1:]
    return ", ".join(chosen)[:300] or "it gave no reason"
