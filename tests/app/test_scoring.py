"""Scoring of new images: what is left behind if the file of scores cannot be written."""

import errno
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tune_ad.app import scoring
from tune_ad.app.scoring import Order, score
from tune_ad.errors import MachineError
from tune_ad.models.folder import Preprocessing


class Folder:
    """A kept model that takes small grey images."""

    def __init__(self, path):
        self.description = SimpleNamespace(preprocessing=Preprocessing(8, 8, "grey", "stretch"))

    def require_pixels(self):
        pass


class Judge:
    """Passes batches on."""

    def __init__(self, *arguments):
        self.task = SimpleNamespace(members=(1,), normal="good")

    def judged(self, batches):
        return (SimpleNamespace(batch=batch) for batch in batches)


def test_no_thread_decodes_once_the_disk_is_full(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for k in range(6):
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(tmp_path / "photos" / f"{k}.png")
    monkeypatch.setattr("tune_ad.models.inputs.BATCH", 1)
    monkeypatch.setattr(scoring, "ModelFolder", Folder)
    monkeypatch.setattr(scoring, "Judge", Judge)

    def full(path, judge, results):
        next(results)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(scoring, "write_scores", full)
    before = set(threading.enumerate())
    order = Order(tmp_path, tmp_path / "photos", tmp_path / "scores.csv")
    with pytest.raises(MachineError, match="scores.csv: cannot be written") as caught:
        score(order, lambda line: None)
    assert set(threading.enumerate()) == before
    assert caught.tb, "it would otherwise have been freed, and with it the threads"
