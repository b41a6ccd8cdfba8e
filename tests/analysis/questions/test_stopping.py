"""Where training stops: planted courses of the test AUROC are read, compared and drawn."""

import numpy as np
import pytest

from analysis.document.blocks import Table, Text
from analysis.questions.progress import stopping as stopping_module
from analysis.questions.progress.learning_curves import Curve
from analysis.questions.progress.stopping import draw_stopping, leads, orders, stopping
from analysis.report.findings import Findings
from analysis.report.sections import stopping as section_module
from analysis.report.sections.stopping import section
from analysis.stats.estimates import estimate
from tests.analysis.planted import TASKS, record, study
from tune_ad.atomic import write_atomically
from tune_ad.storage.jsonl import to_text
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


def of_curves(*curves):
    """What is made of curves: pairs of a class and a seed with epochs and values."""
    return stopping_module._of_result(
        "result",
        [
            Curve(f"{task}, {seed}", task, np.array(epochs), np.array(values), seed=seed)
            for task, seed, epochs, values in curves
        ],
    )


def test_a_model_that_stops_early_keeps_its_last_value():
    found = of_curves(
        ("easy", 0, [1, 2, 3], [0.9, 0.95, 0.99]),
        ("hard", 0, [1, 2], [0.5, 0.6]),
        ("easy", 1, [1, 2, 3], [0.9, 0.95, 0.99]),
        ("hard", 1, [1, 2, 3], [0.5, 0.6, 0.6]),
    )
    assert found.epochs.tolist() == [1, 2, 3]
    assert found.auroc[-1].mean == pytest.approx(0.795) and found.auroc[-1].n == 2
    assert found.left_out == 0


def test_a_seed_that_lacks_a_class_is_left_out_and_counted():
    found = of_curves(
        ("easy", 0, [1, 2], [0.9, 0.95]),
        ("hard", 0, [1, 2], [0.5, 0.6]),
        ("easy", 1, [1, 2], [0.9, 0.95]),
    )
    assert (found.auroc[-1].n, found.left_out) == (1, 1)
    assert found.auroc[-1].mean == pytest.approx(0.775)


def test_epochs_begin_where_all_models_have_a_report():
    found = of_curves(("a", 0, [2, 3, 4], [0.5, 0.6, 0.7]), ("a", 1, [1, 2, 3], [0.4, 0.5, 0.6]))
    assert found.epochs.tolist() == [2, 3, 4]
    assert [value.mean for value in found.auroc] == pytest.approx([0.5, 0.6, 0.65])


def test_luck_of_a_seed_is_no_gain():
    """Noise around a constant course: the plain maximum gains, the cross-fitted one does not."""
    rng = np.random.default_rng(0)
    gains, plain = [], []
    for _ in range(200):
        noise = 0.8 + 0.01 * rng.standard_normal((3, 10))
        found = of_curves(*(("a", seed, list(range(1, 11)), noise[seed]) for seed in range(3)))
        gains.append(found.gain.mean)
        plain.append(noise.mean(axis=0).max() - noise.mean(axis=0)[-1])
    assert np.mean(plain) > 0.005
    assert abs(np.mean(gains)) < 0.002


def test_every_change_of_the_lead_is_told(planted):
    early = found_in(planted)["early"]
    course = [0.9, 0.5, 0.9, 0.5, 0.9]
    other = early._replace(label="other", auroc=[estimate([v]) for v in course])
    steady = early._replace(label="steady", auroc=[estimate([0.7])] * 5)
    assert [label for _, label in leads([other, steady])] == [
        "other",
        "steady",
        "other",
        "steady",
        "other",
    ]
    assert section_module._leads([other, steady]).endswith(
        "other from 60% of the epochs, steady from 80% of the epochs, and 1 change more."
    )


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


def test_the_report_nearest_to_half_of_the_epochs_is_taken():
    epochs = list(range(5, 101, 5))
    course = [epoch / 100 for epoch in epochs]
    one = of_curves(("a", 0, epochs, course), ("a", 1, epochs, course))
    assert one.half.mean == pytest.approx(0.5), "not since epoch 45, which lies as near as allowed"
    every = list(range(1, 101))
    crossed = [0.9] * 99 + [0.1]
    found = [of_curves(("a", 0, every, values)) for values in (crossed, [0.5] * 100)]
    found = [one._replace(label=str(k)) for k, one in enumerate(found)]
    assert leads(found) == [(0.01, "0"), (1.0, "1")]


def test_the_section_says_what_stopping_well_would_add(planted):
    text, figure, table = section(Findings(planted)).blocks
    assert isinstance(text, Text) and isinstance(table, Table)
    assert text.text.startswith("The largest gain of 2 results by stopping at the epoch that")
    assert ": +20.0" in text.text
    assert "early from 20% of the epochs, late from 80% of the epochs." in text.text
    assert list(table.shown["best epoch"]) == ["4", "10"]
    drawn = draw_stopping([*found_in(planted).values()])
    texts = [line for marks in drawn.described.values() for line in marks.texts]
    assert len(texts) == 2 * (1 + len(EPOCHS))
    assert "epoch" in figure.caption or "epochs" in figure.caption


def test_without_a_recorded_course_there_is_no_section(tmp_path):
    written = study(tmp_path, [record(0, {}, [0.8, 0.9])])
    assert section(Findings(written)) is None
