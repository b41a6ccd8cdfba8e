"""A user's own images with any search: selection, thresholds, the kept model, scores of files."""

import csv
import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from tune_ad.app.command_line.cli import main
from tune_ad.models.estimator import AnomalyDetector
from tune_ad.models.folder import ModelFolder
from tune_ad.storage.folder import StudyFolder

SEARCH = ["--budget", "quick", "--backend", "serial", "--trials", "2"]
FILES = ["--input", "x", "--output", "y"]
QUICK = [*SEARCH, "--epochs", "1"]


@pytest.fixture(scope="module", autouse=True)
def data_root(tmp_path_factory):
    """What is decoded is stored in a folder of these tests, not in the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_AD_DATA", str(tmp_path_factory.mktemp("data")))
        yield


def run_line(arguments, code=0):
    """What a command prints on both outputs."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        try:
            ended = main(arguments)
        except SystemExit as ended_by_parser:
            ended = ended_by_parser.code
    assert ended == code, output.getvalue()
    return output.getvalue()


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def put(folder, path, pixels):
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(file)


def photo(stream, anomalous=False):
    """A slope with a little noise; an anomaly has a bright square."""
    pixels = 5 * np.arange(12)[:, None] + stream.integers(0, 20, (12, 10))
    if anomalous:
        pixels[3:8, 3:8] = 250
    return pixels


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """60 normal training images, 40 normal test images, 20 anomalies in the test folder alone."""
    folder, stream = tmp_path_factory.mktemp("own") / "photos", np.random.default_rng(3)
    for k in range(60):
        put(folder, f"train/good/{k:03d}.png", photo(stream))
    for k in range(40):
        put(folder, f"test/good/{k:03d}.png", photo(stream))
    for k in range(20):
        put(folder, f"test/square/{k:03d}.png", photo(stream, anomalous=True))
    return folder


@pytest.fixture(scope="module")
def study(photos):
    """A search of the shallow detectors on these images, and what it printed."""
    results = photos.parent / "results"
    lines = run_line(
        ["--search", "shallow", "--data", str(photos), "--results", str(results), *SEARCH]
    )
    return StudyFolder(results / "shallow_photos"), lines


def test_nothing_is_labelled_so_selection_needs_no_label(study):
    folder, lines = study
    stored = folder.read_study()
    assert stored["study"]["selection"] == "pseudo_outliers"
    assert stored["study"]["outsiders"] == []
    assert [task["title"] for task in stored["tasks"]] == ["photos/good"]
    assert "0 labelled anomalies among the training images" in lines
    (record, *_) = folder.read_evaluation()
    assert not any(m.part == "validation" and m.is_auroc for m in record.metrics)
    assert "Test AUROC of" in lines


def test_the_winner_is_kept_with_its_threshold(study):
    folder, _ = study
    kept = ModelFolder(folder.best)
    task = kept.task()
    assert task.normal == "good"
    assert task.threshold.images == 40
    assert task.threshold.rate <= 0.05
    assert task.check.images == 40
    auroc = task.aurocs[""]
    assert 0.9 < auroc.low <= auroc.value <= auroc.high <= 1
    assert kept.description.preprocessing.shape == (1, 12, 10)
    card = (folder.best / "README.md").read_text()
    assert "| good |" in card and "nan" not in card


def test_new_images_are_scored_by_the_kept_model(study, photos, tmp_path):
    folder, _ = study
    output = tmp_path / "scores.csv"
    lines = run_line(
        ["--score", str(folder.best), "--input", str(photos / "test"), "--output", str(output)]
    )
    rows = rows_of(output)
    assert [row["path"] for row in rows] == [
        *(f"good/{k:03d}.png" for k in range(40)),
        *(f"square/{k:03d}.png" for k in range(20)),
    ]
    kept = ModelFolder(folder.best)
    calibration = kept.calibration(kept.task())
    normal = np.array([float(row["score"]) for row in rows[:40]])
    assert np.sort(normal) == pytest.approx(np.sort(calibration), rel=1e-5)
    assert sum(int(row["alarm"]) for row in rows[:40]) <= 2
    assert sum(int(row["alarm"]) for row in rows[40:]) > 15
    for row in rows:
        assert 0 < float(row["p_value"]) <= 1
        assert int(row["alarm"]) == (float(row["p_value"]) <= kept.task().threshold.rate + 1e-9)
    assert "60 images scored" in lines


