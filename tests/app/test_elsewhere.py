"""A user's own search, detector and images in a folder of their own, far from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest

import tune_ad
from tests.conftest import AT_START
from tests.search.test_own_code import DETECTOR, POWER, SEARCH

pytestmark = pytest.mark.figures  # as in use, from beginning to end
CHECKOUT = Path(tune_ad.__file__).parents[1]
LOF = """from optuna.distributions import CategoricalDistribution

from tune_ad.detectors.shallow.estimator import Estimator


class LOF(Estimator("sklearn.neighbors:LocalOutlierFactor")):
    space = {"n_neighbors": CategoricalDistribution([5, 20])}
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a search, two detectors and images of two classes."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    search = SEARCH.replace('"digits", "mnist"', '"digits",').replace(
        "evaluation_seeds=0", "evaluation_seeds=1"
    )
    for name, text in (
        ("mine", search),
        ("my_sphere", DETECTOR),
        ("power_of_distance", POWER),
        ("my_lof", LOF),
    ):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    stream = np.random.default_rng(0)
    labels = np.arange(160) % 2
    images = stream.integers(0, 100, (160, 8, 8), dtype=np.uint8) + (100 * labels)[:, None, None]
    half = {"train": slice(0, 100), "test": slice(100, None)}
    values = {"images": images.astype(np.uint8), "labels": labels}
    arrays = {f"{part}_{name}": values[name][half[part]] for part in half for name in values}
    np.savez(folder / "photos.npz", **arrays)
    return folder


def run(command, folder, path):
    """The lines that a command prints; it must succeed."""
    result = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout.splitlines()


QUICK = ("--budget", "quick", "--device", "cpu", "--backend", "serial")


def trials(folder, study):
    lines = (folder / "results" / study / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_own_search_detector_and_images_in_a_folder_of_their_own(folder):
    """The winner is kept and scores images in another process."""
    tune = (sys.executable, "-m", "tune_ad")
    path = (AT_START, CHECKOUT)
    own = ("--search", "mine.py", "--data", "photos.npz")
    run((*tune, *own, "--detector", "my_lof.py:LOF", *QUICK), folder, path)
    records = trials(folder, "mine_photos_lof")
    assert [record["state"] for record in records] == ["complete"] * 2
    assert sorted(record["params"]["n_neighbors"] for record in records) == [5, 20]
    best = folder / "results" / "mine_photos_lof" / "best"
    score = ("--score", best, "--input", "photos.npz", "--output", "scores.csv", "--classes", "0")
    run((*tune, *score), folder, path)
    assert len((folder / "scores.csv").read_text(encoding="utf-8").splitlines()) > 1


@pytest.mark.slow
def test_the_same_from_a_wheel_with_both_backends(folder, tmp_path):
    source, wheels, home = tmp_path / "source", tmp_path / "wheels", tmp_path / "home"
    for name in ("tune_ad", "analysis", "search_spaces"):
        shutil.copytree(CHECKOUT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    build = ("wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "-w", wheels)
    run((*pip, *build), source, ())
    venv.create(home, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": home, "platbase": home}))
    (site / "of_the_tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    (wheel,) = wheels.glob("*.whl")
    python = home / "bin" / "python"
    run((*pip, "--python", python, "install", "--no-deps", "--no-index", wheel), tmp_path, ())
    where = (python, "-c", "import tune_ad; print(tune_ad.__file__)")
    assert run(where, folder, ()) == [str(site / "tune_ad" / "__init__.py")]
    tune, path = home / "bin" / "tune-ad", (AT_START,)
    assert any(line.startswith("quickstart") for line in run((tune, "--list"), folder, path))
    own = ("--search", "mine.py:mine_digits", "--budget", "quick", "--device", "cpu")
    run((tune, *own, "--results", "serially", "--backend", "serial"), folder, path)
    run((tune, *own, "--concurrent", "2"), folder, path)
    assert [record["state"] for record in trials(folder, "mine_digits")] == ["complete"] * 2
    lof = ("--detector", "my_lof.py:LOF", "--data", "photos.npz", "--concurrent", "2")
    run((tune, *own, *lof), folder, path)
    assert [record["state"] for record in trials(folder, "mine_photos_lof")] == ["complete"] * 2
    run((tune, "--report", "mine_photos_lof", "mine_digits"), folder, path)
