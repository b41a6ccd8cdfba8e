"""Effects of single changes: planted ones are found with sign, size, pairing and verdict."""

import itertools

import numpy as np
import pytest

from analysis.document.blocks import Table
from analysis.questions.ablation import auroc, draw_effects, effects, foremost
from analysis.report.answer import answer
from analysis.report.findings import Findings
from analysis.report.sections.ablation import section
from analysis.study import StudyRecords
from analysis.trials import unchanged_trials
from tests.analysis.planted import record, study

DEFAULT = {"width": 1.0, "bias": True, "milestones": (0.75,)}
SEEDS = (0.8, 0.7, 0.6)


def changed(**changes):
    return {**DEFAULT, **changes}


@pytest.fixture
def ablation(tmp_path):
    def write(*trials, **search):
        return study(tmp_path, trials, {"PGN": DEFAULT}, **search)

    return write


def test_a_seed_counts_with_the_mean_of_its_classes_if_all_are_complete():
    assert auroc(record(0, DEFAULT, SEEDS)).to_dict() == pytest.approx({0: 0.8, 1: 0.7, 2: 0.6})
    lost = record(0, DEFAULT, (0.8, [0.7, None], 0.6), state="complete")
    assert auroc(lost).to_dict() == pytest.approx({0: 0.8, 2: 0.6})
    assert auroc(record(0, DEFAULT, ([0.9, 0.5],))).to_dict() == pytest.approx({0: 0.7})


def test_a_planted_effect_is_found_with_its_sign_and_pairing(ablation):
    (up, down) = effects(
        ablation(
            record(0, DEFAULT, SEEDS),
            record(1, changed(bias=False), (0.75, 0.65, 0.55)),
            record(2, changed(width=2.0), (0.9, 0.8, 0.7)),
        )
    )
    assert (up.parameter, up.value, up.reference) == ("width", 2.0, 1.0)
    assert up.difference.mean == pytest.approx(0.1)
    assert up.difference.std == pytest.approx(0.0, abs=1e-12), "paired by seed: no spread"
    assert (up.auroc.mean, up.auroc.std) == (pytest.approx(0.8), pytest.approx(0.1))
    assert (down.parameter, down.difference.mean) == ("bias", pytest.approx(-0.05))
    assert (up.pairs, up.test.n, up.difference.n) == (1, 6, 3), "six cells: class x seed"


def test_holm_leaves_a_planted_effect_and_takes_a_planted_null_away(ablation):
    rng = np.random.default_rng(0)
    classes = [[0.7, 0.8] for _ in range(8)]
    better = [[value + 0.05 + 0.005 * rng.standard_normal() for value in row] for row in classes]
    noise = [[value + 0.02 * rng.standard_normal() for value in row] for row in classes]
    ranked = effects(
        ablation(
            record(0, DEFAULT, classes),
            record(1, changed(width=2.0), better),
            record(2, changed(bias=False), noise),
        )
    )
    verdicts = {effect.parameter: effect.verdict for effect in ranked}
    assert verdicts["width"].tone == "better"
    assert verdicts["width"].p == pytest.approx(2 * 2 / 2**16), "two rows, sixteen flips"
    assert verdicts["bias"].tone == "unsure"


def test_too_few_seeds_for_the_family_reach_no_verdict(ablation):
    changes = [record(k, changed(width=1.0 + k), (0.9, 0.8, 0.7)) for k in range(1, 4)]
    ranked = effects(ablation(record(0, DEFAULT, SEEDS), *changes))
    assert {effect.verdict.tone for effect in ranked} == {"unsure"}
    assert all("needed" in effect.verdict.reason for effect in ranked)


def test_a_grid_averages_over_the_other_parameters(tmp_path):
    grid = [
        record(k, {"width": width, "bias": bias}, [0.5 + 0.1 * width - 0.05 * (not bias)] * 2)
        for k, (width, bias) in enumerate(itertools.product((1.0, 2.0), (True, False)))
    ]
    planted = study(
        tmp_path, grid, {"PGN": {"width": 1.0, "bias": True}}, plan={"name": "Grid", "points": 3}
    )
    by_parameter = {effect.parameter: effect for effect in effects(planted)}
    assert by_parameter["width"].difference.mean == pytest.approx(0.1)
    assert by_parameter["bias"].difference.mean == pytest.approx(-0.05)
    assert {effect.pairs for effect in by_parameter.values()} == {2}


def test_what_changes_two_parameters_has_no_effect_of_its_own(ablation):
    planted = ablation(record(0, DEFAULT, SEEDS), record(1, changed(width=2.0, bias=False), SEEDS))
    assert effects(planted) == []
    assert "No changed configuration has been tested" in section(Findings(planted)).blocks[0].text


