"""A Ray of our own: its folder, its sockets, its token, and that nothing of it stays."""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tune_ad.errors import MachineError
from tune_ad.execution.ray.connection import connection
from tune_ad.execution.ray.own_folder import LOCK, check_place, own_folder, remove_left_folders

DRIVER = """
import os, sys, time
import ray
from tune_ad.execution.ray.connection import connection
with connection("local", 1):
    @ray.remote
    def work():
        return os.environ["RAY_AUTH_TOKEN"]
    assert len(ray.get(work.remote())) == 64
    print(os.getpid(), flush=True)
    sys.stdin.readline()
"""
HANDLERS = """
import os, signal, sys
from tune_ad.execution.ray.connection import connection
from tune_ad.signals import terminations
with terminations() as received:
    with connection("local", 1):
        pass
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        sys.exit(7 if received == [signal.SIGTERM] else 1)
"""
REMOVAL = "from tune_ad.execution.ray import own_folder; own_folder.remove_left_folders()"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A short folder for temporary files of this test."""
    short = tmp_path.parent / "p"
    short.mkdir(exist_ok=True)
    monkeypatch.setattr("tune_ad.execution.ray.own_folder.place", lambda: short)
    monkeypatch.setattr("tune_ad.execution.ray.own_folder.LONGEST_SOCKET", 10_000)
    return short


def test_the_folder_is_private_and_removed(place):
    with own_folder() as path:
        assert path.parent.parent == place
        assert path.parent.stat().st_mode & 0o077 == 0
        (path / "session").mkdir()
    assert list(place.iterdir()) == []


def test_whatever_ray_raises_while_it_starts_is_one_line(place, monkeypatch):
    def fails(**options):
        raise Exception("The current node timed out during startup.\nLook at the logs.")

    monkeypatch.setattr("ray.init", fails)
    reason = r"does not start on this machine \(The current node timed out during startup\.\);"
    with pytest.raises(MachineError, match=reason), connection("local", 1):
        pass
    assert list(place.iterdir()) == []


def test_two_folders_of_one_process_do_not_meet(place):
    with own_folder() as first, own_folder() as second:
        assert first != second
        assert first.is_dir()


def test_the_folder_of_a_process_that_was_killed_is_removed_by_the_next(place):
    left = place / "tune_ad-left"
    left.mkdir()
    (left / LOCK).touch()
    process = subprocess.Popen([sys.executable, "-c", "input()", f"{left}/x"], stdin=-1)
    others = place / "tune_ad-others"
    others.mkdir()
    with (others / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process.stdin.close()
        process.wait()
        remove_left_folders()
    assert not left.exists()
    assert others.exists()


def test_a_folder_too_long_for_sockets_is_refused(place, monkeypatch):
    check_place()
    monkeypatch.setattr("tune_ad.execution.ray.own_folder.LONGEST_SOCKET", 70)
    with pytest.raises(MachineError, match="RAY_TMPDIR"), own_folder():
        pytest.fail("created")
    with pytest.raises(MachineError, match="too long for the sockets of Ray; set RAY_TMPDIR"):
        check_place()
    assert list(place.iterdir()) == []


def test_a_place_in_which_ray_cannot_start_is_refused_before_a_study_is_written(
    place, monkeypatch, tiny, open_study, tmp_path
):
    session = open_study(tiny, tmp_path / "results", backend="ray", concurrent=1)
    monkeypatch.setattr("tune_ad.execution.ray.own_folder.LONGEST_SOCKET", 70)
    with pytest.raises(MachineError, match="too long for the sockets of Ray"):
        session.run()
    assert not (tmp_path / "results").exists()


def test_a_folder_that_cannot_be_written_is_refused(place, monkeypatch):
    monkeypatch.setattr("tune_ad.execution.ray.own_folder.place", lambda: place / "lacking")
    with pytest.raises(MachineError, match="RAY_TMPDIR"), own_folder():
        pytest.fail("created")


def family(process):
    """A process and all that it has started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    members = {process}
    while more := {one for one, parent in parents.items() if parent in members} - members:
        members |= more
    return members


def listening(process):
    """The addresses at which a process and all that it has started listen."""
    sockets, addresses = set(), set()
    for member in family(process):
        names = []
        with suppress(OSError):  # it has ended
            names = os.listdir(f"/proc/{member}/fd")
        for name in names:
            with suppress(OSError):
                sockets.add(os.readlink(f"/proc/{member}/fd/{name}"))
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *fields = line.split()
            if state == "0A" and f"socket:[{fields[5]}]" in sockets:
                addresses.add(local.partition(":")[0])
    return addresses


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("end", ["in good order", "killed"])
def test_ray_listens_on_this_machine_alone_and_leaves_nothing(end):
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as short:
        environment = {**os.environ, "RAY_TMPDIR": short, "HOME": "/nonexistent"}
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            environment.pop(name, None)
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER], env=environment, stdin=-1, stdout=-1, text=True
        )
        assert int(driver.stdout.readline()) == driver.pid
        assert [folder.stat().st_mode & 0o077 for folder in Path(short).iterdir()] == [0]
        addresses = listening(driver.pid)
        assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}
        assert addresses
        if end == "killed":
            driver.kill()
            driver.communicate()
            subprocess.run([sys.executable, "-c", REMOVAL], env=environment, check=True)
        else:
            driver.communicate("\n")
            assert driver.returncode == 0
        assert os.listdir(short) == []
        time.sleep(0.5)  # nothing writes there again
        assert os.listdir(short) == []


@pytest.mark.slow
def test_signals_are_heard_after_the_end_of_ray():
    assert subprocess.run([sys.executable, "-c", HANDLERS]).returncode == 7
