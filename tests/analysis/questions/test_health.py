"""What a reader must know: planted failures, collapses, ties and dead parameters are found."""

import pytest

from analysis.questions.health import (
    DeadParameters,
    costs,
    dead_at_scoring,
    dead_parameters,
    health,
)
from analysis.report.findings import Findings
from analysis.report.sections.health import section
from tests.analysis.planted import record, study


def flagged(number, name, values, **changes):
    trial = record(number, {"width": 1.0 + number}, (0.7 + 0.01 * number, 0.8), **changes)
    trial.metrics[name] = values
    return trial


def test_failures_are_counted_by_reason_and_stops_by_number(tmp_path):
    lost = [
        record(k, {"width": float(k)}, (None,), reason="loss became nan") for k in range(2)
    ] + [record(2, {"width": 5.0}, (0.8,), state="pruned")]
    (group,) = health(study(tmp_path, lost))
    assert group.reasons == {"loss became nan": 2}
    assert group.states == {"failed": 2, "pruned": 1}


def test_collapsed_models_and_ties_are_named(tmp_path):
    records = [
        flagged(0, "test_collapsed", [1.0, 0.0, 1.0, 0.0]),
        flagged(1, "test_tied", [0.0, 0.25, 0.0, 0.0]),
        flagged(2, "test_tied", [0.001] * 4),
    ]
    planted = study(tmp_path, records)
    (group,) = health(planted)
    assert group.collapsed == {0: 2}
    assert group.tied == {1: 0.25}
    text = section(Findings(planted)).blocks[0].text
    assert "2 models gave every image one score, but for rounding, in [0]" in text
    assert "up to 25.0 % of the images have the same score as another one in [1]" in text


def test_weights_that_rest_on_one_code_and_missed_plateaus_are_named(tmp_path):
    starved = flagged(0, "train_effective_share", [0.5, 0.2, 0.5, 0.5])
    starved.params["samples"] = 8
    rich = flagged(1, "train_effective_share", [0.5] * 4)
    rich.params["samples"] = 8
    single = flagged(2, "train_effective_share", [1.0] * 4)
    planted = study(tmp_path, [starved, rich, single, flagged(3, "plateau", [1.0, 0.0, 1.0, 0.0])])
    (group,) = health(planted)
    assert group.starved == {0: pytest.approx(1.6)}
    assert group.unfinished == {3: 2}
    assert "effective sample size down to 1.60" in section(Findings(planted)).blocks[0].text


def test_a_parameter_that_changes_no_number_is_dead(tmp_path):
    records = [
        record(0, {"width": 1.0, "knob": 1}, (0.7, 0.8)),
        record(1, {"width": 1.0, "knob": 2}, (0.7, 0.8)),
        record(2, {"width": 2.0, "knob": 1}, (0.6, 0.8)),
    ]
    assert dead_parameters(study(tmp_path, records)) == [DeadParameters(("knob",), (0, 1))]


def test_a_score_time_parameter_that_changes_no_auroc_is_dead(tmp_path):
    scored = record(0, {"width": 1.0}, (0.7, 0.8))
    for k, value in enumerate((0.1, 0.5)):
        scored.variants[f"dead={value}"] = {"test_auroc": [0.7, 0.7, 0.8, 0.8]}
        scored.variants[f"alive={value}"] = {"test_auroc": [0.7 + 0.1 * k] * 4}
        scored.variants["kl"] = {"test_auroc": [0.5] * 4}
    assert dead_at_scoring(study(tmp_path, [scored])) == ["dead"]


def test_costs_are_counted_by_baseline(tmp_path):
    records = [
        record(0, {"width": 1.0}, (0.7,), seconds=1800.0, models={"parameters": 10.0}),
        record(1, {"width": 2.0}, (0.7,), seconds=5400.0, models={"parameters": 4000.0}),
    ]
    (row,) = costs(study(tmp_path, records)).to_dict("records")
    assert (row["records"], row["hours in all"], row["core-hours"]) == (2, 2.0, 2.0)
    assert row["seconds (median)"] == pytest.approx(3600.0)
    assert row["parameters"] == "10 to 4,000"


def test_a_healthy_study_says_so(tmp_path):
    text = (
        section(Findings(study(tmp_path, [record(0, {"width": 1.0}, (0.7, 0.8))]))).blocks[0].text
    )
    assert text == "No trial failed, was stopped early, collapsed or tied."