def test_a_change_that_failed_is_a_row_and_one_of_the_family(tmp_path):
    better = [[0.85 + 0.001 * k, 0.95] for k in range(3)]
    two = [record(0, DEFAULT, SEEDS), record(1, changed(width=2.0), better)]
    failed = record(2, changed(bias=False), (None, 0.6, 0.6), reason="loss became nan")
    stopped = record(3, changed(width=3.0), SEEDS, state="pruned")
    (alone,) = effects(study(tmp_path / "alone", two, {"PGN": DEFAULT}))
    assert alone.verdict.tone == "better"
    planted = study(tmp_path / "family", [*two, failed, stopped], {"PGN": DEFAULT})
    family = effects(planted)
    assert [effect.difference.n for effect in family] == [3, 0, 0]
    assert family[0].verdict.tone == "unsure", "six pairs reach no verdict in a family of three"
    reasons = " ".join(effect.test.refusal for effect in family[1:])
    assert "failed: loss became nan" in reasons
    assert "the trial is pruned" in reasons
    assert len(section(Findings(planted)).blocks[0].shown) == 4, "the reference and every change"
    assert "; n = 6 pairs of a class and a seed:" in answer(Findings(planted))
    lost = record(1, changed(bias=False), (None, 0.6, 0.6), reason="loss became nan")
    none = study(tmp_path / "none", [two[0], lost], {"PGN": DEFAULT})
    assert "over all changes of a baseline:" in answer(Findings(none)), "no pairs, so no n"


def test_changes_that_are_planned_count_in_the_family_before_they_run(tmp_path):
    better = [[0.85 + 0.001 * k, 0.95] for k in range(3)]
    two = [record(0, DEFAULT, SEEDS), record(1, changed(width=2.0), better)]
    planted = study(tmp_path, two, {"PGN": DEFAULT})
    whole = _with_plan(planted, planned=2, trials=2)
    begun = _with_plan(planted, planned=11, trials=11)
    assert effects(whole)[0].verdict.tone == "better"
    assert effects(begun)[0].verdict.tone == "unsure"
    assert "9 more changes are still to run" in section(Findings(begun)).blocks[0].caption


def test_changes_that_the_study_leaves_out_are_not_of_the_family(tmp_path):
    better = [[0.85 + 0.001 * k, 0.95] for k in range(3)]
    two = [record(0, DEFAULT, SEEDS), record(1, changed(width=2.0), better)]
    cut = _with_plan(study(tmp_path, two, {"PGN": DEFAULT}), planned=11, trials=2)
    assert effects(cut)[0].verdict.tone == "better"
    assert "still to run" not in section(Findings(cut)).blocks[0].caption


def _with_plan(planted, planned, trials):
    """The study with a number of planned configurations, and of trials that it is to run."""
    search = planted.stored["study"]
    limited = {**search, "budget": {**search["budget"], "trials": trials}}
    stored = {**planted.stored, "study": limited, "planned": {"PGN": planned}}
    return StudyRecords(planted.folder, stored, planted.trials, [])


def test_a_failed_seed_is_left_out_of_the_pairs(ablation):
    lost = record(1, changed(width=2.0), (0.9, [0.8, None], 0.7), state="complete")
    (effect,) = effects(ablation(record(0, DEFAULT, SEEDS), lost))
    assert (effect.difference.n, effect.test.n) == (2, 4)
    assert effect.difference.mean == pytest.approx(0.1)


def test_the_reference_is_the_trial_with_nothing_changed():
    records = [
        record(0, {**DEFAULT}, SEEDS),
        record(1, changed(width=2.0), SEEDS),
        record(2, DEFAULT, SEEDS, baseline="other"),
    ]
    assert [trial.number for trial in unchanged_trials({"PGN": DEFAULT}, records)] == [0]
    failed = record(0, DEFAULT, SEEDS, state="failed")
    assert unchanged_trials({"PGN": DEFAULT}, [failed]) == []


def test_the_section_lists_the_reference_first_and_draws_every_change(ablation):
    planted = ablation(record(0, DEFAULT, SEEDS), record(1, changed(width=2.0), (0.9, 0.8, 0.7)))
    table, figure = section(Findings(planted)).blocks
    assert isinstance(table, Table)
    assert list(table.shown["change"]) == ["none (default parameters)", "width = 2 (from 1)"]
    assert table.stored["difference"].tolist() == pytest.approx([0.1])
    axes = figure.draw().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["width = 2"]
    sheet = draw_effects(effects(planted))
    assert sheet.axes[0].lines[1].get_xdata() == pytest.approx([10.0] * 3)
    (described,) = sheet.described.values()
    assert described.texts == [
        "PGN, width = 2 instead of 1: +10.0 [+10.0, +10.0] points, p = 0.031 (Holm), better, "
        "n = 3 seeds"
    ]


