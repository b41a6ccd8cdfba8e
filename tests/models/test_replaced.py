"""What a kept model says survives being saved again; damaged folders are refused."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tune_ad.errors import UserError
from tune_ad.models.ensemble import references
from tune_ad.models.estimator import AnomalyDetector
from tune_ad.models.folder import ModelFolder
from tune_ad.models.scoring import Judge
from tune_ad.training.replicas.kept import KeptState


def test_a_kept_model_that_is_saved_again_says_the_same(finished, tmp_path):
    task = ModelFolder(finished.folder.best).description.tasks[1]
    loaded = AnomalyDetector.load(finished.folder.best, task.title)
    folder = ModelFolder(loaded.save(tmp_path / "again"))
    before, now = ModelFolder(finished.folder.best), folder
    assert now.description.preprocessing == before.description.preprocessing
    assert now.description.provenance == before.description.provenance
    assert now.description.classes == before.description.classes
    kept = now.task()
    assert (kept.normal, kept.aurocs, kept.check) == (task.normal, task.aurocs, task.check)
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
        ("calibration.npz", "calibration.npz cannot be read"),
        ("model.json", "model.json is not JSON"),
    ],
)
def test_half_a_file_is_refused_in_one_line(finished, tmp_path, file, words):
    path = Path(shutil.copytree(finished.folder.best, tmp_path / "best"))
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=words) as caught:
        folder = ModelFolder(path)
        folder.calibration(folder.description.tasks[0])
    assert "\n" not in str(caught.value)


@pytest.fixture
def forest(tmp_path):
    """The folder of a kept forest, which has a fitted estimator."""
    rows = np.random.default_rng(0).normal(size=(200, 3))
    detector = AnomalyDetector("IsolationForest", params={"trees": 5}).fit(rows)
    return detector.save(tmp_path / "forest")


def rewritten(folder, change):
    """Change the content of `model.json`."""
    file = folder / "model.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("entry", [("no_such", 1), ("trees", "many"), ("trees", -1)])
def test_a_configuration_that_does_not_fit_the_detector_is_refused(forest, entry):
    rewritten(forest, lambda content: content["config"].update([entry]))
    folder = ModelFolder(forest)
    for read in (lambda: folder.ensemble(folder.task()), lambda: AnomalyDetector.load(forest)):
        with pytest.raises(
            UserError, match="its configuration does not fit the detector"
        ) as caught:
            read()
        assert "\n" not in str(caught.value)


def test_preprocessing_and_class_names_of_a_study_survive_being_saved_again(forest, tmp_path):
    def change(content):
        content["preprocessing"]["resize"] = "pad"
        content["classes"] = ["good", "crack"]
        content["tasks"][0] |= {"normal": "good", "title": "parts", "metrics": {"test_auroc": 0.9}}
        content["provenance"]["study"] = "vae_parts"

    rewritten(forest, change)
    again = ModelFolder(AnomalyDetector.load(forest, "good").save(tmp_path / "again"))
    before, now = ModelFolder(forest).description, again.description
    members = before.tasks[0].members
    assert replace(now, tasks=(replace(now.tasks[0], members=members),)) == before


def an_array():
    """The content of a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def files_of(folder):
    """The files of the only model, by suffix."""
    return {file.suffix: file for file in folder.glob("seed-*/*")}


def without_digest(content):
    for member in content["tasks"][0]["members"]:
        del member["digest"]


def test_a_model_without_a_digest_is_refused(forest):
    rewritten(forest, without_digest)
    with pytest.raises(UserError, match=r"model\.json is damaged, .*members.0.digest is"):
        AnomalyDetector.load(forest)


@pytest.mark.parametrize("suffix", [".joblib", ".safetensors"])
def test_half_a_model_is_refused_in_one_line(forest, suffix):
    (file,) = forest.glob(f"seed-*/*{suffix}")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged, .* copy the whole folder again") as caught:
        AnomalyDetector.load(forest)
    assert "\n" not in str(caught.value)
    files = {suffix: file.read_bytes() for suffix, file in files_of(forest).items()}
    with pytest.raises(UserError, match=rf"{suffix}: damaged.* copy it again"):
        KeptState.from_files(files, "model")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (lambda file: file.unlink(), "is missing; copy the whole folder again"),
        (
            lambda file: file.write_bytes(an_array()),
            "cannot be read .* copy the whole folder again",
        ),
        (lambda file: np.savez(file, other=np.zeros(3)), "has no scores of images"),
    ],
    ids=["missing", "one array", "another task"],
)
def test_a_calibration_without_the_scores_is_refused_in_one_line(forest, written, words):
    written(forest / "calibration.npz")
    with pytest.raises(UserError, match=words) as caught:
        AnomalyDetector.load(forest)
    assert "\n" not in str(caught.value)


def test_every_changed_byte_of_the_calibration_is_harmless_or_a_user_error(forest):
    file = forest / "calibration.npz"
    content = file.read_bytes()
    expected = ModelFolder(forest).calibration(ModelFolder(forest).task())
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 255
        file.write_bytes(changed)
        folder = ModelFolder(forest)
        try:
            scores = folder.calibration(folder.task())
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert np.array_equal(scores, expected)


def test_a_task_is_found_by_its_name_in_any_case(forest):
    rewritten(forest, lambda content: content["tasks"][0].update(name="Parts/Good"))
    folder = ModelFolder(forest)
    assert folder.task("parts/good") == folder.task("PARTS/GOOD") == folder.task()


@pytest.mark.parametrize(
    ("count", "used"), [(1, 1), (1000, 1000), (1001, 1000), (1999, 1000), (2001, 1000)]
)
def test_at_most_a_thousand_images_standardise_scores(count, used):
    assert len(np.arange(count)[references(count)]) == used
