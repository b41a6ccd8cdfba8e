"""Progress of downloads: a moving bar on a terminal, two lines elsewhere, no thread left."""

import io
import sys
import tarfile
import threading
from contextlib import redirect_stderr

import pytest
from tqdm import tqdm

from tune_ad.data import Registry
from tune_ad.data.fetch import clients, registries
from tune_ad.data.fetch.progress import bytes_of, progress, showing_activity, tracked


class Terminal(io.StringIO):
    """Standard error as a terminal has it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_thread_is_left():
    threads = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == threads


def test_elsewhere_there_is_a_line_at_the_start_and_at_the_end(capsys):
    with progress("downloading toys") as show:
        assert capsys.readouterr().err == "downloading toys ...\n"
        show(1_000_000)
        show(2_340_000)
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err.startswith("downloading toys: 2.3 MB in ")


def test_a_terminal_shows_the_first_sign_at_once_and_then_every_count():
    with redirect_stderr(Terminal()) as terminal:
        with progress("downloading toys") as show:
            assert "downloading toys: 0.00B" in terminal.getvalue()
            show(1_500_000)
            assert "1.50MB" in terminal.getvalue()
            show(2_000_000)
        assert "2.00MB" in terminal.getvalue()
        assert terminal.getvalue().endswith("\n")


def test_a_failure_closes_the_bar_and_promises_no_end(capsys):
    with redirect_stderr(Terminal()) as terminal:
        with pytest.raises(KeyboardInterrupt), progress("downloading toys") as show:
            show(10)
            raise KeyboardInterrupt
        assert terminal.getvalue().endswith("\n")
    with pytest.raises(OSError, match="gone"), progress("downloading toys"):
        raise OSError("gone")
    assert capsys.readouterr().err == "downloading toys ...\n"


def test_items_are_counted_as_they_are_dealt_with(capsys):
    with redirect_stderr(Terminal()) as terminal:
        assert list(tracked(["a", "b"], "decoding toys", "files")) == ["a", "b"]
    assert "0/2" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()
    assert list(tracked(["a", "b"], "decoding toys", "files")) == ["a", "b"]
    start, end = capsys.readouterr().err.splitlines()
    assert start == "decoding toys ..."
    assert end.startswith("decoding toys: 2 files in ")


def draw_bar():
    with tqdm(total=3) as bar:
        bar.update(3)


def test_bars_of_another_library_are_left_on_a_terminal_and_hidden_elsewhere(capsys):
    with redirect_stderr(Terminal()) as terminal, showing_activity("downloading toys"):
        draw_bar()
    assert "3/3" in terminal.getvalue()
    with showing_activity("downloading toys"):
        draw_bar()
    start, end = capsys.readouterr().err.splitlines()
    assert start == "downloading toys ..."
    assert end.startswith("downloading toys: ")
    assert tqdm.monitor_interval > 0, "it is as it was"


def test_a_failure_puts_back_what_was_changed(capsys):
    before = sys.stderr, tqdm.monitor_interval
    with pytest.raises(ValueError, match="torn"), showing_activity("downloading toys"):
        raise ValueError("torn")
    assert (sys.stderr, tqdm.monitor_interval) == before
    assert capsys.readouterr().err == "downloading toys ...\n"


def test_the_size_of_what_is_there(tmp_path):
    assert bytes_of(tmp_path / "absent") == bytes_of(tmp_path) == 0
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(bytes(70))
    (tmp_path / "file").write_bytes(bytes(30))
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    assert bytes_of(tmp_path / "file") == 30
    assert bytes_of(tmp_path) == 100


def test_a_download_moves_with_the_bytes_that_arrive(tmp_path, client, monkeypatch):
    """The client goes on only when its first bytes have been shown."""
    monkeypatch.setattr(clients, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(clients, "CLIENT_SECONDS", 60)
    client(
        "npm",
        f"printf 12345 > x.tgz\nwhile ! [ -e {tmp_path}/go ]; do /bin/sleep 0.01; done\n"
        "printf 1234567 > x.tgz",
    )
    (tmp_path / "workplace").mkdir()

    def arrived_bytes(folder):
        if "toy@1 with npm: 5.00B" in terminal.getvalue():
            (tmp_path / "go").touch()
        return bytes_of(folder)

    monkeypatch.setattr(registries, "arrived_bytes", arrived_bytes)
    with redirect_stderr(Terminal()) as terminal, pytest.raises(tarfile.ReadError):
        registries.fetch(Registry("npm", "toy@1", lambda _: None), tmp_path / "workplace")
    assert "downloading toy@1 with npm: 7.00B" in terminal.getvalue()
