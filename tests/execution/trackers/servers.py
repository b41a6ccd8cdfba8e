"""Servers of other programs, on this machine and for one test."""

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

LONGEST = 120.0  # seconds in which a server answers, on a busy machine
POLL = 0.2


@contextmanager
def serving(command, path="/", **variables):
    """Context manager: a server, which has ended afterwards with all its processes.

    Args:
        command: the program of this environment and its arguments, without the port at the end.
        path: what is asked for until the server answers.
        variables: environment variables.
    """
    port, folder = free_port(), Path(sys.executable).parent
    search = f"{folder}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [str(folder / command[0]), *command[1:], str(port)],
        env={**os.environ, "PATH": search, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    url, began = f"http://127.0.0.1:{port}", time.monotonic()
    try:
        while not _answers(f"{url}{path}"):
            if process.poll() is not None or time.monotonic() - began > LONGEST:
                process.kill()
                raise AssertionError(f"{command[0]} does not serve: {process.communicate()[0]}")
            time.sleep(POLL)
        yield url
    finally:
        _end(process)


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def _end(process):
    """End a server and the processes that it has started, which are a session of their own."""
    if process.poll() is None:
        os.killpg(process.pid, 15)
    process.communicate(timeout=120)
