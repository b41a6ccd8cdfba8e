"""The estimator has the conventions of scikit-learn and PyOD; it scores as a kept model does."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_outlier_detector
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from tests.training.cases import Brightness
from tune_ad import AnomalyDetector, UserError, load
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.shallow.estimator import Estimator
from tune_ad.models.folder import ModelFolder
from tune_ad.models.from_arrays.levels import Levels
from tune_ad.randomness import numpy_stream

FAILING_CHECKS: dict[str, str] = {}
"""The checks of scikit-learn that the estimator does not pass, with the reason."""
SKIPPED_CHECKS = {"check_array_api_input": "it needs the variable SCIPY_ARRAY_API"}
SMALL = {"latent_dim": 16, "width": 0.5, "batch_size": 32, "learning_rate": 1e-3}
FOREST = {"trees": 20}


def forest(**options):
    return AnomalyDetector(**{"detector": "IsolationForest", "params": FOREST, **options})


def vae(**options):
    return AnomalyDetector(**{"detector": "VAE", "params": SMALL, "epochs": 2, **options})


@pytest.fixture(scope="module")
def digits():
    """Images of digit 0, and of the other digits: uint8, (n, 8, 8)."""
    data = load("digits")
    images, labels = data.train_images[:, 0].numpy(), data.train_labels.numpy()
    return images[labels == 0], images[labels != 0]


@pytest.fixture(scope="module")
def fitted(digits):
    normal, _ = digits
    return vae(seeds=2).fit(normal)


@pytest.fixture(scope="module")
def rows():
    stream = np.random.default_rng(0)
    return stream.normal(size=(200, 3)) * [1, 10, 100], stream.normal(size=(50, 3)) * 300


@pytest.mark.slow
def test_every_check_of_scikit_learn_but_those_listed_is_passed():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "too few images for a false-alarm rate")
        checks = check_estimator(forest(), on_fail=None, on_skip=None)
    ended = {state: [] for state in ("passed", "failed", "skipped")}
    for check in checks:
        ended[check["status"]].append(check["check_name"])
    assert set(ended["failed"]) == set(FAILING_CHECKS)
    assert set(ended["skipped"]) <= set(SKIPPED_CHECKS)
    assert len(ended["passed"]) > 40


def test_the_signs_are_those_of_the_docstring(fitted, digits):
    normal, anomalous = digits
    images = np.concatenate([normal[:40], anomalous[:40]])
    y = np.repeat([1, -1], 40)
    scores = fitted.anomaly_scores(images)
    assert is_outlier_detector(fitted)
    assert roc_auc_score(y == -1, scores) > 0.8
    assert roc_auc_score(y == -1, 1 - fitted.p_values(images)) > 0.7
    np.testing.assert_array_equal(fitted.score_samples(images), -scores)
    np.testing.assert_allclose(fitted.decision_function(images), fitted.threshold_ - scores)
    np.testing.assert_array_equal(fitted.predict(images) == -1, scores > fitted.threshold_)
    np.testing.assert_array_equal(fitted.decision_scores_, fitted.anomaly_scores(normal))
    np.testing.assert_array_equal(fitted.labels_ == 1, fitted.predict(normal) == -1)
    assert set(fitted.labels_) <= {0, 1}


def test_an_alarm_is_a_small_p_value(fitted, digits):
    images = np.concatenate(digits)[::7]
    alarms = fitted.predict(images) == -1
    p = fitted.p_values(images)
    assert fitted.limit_.is_met
    assert ((p <= fitted.limit_.rate) >= alarms).all()
    assert 0 < p.min() and p.max() <= 1


def test_normal_images_raise_at_most_the_wished_share_of_alarms_on_average():
    rates = []
    for seed in range(30):
        normal = np.random.default_rng(seed).normal(size=(1_195, 2))
        detector = forest(params={"trees": 5}, false_alarms=0.1, random_state=seed)
        rates.append(np.mean(detector.fit(normal[:195]).predict(normal[195:]) == -1))
    assert detector.limit_.rate == 0.1
    error = np.std(rates) / np.sqrt(len(rates))
    assert abs(np.mean(rates) - 0.1) < 3 * error


def test_images_that_are_held_out_change_only_the_threshold(rows):
    """So they are exchangeable with new normal images."""
    X, _ = rows
    held_out = numpy_stream(0, "calibration").permutation(len(X))[:40]
    changed = X.copy()
    changed[held_out] = X.min(axis=0) - 1
    before, after = forest(seeds=2).fit(X), forest(seeds=2).fit(changed)
    np.testing.assert_array_equal(after.anomaly_scores(X), before.anomaly_scores(X))
    assert len(before.model_.calibration) == 40
    assert after.threshold_ > before.threshold_


def test_an_estimator_can_be_cloned_and_its_fit_repeated(fitted, digits):
    normal, anomalous = digits
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    assert not hasattr(again, "model_")
    again.fit(normal)
    np.testing.assert_array_equal(
        again.anomaly_scores(anomalous[:20]), fitted.anomaly_scores(anomalous[:20])
    )
    other = clone(fitted).set_params(random_state=1, seeds=1).fit(normal)
    assert not np.array_equal(other.threshold_, fitted.threshold_)


def test_a_fitted_estimator_can_be_pickled(fitted, digits):
    images = digits[1][:10]
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.p_values(images), fitted.p_values(images))
    assert again.limit_ == fitted.limit_


def test_several_seeds_are_several_models(fitted):
    assert len(set(fitted.model_.seeds)) == len(fitted.model_.ensemble.members) == 2
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    first, second = fitted.model_.ensemble.member_scores(pixels)
    assert not np.array_equal(first, second)


def test_a_pipeline_and_a_cross_validation_take_the_estimator(rows):
    normal, anomalous = rows
    X = np.concatenate([normal, anomalous])
    y = np.repeat([1, -1], [len(normal), len(anomalous)])
    pipeline = make_pipeline(StandardScaler(), forest())
    aurocs = cross_val_score(pipeline, X, y, scoring="roc_auc", cv=StratifiedKFold(3))
    assert aurocs.shape == (3,) and aurocs.min() > 0.8
    assert set(pipeline.fit(normal).predict(X)) == {1, -1}


def test_a_network_is_cross_validated_on_rows_with_a_shape(digits):
    normal, anomalous = digits
    X = np.concatenate([normal[:120], anomalous[:60]]).reshape(180, -1)
    y = np.repeat([1, -1], [120, 60])
    pipeline = make_pipeline(vae(image_shape=(8, 8), epochs=1))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "too few images for a false-alarm rate")
        aurocs = cross_val_score(pipeline, X, y, scoring="roc_auc", cv=StratifiedKFold(2))
    assert np.isfinite(aurocs).all()


@pytest.mark.parametrize("as_type", [np.float32, np.float64])
def test_images_as_numbers_score_as_the_same_images_as_uint8(fitted, digits, as_type):
    normal, anomalous = digits
    given = anomalous[:30]
    numbers = given.astype(as_type) / 255
    expected = fitted.anomaly_scores(given)
    np.testing.assert_allclose(fitted.anomaly_scores(numbers), expected, rtol=1e-5)
    np.testing.assert_array_equal(fitted.anomaly_scores(given.reshape(30, 64)), expected)
    np.testing.assert_array_equal(fitted.anomaly_scores(given[..., None]), expected)
    other = vae(seeds=2).fit(normal.astype(as_type) / 255)
    np.testing.assert_allclose(other.anomaly_scores(numbers), expected, rtol=1e-3)


def test_values_beyond_the_unit_range_are_mapped_by_the_training_data(rows):
    values = np.array([[0.0, 7.0], [4.0, 7.0]])
    by_column = Levels.of(values, by_column=True)
    assert by_column(np.array([[2.0, 7.0], [8.0, 8.0]])).tolist() == [[127.5, 0], [510, 255]]
    assert Levels.of(values, by_column=False)(values)[0].tolist() == [0, 255]
    assert not Levels.of(values / 7, by_column=False).is_fitted
    X, anomalous = rows
    scaled = (X - X.min()) / (X.max() - X.min())
    whole, unit = (forest(image_shape=(1, 3)).fit(values) for values in (X, scaled))
    assert whole.model_.levels.is_fitted and not unit.model_.levels.is_fitted
    assert forest().fit(X * [1, 2, 3]).predict(anomalous * [1, 2, 3]).tolist() == (
        forest().fit(X).predict(anomalous).tolist()
    )


def test_levels_are_not_rounded_except_where_pixels_have_8_bits(digits):
    normal = digits[0] / np.float32(255) * np.float32(0.999)
    levels = vae(epochs=1).fit(normal).model_
    assert levels.recipe.pixels(normal, levels.levels).is_floating_point()
    likelihood = {**SMALL, "width": 0.25}
    model = AnomalyDetector("LikelihoodVAE", params=likelihood, epochs=1).fit(normal).model_
    assert not model.recipe.pixels(normal, model.levels).is_floating_point()


def test_colour_images_have_their_channels_last():
    images = np.random.default_rng(0).integers(0, 256, (100, 8, 9, 3), np.uint8)
    detector = forest().fit(images)
    pixels = detector.model_.recipe.pixels(images, detector.model_.levels)
    np.testing.assert_array_equal(pixels.numpy(), images.transpose(0, 3, 1, 2))
    assert detector.n_features_in_ == 8 * 9 * 3
    in_rows = forest(image_shape=(8, 9, 3)).fit(images.reshape(100, -1))
    np.testing.assert_array_equal(in_rows.decision_scores_, detector.decision_scores_)


def test_a_saved_estimator_scores_as_before(fitted, digits, tmp_path):
    _, anomalous = digits
    path = fitted.save(tmp_path / "kept")
    loaded = AnomalyDetector.load(path)
    images = anomalous[:25]
    np.testing.assert_array_equal(loaded.anomaly_scores(images), fitted.anomaly_scores(images))
    np.testing.assert_array_equal(loaded.p_values(images), fitted.p_values(images))
    np.testing.assert_array_equal(loaded.predict(images), fitted.predict(images))
    assert loaded.limit_ == fitted.limit_
    assert loaded.get_params()["detector"] == "VAE"
    assert loaded.get_params()["image_shape"] == (8, 8)
    folder = ModelFolder(path)
    pixels = loaded.model_.recipe.pixels(images, loaded.model_.levels)
    scores = folder.ensemble(folder.task("normal")).scores(pixels)
    np.testing.assert_array_equal(scores, fitted.anomaly_scores(images))
    assert "from Python" in (path / "README.md").read_text()
    loaded.save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
    again = AnomalyDetector.load(path)
    np.testing.assert_array_equal(again.p_values(images), fitted.p_values(images))


def test_saved_rows_keep_their_range(rows, tmp_path):
    X, anomalous = rows
    detector = forest().fit(X)
    loaded = AnomalyDetector.load(detector.save(tmp_path / "kept"))
    np.testing.assert_array_equal(
        loaded.anomaly_scores(anomalous), detector.anomaly_scores(anomalous)
    )
    assert loaded.get_params()["image_shape"] is None


def test_the_winner_of_a_study_is_loaded(finished):
    folder = ModelFolder(finished.folder.best)
    first = folder.description.tasks[0]
    loaded = AnomalyDetector.load(finished.folder.best, normal=first.normal)
    pixels = finished.session.suite.pixels[:30]
    expected = folder.ensemble(first).scores(pixels)
    np.testing.assert_array_equal(loaded.anomaly_scores(pixels[:, 0].numpy()), expected)
    assert loaded.threshold_ == first.threshold.value
    assert loaded.get_params()["detector"] == "PGN"
    with pytest.raises(UserError, match="choose one"):
        AnomalyDetector.load(finished.folder.best)
    with pytest.raises(UserError, match="is no kept model"):
        AnomalyDetector.load(finished.folder.path)


def test_save_replaces_only_a_kept_model(fitted, tmp_path):
    (tmp_path / "photo").mkdir()
    with pytest.raises(UserError, match="exists and is no kept model"):
        fitted.save(tmp_path / "photo")


def test_a_detector_may_be_given_as_a_class(digits):
    assert vae(detector=PGN).fit(digits[0]).model_.recipe.detector is PGN
    assert AnomalyDetector(Brightness).fit(digits[0]).threshold_ == 0


def test_a_detector_of_ones_own_is_named_and_loaded_again(rows, digits, tmp_path):
    name = f"{Brightness.__module__}:Brightness"
    detector = AnomalyDetector(name).fit(digits[0])
    loaded = AnomalyDetector.load(detector.save(tmp_path / "kept"))
    assert loaded.get_params()["detector"] == name
    X, anomalous = rows
    svm = AnomalyDetector(Estimator("sklearn.svm:OneClassSVM"), params={"components": 1.0}).fit(X)
    again = AnomalyDetector.load(svm.save(tmp_path / "svm"))
    np.testing.assert_array_equal(again.predict(anomalous), svm.predict(anomalous))
    assert clone(again).fit(X).threshold_ == svm.threshold_


def test_too_few_images_for_the_rate_are_warned_about(digits):
    with pytest.warns(UserWarning, match="too few images for a false-alarm rate of 0.01"):
        forest(false_alarms=0.01).fit(digits[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"detector": "IsolationForrest"}, "did you mean IsolationForest"),
        ({"detector": 3}, "detector must be the name of a detector or its class, got 3"),
        ({"params": {"trees": 0}}, "trees must be an integer in"),
        ({"params": {"tres": 1}}, "a parameter's name must be one of"),
        ({"epochs": 3}, "is fitted, not trained in epochs"),
        ({"seeds": 0}, "seeds must be an integer in"),
        ({"calibration": 1.0}, r"calibration must be a number in \(0, 1\)"),
        ({"false_alarms": 0}, r"false_alarms must be a number in \(0, 1\)"),
        ({"device": "tpu"}, "device must be one of"),
        ({"image_shape": (9,)}, "image_shape must be"),
        ({"image_shape": (9, 0)}, "image_shape must be"),
        ({"image_shape": (4, 16)}, "expected"),
        ({"detector": "VAE", "params": {"epochs": 2}, "epochs": 3}, "contradicts"),
    ],
)
def test_an_illegal_parameter_is_a_value_error_of_one_line(digits, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        forest(**{"params": None, **options}).fit(digits[0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((3, 8, 9), np.uint8), "has shape"),
        (np.zeros((3, 3, 8, 8), np.uint8), "has shape"),
        (np.full((3, 8, 8), 200.0), "has values from 200 to 200"),
        (np.full((3, 8, 8), np.nan), "NaN"),
        (np.zeros((3, 63)), "63 features"),
    ],
)
def test_images_of_another_shape_or_unit_are_refused(fitted, images, words):
    with pytest.raises(ValueError, match=words):
        fitted.predict(images)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((30, 64)), "VAE trains networks on images, and X has rows"),
        (np.zeros((30, 8, 8, 2), np.uint8), "1 or 3 channels"),
        (np.zeros((30, 8, 8, 3, 1), np.uint8), "give rows"),
        (np.zeros((1, 8, 8), np.uint8), "minimum of 2"),
    ],
)
def test_training_data_that_fit_no_network_are_refused(images, words):
    with pytest.raises(ValueError, match=words):
        vae().fit(images)
