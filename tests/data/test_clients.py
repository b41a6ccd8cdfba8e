"""A package client never outlives the call that started it, and its bytes are watched."""

import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tune_ad.data import Registry, SourceError
from tune_ad.data.fetch import clients, registries
from tune_ad.data.fetch.clients import run_client
from tune_ad.signals import SIGNALS, terminations

WAITING = """
echo $$ > {folder}/client
/bin/sleep 60 &
echo $! > {folder}/child
echo ready > {folder}/ready
wait
"""
INTERRUPTED = """
import sys
from pathlib import Path
from tune_ad.data import Registry
from tune_ad.data.fetch import registries

registries.fetch(Registry("npm", "toy@1", lambda _: None), Path(sys.argv[1]))
"""


def is_running(process_id: int) -> bool:
    """Whether a process exists and is more than an entry that its parent has not collected."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within a minute")


def process_ids(folder: Path) -> list[int]:
    return [int((folder / name).read_text()) for name in ("client", "child")]


def test_a_client_that_takes_too_long_is_stopped(tmp_path, client, monkeypatch):
    monkeypatch.setattr(clients, "CLIENT_SECONDS", 0.1)
    client("npm", "exec /bin/sleep 30")
    with pytest.raises(SourceError, match=r"npm took more than 0\.1 s"):
        registries.fetch(Registry("npm", "toy@1", lambda _: None), tmp_path)


@pytest.mark.parametrize("crash", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_while_it_is_watched_kills_the_client_and_its_children(
    tmp_path, client, crash, monkeypatch
):
    monkeypatch.setattr(clients, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(clients, "CLIENT_SECONDS", 60)
    client("npm", WAITING.format(folder=tmp_path))

    def watch():
        if (tmp_path / "ready").exists():
            raise crash

    with pytest.raises(crash):
        run_client(["npm"], tmp_path, watch)
    for process_id in process_ids(tmp_path):
        wait_for(lambda process_id=process_id: not is_running(process_id))


def test_ctrl_c_kills_the_client_and_its_children(tmp_path, client):
    client("npm", WAITING.format(folder=tmp_path))
    (tmp_path / "workplace").mkdir()
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "workplace")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # also in the background
    )
    wait_for((tmp_path / "ready").exists)
    process.send_signal(signal.SIGINT)
    _, error_output = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in error_output
    assert process.returncode not in (0, None)
    for process_id in process_ids(tmp_path):
        wait_for(lambda process_id=process_id: not is_running(process_id))


@pytest.mark.parametrize("number", [signal.SIGINT, *SIGNALS])
def test_a_signal_while_the_client_starts_kills_it_and_leaves_signals_as_they_were(
    tmp_path, client, number, monkeypatch, request
):
    client("npm", "exec /bin/sleep 60")
    started, start = [], subprocess.Popen

    def interrupted(*arguments, **settings):
        started.append(start(*arguments, **settings))
        signal.raise_signal(number)
        return started[-1]

    numbers = (signal.SIGINT, *SIGNALS)
    for each in numbers:  # a job in the background ignores some of them
        default = signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL
        request.addfinalizer(partial(signal.signal, each, signal.signal(each, default)))
    with terminations() as received:
        monkeypatch.setattr(clients.subprocess, "Popen", interrupted)
        handlers = [signal.getsignal(n) for n in numbers]
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        with pytest.raises(KeyboardInterrupt):
            run_client(["npm"], tmp_path)
        monkeypatch.undo()
        assert [signal.getsignal(n) for n in numbers] == handlers
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked
    assert started[0].returncode == -signal.SIGKILL
    assert received == ([] if number == signal.SIGINT else [number])


def test_a_client_is_watched_until_its_end_and_no_thread_is_left(tmp_path, client, monkeypatch):
    monkeypatch.setattr(clients, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(clients, "CLIENT_SECONDS", 60)
    client("npm", "while ! [ -e go ]; do /bin/sleep 0.01; done\necho done > end")
    watched = []

    def watch():
        watched.append(len(watched))
        if len(watched) == 3:
            (tmp_path / "go").touch()

    threads = threading.active_count()
    run_client(["npm"], tmp_path, watch)
    assert len(watched) >= 3
    assert (tmp_path / "end").exists()
    assert threading.active_count() == threads


def test_a_client_that_writes_much_does_not_hang(tmp_path, client):
    client(
        "npm",
        'k=0; while [ $k -lt 5000 ]; do echo "npm warn $k, a long line" >&2; k=$((k+1));'
        " done; echo 'npm error at last' >&2; exit 4",
    )
    with pytest.raises(SourceError, match="npm failed with code 4: at last"):
        run_client(["npm"], tmp_path)


def test_a_client_reads_no_input_and_speaks_plain_english(tmp_path, client):
    client("npm", 'read line && exit 5; echo "$LC_ALL" > language')
    run_client(["npm"], tmp_path)
    assert (tmp_path / "language").read_text() == "C\n"
