import math
from dataclasses import replace

import pytest

from analysis.document.blocks import Figure, Table, Text
from analysis.questions.sensitivity.score_time import score_time_curves
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections import result
from analysis.report.sections.score_time import section
from tests.analysis.planted_sensitivity import DEFAULT, TASKS, study, trial
from tests.naming import variants
from tune_ad.storage.metric import TEST_AUROC, ScoreVariant

PASSES = {"0": 0.60, "1": 0.50, "20": 0.70, "inf": 0.80}
PARAMS = {**DEFAULT, "passes": 10, "norm": "l2"}


def scored(seed, shift=0.0, values=PASSES, **changes):
    """An evaluation record of one seed: class 1 is 0.1 above class 0."""
    scored_trial = trial(seed, PARAMS, [[0.65 + shift, 0.75 + shift]], identity="id0", **changes)
    replicas = [
        replica.__class__(replica.task, 1000 + seed, "complete", "", 5)
        for replica in scored_trial.replicas
    ]
    by_variant = {
        f"passes={value}": {"test_auroc": [level + shift, level + 0.1 + shift]}
        for value, level in values.items()
    }
    by_variant["kl"] = {"test_auroc": [0.1, 0.1]}
    by_variant["norm=l1"] = {"test_auroc": [0.3 + shift, 0.3 + shift]}
    return replace(scored_trial, replicas=replicas, variants=variants(by_variant))


@pytest.fixture
def planted():
    chosen = trial(0, PARAMS, [0.9], tested=False)
    return study([chosen], [scored(0), scored(1, 0.02), scored(2, 0.04)], space={})


def test_curves_of_infinitevariants(planted):
    passes, norm = score_time_curves(results(planted))
    assert passes.parameter == "passes"
    assert [point.label for point in passes.points] == ["0", "1", "10", "20", "inf"]
    assert [point.auroc.mean for point in passes.points] == pytest.approx(
        [0.67, 0.57, 0.72, 0.77, 0.87]
    )
    assert [point.reported for point in passes.points] == [False, False, True, False, False]
    assert math.isinf(passes.points[-1].value)
    assert passes.points[0].classes == pytest.approx(dict(zip(TASKS, (0.62, 0.72), strict=True)))
    assert passes.points[0].auroc.n == 3
    assert [point.difference.n for point in passes.points] == [3, 3, 0, 3, 3]
    changes = [p.difference.mean for p in passes.points if not p.reported]
    assert changes == pytest.approx([-0.05, -0.15, 0.05, 0.15])
    paired = passes.points[0].difference
    assert paired.high - paired.low < 1e-9, "what seeds share cancels"
    assert norm.parameter == "norm"
    assert not norm.numeric
    assert [(point.label, point.reported) for point in norm.points] == [
        ("l1", False),
        ("l2", True),
    ]


def test_values_that_seeds_chose_have_their_numbers_of_seeds(planted):
    fresh = [
        replace(record, chosen={"passes": value})
        for record, value in zip(planted.evaluation, ("inf", 20, "inf"), strict=True)
    ]
    findings = Findings(replace(planted, evaluation=fresh))
    curve = score_time_curves(findings.results)[0]
    assert {p.label: p.chosen_by for p in curve.points if p.chosen_by} == {"20": 1, "inf": 2}
    assert not any(point.reported or point.difference.n for point in curve.points)
    (table,) = [b for b in section(findings).blocks if isinstance(b, Table)]
    passes = table.shown[table.shown["parameter"] == "passes"]
    said = dict(zip(passes["value"], passes["reported"], strict=True))
    assert (said["inf"], said["20"], said["0"]) == ("2 of 3 seeds", "1 of 3 seeds", "")
    assert "or the number of seeds for which it was chosen" in table.caption


def test_a_seed_that_chose_the_configurations_own_value_is_not_left_out(planted):
    own = {"passes=10": {"test_auroc": [0.65, 0.75]}}
    fresh = [
        replace(record, chosen={"passes": value}, variants={**record.variants, **more})
        for record, value, more in zip(
            planted.evaluation, (20, 10, 0), (variants(own), {}, variants(own)), strict=True
        )
    ]
    curve = score_time_curves(Findings(replace(planted, evaluation=fresh)).results)[0]
    (point,) = [point for point in curve.points if point.label == "10"]
    assert (point.auroc.n, curve.failed, point.chosen_by) == (3, 0, 1)


def test_a_seed_without_every_number_is_left_out_and_counted(planted):
    lost = scored(3)
    lost.variants[ScoreVariant("passes", "inf")][TEST_AUROC][0] = None
    passes, norm = score_time_curves(
        results(study(planted.trials, [*planted.evaluation, lost], space={}))
    )
    assert (passes.points[0].auroc.n, passes.failed) == (3, 1)
    assert (norm.points[0].auroc.n, norm.failed) == (4, 0)


