"""Where training stops: planted courses of the test AUROC are read, compared and drawn."""

import numpy as np
import pytest

from analysis.document.blocks import Table, Text
from analysis.questions.progress.stopping import draw_stopping, leads, orders, stopping
from analysis.report.findings import Findings
from analysis.report.sections.stopping import section
from tests.analysis.planted import TASKS, record, study
from tune_ad.storage.jsonl import to_text, write_atomically
from tune_ad.storage.records import SCHEMA

EPOCHS = [2, 4, 6, 8, 10]
EARLY = [0.6, 0.9, 0.8, 0.7, 0.7]  # best at epoch 4
LATE = [0.5, 0.6, 0.7, 0.75, 0.8]


def curves(course):
    """Curves of two classes and two seeds, the second class 0.1 better, the second seed 0.02."""
    offsets = [0.0, 0.1, 0.02, 0.12]
    rows = [[value + offset for offset in offsets] for value in course]
    replicas = [{"part": "oracle", "term": "auroc", "values": rows}]
    rates = [1e-3] * len(course)
    return {
        "epoch": EPOCHS,
        "learning_rate": rates,
        "objective": [None] * len(course),
        "replicas": replicas,
    }


@pytest.fixture
def planted(tmp_path):
    """A study of a detector for each course, published settings."""
    courses = {"early": EARLY, "late": LATE}
    trials = [
        record(k, {}, [[v[-1], v[-1] + 0.1], [v[-1] + 0.02, v[-1] + 0.12]], baseline=name)
        for k, (name, v) in enumerate(courses.items())
    ]
    written = study(tmp_path, trials, {name: {} for name in courses}, plan={"name": "Listed"})
    for k, course in enumerate(courses.values()):
        content = {"schema": SCHEMA, "histograms": [], "curves": curves(course)}
        write_atomically(written.folder.details(f"id{k}"), to_text(content))
    return written


def found_in(written):
    return {one.label: one for one in stopping(written, Findings(written).results)}


def test_the_best_epoch_and_what_it_adds_are_paired_by_seed(planted):
    early, late = (found_in(planted)[name] for name in ("early", "late"))
    assert early.epochs[early.best] == 4
    assert early.gain.mean == pytest.approx(0.2) and early.gain.n == 2
    assert early.gain.std == pytest.approx(0, abs=1e-12)
    assert late.epochs[late.best] == 10 and late.gain.mean == 0
    assert early.auroc[0].mean == pytest.approx(0.66)  # 0.6, half of 0.1, half of 0.02
    assert early.auroc[0].std == pytest.approx(0.02 / np.sqrt(2))


def test_the_second_half_has_its_change_and_its_spread(planted):
    early, late = (found_in(planted)[name] for name in ("early", "late"))
    assert early.spread == pytest.approx(0.1)  # of epochs 6, 8 and 10
    assert late.spread == pytest.approx(0.1)
    assert {early.task, late.task} <= {planted.task_title(task) for task in TASKS}
    assert early.half.n == 0  # no report within a twentieth of epoch 5


def test_the_order_of_the_results_depends_on_the_epoch(planted):
    found = [*found_in(planted).values()]
    assert [(share, labels[0]) for share, labels in orders(found)] == [
        (0.2, "early"),
        (0.4, "early"),
        (0.6, "early"),
        (0.8, "late"),
        (1.0, "late"),
    ]
    assert leads(found) == [(0.2, "early"), (0.8, "late")]
    assert leads([]) == []


def test_the_section_says_what_stopping_well_would_add(planted):
    text, figure, table = section(Findings(planted)).blocks
    assert isinstance(text, Text) and isinstance(table, Table)
    assert text.text.startswith(
        "Stopping after the epoch that is best on the test set would add at most +20.0"
    )
    assert "early at 20% of the epochs, late from 80% on" in text.text
    assert list(table.shown["best epoch"]) == ["4", "10"]
    drawn = draw_stopping([*found_in(planted).values()])
    texts = [line for marks in drawn.described.values() for line in marks.texts]
    assert len(texts) == 2 * len(EPOCHS)
    assert "epoch" in figure.caption or "epochs" in figure.caption


def test_without_a_recorded_course_there_is_no_section(tmp_path):
    written = study(tmp_path, [record(0, {}, [0.8, 0.9])])
    assert section(Findings(written)) is None
