"""What TensorBoard shows of the winner's models: images, codes and their images."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.tensorboard.served import Served
from tune_ad.app.winner_board import RUN, show_winner
from tune_ad.storage import examples
from tune_ad.storage.folder import StudyFolder


@pytest.fixture
def copied(finished, tmp_path):
    """The session of a copy of the finished study."""
    shutil.copytree(finished.folder.path, tmp_path / "tiny")
    return replace(finished.session, folder=StudyFolder(tmp_path / "tiny"))


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tensorboard_shows_the_images_and_the_codes_of_the_winner(finished):
    served = Served(finished.folder.tensorboard)
    _, tasks = examples.read(finished.folder.examples)
    tags = served.ask("images", "tags")[RUN]
    assert set(tags) == {f"examples/{name}" for name in examples.ROWS}
    ((_, about),) = [
        (t["step"], t["text"]) for t in served.ask("text", "text", run=RUN, tag="about")
    ]
    assert "digits/0; digits/1" in about
    config = served.ask("projector", "info", run=RUN)
    assert [entry["tensorName"] for entry in config["embeddings"]] == ["digits/0", "digits/1"]
    for entry, task in zip(config["embeddings"], tasks, strict=True):
        name, codes = entry["tensorName"], task.codes
        content = served.ask("projector", "tensor", run=RUN, name=name)
        values = np.frombuffer(content, dtype=np.float32).reshape(codes.values.shape)
        assert np.allclose(values, codes.values, rtol=1e-4, atol=1e-6)
        head, *rows = served.ask("projector", "metadata", run=RUN, name=name).decode().splitlines()
        assert head == "class\tkind"
        assert rows == [
            f"{label}\t{'anomaly' if is_anomaly else 'normal'}"
            for label, is_anomaly in zip(codes.classes, codes.is_anomaly, strict=True)
        ]
        sheet = Image.open(io.BytesIO(served.ask("projector", "sprite_image", run=RUN, name=name)))
        width, height = entry["sprite"]["singleImageDim"]
        pixels, columns = np.asarray(sheet), sheet.size[0] // width
        for k in (0, columns, len(codes.images) - 1):
            y, x = k // columns * height, k % columns * width
            assert np.array_equal(pixels[y : y + height, x : x + width], codes.images[k])


def test_the_same_again_writes_nothing_and_other_examples_replace_them(copied):
    run = copied.folder.tensorboard / RUN
    before = files(run)
    show_winner(copied)
    assert files(run) == before
    identity, tasks = examples.read(copied.folder.examples)
    first = replace(tasks[0], codes=replace(tasks[0].codes, values=None, images=None))
    copied.folder.examples.write_bytes(examples.to_bytes([first], identity))
    show_winner(copied)
    assert not (run / "projector_config.pbtxt").exists(), "those were the codes of other models"
    assert len(list(run.iterdir())) == 1


def test_a_study_without_examples_has_no_such_run(copied):
    shutil.rmtree(copied.folder.tensorboard / RUN)
    copied.folder.examples.unlink()
    show_winner(copied)
    assert not (copied.folder.tensorboard / RUN).exists()


def test_a_damaged_file_is_said(copied):
    said = []
    copied.folder.examples.write_bytes(b"damaged")
    show_winner(replace(copied, say=said.append))
    (line,) = said
    assert "examples.npz" in line and "remove it" in line