def test_a_seed_that_lacks_a_variant_or_whose_model_failed_is_left_out(planted):
    without, failed = scored(3), scored(4)
    del without.variants[ScoreVariant("passes", 0)]
    failed.replicas[0] = replace(failed.replicas[0], state="failed")
    records = [*planted.evaluation, without, failed]
    passes, norm = score_time_curves(results(study(planted.trials, records, space={})))
    assert (passes.points[0].auroc.n, passes.failed) == (3, 2)
    assert (norm.points[0].auroc.n, norm.failed) == (4, 1)


def test_the_figure_has_the_limit_as_a_dashed_line(planted):
    part = section(Findings(planted))
    figures = [block for block in part.blocks if isinstance(block, Figure)]
    assert [figure.name for figure in figures] == ["score_time_PGN_passes", "score_time_PGN_norm"]
    axes = figures[0].draw().axes[0]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == pytest.approx([87.0])
    assert any("∞" in text.get_text() for text in axes.texts)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "10", "20"]
    figures[1].draw().canvas.draw()
    (table,) = [block for block in part.blocks if isinstance(block, Table)]
    assert len(table.shown) == 7
    assert "kl" not in set(table.data["parameter"])


def test_labels_of_values_that_lie_together_do_not_touch_and_the_reported_one_stays(planted):
    values = {"0.1": 0.6, "10.4": 0.6, "40": 0.7, "41": 0.7}
    tested = [scored(k, values=values) for k in range(2)]
    (axes,) = _passes(study(planted.trials, tested, space={})).draw().axes
    shown = [label.get_text() for label in axes.get_xticklabels() if label.get_visible()]
    assert "10" in shown and "10.4" not in shown, "10 is the reported value"
    assert len({"40", "41"} & {*shown}) == 1
    assert len(axes.get_xticks()) == 5, "every value keeps its tick"


def test_the_label_of_the_limit_lies_beside_the_axes(planted):
    figure = _passes(planted).draw()
    figure.canvas.draw()
    (axes,) = figure.axes
    (label,) = [text for text in axes.texts if "∞" in text.get_text()]
    assert label.get_window_extent().x0 > axes.get_window_extent().x1
    assert label.get_window_extent().x1 <= figure.bbox.x1


def _passes(planted):
    """The figure of the parameter "passes"."""
    blocks = section(Findings(planted)).blocks
    return next(b for b in blocks if isinstance(b, Figure) and b.name.endswith("passes"))


def test_the_limit_may_be_declared_and_the_only_value():
    tested = scored(0, values={"inf": 0.8})
    tested.params["passes"] = "inf"
    chosen = trial(0, PARAMS, [0.9], tested=False)
    infinite = study([chosen], [tested], space={})
    curve = score_time_curves(results(infinite))[0]
    assert [(point.label, point.reported) for point in curve.points] == [("inf", True)]
    for block in section(Findings(infinite)).blocks:
        if isinstance(block, Figure):
            block.draw().canvas.draw()


def test_nothing_tested_is_nothing_to_say(planted):
    assert section(Findings(study())) is None
    assert section(Findings(study(planted.trials, space={}))) is None
    plain = trial(0, PARAMS, [0.6], identity="id0")
    assert section(Findings(study([plain], [plain], space={}))) is None


def test_a_score_has_one_row_in_the_report_and_the_reported_one_is_marked(planted):
    findings = Findings(planted)
    (scores,) = [b for b in result.section(findings).blocks if getattr(b, "name", "") == "scores"]
    assert list(scores.shown["score"]) == ["kl"], "values of parameters have a table of their own"
    assert "to pick another score by this table would be to select on test data" in scores.caption
    (table,) = [b for b in section(findings).blocks if isinstance(b, Table)]
    reported = table.shown[table.shown["reported"] == "yes"]
    assert list(reported["value"]) == ["10", "l2"]
    assert "another score of the same trained models" in table.caption
    assert "To pick another value by this table would be to select on test data" in table.caption


def test_the_names_of_scores_are_explained_as_the_detector_declared(planted):
    declared = {"PGN": {"kl": "a divergence", "passes": "a number", "other": "not shown"}}
    findings = Findings(replace(planted, stored={**planted.stored, "score_meanings": declared}))
    texts = [b.text for b in result.section(findings).blocks if isinstance(b, Text)]
    assert texts[-1] == "- kl: a divergence"
    assert section(findings).blocks[0].text == "- passes: a number"


def test_a_component_that_is_the_score_is_marked(planted):
    fresh = [replace(record, main_score="kl") for record in planted.evaluation]
    findings = Findings(replace(planted, evaluation=fresh))
    (scores,) = [b for b in result.section(findings).blocks if getattr(b, "name", "") == "scores"]
    assert list(scores.shown["score"]) == ["kl (reported)"]


def test_the_configurations_own_values_are_the_reported_score(planted):
    (quoted,) = results(planted)
    assert quoted.same_as_reported == set()
    fresh = [replace(record, params={**PARAMS, "passes": "20"}) for record in planted.evaluation]
    (quoted,) = results(replace(planted, evaluation=fresh))
    assert {name for name in quoted.variants if name in quoted.same_as_reported} <= {"passes=20"}
