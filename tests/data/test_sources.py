"""Where a data set is taken from: the order, the reasons of failure, what is kept."""

import logging
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from filelock import FileLock

from tune_ad.data import (
    DataSet,
    NoSourceError,
    Registry,
    SourceError,
    Torchvision,
    content_digest,
    from_arrays,
    load,
    read_npz,
    write_npz,
)
from tune_ad.data.fetch import registries, sources
from tune_ad.errors import UserError

FILE = "Toy/raw"


class Places:
    """A declared set whose sources are scripted: each is an exception to raise, or arrays."""

    def __init__(self, root: Path, arrays, monkeypatch):
        self.arrays, self.tried = arrays, []
        self.files = self.download = self.npm = SourceError("scripted")
        self.set = DataSet(
            "toy",
            ("a", "b"),
            "toys",
            torchvision=Torchvision((FILE,), self._torchvision),
            registries=(Registry("npm", "toy@1", lambda _: self.arrays),),
            sha256=content_digest(from_arrays("toy", ("a", "b"), arrays, "")),
        )
        self.root = root
        monkeypatch.setattr(sources, "find", lambda _name, _root: self.set)
        monkeypatch.setattr(registries, "fetch", lambda *_: self._answer("npm"))

    def _torchvision(self, root, download):
        assert root == self.root
        return self._answer("download" if download else "files")

    def _answer(self, place):
        self.tried.append(place)
        answer = getattr(self, place)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def put_files(self):
        (self.root / FILE).parent.mkdir()
        (self.root / FILE).write_text("")


@pytest.fixture
def places(tmp_path, toy_arrays, monkeypatch):
    return Places(tmp_path, toy_arrays([3, 3], [2, 2]), monkeypatch)


def kept(root: Path) -> list[str]:
    return sorted(name for name in os.listdir(root) if not name.endswith(".lock"))


def test_the_npz_comes_first(places, caplog):
    write_npz(places.root / "toy.npz", from_arrays("toy", ("a", "b"), places.arrays, "mine"))
    places.put_files()
    with caplog.at_level(logging.INFO):
        assert load("toy", places.root).about == "mine"
    assert places.tried == []
    assert caplog.messages == [f"toy: read from {places.root / 'toy.npz'}"]


def test_a_file_without_training_images_gives_way_to_the_whole_set(places, toy_arrays):
    few = from_arrays("toy", ("a", "b"), toy_arrays([], [1, 1]), "a few to be outsiders")
    write_npz(places.root / "toy.npz", few)
    assert load("toy", places.root).about == "a few to be outsiders"
    places.put_files()
    places.files = places.arrays
    whole = load("toy", places.root)
    assert (whole.about, len(whole.train_images)) == ("toys", 6)
    assert read_npz(places.root / "toy.npz").about == "a few to be outsiders", "not overwritten"


@pytest.mark.parametrize("first", ["files", "download", "npm"])
def test_each_source_is_tried_in_turn_and_the_first_good_one_is_kept(places, caplog, first):
    order = ["files", "download", "npm"]
    places.put_files()
    for place in order[order.index(first) :]:
        setattr(places, place, places.arrays)
    with caplog.at_level(logging.INFO):
        image_set = load("toy", places.root)
    assert places.tried == order[: order.index(first) + 1]
    assert kept(places.root) == ["Toy", "toy.npz"]
    assert image_set.about == "toys"
    assert sum("loaded from" in message for message in caplog.messages) == 1
    again = load("toy", places.root)
    assert torch.equal(again.train_images, image_set.train_images)
    assert again.about == "toys"
    assert len(places.tried) == order.index(first) + 1


def test_absent_torchvision_files_are_not_read(places):
    places.npm = places.arrays
    load("toy", places.root)
    assert places.tried == ["download", "npm"]


def test_when_nothing_works_one_line_tells_every_reason(places):
    places.put_files()
    places.files = ValueError("torn\nfile")
    places.download = URLError("no route")
    places.npm = SourceError("npm is not on the PATH")
    with pytest.raises(NoSourceError) as caught:
        load("toy", places.root)
    message = str(caught.value)
    for words in (
        f"no {places.root / 'toy.npz'}",
        "torchvision's files: ValueError: file",
        "torchvision's download: URLError: <urlopen error no route>",
        "npm (toy@1): npm is not on the PATH",
        "put toy.npz or torchvision's files into",
    ):
        assert words in message
    assert "\n" not in message
    assert kept(places.root) == ["Toy"]


def test_an_unexpected_failure_passes_through(places):
    places.download = ZeroDivisionError("a fault of ours")
    with pytest.raises(ZeroDivisionError):
        load("toy", places.root)
    assert kept(places.root) == []