def test_significant_effects_come_before_larger_ones_without_significance(ablation):
    noisy = (0.99, 0.6, 0.75)
    planted = ablation(
        record(0, DEFAULT, SEEDS),
        record(1, changed(width=2.0), [mean + 0.01 for mean in SEEDS]),
        *(record(k, changed(width=1.0 + k), noisy) for k in range(2, 4)),
    )
    found = effects(planted)
    assert foremost(found, 9) == found
    found = [e._replace(verdict=e.verdict._replace(tone="")) for e in found]
    found[-1] = found[-1]._replace(verdict=found[-1].verdict._replace(tone="better"))
    assert abs(found[-1].difference.mean) < abs(found[0].difference.mean)
    assert foremost(found, 1) == found[-1:]
    assert foremost(found, 2) == [found[0], found[-1]]


def test_a_grid_loses_pairs_by_a_failed_trial_and_has_one_row_for_each_value(tmp_path):
    grid = [
        record(k, {"width": width, "bias": bias}, [0.5 + 0.1 * width] * 3)
        for k, (width, bias) in enumerate(itertools.product((1.0, 2.0), (True, False)))
    ]
    grid[2] = record(2, grid[2].params, (None, 0.7, 0.7), reason="lost")
    defaults = {"PGN": {"width": 1.0, "bias": True}}
    from_grid = effects(study(tmp_path, grid, defaults, plan={"name": "Grid", "points": 3}))
    assert [(effect.parameter, effect.pairs) for effect in from_grid] == [
        ("width", 1),
        ("bias", 1),
    ]


def test_the_table_of_a_grid_is_blank_where_the_unchanged_trial_has_no_number(tmp_path):
    grid = [
        record(k, {"width": width, "bias": bias}, [0.5 + 0.1 * width, 0.6, 0.7])
        for k, (width, bias) in enumerate(itertools.product((1.0, 2.0), (True, False)))
    ]
    defaults = {"PGN": {"width": 1.0, "bias": True}}
    records = study(tmp_path, grid, defaults, plan={"name": "Grid", "points": 3})
    table = next(b for b in section(Findings(records)).blocks if isinstance(b, Table))
    assert list(table.shown["pairs of trials"]) == ["", 2, 2]
    assert list(table.shown["n"]) == ["", 6, 6]


def test_an_effect_is_shown_by_each_part_of_the_score(ablation):
    def scored(number, params, aurocs, kl):
        values = [value for value in kl for _ in range(2)]  # of two classes
        return record(number, params, aurocs, variants={"kl": {"test_auroc": values}})

    ours = ablation(
        scored(0, DEFAULT, SEEDS, (0.9, 0.8, 0.7)),
        scored(1, changed(width=2.0), (0.9, 0.8, 0.7), (0.85, 0.75, 0.65)),
        record(2, changed(bias=False), (0.75, 0.65, 0.55)),
    )
    (up, down) = effects(ours)
    assert list(up.parts) == ["kl"]
    of_kl = up.parts["kl"].difference
    assert (of_kl.mean, of_kl.n) == (pytest.approx(-0.05), 3)
    assert down.parts == {}, "it was not scored by the part"
    blocks = section(Findings(ours)).blocks
    (table,) = [b for b in blocks if isinstance(b, Table) and b.name == "effects_by_part"]
    assert list(table.shown["change"]) == ["width = 2 (from 1)", "bias = False (from True)"]
    assert [cell.text for cell in table.shown["kl"]] == ["-5.0 [-5.0, -5.0]", ""]
    assert [cell.text for cell in table.shown["score"]][0] == "+10.0 [+10.0, +10.0]"
    assert table.stored["kl"][0] == pytest.approx(-0.05)
    assert (table.stored["reference"][0], table.stored["seeds"][0]) == ("1", 3)
    assert "Intervals cover the variance over seeds" in table.caption


def test_the_score_itself_and_what_no_change_changes_are_no_parts(ablation):
    def scored(number, params, aurocs):
        values = {"whole": [v for v in aurocs for _ in range(2)], "png_bits": [0.4] * 6}
        given = {name: {"test_auroc": of_name} for name, of_name in values.items()}
        return record(number, params, aurocs, variants=given, main_score="whole")

    ours = ablation(scored(0, DEFAULT, SEEDS), scored(1, changed(width=2.0), (0.9, 0.8, 0.7)))
    (effect,) = effects(ours)
    assert set(effect.parts) == {"png_bits"}
    blocks = section(Findings(ours)).blocks
    assert "effects_by_part" not in [b.name for b in blocks if isinstance(b, Table)]


def test_a_score_without_parts_has_no_table_of_them(ablation):
    ours = ablation(record(0, DEFAULT, SEEDS), record(1, changed(width=2.0), (0.9, 0.8, 0.7)))
    blocks = section(Findings(ours)).blocks
    assert "effects_by_part" not in [b.name for b in blocks if isinstance(b, Table)]
