"""Estimators of scikit-learn and in PyOD's style are detectors."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, IntDistribution
from ray import cloudpickle
from sklearn.cluster import KMeans
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.svm import OneClassSVM

from tests.detectors.cases import GREY, pixels, replica_set_of
from tune_ad.detectors import every_detector
from tune_ad.detectors.shallow.estimator import Estimator, EstimatorDetector
from tune_ad.detectors.shallow.isolation_forest import IsolationForest as OwnForest
from tune_ad.errors import DegenerateInputError, UserError
from tune_ad.models.member import Member, detector_of
from tune_ad.search import Baseline, Budget, Grid, Search
from tune_ad.search.own_detector import reference_of
from tune_ad.training.replicas.kept import KeptState

LOF = Estimator("sklearn.neighbors:LocalOutlierFactor")
TRAINING, OTHERS = pixels(GREY, 60) / 255, pixels(GREY, 30, seed=6) / 255


def fitted(detector, training=TRAINING, seed=3, **settings):
    module = detector(detector.Config.released(GREY, **settings), GREY)
    assert module.finish(iter(training.split(13)), seed) == {}
    return module


def scores(module, images=OTHERS):
    return module.score(images, {}).numpy()


def flat(images):
    return images.reshape(len(images), -1).double().numpy()


class BaseDetector:
    """As PyOD's base class, by its name and its module."""


BaseDetector.__module__ = "pyod.models.base"


class Far(BaseDetector):
    """Distance from the mean, in PyOD's conventions: larger = more anomalous."""

    def __init__(self, contamination=0.1, power=2.0, batch_size=32, epochs=5, weights=(1, 2)):
        self.contamination, self.power, self.weights = contamination, power, weights
        self.batch_size, self.epochs = batch_size, epochs

    def fit(self, X, y=None):
        if not 0 < self.contamination <= 0.5:
            raise ValueError(f"contamination must be in (0, 0.5], got {self.contamination}\nmore")
        self.mean_ = X.mean(0)
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X):
        return (np.abs(X - self.mean_) ** self.power).sum(1).astype(np.float32)


class Ranked(Far):
    """Ranks images among those that are scored together, as PyOD's ECOD does."""

    def decision_function(self, X):
        return super().decision_function(X).argsort().argsort()


class Unsigned:
    """An estimator of neither convention."""

    def fit(self, X, y=None):
        return self

    def decision_function(self, X):
        return X.sum(1)


class Demanding(Unsigned):
    def __init__(self, depth):
        self.depth = depth


# -------------------------------------------------------------------------------- the scores


@pytest.mark.parametrize("n_neighbors", [20, 5])
def test_lof_is_scikit_learns_for_new_images(n_neighbors):
    module = fitted(LOF, n_neighbors=n_neighbors, components=1.0)
    theirs = LocalOutlierFactor(n_neighbors=n_neighbors, novelty=True).fit(flat(TRAINING))
    np.testing.assert_array_equal(scores(module), -theirs.score_samples(flat(OTHERS)))


def test_a_forest_has_the_scores_of_the_forest_of_this_project():
    forest = Estimator("sklearn.ensemble:IsolationForest")
    for seed, components in ((3, 1.0), (4, 0.8)):
        ours = fitted(OwnForest, seed=seed, trees=30, samples=16, components=components)
        settings = {"n_estimators": 30, "max_samples": 16, "components": components}
        theirs = fitted(forest, seed=seed, **settings)
        np.testing.assert_array_equal(scores(theirs), scores(ours))


def test_pyods_scores_are_kept():
    module = fitted(Estimator(Far, "pixels"), power=1.0)
    expected = Far(power=1.0).fit(flat(TRAINING)).decision_function(flat(OTHERS))
    np.testing.assert_array_equal(scores(module), expected.astype(np.float64))


@pytest.mark.parametrize(
    "target",
    [
        LocalOutlierFactor,
        IsolationForest,
        OneClassSVM,
        EllipticEnvelope,
        Far,
        "sklearn.ensemble:IsolationForest",
    ],
)
@pytest.mark.filterwarnings("ignore:The covariance matrix")
def test_an_image_unlike_the_training_images_has_the_larger_score(target):
    module = fitted(Estimator(target), components=0.5)
    unlike = torch.ones(2, *GREY) * 7
    assert scores(module, unlike).min() > np.median(scores(module))


def test_a_stated_sign_is_taken():
    one = fitted(Estimator(GaussianMixture, "pixels", "larger_is_normal"), n_components=2)
    other = fitted(Estimator(GaussianMixture, "pixels", "larger_is_anomalous"), n_components=2)
    np.testing.assert_array_equal(scores(one), -scores(other))
    np.testing.assert_array_equal(
        scores(fitted(Estimator(Unsigned, "pixels", "larger_is_anomalous"))), flat(OTHERS).sum(1)
    )


def test_real_pyod_detectors_are_kept_as_they_are():
    hbos = pytest.importorskip("pyod.models.hbos").HBOS
    module = fitted(Estimator("pyod.models.hbos:HBOS", "pixels"), n_bins=5)
    theirs = hbos(n_bins=5).fit(flat(TRAINING))
    np.testing.assert_allclose(scores(module), theirs.decision_function(flat(OTHERS)))


