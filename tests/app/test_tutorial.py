"""The tutorial on own images, run as it is written, on bags of Fashion-MNIST."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tune_ad
from tune_ad.data import load, locate
from tune_ad.models.folder import ModelFolder
from tune_ad.storage.folder import StudyFolder

PROJECT = Path(tune_ad.__file__).parents[1]
BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
BAG, OTHERS = 8, {"coat": 4, "dress": 3, "sandal": 5}
TRAINED, NORMAL, EACH = 1500, 600, 60


def commands(page: str) -> list[list[str]]:
    """The commands of a page, as words; `python run.py` is that of the project."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.strip().splitlines()]
    return [[sys.executable, str(PROJECT / "run.py"), *shlex.split(line)[2:]] for line in lines]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `photos/`: bags are normal, anomalies are in `test/` alone."""
    if not locate("fmnist"):
        pytest.skip("Fashion-MNIST is not here")
    images = load("fmnist")
    root = tmp_path_factory.mktemp("tutorial")

    def put(folder, pixels, labels, label, count):
        (root / "photos" / folder).mkdir(parents=True)
        for k, image in enumerate(pixels[labels == label][:count, 0].numpy()):
            Image.fromarray(image).save(root / "photos" / folder / f"{k:04d}.png")

    put("train/good", images.train_images, images.train_labels, BAG, TRAINED)
    put("test/good", images.test_images, images.test_labels, BAG, NORMAL)
    for name, label in OTHERS.items():
        put(f"test/{name}", images.test_images, images.test_labels, label, EACH)
    return root


@pytest.mark.slow
def test_the_tutorial_works_as_it_is_written(place):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TUNE_AD_DATA": ""}
    for command in commands("own_images.md"):
        done = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    folder = StudyFolder(place / "results" / "vae_photos")
    stored = folder.read_study()["study"]
    assert stored["selection"] == "pseudo_outliers"
    for record in folder.read_trials() + folder.read_evaluation():
        assert not any(m.part == "validation" and m.is_auroc for m in record.metrics)
    task = ModelFolder(folder.best).task()
    assert task.threshold.images == NORMAL
    assert task.threshold.rate == pytest.approx(6 / 601)
    with (place / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == NORMAL + EACH * len(OTHERS)
    normal = [row for row in rows if row["path"].startswith("good/")]
    assert sum(int(row["alarm"]) for row in normal) == 5  # k - 1 of the calibration images
    assert len(list((place / "heatmaps").rglob("*.png"))) == len(rows)
    scores = np.array([float(row["score"]) for row in normal])
    calibration = ModelFolder(folder.best).calibration(task)
    assert np.sort(scores) == pytest.approx(np.sort(calibration), rel=1e-5)
