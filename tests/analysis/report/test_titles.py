"""Tasks are shown by their titles wherever a reader meets them."""

from dataclasses import replace

import pytest

from analysis.questions.comparison.settings import differing_tasks
from analysis.questions.comparison.studies import compare
from analysis.report.findings import Findings
from analysis.report.sections import comparison, histograms, provenance, result, score_time
from analysis.report.study_report import document
from tests.analysis.planted import TASKS, record, study
from tune_ad.atomic import write_atomically
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.metric import TEST_AUROC, ScoreVariant
from tune_ad.storage.records import SCHEMA

TITLES = ("airplane", "automobile")
HISTOGRAM = {"edges": [0.0, 1.0, 2.0], "counts": {"normal": [3, 1], "outsiders": {"": [1, 3]}}}


def titled(planted, titles=TITLES):
    """The study with a title for each of its tasks."""
    tasks = [{"name": n, "title": t} for n, t in zip(TASKS, titles, strict=True)]
    return replace(planted, stored={**planted.stored, "tasks": tasks})


@pytest.fixture
def planted(tmp_path):
    """A study with a score-time parameter and histograms of the scores of both tasks."""
    trial = record(0, {"width": 1.0, "passes": 1}, [[0.6, 0.8], [0.62, 0.82]])
    trial.variants[ScoreVariant("passes", 2)] = {TEST_AUROC: [0.7, 0.9, 0.72, 0.92]}
    planted = study(tmp_path, [trial], {"PGN": {"width": 1.0, "passes": 1}})
    keys = [*((task, "") for task in TASKS), (TASKS[0], "kl")]
    histograms = [{"task": task, "component": component, **HISTOGRAM} for task, component in keys]
    details = {"schema": SCHEMA, "histograms": histograms, "histograms_of": "test"}
    write_atomically(planted.folder.details("id0"), to_text(details))
    return planted


def table(part, name):
    return next(block for block in part.blocks if getattr(block, "name", "") == name)


def test_a_title_is_looked_up_and_a_name_without_one_stays(planted):
    assert titled(planted).task_title("digits/0") == "airplane"
    assert titled(planted).task_title("digits/7") == "digits/7"
    assert planted.task_title("digits/0") == "digits/0"


def test_titles_that_two_tasks_share_are_not_used(planted):
    assert titled(planted, ("three", "three")).task_title("digits/0") == "digits/0"


def test_tables_and_their_files_have_titles(planted):
    findings = Findings(titled(planted))
    classes = table(result.section(findings), "classes")
    assert classes.stored["class"].tolist() == [*TITLES, "mean over 2 classes"]
    by_value = table(score_time.section(findings), "score_time")
    assert set(TITLES) <= set(by_value.shown.columns) & set(by_value.stored.columns)
    rows = table(provenance.section(findings), "provenance").stored
    assert "airplane, automobile" in rows["value"].tolist()


def test_classes_that_the_user_named_have_titles_in_the_provenance(planted):
    named = titled(planted)
    changed = replace(named, stored={**named.stored, "changes": {"classes": [0, 1], "epochs": 2}})
    rows = table(provenance.section(Findings(changed)), "provenance").stored.set_index("what")
    assert rows["value"]["settings changed by the user"] == (
        "classes airplane and automobile, epochs 2"
    )


def test_figures_and_their_captions_have_titles(planted):
    (figure,) = histograms.section(Findings(titled(planted))).blocks
    assert "airplane: normal images 4, other classes 4; automobile:" in figure.caption
    texts = {text.get_text() for axes in figure.draw().axes for text in axes.texts}
    assert {*TITLES, "airplane, kl"} <= texts


def test_baselines_side_by_side_have_titles(tmp_path):
    trials = [
        record(k, {"width": 1.0}, [[0.6 + 0.1 * k + 0.01 * s, 0.8] for s in range(3)], baseline=n)
        for k, n in enumerate(("A", "B"))
    ]
    planted = study(tmp_path, trials, {"A": {"width": 1.0}, "B": {"width": 1.0}})
    part = comparison.section(Findings(titled(planted)))
    assert list(table(part, "baselines").shown)[1:3] == list(TITLES)
    assert set(table(part, "baselines").stored["class"]) == {*TITLES, "mean over classes"}
    by_class = table(part, "pairs_baselines_by_class")
    assert by_class.shown["class"].tolist() == by_class.stored["class"].tolist() == [*TITLES]


def test_studies_without_titles_share_their_tasks_with_later_ones(tmp_path):
    trials = [record(0, {"width": 1.0}, [[0.6 + 0.01 * s, 0.8] for s in range(3)])]
    defaults = {"PGN": {"width": 1.0}}
    old, new = (study(tmp_path / name, trials, defaults, name=name) for name in ("old", "new"))
    assert differing_tasks([old, titled(new)]) == set()
    report = compare([old, titled(new)])
    (results_table,) = [shown for shown in report.all_tables() if shown.name == "results"]
    assert list(results_table.shown)[1:3] == list(TITLES)


def test_no_name_of_a_task_is_left_in_what_is_shown(planted):
    report = document(titled(planted))
    shown = [block for part in report.sections for block in part.blocks]
    texts = [getattr(block, "text", getattr(block, "caption", "")) for block in shown]
    assert not [text for text in [report.summary, *texts] if TASKS[0] in text]