@pytest.mark.parametrize("place", ["files", "download", "npm"])
def test_wrong_images_are_an_error_with_both_digests(places, toy_arrays, place):
    wrong = toy_arrays([3, 3], [2, 2], seed=1)
    if place == "files":
        places.put_files()
    setattr(places, place, wrong)
    with pytest.raises(UserError, match="failed verification: the SHA-256") as caught:
        load("toy", places.root)
    assert places.set.sha256 in str(caught.value)
    assert content_digest(from_arrays("toy", ("a", "b"), wrong, "")) in str(caught.value)
    assert "toy.npz" not in kept(places.root)


def test_arrays_that_are_no_image_set_are_a_failed_source(places):
    places.download = places.arrays._replace(train_labels=places.arrays.train_labels[:-1])
    places.npm = places.arrays
    load("toy", places.root)
    assert places.tried == ["download", "npm"]


def test_a_download_cannot_hang_and_the_timeout_is_put_back(places, monkeypatch):
    seen = []

    def read(_root, _download):
        seen.append(socket.getdefaulttimeout())
        raise TimeoutError("silent")

    places.set = replace(places.set, torchvision=Torchvision((FILE,), read))
    places.npm = places.arrays
    load("toy", places.root)
    assert seen == [sources.SOCKET_SECONDS]
    assert socket.getdefaulttimeout() is None


def test_a_process_that_waits_for_another_one_says_so(places, monkeypatch):
    lock, lines = FileLock(places.root / ".toy.lock"), []
    lock.acquire()

    def write_line(line):
        lines.append(line)
        if "waiting" in line:
            lock.release()

    monkeypatch.setattr(sources, "write_line", write_line)
    places.npm = places.arrays
    load("toy", places.root)
    waiting, kept_as = lines
    assert waiting == "toy: waiting for another process that is fetching it ..."
    assert str(places.root / "toy.npz") in kept_as
    again = FileLock(places.root / ".toy.lock")
    again.acquire(blocking=False)
    again.release()


def test_torchvisions_download_is_announced_before_it_begins(places, capsys):
    def read(_root, _download):
        lines.extend(capsys.readouterr().err.splitlines())
        return places.arrays

    lines = []
    places.set = replace(places.set, torchvision=Torchvision((FILE,), read))
    load("toy", places.root)
    assert lines == ["downloading toy with torchvision ..."]
    end, _ = capsys.readouterr().err.splitlines()
    assert end.startswith("downloading toy with torchvision: ")


def test_a_folder_that_cannot_be_written_is_a_users_error(places, monkeypatch):
    def full(_path, _image_set):
        raise OSError("no space left")

    monkeypatch.setattr(sources, "write_npz", full)
    places.npm = places.arrays
    with pytest.raises(UserError, match=r"toy\.npz: cannot be written \(OSError: no space left\)"):
        load("toy", places.root)


def test_torchvision_files_in_a_read_only_root_are_read_and_not_kept(places, monkeypatch):
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    places.put_files()
    places.files = places.arrays
    assert load("toy", places.root).about == "toys"
    assert os.listdir(places.root) == ["Toy"]


def test_the_default_root_is_created_when_something_is_kept(places, tmp_path, monkeypatch):
    monkeypatch.delenv("TUNE_AD_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    places.npm, places.root = places.arrays, Path("data")
    load("toy")
    assert kept(tmp_path / "data") == ["toy.npz"]


TWO_AT_ONCE = """
import sys, time
from pathlib import Path
from tune_ad.data import load, sets

folder = Path(sys.argv[1])
sets.__path__.append(str(folder / "sets"))
(folder / f"ready-{sys.argv[2]}").touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.01)
print(int(load("slow", folder / "root").test_images.sum()))
"""
SLOW_SET = """
import time
from pathlib import Path
import numpy as np
from tune_ad.data import Arrays, DataSet, Torchvision

def read(root, download):
    with (root.parent / "fetches").open("a") as file:
        file.write("once\\n")
    time.sleep(0.5)
    images, labels = np.full((2, 4, 4), 7, np.uint8), np.arange(2)
    return Arrays(images, labels, images, labels)

DATA_SET = DataSet("slow", ("a", "b"), torchvision=Torchvision(("absent",), read))
"""


@pytest.mark.slow
def test_two_processes_fetch_once(tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "sets" / "slow.py").write_text(SLOW_SET)
    command = [sys.executable, "-c", TWO_AT_ONCE, str(tmp_path)]
    started = [
        subprocess.Popen([*command, str(k)], stdout=subprocess.PIPE, text=True) for k in range(2)
    ]
    assert [process.communicate(timeout=60)[0] for process in started] == ["224\n", "224\n"]
    assert [process.returncode for process in started] == [0, 0]
    assert (tmp_path / "fetches").read_text() == "once\n"
