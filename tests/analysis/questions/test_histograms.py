"""Score histograms from planted details."""

import warnings

import numpy as np
import pytest

from analysis.questions.histograms import draw_histograms, histogram, histograms
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections import histograms as part
from analysis.study import StudyRecords
from tune_ad.atomic import write_atomically
from tune_ad.storage.earlier.schema1 import upgraded_study
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import TEST_AUROC, VALIDATION_AUROC
from tune_ad.storage.records import SCHEMA, ReplicaRecord, TrialRecord

COUNTS = {"outsiders": {"": [0, 2]}, "normal": [3, 1]}
STORED = {"edges": [0.0, 1.0, 3.0], "counts": COUNTS}


def record(seeds, state="complete"):
    return TrialRecord(
        number=0,
        identity="id0",
        baseline="VAE",
        detector="VAE",
        params={},
        searched=[],
        state=state,
        reason="",
        objective=0.9,
        reports=[],
        replicas=[ReplicaRecord("mnist/2", seed, state, "", 1) for seed in seeds],
        metrics={TEST_AUROC: [0.9] * len(seeds), VALIDATION_AUROC: [0.9] * len(seeds)},
    )


def study(tmp_path, trials, fresh=()):
    stored = {
        "study": {
            "name": "planted",
            "selection": "validation",
            "budget": {"trials": 1, "evaluation_seeds": len(fresh)},
            "baselines": {"VAE": {"params": {}, "space": {}}},
        },
        "tasks": [],
    }
    return StudyRecords(StudyFolder(tmp_path), upgraded_study(stored), trials, fresh)


def write(path, tasks=1):
    rows = [{"task": f"mnist/{k}", "component": "", **STORED} for k in range(tasks)]
    details = {"schema": SCHEMA, "curves": {}, "histograms": rows}
    write_atomically(path, to_text(details))


def test_each_side_has_area_one_and_normals_come_first():
    drawn = histogram("mnist/2", STORED)
    assert list(drawn.densities) == ["normal images", "other classes"]
    assert drawn.counts == {"other classes": 2, "normal images": 4}
    assert drawn.densities["normal images"].tolist() == [0.75, 0.125]
    for density in drawn.densities.values():
        assert float(density @ np.diff(drawn.edges)) == pytest.approx(1)


def test_a_side_without_images_is_not_drawn():
    counts = {"normal": [3, 1], "outsiders": {"mnist": [0, 2], "svhn": [0, 0]}}
    drawn = histogram("mnist/2", STORED | {"counts": counts})
    assert "mnist" in drawn.densities
    assert "svhn" not in drawn.densities
    assert drawn.counts["svhn"] == 0


def test_a_tested_trial_has_its_own_details(tmp_path):
    ours = study(tmp_path, [record([0, 1])])
    write(ours.folder.details("id0"), tasks=3)
    (quoted,) = results(ours)
    stored = histograms(ours, quoted)
    assert (stored.seed, len(stored.histograms), stored.missing) == (0, 3, "")


def test_a_winner_has_those_of_its_first_complete_seed(tmp_path):
    fresh = [record([1000], "failed"), record([1001]), record([1002])]
    ours = study(tmp_path, [record([0])], fresh)
    write(ours.folder.details("id0", 1001))
    (quoted,) = results(ours)
    assert histograms(ours, quoted).seed == 1001
    (figure,) = part.section(Findings(ours)).blocks
    assert figure.name == "scores_VAE"
    assert "seed 1001" in figure.caption


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "does not exist"), ("{", "is not JSON"), ('{"curves": {}}', "contains no histograms")],
)
def test_details_that_are_lost_are_a_sentence(tmp_path, text, why):
    ours = study(tmp_path, [record([0])])
    if text is not None:
        write_atomically(ours.folder.details("id0"), text)
    (block,) = part.section(Findings(ours)).blocks
    assert block.kind == "warning"
    assert f"trials/id0.json {why}" in block.text


def test_nothing_quoted_is_no_section(tmp_path):
    assert part.section(Findings(study(tmp_path, []))) is None


@pytest.mark.parametrize("tasks", [1, 3, 12])
def test_draws_at_most_ten_panels(tasks):
    figure = draw_histograms([histogram(f"mnist/{k}", STORED) for k in range(tasks)])
    figure.canvas.draw()
    assert sum(axes.axison for axes in figure.axes) == min(tasks, 10)


def test_the_legend_names_the_sides_of_every_panel():
    panels = against("b", "normal")
    (legend,) = draw_histograms(panels).legends
    assert [text.get_text() for text in legend.get_texts()] == ["normal images", "b", "normal"]


def against(*outsiders, name="a"):
    """The histograms of a task against each set of outsiders."""
    return [
        histogram(
            f"{name} against {one}",
            {"edges": [0.0, 1.0, 2.0], "counts": {"normal": [3, 1], "outsiders": {one: [0, 2]}}},
        )
        for one in outsiders
    ]


@pytest.mark.parametrize(("name", "columns"), [("a", 2), ("fashion_mnist, minus the bound,", 1)])
def test_long_titles_and_many_groups_have_room(name, columns):
    figure = draw_histograms(against("mnist", "constant", "noise", "svhn", name=name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a layout without room
        figure.draw_without_rendering()
    starts = sorted({round(axes.get_position().x0, 3) for axes in figure.axes})
    assert len(starts) == columns
    width, height = figure.get_window_extent().size
    for axes in figure.axes:
        (title,) = axes.texts
        end = min([x for x in starts if x > axes.get_position().x0 + 0.001], default=1.0)
        assert title.get_window_extent().x1 <= end * width
    legend = figure.legends[0].get_window_extent()
    assert legend.y0 >= max(axes.texts[0].get_window_extent().y1 for axes in figure.axes)
    assert legend.x0 >= 0 and legend.x1 <= width and legend.y1 <= height
