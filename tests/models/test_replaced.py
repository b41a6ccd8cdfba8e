"""A folder is written whole, or not at all; what a kept model says survives being saved again."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tune_ad.errors import UserError
from tune_ad.models.estimator import AnomalyDetector
from tune_ad.models.folder import ModelFolder
from tune_ad.models.scoring import Judge
from tune_ad.models.writing import replaced


def test_a_folder_takes_the_place_of_an_earlier_one(tmp_path):
    path = tmp_path / "best"
    for content in ("first", "second"):
        with replaced(path) as folder:
            (folder / "file").write_text(content)
        assert (path / "file").read_text() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["best"]


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


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "best").write_text("x")
    with pytest.raises(UserError, match="best is a file"), replaced(tmp_path / "best"):
        pass


def test_a_kept_model_that_is_saved_again_says_the_same(finished, tmp_path):
    task = ModelFolder(finished.folder.best).description.tasks[1]
    loaded = AnomalyDetector.load(finished.folder.best, task.title)
    folder = ModelFolder(loaded.save(tmp_path / "again"))
    before, now = ModelFolder(finished.folder.best), folder
    assert now.description.preprocessing == before.description.preprocessing
    assert now.description.provenance == before.description.provenance
    assert now.description.classes == before.description.classes
    kept = now.task()
    assert (kept.normal, kept.metrics, kept.check) == (task.normal, task.metrics, task.check)
    assert kept.threshold == task.threshold
    pixels = finished.session.suite.pixels[:20]
    one, two = (Judge(f, task.title).ensemble.scores(pixels) for f in (before, now))
    assert two == pytest.approx(one, rel=1e-6)
    assert np.array_equal(now.calibration(kept), before.calibration(task))


@pytest.mark.parametrize("place", [8, 3, 1.2])
def test_a_weight_that_was_changed_is_noticed(finished, tmp_path, place):
    path = Path(shutil.copytree(finished.folder.best, tmp_path / "best"))
    file = path / "seed-1000" / "0-0.safetensors"
    content = bytearray(file.read_bytes())
    content[int(len(content) / place)] ^= 1
    file.unlink()  # it is linked to that of the study
    file.write_bytes(content)
    folder = ModelFolder(path)
    with pytest.raises(UserError, match="0-0: damaged, .* copy the whole folder again"):
        folder.ensemble(folder.description.tasks[0])


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("calibration.npz", "calibration.npz: cannot be read"),
        ("model.json", "model.json is damaged"),
    ],
)
def test_half_a_file_is_refused_in_one_line(finished, tmp_path, file, words):
    import shutil

    path = Path(shutil.copytree(finished.folder.best, tmp_path / "best"))
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=words) as caught:
        folder = ModelFolder(path)
        folder.calibration(folder.description.tasks[0])
    assert "\n" not in str(caught.value)