def test_colours_that_a_grey_model_does_not_see_are_counted(study, tmp_path):
    folder, stream = study[0], np.random.default_rng(7)
    grey = photo(stream)
    put(tmp_path / "new", "grey.png", grey)
    put(tmp_path / "new", "equal.png", np.stack([grey] * 3, axis=-1))
    put(tmp_path / "new", "red.png", np.stack([grey, 0 * grey, 0 * grey], axis=-1))
    output = tmp_path / "scores.csv"
    arguments = ["--input", str(tmp_path / "new"), "--output", str(output)]
    lines = run_line(["--score", str(folder.best), *arguments])
    assert "1 image in colour made grey" in lines
    equal, same, _ = rows_of(output)
    assert equal["score"] == same["score"]


@pytest.mark.slow
def test_a_winner_without_fresh_seeds_is_not_kept_and_that_is_said(photos, tmp_path):
    arguments = ["--data", str(photos), "--results", str(tmp_path), *QUICK]
    lines = run_line(["--search", "ae", "--evaluation-seeds", "0", *arguments])
    assert "kept models: none, because the winner is not trained on fresh seeds" in lines
    assert not (tmp_path / "ae_photos" / "best").exists()


def test_a_bad_image_ends_scoring_or_is_counted(study, photos, tmp_path):
    folder, _ = study
    images = tmp_path / "new"
    put(images, "a.png", photo(np.random.default_rng(1)))
    (images / "b.png").write_bytes(b"no pixels")
    command = ["--score", str(folder.best), "--input", str(images), "--output"]
    lines = run_line([*command, str(tmp_path / "no.csv")], code=2)
    assert f"error: {images / 'b.png'} is no image of a known format" in lines
    assert not (tmp_path / "no.csv").exists()
    lines = run_line([*command, str(tmp_path / "yes.csv"), "--skip-unreadable"])
    rows = rows_of(tmp_path / "yes.csv")
    assert [row["path"] for row in rows] == ["a.png", "b.png"]
    assert rows[1]["score"] == "" and rows[1]["problem"].startswith("is no image")
    assert "1 image refused: b.png" in lines


@pytest.mark.slow
def test_a_kept_model_is_exported_or_refused_with_the_reason(study, photos, tmp_path):
    folder, _ = study
    command = ["--export", str(folder.best), "--output"]
    lines = run_line([*command, str(tmp_path / "model.onnx")], code=2)
    assert "fitted by scikit-learn" in lines
    assert "must end in .onnx or .pt2" in run_line([*command, str(tmp_path / "model.h5")], code=2)
    assert not list(tmp_path.iterdir())
    where = ["--data", str(photos), "--results", str(tmp_path)]
    run_line(["--search", "ae", *where, *QUICK])
    command = ["--export", str(tmp_path / "ae_photos" / "best"), "--output"]
    lines = run_line([*command, str(tmp_path / "model.onnx")])
    assert f"exported: {tmp_path / 'model.onnx'}" in lines
    four_ways_of_scoring(tmp_path / "ae_photos" / "best", tmp_path / "model.onnx", photos)


