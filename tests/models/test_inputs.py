"""New images are decoded in advance, by threads that end with the iterator."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tune_ad.errors import UserError
from tune_ad.models import inputs
from tune_ad.models.folder import Preprocessing
from tune_ad.models.inputs import Inputs

PREPROCESSING = Preprocessing(8, 8, "grey", "stretch")


@pytest.fixture
def folder(tmp_path):
    """Six images in a folder."""
    root = tmp_path / "photos"
    root.mkdir()
    for k in range(6):
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(root / f"{k}.png")
    return root


@pytest.fixture
def decoded(monkeypatch):
    """The names of the decoded files; the second is not done before the threads are to end."""
    monkeypatch.setattr(inputs, "BATCH", 1)
    names, read, ending = [], inputs.read, threading.Event()

    def noted(file, target):
        names.append(file.name)
        if len(names) == 2:
            assert ending.wait(60)
        return read(file, target)

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            ending.set()
            super().shutdown(wait)

    monkeypatch.setattr(inputs, "read", noted)
    monkeypatch.setattr(inputs, "ThreadPoolExecutor", Pool)
    return names


def test_an_iterator_that_is_closed_decodes_no_further_file(folder, decoded):
    before = set(threading.enumerate())
    batches = iter(Inputs(folder, PREPROCESSING, skip_unreadable=False, workers=1))
    assert next(batches).names == ["0.png"]
    batches.close()
    assert set(decoded) <= {"0.png", "1.png"}
    assert set(threading.enumerate()) == before


def test_a_refused_image_ends_the_decoding(folder, decoded):
    (folder / "0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="0.png is no image of a known format"):
        list(Inputs(folder, PREPROCESSING, skip_unreadable=False, workers=1))
    assert set(decoded) <= {"0.png", "1.png"}