def test_preprocessing_is_fitted_to_the_training_images():
    steps = [StandardScaler(), PCA(3)]
    module = fitted(Estimator(OneClassSVM, "pixels", preprocessing=steps), nu=0.2)
    theirs = make_pipeline(StandardScaler(), PCA(3, random_state=3), OneClassSVM(nu=0.2))
    theirs.fit(flat(TRAINING))
    np.testing.assert_array_equal(scores(module), -theirs.score_samples(flat(OTHERS)))
    pipeline = fitted(
        Estimator(OneClassSVM, "pixels", preprocessing=make_pipeline(*steps)), nu=0.2
    )
    np.testing.assert_array_equal(scores(pipeline), scores(module))


def test_random_preprocessing_depends_on_the_seed_alone():
    detector = Estimator(
        OneClassSVM, "pixels", preprocessing=PCA(3, svd_solver="randomized", iterated_power=0)
    )
    ones = [scores(fitted(detector, seed=seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(ones[0], ones[1])
    assert not np.array_equal(ones[0], ones[2])


# ------------------------------------------------------------------------------ the contract


@pytest.mark.parametrize("detector", [LOF, Estimator(Far), Estimator(IsolationForest)])
def test_scores_depend_on_neither_batch_order_nor_batch_size(detector):
    module = fitted(detector)
    whole = scores(module)
    assert whole.dtype == np.float64
    assert whole.shape == (len(OTHERS),)
    assert np.isfinite(whole).all()
    parts = np.concatenate([scores(module, part) for part in OTHERS.flip(0).split(7)])[::-1]
    np.testing.assert_allclose(parts, whole, rtol=1e-12)
    np.testing.assert_array_equal(scores(fitted(detector)), whole)


def test_a_score_that_depends_on_the_other_images_is_warned_about():
    assert fitted(LOF).warnings({}) == []
    (warning,) = fitted(Estimator(Ranked)).warnings({})
    assert "depends on the images that are scored with it" in warning


def test_a_replica_of_it_is_fitted_stored_and_fitted_again():
    replica_set = replica_set_of(LOF, LOF.Config.released(GREY), GREY)
    replica_set.prepare_scoring()
    before = replica_set.score(0, torch.arange(8))["score"]
    other = replica_set_of(LOF, LOF.Config.released(GREY), GREY)
    other.load_state_dict(replica_set.state_dict())
    other.prepare_scoring()
    assert torch.equal(other.score(0, torch.arange(8))["score"], before)


def test_a_kept_model_has_its_preprocessing():
    detector = Estimator(OneClassSVM, "pixels", preprocessing=StandardScaler())
    replica_set = replica_set_of(detector, detector.Config.released(GREY, nu=0.2), GREY)
    replica_set.prepare_scoring()
    (replica,) = replica_set.replicas
    state = KeptState.from_files(KeptState.of(replica).to_files(), "model")
    again = detector_of(reference_of(detector))
    member = Member(again, again.Config(**asdict(replica.module.config)), GREY, state, "model")
    kept = member.scores(pixels(GREY)[:8])
    np.testing.assert_allclose(kept, replica_set.score(0, torch.arange(8))["score"], rtol=1e-6)


def test_its_parameters_are_those_of_the_constructor():
    assert asdict(LOF.Config.released(GREY)) == {
        "scaling": "gcn",
        "components": 0.95,
        "n_neighbors": 20,
        "algorithm": "auto",
        "leaf_size": 30,
        "metric": "minkowski",
        "p": 2,
        "metric_params": None,
        "contamination": "auto",
    }
    assert Estimator(LocalOutlierFactor, "pixels").Config().components == 1.0
    assert "novelty = True" in LOF.__doc__
    forest = Estimator(IsolationForest)
    assert "random_state" not in forest.Config.rules()
    with pytest.raises(UserError, match="bootstrap must be one of False, True, got 3"):
        forest.Config(bootstrap=3)
    with pytest.raises(UserError, match="components must be a number in"):
        LOF.Config(components=2.0)
    with pytest.raises(UserError, match="p must be a number, a text, True, False or None, got"):
        LOF.Config(p=(1, 2))
    with pytest.raises(UserError, match="a parameter's name must be one of.*n_neighbors"):
        LOF.Config.released(GREY, neighbours=3)


def test_names_that_the_project_uses_otherwise_are_preceded():
    """Among them those by which records of earlier versions are completed."""
    detector = Estimator(Far)
    names = set(detector.Config.rules())
    assert {"estimator_batch_size", "estimator_epochs", "power", "contamination"} <= names
    assert not names & {"batch_size", "epochs", "weights"}
    assert "Left at their defaults: weights." in detector.__doc__
    assert fitted(detector, estimator_epochs=9).estimator.epochs == 9


def test_equal_arguments_give_the_same_class_and_it_is_no_detector_of_the_project():
    assert Estimator("sklearn.neighbors:LocalOutlierFactor") is LOF
    assert Estimator(LocalOutlierFactor, preprocessing=[]) is LOF
    assert Estimator(LocalOutlierFactor, "pixels") is not LOF
    first, second, other = (
        Estimator(LocalOutlierFactor, preprocessing=[QuantileTransformer(n_quantiles=n)])
        for n in (5, 5, 6)
    )
    assert first is second
    assert first is not other
    assert issubclass(LOF, EstimatorDetector)
    assert not {"LocalOutlierFactor", "EstimatorDetector"} & set(every_detector())


@pytest.mark.slow
def test_it_reaches_other_processes(tmp_path):
    """As Ray sends it to its workers, before and after it has been fitted."""
    detector = Estimator(OneClassSVM, preprocessing=StandardScaler())
    module = fitted(detector, nu=0.2)
    sent = tmp_path / "sent.pickle"
    sent.write_bytes(cloudpickle.dumps((Baseline(detector), module, TRAINING, OTHERS)))
    script = (
        "import pathlib, pickle\n"
        f"sent = pathlib.Path({str(sent)!r}).read_bytes()\n"
        "baseline, module, training, others = pickle.loads(sent)\n"
        "again = baseline.detector(baseline.config(module.shape, {'nu': 0.2}), module.shape)\n"
        "again.finish(iter(training.split(13)), 3)\n"
        "assert again.config == module.config\n"
        "assert bool((again.score(others, {}) == module.score(others, {})).all())\n"
        "print(*module.score(others, {}).tolist())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    np.testing.assert_array_equal([float(n) for n in result.stdout.split()], scores(module))


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("sklearn.neighbors",), "'sklearn.neighbors' must name a module and a class, as in"),
        (("nowhere.at:X",), "needs the package nowhere, which is not installed; install it with"),
        (("sklearn.neighbours:X",), "there is no module 'sklearn.neighbours'; correct its name"),
        (
            ("sklearn.neighbors:LocalOutlierFacto",),
            "sklearn.neighbors has no 'LocalOutlierFacto'; did you mean LocalOutlierFactor?",
        ),
        (("sklearn.metrics:roc_auc_score",), "must be a class with a method fit, got <function"),
        ((KMeans,), "KMeans has no method score_samples or decision_function, so it cannot"),
        ((GaussianMixture,), "so the sign of its score_samples is not known; add sign='larger_is"),
        ((Unsigned,), "so the sign of its decision_function is not known; add sign='larger_is"),
        ((LocalOutlierFactor, "pac"), "features must be 'pca' or 'pixels', got 'pac'"),
        ((LocalOutlierFactor, "pca", "up"), "sign must be 'auto', 'larger_is_normal' or 'lar"),
        (
            (LocalOutlierFactor, "pca", "auto", ["scale"]),
            "preprocessing must be a transformer of scikit-learn or a list of them, such as",
        ),
        (
            (Demanding, "pca", "larger_is_normal"),
            "Demanding needs the argument 'depth', which has no default",
        ),
    ],
)
def test_what_is_no_estimator_is_refused_in_one_line(arguments, fault):
    with pytest.raises(UserError) as refusal:
        Estimator(*arguments)
    assert fault in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("detector", "settings", "fault"),
    [
        (LOF, {"n_neighbors": -1}, "LocalOutlierFactor cannot be fitted: The 'n_neighbors' par"),
        (Estimator(Far), {"contamination": 7}, "Far cannot be fitted: contamination must be in"),
    ],
)
def test_a_value_that_the_estimator_refuses_fails_the_replica(detector, settings, fault):
    with pytest.raises(DegenerateInputError) as refusal:
        fitted(detector, **settings)
    assert str(refusal.value).startswith(fault)
    assert "\n" not in str(refusal.value)


