"""What the report shows of the kept models: the images that they judge best and worst."""

import numpy as np
import pytest
import torch

from analysis.document.blocks import Figure, Table
from analysis.questions.examples import draw_examples, drawn
from analysis.report.findings import Findings
from analysis.report.sections import examples as part
from analysis.study import StudyRecords
from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError
from tune_ad.models.building import _examples
from tune_ad.models.examples import LARGEST, Judged, _picture
from tune_ad.models.folder import ModelFolder
from tune_ad.storage import examples as stored
from tune_ad.storage.examples import ANOMALIES, NORMAL, NORMALS, RANDOM, Codes, Row, TaskExamples


@pytest.fixture(scope="module")
def kept(finished):
    identity, tasks = stored.read(finished.folder.examples)
    assert identity == finished.folder.read_evaluation()[0].identity
    return tasks


def planted(k=2, side=4, **changes):
    images = np.full((k, side, side), 7, np.uint8)
    row = Row(
        images, np.arange(k) + 0.5, np.array([False, True]), np.array([0, 3]), images, images
    )
    values = {
        "task": "digits/0",
        "outsider": "",
        "rows": dict.fromkeys(stored.ROWS, row),
        "edges": np.array([0.0, 1.0, 2.0]),
        "counts": {NORMAL: np.array([3, 1]), "anomalies": np.array([0, 4])},
        "threshold": np.array([1.5, 0.05, 0.04, 99.0]),
        "alarms": 0.75,
        "codes": Codes(
            np.array([False, True]),
            np.array([0, 3]),
            8,
            np.array([0.5, 0.25]),
            {"PCA": np.zeros((2, 2))},
        ),
    }
    return TaskExamples(**{**values, **changes})


def test_the_extreme_images_are_those_of_the_extreme_scores(finished, kept):
    suite, folder = finished.session.suite, ModelFolder(finished.folder.best)
    for task, shown in zip(folder.description.tasks, kept, strict=True):
        ensemble, groups = folder.ensemble(task), suite.groups(task.name, "test")
        normal = ensemble.scores(suite.pixels[groups.normal])
        anomalous = ensemble.scores(suite.pixels[groups.outsiders[""]])
        worst = np.sort(normal)[::-1][: len(shown.rows[NORMALS].scores)]
        assert shown.rows[NORMALS].scores == pytest.approx(worst)
        assert not shown.rows[NORMALS].is_anomaly.any()
        least = np.sort(anomalous)[: len(shown.rows[ANOMALIES].scores)]
        assert shown.rows[ANOMALIES].scores == pytest.approx(least)
        assert shown.rows[ANOMALIES].is_anomaly.all()
        own_class = int(task.normal)
        for row in shown.rows.values():
            assert ((row.classes == own_class) == ~row.is_anomaly).all()
        image = suite.pixels[groups.normal][int(normal.argmax()), 0].numpy()
        assert (shown.rows[NORMALS].images[0] == image).all()
        assert [int(counts.sum()) for counts in shown.counts.values()] == [
            len(normal),
            len(anomalous),
        ]
        assert shown.threshold[0] == task.threshold.value
        assert shown.alarms == (anomalous > task.threshold.value).mean()


def test_a_detector_without_reconstructions_has_maps_alone(kept):
    row = kept[0].rows[RANDOM]
    assert row.reconstructions is None
    assert row.maps.shape == row.images.shape == (8, 8, 8)


def test_codes_of_few_images_have_no_neighbours_by_t_sne(kept):
    codes = kept[0].codes
    assert list(codes.positions) == ["PCA"], "t-SNE needs more than 90 images"
    assert codes.positions["PCA"].std(axis=0)[0] >= codes.positions["PCA"].std(axis=0)[1]
    assert 0 < codes.explained.sum() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_are_reduced(channels):
    pixels = torch.full((2, channels, 256, 100), 9, dtype=torch.uint8)
    picture = _picture(pixels)
    assert picture.shape == (2, LARGEST, 25) + (3,) * (channels == 3)
    assert (picture == 9).all()


def test_what_is_stored_is_read_again(tmp_path):
    write_atomically(tmp_path / "x.npz", stored.to_bytes([planted()], "abc"))
    identity, (task,) = stored.read(tmp_path / "x.npz")
    assert (identity, task.task, task.alarms) == ("abc", "digits/0", 0.75)
    assert task.codes.dimensions == 8 and list(task.codes.positions) == ["PCA"]
    assert task.rows[RANDOM].images.tolist() == planted().rows[RANDOM].images.tolist()
    assert stored.read(tmp_path / "none.npz") == ("", [])


@pytest.mark.parametrize(
    "changes",
    [
        {"edges": np.array([0.0, 0.0, 1.0])},
        {"counts": {NORMAL: np.array([1])}},
        {"threshold": np.zeros(3)},
        {"rows": {**planted().rows, RANDOM: planted(k=3).rows[RANDOM]}},
        {"codes": Codes(np.array([True]), np.array([1, 2]), 2, np.zeros(2), {})},
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, changes):
    write_atomically(tmp_path / "x.npz", stored.to_bytes([planted(**changes)], "abc"))
    with pytest.raises(UserError, match=r"x\.npz cannot be read .*remove it"):
        stored.read(tmp_path / "x.npz")


def test_a_detector_that_fails_at_its_pictures_keeps_its_models(finished):
    task = finished.session.suite.tasks[0]
    judged = Judged(task.name, "", None, None, np.zeros(1), np.zeros(1), *[np.zeros(1)] * 2, None)
    shown, (fault,) = _examples(task, None, [judged], np.random.default_rng(0))
    assert shown == []
    assert fault.startswith(f"{task.title}: no pictures of examples, because making them raised")


def test_the_page_shows_images_until_it_would_be_too_large():
    tasks = [planted(), planted(), planted()]
    per_task = 3 * 3 * 2 * 16  # rows, pictures of an image, images, pixels
    assert len(drawn(tasks, 2 * per_task)) == 2
    assert len(drawn(tasks, 1)) == 1, "one task is always shown"


def test_a_row_is_drawn_above_what_the_model_makes_of_it():
    figure = draw_examples(planted(), {3: "cat"})
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    assert texts[1] == "0\nnormal\n0.50" and texts[2] == "cat\nanomaly\n1.50"
    places = [tuple(image.get_extent()) for image in axes.images]
    assert len(set(places)) == len(places) == 3 * 3 * 2, "no two images lie in one place"


def test_the_section_of_a_study(finished):
    study = StudyRecords.read(finished.folder.path)
    section = part.section(Findings(study))
    assert section is not None
    figures = [block for block in section.blocks if isinstance(block, Figure)]
    assert len(figures) == len(study.tasks) + 2
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert len(table.shown) == len(study.tasks)
    assert all(figure.draw().axes for figure in figures)


def test_a_damaged_file_is_said_in_the_report(finished, tmp_path):
    import shutil

    shutil.copytree(finished.folder.path, tmp_path / "study")
    (tmp_path / "study/examples.npz").write_bytes(b"PK\x03\x04")
    section = part.section(Findings(StudyRecords.read(tmp_path / "study")))
    assert section is not None and "examples.npz" in section.blocks[0].text


def test_pictures_of_another_winner_are_not_shown(finished, tmp_path):
    import shutil

    shutil.copytree(finished.folder.path, tmp_path / "study")
    write_atomically(tmp_path / "study/examples.npz", stored.to_bytes([planted()], "another"))
    assert part.section(Findings(StudyRecords.read(tmp_path / "study"))) is None
