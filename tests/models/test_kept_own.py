"""Models of detectors in files of their own are kept, and never cost a result."""

import csv
import shutil

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

import tune_ad
from tune_ad.app.command_line.cli import main
from tune_ad.detectors.shallow.estimator import Estimator
from tune_ad.errors import UserError
from tune_ad.models.estimator import AnomalyDetector
from tune_ad.search.own_detector import find_detector, reference_of

FILE = '''"""The distance from the mean image, held by an object of a class of this file."""

import threading
from dataclasses import dataclass

import torch

from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config, choice


class Mean:
    def __init__(self, images):
        self.image = images.mean(0)

    def distance(self, images):
        return (images - self.image).square().sum((1, 2, 3)).double()


@dataclass(frozen=True)
class NearestConfig(Config):
    lock: bool = choice(False, True)

    @classmethod
    def released_settings(cls, shape):
        return {}


class Nearest(Detector[NearestConfig]):
    Config = NearestConfig

    def finish(self, batches, seed):
        self.mean = Mean(torch.cat(list(batches)))
        if self.config.lock:
            self.mean.lock = threading.Lock()
        return {}

    def score_variants(self, images, noise, score_space):
        return {"score": self.mean.distance(images)}
'''
ESTIMATOR = '''"""An outlier detector in the style of scikit-learn, as a detector."""

import numpy as np

from tune_ad.detectors.shallow.estimator import Estimator


class Centre:
    def __init__(self, power=2.0):
        self.power = power

    def fit(self, X):
        self.centre = X.mean(0)
        return self

    def decision_function(self, X):
        return (np.abs(X - self.centre) ** self.power).sum(1)


Far = Estimator(Centre, sign="larger_is_anomalous")
'''
SMALL = {"backend": "serial", "device": "cpu", "budget": "quick", "progress": False}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "nearest.py"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_an_object_of_an_own_class_is_kept_and_scores(file, tmp_path):
    given = {"classes": ["0"], "evaluation_seeds": 2, "results": tmp_path / "results"}
    result = tune_ad.run("quickstart", detector=f"{file}:Nearest", **given, **SMALL)
    assert result.failed == 0
    assert result.winner is not None and result.winner.auroc.n == 2
    assert result.best is not None
    images = np.random.default_rng(0).integers(0, 255, (5, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "new.npy", images)
    output = tmp_path / "scores.csv"
    command = ["--score", str(result.best), "--input", str(tmp_path / "new.npy")]
    assert main([*command, "--output", str(output)]) == 0
    with output.open(newline="") as rows:
        scores = [float(row["score"]) for row in csv.DictReader(rows)]
    file.write_text(FILE.replace('"score": self', '"score": -self'), encoding="utf-8")
    elsewhere = shutil.copytree(result.best, tmp_path / "elsewhere" / "kept")
    shutil.rmtree(result.best)
    file.unlink()
    loaded = AnomalyDetector.load(elsewhere)
    assert loaded.anomaly_scores(images) == pytest.approx(scores)
    again = AnomalyDetector.load(loaded.save(tmp_path / "again"))
    assert again.anomaly_scores(images) == pytest.approx(scores)
    assert (tmp_path / "again" / "code" / "nearest.py").exists()


def test_an_object_that_cannot_be_stored_costs_no_result(file, tmp_path):
    given = {"classes": ["0"], "evaluation_seeds": 2, "results": tmp_path / "results"}
    settings = {"lock": True}
    result = tune_ad.run(
        "quickstart", detector=f"{file}:Nearest", settings=settings, **given, **SMALL
    )
    assert result.failed == 0 and result.best is None
    assert result.winner is not None and result.winner.auroc.n == 2
    page = (result.folder / "report.md").read_text(encoding="utf-8")
    assert "its models are not kept: mean cannot be stored" in page.replace("\\", "")


def test_an_estimator_of_an_own_class_is_kept_and_fitted_anew(tmp_path):
    file = tmp_path / "centre.py"
    file.write_text(ESTIMATOR, encoding="utf-8")
    X = np.random.default_rng(0).normal(size=(120, 3))
    name = f"{file}:Far"
    first, second = (AnomalyDetector(name, params={"power": 1.0}).fit(X) for _ in range(2))
    for model in (first, second):
        again = AnomalyDetector.load(model.save(tmp_path / "kept"))
        np.testing.assert_array_equal(again.anomaly_scores(X), first.anomaly_scores(X))
        np.testing.assert_array_equal(
            clone(again).fit(X).anomaly_scores(X), again.anomaly_scores(X)
        )
    assert f"{file}:Centre" in reference_of(find_detector(name))


def test_preprocessing_that_is_stored_only_as_fitted_is_never_dropped(tmp_path):
    X = np.random.default_rng(0).normal(size=(120, 3)) * [1, 10, 100]
    detector = Estimator(
        "sklearn.svm:OneClassSVM", preprocessing=[StandardScaler(with_mean=False)]
    )
    fitted = AnomalyDetector(detector).fit(X)
    loaded = AnomalyDetector.load(fitted.save(tmp_path / "kept"))
    loaded = AnomalyDetector.load(loaded.save(tmp_path / "again"))
    np.testing.assert_allclose(loaded.anomaly_scores(X), fitted.anomaly_scores(X))
    remedy = r"preprocessing=\[StandardScaler\(with_mean=False\)\]\) as detector"
    with pytest.raises(ValueError, match=f"OneClassSVM of a kept model.*{remedy}") as caught:
        clone(loaded).fit(X)
    assert "\n" not in str(caught.value)
    kept = loaded.model_.recipe.detector
    with pytest.raises(ValueError, match=remedy):
        AnomalyDetector(kept).fit(X)
    with pytest.raises(UserError, match=remedy):
        find_detector(reference_of(kept))
    anew = clone(loaded).set_params(detector=detector).fit(X)
    np.testing.assert_allclose(anew.anomaly_scores(X), fitted.anomaly_scores(X))


def test_the_file_is_kept_as_it_was_when_the_model_was_trained(file, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (120, 8, 8), dtype=np.uint8)
    first = AnomalyDetector(f"{file}:Nearest").fit(images)
    file.write_text(FILE.replace('"score": self', '"score": -self'), encoding="utf-8")
    second = AnomalyDetector(f"{file}:Nearest").fit(images)
    scores = second.anomaly_scores(images)
    assert not np.allclose(scores, first.anomaly_scores(images))
    for name, model in (("first", first), ("second", second)):
        loaded = AnomalyDetector.load(model.save(tmp_path / name))
        np.testing.assert_allclose(loaded.anomaly_scores(images), model.anomaly_scores(images))