def four_ways_of_scoring(best, exported, photos):
    """The run, --score, the estimator and ONNX give the normal test images the same scores.

    Equal to 1e-5 of the scores of the models: standardising subtracts their median.
    """
    output = exported.with_name("scores.csv")
    files = ["--input", str(photos / "test" / "good"), "--output", str(output)]
    run_line(["--score", str(best), *files])
    scores = np.array([float(row["score"]) for row in rows_of(output)])
    paths = sorted((photos / "test" / "good").iterdir())
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    kept = ModelFolder(best)
    of_run = kept.calibration(kept.task())  # in the order of the split: ascending positions
    session = onnxruntime.InferenceSession(str(exported))
    (of_onnx,) = session.run(None, {"pixels": pixels[:, None]})
    of_estimator = AnomalyDetector.load(best).anomaly_scores(pixels)
    sizes = [m.standardisation.centre / m.standardisation.scale for m in kept.task().members]
    for others in (of_run, of_onnx, of_estimator):
        assert others == pytest.approx(scores, rel=1e-5, abs=1e-5 * max(map(abs, sizes)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--score", "nowhere"], "--score needs --input"),
        (["--score", "nowhere", "--input", "x"], "--score needs --output"),
        (["--score", "nowhere", "--input", "x", "--output", "y"], "nowhere is no kept model"),
        (["--score", "x", "--trials", "3"], "--trials cannot be used with --score"),
        (["--score", "x", "--classes", "a,b", *FILES], "--classes must name one normal class"),
        (["--export", "nowhere"], "--export needs --output"),
        (["--export", "nowhere", "--output", "x.onnx"], "nowhere is no kept model"),
        (["--export", "nowhere", "--output", "x.onnx", "--input", "y"], "cannot be used with"),
        (["--search", "shallow_mnist", "--input", "x"], "--input cannot be used with --search"),
        (["--search", "shallow", "--data", "nowhere"], "is neither a data set"),
        (["--search", "nothing", "--data", "digits"], "there is no search 'nothing'"),
        (["--search", "shallow_mnist", "--image-size", "16"], "--image-size is for own images"),
        (["--search", "vae", "--data", "/tmp", "--image-size", "4"], "must be at least 8 pixels"),
        (["--search", "vae", "--data", "/tmp", "--image-size", "4by4"], "must be a size such as"),
        (["--search", "vae", "--data", "/tmp", "--resize", "pad"], "needs --image-size"),
        (["--search", "capacity_fmnist_mnist", "--data", "digits"], "is about a whole data set"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    lines = run_line(arguments, code=2)
    assert words in lines
    assert not list(tmp_path.iterdir())


def test_labelled_anomalies_without_tested_ones_are_refused(photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    shutil.move(folder / "test" / "square", folder / "train" / "square")
    where = ["--data", str(folder), "--results", str(tmp_path / "results")]
    lines = run_line(["--search", "vae", *where, *QUICK], code=2)
    assert "20 training images are anomalies and no test image is one" in lines
    assert "move some of them to the test images" in lines


@pytest.mark.slow
def test_what_was_selected_by_test_images_has_no_threshold(photos, tmp_path):
    where = ["--data", str(photos), "--results", str(tmp_path)]
    run_line(["--search", "ae", *where, *QUICK, "--selection", "oracle"])
    best = tmp_path / "ae_photos" / "best"
    task = ModelFolder(best).task()
    assert task.threshold is None and task.check is None
    assert "no threshold, because its configuration was selected by the test images" in (
        (best / "README.md").read_text()
    )
    files = ["--input", str(photos / "test"), "--output", str(tmp_path / "scores.csv")]
    lines = run_line(["--score", str(best), *files], code=2)
    assert "has no threshold, because its configuration was selected by the test images" in lines


@pytest.mark.slow
def test_a_picture_of_another_size_is_refused_unless_a_size_was_wished(study, photos, tmp_path):
    folder, _ = study
    put(tmp_path, "new/wide.png", np.zeros((12, 16)))
    files = ["--input", str(tmp_path / "new"), "--output", str(tmp_path / "scores.csv")]
    lines = run_line(["--score", str(folder.best), *files], code=2)
    assert "has 12 x 16 pixels, but 12 x 10 are needed" in lines
    sized = ["--data", str(photos), "--image-size", "16x12", "--resize", "pad"]
    run_line(["--search", "ae", *sized, "--results", str(tmp_path), *QUICK])
    run_line(["--score", str(tmp_path / "ae_photos" / "best"), *files])
    assert len(rows_of(tmp_path / "scores.csv")) == 1


@pytest.mark.slow
def test_pictures_appear_only_if_every_image_could_be_scored(photos, tmp_path):
    run_line(["--search", "ae", "--data", str(photos), "--results", str(tmp_path), *QUICK])
    new = tmp_path / "new"
    put(new, "a.png", photo(np.random.default_rng(1)))
    (new / "b.png").write_bytes(b"no pixels")
    files = ["--input", str(new), "--output", str(tmp_path / "scores.csv")]
    command = ["--score", str(tmp_path / "ae_photos" / "best"), *files]
    run_line([*command, "--heatmaps", str(tmp_path / "maps")], code=2)
    assert not (tmp_path / "maps").exists()
    run_line([*command, "--heatmaps", str(tmp_path / "maps"), "--skip-unreadable"])
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["a.png.png"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_scores_never_replace_an_image(study, photos):
    folder, _ = study
    image = photos / "test" / "good" / "000.png"
    before = image.read_bytes()
    command = ["--score", str(folder.best), "--input", str(photos / "test"), "--output"]
    lines = run_line([*command, str(image)], code=2)
    assert "lies in --input" in lines and "choose a place outside" in lines
    outside = str(photos.parent / "outside.csv")
    lines = run_line([*command, outside, "--heatmaps", str(photos / "test" / "maps")], code=2)
    assert "--heatmaps" in lines and "lies in --input" in lines
    assert image.read_bytes() == before


@pytest.mark.slow
def test_chance_may_choose_where_no_anomaly_is_known(photos, tmp_path):
    where = ["--data", str(photos / "train"), "--results", str(tmp_path)]
    lines = run_line(["--search", "vae", *where, *QUICK, "--selection", "random"])
    assert "by chance. No anomaly is known" in lines


@pytest.mark.slow
def test_a_declared_data_set_replaces_that_of_a_search(tmp_path):
    results = ["--results", str(tmp_path), "--dry-run"]
    lines = run_line(["--search", "shallow_mnist", "--data", "digits", *results])
    assert "shallow_digits: digits, images 1x8x8" in lines
    lines = run_line(["--search", "shallow", "--data", "digits", "--classes", "3,5", *results])
    assert "tasks: digits/3, digits/5;" in lines


def test_normal_images_alone_claim_no_auroc(photos, tmp_path):
    folder = tmp_path / "alone"
    stream = np.random.default_rng(5)
    for k in range(80):
        put(folder, f"{k:03d}.png", photo(stream))
    results = tmp_path / "results"
    lines = run_line(["--search", "vae", "--data", str(folder), "--results", str(results), *QUICK])
    assert "No test AUROC" in lines
    study = StudyFolder(results / "vae_alone")
    assert study.read_study()["study"]["selection"] == "pseudo_outliers"
    assert not any(m.is_test_auroc for record in study.read_evaluation() for m in record.metrics)
    task = ModelFolder(study.best).task()
    assert (task.normal, task.aurocs) == ("all", {})
    page = (study.path / "report.html").read_text(encoding="utf-8")
    assert "so there is no test AUROC" in page and ">test AUROC<" not in page
    assert "over classes" not in page and "per class" not in page + lines
    assert "python run.py --score" in page
    assert (
        json.loads((study.best / "model.json").read_text())["tasks"][0]["threshold"]["images"] > 5
    )


@pytest.mark.parametrize(("labels", "rule"), [(20, "pseudo_outliers"), (40, "validation")])
@pytest.mark.slow
def test_all_labelled_anomalies_serve_selection_if_they_are_enough(photos, tmp_path, labels, rule):
    folder, stream = tmp_path / "photos", np.random.default_rng(9)
    shutil.copytree(photos, folder)
    for k in range(labels):
        put(folder, f"train/square/{k:03d}.png", photo(stream, anomalous=True))
    command = ["--search", "vae", "--data", str(folder), *QUICK, "--results"]
    run_line([*command, str(tmp_path), "--no-evaluation"])
    study = StudyFolder(tmp_path / "vae_photos").read_study()
    assert study["study"]["selection"] == rule
    told = [line for line in study["shortfalls"] if "labelled anomal" in line]
    assert told == []
    other = [str(tmp_path / "other"), "--selection", "validation", "--dry-run"]
    lines = run_line([*command, *other])
    assert (f"too small: {labels} labelled anomalies to select by" in lines) == (labels < 30)
