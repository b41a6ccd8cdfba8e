"""What a reader must know: planted failures, collapses, ties and dead parameters are found."""

import math

import pytest

from analysis.questions.health import (
    DeadParameters,
    costs,
    dead_at_scoring,
    dead_parameters,
    diagnostics,
    health,
)
from analysis.report.findings import Findings
from analysis.report.sections.health import section
from tests.analysis.planted import record, study
from tune_ad.storage.metric import (
    BITS_PER_DIM,
    PARTS,
    STOPPED,
    TEST_AUROC,
    Metric,
    ScoreVariant,
)
from tune_ad.storage.records import DetectorWarning

TIED, COLLAPSED = Metric("test", "tied"), Metric("test", "collapsed")
ONE_CODE = "importance weights lie on nearly one of 8 codes; more samples help"
ZERO_RATE = "the rate of every image is nearly 0; a smaller weight of the rate helps"


def flagged(number, metrics=None, **changes):
    """A trial of two seeds and two classes with further metrics."""
    trial = record(number, {"width": 1.0 + number}, (0.7 + 0.01 * number, 0.8), **changes)
    trial.metrics.update(metrics or {})
    return trial


def table(part, name):
    return next(block for block in part.blocks if getattr(block, "name", "") == name)


def test_failures_are_counted_by_reason_and_stops_by_number(tmp_path):
    lost = [
        record(k, {"width": float(k)}, (None,), reason="loss became nan") for k in range(2)
    ] + [record(2, {"width": 5.0}, (0.8,), state="pruned")]
    (group,) = health(study(tmp_path, lost))
    assert group.reasons == {"loss became nan": 2}
    assert group.states == {"failed": 2, "pruned": 1}


def test_collapsed_models_and_ties_are_named(tmp_path):
    records = [
        flagged(0, {COLLAPSED: [1.0, 0.0, 1.0, 0.0]}),
        flagged(1, {TIED: [0.0, 0.25, 0.0, 0.0]}),
        flagged(2, {TIED: [0.001] * 4}),
    ]
    planted = study(tmp_path, records)
    (group,) = health(planted)
    assert group.collapsed == {0: 2}
    assert group.tied == {1: 0.25}
    text = section(Findings(planted)).blocks[0].text
    assert "2 models collapsed (same score for every image) in [0]" in text
    assert "up to 25.0 % of the scores are tied in [1]" in text


def test_missed_plateaus_are_named(tmp_path):
    planted = study(tmp_path, [flagged(0), flagged(1, {STOPPED: [1.0, 0.0, 1.0, 0.0]})])
    (group,) = health(planted)
    assert group.unfinished == {1: 2}
    text = section(Findings(planted)).blocks[0].text
    assert "trials: 2 models ran out of epochs" in text
    assert "stopped improving in [1]" in text


def test_warnings_of_detectors_are_counted_by_their_text(tmp_path):
    trials = [
        flagged(
            0, warnings=[DetectorWarning(ONE_CODE, (1,)), DetectorWarning(ZERO_RATE, (0, 2, 3))]
        ),
        flagged(1),
        flagged(2, warnings=[DetectorWarning(ONE_CODE, (0, 3))]),
    ]
    planted = study(
        tmp_path, trials, fresh=[flagged(0, warnings=[DetectorWarning(ZERO_RATE, (2,))])]
    )
    searched, evaluated = health(planted)
    assert searched.warnings == {ONE_CODE: {0: 1, 2: 2}, ZERO_RATE: {0: 3}}
    assert evaluated.warnings == {ZERO_RATE: {0: 1}}
    text = section(Findings(planted)).blocks[0]
    assert text.kind == "warning"
    assert text.text.splitlines() == [
        f"- trials: 3 models in [0, 2]: {ONE_CODE}",
        f"- trials: 3 models in [0]: {ZERO_RATE}",
        f"- evaluation: 1 model in [0]: {ZERO_RATE}",
    ]