def test_it_is_searched_recorded_and_reported(open_study, tmp_path):
    search = Search(
        name="lof",
        data=("digits",),
        plan=Grid(),
        baselines=(
            Baseline(
                LOF,
                space={
                    "n_neighbors": IntDistribution(2, 20, step=18),
                    "contamination": CategoricalDistribution(["auto", 0.1]),
                },
                settings={"n_neighbors": 20},
            ),
        ),
        budgets={
            "quick": Budget(
                trials=4,
                epochs=None,
                seeds=1,
                classes=(0, 1),
                train_images=40,
                validation_images=20,
                test_images=20,
                evaluation_seeds=0,
            )
        },
    )
    given = {"contamination": "0.1", "metric_params": "None", "p": "1"}
    session = open_study(search, tmp_path, settings=given)
    assert session.run().failed == 0
    records = session.folder.read_trials()
    assert [record.state for record in records] == ["complete"] * 2
    assert [record.detector for record in records] == ["LocalOutlierFactor"] * 2
    assert sorted(record.params["n_neighbors"] for record in records) == [2, 20]
    assert all(
        (record.params["contamination"], record.params["metric_params"], record.params["p"])
        == (0.1, None, 1)
        for record in records
    )
    assert json.loads(session.folder.study.read_text(encoding="utf-8"))["study"]["baselines"]
