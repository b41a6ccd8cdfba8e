"""Golden studies: their reports, number by number, and the headline from the raw records."""

import json
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest

from tests.analysis.golden import FOLDER, STUDIES, report_of, tables_of
from tests.marks import slow

FORESTS = ("importances_", "path_")  # tables that depend on the random forests of scikit-learn
RELATIVE = 1e-6


@pytest.fixture(scope="module", params=[STUDIES[0], *map(slow, STUDIES[1:])])
def golden(request):
    return FOLDER / request.param, report_of(request.param)


def same_forests():
    """Whether scikit-learn is the one under which the tables were written."""
    study = json.loads((FOLDER / STUDIES[0] / "study.json").read_text(encoding="utf-8"))
    return version("scikit-learn") == study["versions"]["scikit-learn"]


def test_the_answer_is_the_same_in_every_letter(golden):
    folder, report = golden
    assert report.summary + "\n" == (folder / "report" / "answer.txt").read_text(encoding="utf-8")


def test_the_tables_are_the_same(golden):
    folder, report = golden
    expected = {path.stem for path in (folder / "report").glob("*.csv")}
    assert set(tables_of(report)) >= expected


def test_every_number_of_every_table_is_the_same(golden, tmp_path):
    folder, report = golden
    tables = tables_of(report)
    for name in sorted(path.stem for path in (folder / "report").glob("*.csv")):
        table = tables[name]
        if name.startswith(FORESTS) and not same_forests():
            continue
        table.stored.to_csv(tmp_path / "now.csv", index=False)
        now = pd.read_csv(tmp_path / "now.csv")
        then = pd.read_csv(folder / "report" / f"{name}.csv")
        for key in ("rule", "what"):  # a new rule adds a row, a new setting one to the provenance
            if key in then:
                now = now[now[key].isin(then[key])].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            now[[*then]], then, rtol=RELATIVE, obj=f"{folder.name}/{name}"
        )


def test_every_figure_can_be_drawn(golden):
    _, report = golden
    assert report.figures()
    for figure in report.figures():
        assert figure.draw().axes


def test_the_headline_is_the_mean_over_fresh_seeds_of_the_mean_over_classes():
    lines = (FOLDER / "quickstart" / "evaluation" / "evaluation.jsonl").read_text(encoding="utf-8")
    values = [np.mean(json.loads(line)["metrics"]["test_auroc"]) for line in lines.splitlines()]
    mean, std = 100 * np.mean(values), 100 * np.std(values, ddof=1)
    assert f"{mean:.1f} ± {std:.1f}" in report_of("quickstart").summary


def test_the_ablations_largest_effect_is_the_difference_of_two_lines_of_the_records():
    folder = FOLDER / "quickstart-ablation"
    lines = (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    trials = [json.loads(line) for line in lines]
    default = trials[0]["params"]
    best = pd.read_csv(folder / "report" / "effects.csv").iloc[0]
    (changed,) = [
        trial
        for trial in trials
        if {k for k, v in trial["params"].items() if v != default[k]} == {best["parameter"]}
        and float(trial["params"][best["parameter"]])
        == pytest.approx(float(best["value"]), rel=1e-3)
    ]
    difference = np.mean(changed["metrics"]["test_auroc"]) - np.mean(
        trials[0]["metrics"]["test_auroc"]
    )
    assert best["difference"] == pytest.approx(difference)
