"""The table of trials: what ranks them has its own name, and times have a fitting unit."""

import pytest

from analysis.report.findings import Findings
from analysis.report.sections.trials import section
from tests.analysis.planted import record, study
from tune_ad.storage.metric import VALIDATION_AUROC, Metric


def made(path, rule, metric, **search):
    trials = [
        record(k, {"width": 1.0 + k}, (0.6 + 0.1 * k,), objective=0.5 + 0.1 * k, seconds=90.0)
        for k in range(2)
    ]
    if metric:
        for k, trial in enumerate(trials):
            trial.metrics[metric] = [0.5 + 0.1 * k] * 2
    search = {"selection": rule, "plan": {"name": "Optuna"}, **search}
    return section(Findings(study(path, trials, **search))).blocks[0]


@pytest.mark.parametrize(
    ("rule", "metric", "name"),
    [
        ("validation", VALIDATION_AUROC, "validation AUROC"),
        ("normal_only", Metric("validation", "loss"), "minus the loss of held-out normal images"),
        ("random", None, "objective"),
    ],
)
def test_the_number_that_ranks_trials_has_its_own_name(tmp_path, rule, metric, name):
    shown = made(tmp_path, rule, metric).shown
    assert list(shown) == ["number", "state", name, "test AUROC", "width", "time"]
    assert list(map(str, shown["time"])) == ["1.5 min"] * 2


def test_the_test_auroc_is_shown_once_where_it_selects(tmp_path):
    assert list(made(tmp_path, "oracle", None).shown) == [
        "number",
        "state",
        "test AUROC",
        "width",
        "time",
    ]


def test_a_study_of_single_changes_lists_changes_instead_of_all_parameters(tmp_path):
    shown = made(tmp_path, "validation", VALIDATION_AUROC, plan={"name": "OneAtATime"}).shown
    assert list(shown) == ["number", "state", "validation AUROC", "test AUROC", "change", "time"]
    assert set(shown["change"]) == {"none (default parameters)", "width = 2 (from 1)"}


def test_numbers_that_chose_the_winner_are_not_to_be_reported(tmp_path):
    caption = made(tmp_path, "validation", VALIDATION_AUROC).caption
    assert (
        "The winner was chosen by these numbers, so they are optimistic; do not report them."
        in caption
    )