def test_diagnostics_of_detectors_are_summarised_by_baseline(tmp_path):
    gap, radius = Metric("gap", "negative_elbo", unit=BITS_PER_DIM), Metric("sphere", "radius")
    trials = [
        flagged(0, {gap: [1.0, 2.0, 3.0, None]}),
        flagged(1, {gap: [6.0, math.nan, None, None]}),
        flagged(2, {radius: [0.5, None, None, None]}, baseline="SVDD"),
    ]
    defaults = {"PGN": {"width": 1.0}, "SVDD": {"width": 1.0}}
    planted = study(tmp_path, trials, defaults, [flagged(0, {gap: [4.0] * 4})])
    shown = table(section(Findings(planted)), "diagnostics")
    rows = shown.stored.set_index(["what", "baseline", "diagnostic"])
    # 1, 2, 3, 6: mean 3, sample variance (4 + 1 + 0 + 9) / 3
    assert rows.loc[("trials", "PGN", "gap_negative_elbo_bits_per_dim")].to_dict() == (
        pytest.approx({"models": 4, "mean": 3.0, "std": math.sqrt(14 / 3), "min": 1.0, "max": 6.0})
    )
    assert rows.loc[("trials", "SVDD", "sphere_radius"), ["models", "mean"]].tolist() == [1, 0.5]
    assert math.isnan(rows.loc[("trials", "SVDD", "sphere_radius"), "std"])
    fresh = rows.loc[("evaluation", "PGN", "gap_negative_elbo_bits_per_dim")]
    assert (fresh["models"], fresh["mean"], fresh["std"]) == (4, 4.0, 0.0)
    assert len(rows) == 3, "test AUROC and other parts that every detector has are no diagnostics"


@pytest.mark.parametrize("part", PARTS)
def test_a_metric_that_every_detector_has_is_no_diagnostic(tmp_path, part):
    planted = study(tmp_path, [flagged(0, {Metric(part, "loss"): [1.0] * 4})])
    assert diagnostics(planted).empty
    names = [getattr(block, "name", "") for block in section(Findings(planted)).blocks]
    assert "diagnostics" not in names


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
        scored.variants[ScoreVariant("dead", value)] = {TEST_AUROC: [0.7, 0.7, 0.8, 0.8]}
        scored.variants[ScoreVariant("alive", value)] = {TEST_AUROC: [0.7 + 0.1 * k] * 4}
        scored.variants[ScoreVariant.of_component("kl")] = {TEST_AUROC: [0.5] * 4}
    assert dead_at_scoring(study(tmp_path / "two", [scored])) == ["dead"]
    other = record(0, {"width": 1.0}, (0.7, 0.8))
    other.variants[ScoreVariant("score_by", "regret")] = {TEST_AUROC: [0.9] * 4}
    assert dead_at_scoring(study(tmp_path / "one", [other])) == [], "unlike the reported score"


def test_costs_are_counted_by_baseline(tmp_path):
    records = [
        record(0, {"width": 1.0}, (0.7,), seconds=1800.0, models={"parameters": 10.0}),
        record(1, {"width": 2.0}, (0.7,), seconds=5400.0, models={"parameters": 4000.0}),
    ]
    (row,) = costs(study(tmp_path, records)).to_dict("records")
    assert (row["records"], row["total seconds"], row["core-seconds"]) == (2, 7200.0, 7200.0)
    assert row["median seconds"] == pytest.approx(3600.0)
    assert row["parameters"] == "10 to 4,000"


def test_times_are_shown_in_a_fitting_unit(tmp_path):
    records = [
        record(k, {"width": 1.0}, (0.7,), seconds=seconds) for k, seconds in enumerate((0.5, 5400))
    ]
    shown = table(section(Findings(study(tmp_path, records))), "costs").shown
    assert list(map(str, shown[["longest time", "total time", "GPU time"]].iloc[0])) == [
        "1.5 h",
        "1.5 h",
        "0 s",
    ]


def test_a_healthy_study_says_so(tmp_path):
    text = (
        section(Findings(study(tmp_path, [record(0, {"width": 1.0}, (0.7, 0.8))]))).blocks[0].text
    )
    assert text == "No failed, pruned or collapsed trials, and no tied scores."
