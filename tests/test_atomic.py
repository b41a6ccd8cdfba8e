"""Files and folders are written whole or not at all, wherever a signal interrupts the writing."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.summary_pb2 import Summary

from tests.interrupting import wherever
from tune_ad.atomic import replaced, temporary_folder, write_atomically
from tune_ad.errors import UserError
from tune_ad.execution.ray import own_folder as own
from tune_ad.tensorboard.event_files import write_file
from tune_ad.tensorboard.projector import Embedding, write_embeddings

pytestmark = [
    # what a block has opened before an interruption, Python closes
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def default_handler():
    """Ctrl-C raises KeyboardInterrupt, as in a program; restored afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_file_is_the_earlier_or_the_new_one_wherever_it_is_interrupted(tmp_path):
    path, seen = tmp_path / "file.json", set()

    def check():
        assert os.listdir(tmp_path) == ["file.json"]
        seen.add(path.read_text())

    wherever(lambda: path.write_text("old"), lambda: write_atomically(path, "new"), check)
    assert seen == {"old", "new"}


def test_a_new_file_is_there_or_not_wherever_it_is_interrupted(tmp_path):
    path, seen = tmp_path / "file.json", set()

    def check():
        assert set(os.listdir(tmp_path)) <= {"file.json"}
        seen.add(path.exists() and path.read_text())

    wherever(lambda: path.unlink(missing_ok=True), lambda: write_atomically(path, "new"), check)
    assert seen == {False, "new"}


def test_a_folder_is_the_earlier_or_the_new_one_wherever_it_is_interrupted(tmp_path):
    path, seen = tmp_path / "best", set()

    def prepare():
        with replaced(path) as folder:
            (folder / "file").write_text("old")

    def write():
        with replaced(path) as folder:
            (folder / "file").write_text("new")

    def check():
        assert os.listdir(tmp_path) == ["best"]
        seen.add((path / "file").read_text())

    wherever(prepare, write, check)
    assert seen == {"old", "new"}


def test_a_temporary_folder_goes_wherever_it_is_interrupted(tmp_path):
    def write():
        with temporary_folder(tmp_path, ".pictures-") as folder:
            (folder / "file").write_text("new")

    wherever(lambda: None, write, lambda: empty(tmp_path))


def empty(folder):
    assert os.listdir(folder) == []


def test_the_folder_for_ray_goes_wherever_it_is_interrupted(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(own, "LONGEST_SOCKET", 1000)
    monkeypatch.setattr(own, "_end_processes", lambda path: None)

    def write():
        with own.own_folder():
            pass

    wherever(lambda: None, write, lambda: empty(tmp_path))
    wherever(lambda: None, own.check_place, lambda: empty(tmp_path))


def test_codes_of_images_leave_nothing_unfinished_wherever_they_are_interrupted(tmp_path):
    pixels = np.zeros((2, 4, 4), np.uint8)
    codes = Embedding("codes", np.eye(2), pixels, {"label": ("1", "2")})

    def check():
        assert not list(tmp_path.rglob("unfinished-*"))

    for write in (
        lambda: write_embeddings(tmp_path, [codes]),
        lambda: write_file(tmp_path / "events.out.tfevents.1", Summary()),
    ):
        wherever(lambda: None, write, check)


def test_an_error_leaves_the_earlier_folder(tmp_path, monkeypatch):
    path = tmp_path / "best"
    path.mkdir()
    (path / "file").write_text("first")
    with pytest.raises(ZeroDivisionError), replaced(path) as folder:
        (folder / "file").write_text("half")
        raise ZeroDivisionError
    rename = Path.rename

    def fails(self, target):
        if self.name.endswith(".new"):
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="no"), replaced(path):
        pass
    assert (path / "file").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["best"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "best").write_text("x")
    with pytest.raises(UserError, match="best is a file"), replaced(tmp_path / "best"):
        pass


def test_a_device_is_never_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="a device or a pipe is there, and no file"):
        write_atomically(pipe, "text")
    assert pipe.is_fifo() and [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch, step):
    path = tmp_path / "file.json"
    write_atomically(path, "old")

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_a_whole_write_replaces_the_file(tmp_path):
    path = tmp_path / "deep" / "er" / "file.json"
    for text in ("old", "né\n"):
        write_atomically(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert os.listdir(path.parent) == ["file.json"]
