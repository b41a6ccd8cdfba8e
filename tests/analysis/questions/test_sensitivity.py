from dataclasses import replace

import pytest

from analysis.document.blocks import Figure, Table, Text
from analysis.document.format import file_name
from analysis.report.findings import Findings
from analysis.report.sections.sensitivity import PLACE, section
from tests.analysis.planted_sensitivity import (
    DEFAULT,
    additive,
    crowded,
    flat,
    sampled,
    study,
    trial,
)


def blocks(part, kind):
    return [block for block in part.blocks if isinstance(block, kind)]


@pytest.fixture(scope="module")
def planted():
    return section(Findings(sampled(additive, n=40)))


@pytest.mark.slow
def test_all_figures_of_a_trusted_surrogate_are_drawn(planted):
    figures = blocks(planted, Figure)
    names = ["importances_PGN", "marginals_PGN", "pair_PGN", "path_PGN"]
    assert [figure.name for figure in figures] == names
    for figure in figures:
        figure.draw().canvas.draw()


@pytest.mark.slow
def test_the_table_of_importances_says_what_it_is(planted):
    table = blocks(planted, Table)[0]
    assert table.shown["parameter"].iloc[0] == "strong"
    assert "n = 40 trials" in table.caption
    assert "Spearman" in table.caption
    assert {"fANOVA value", "PED-ANOVA high", "permutation mean", "verdict"} <= set(table.data)


@pytest.mark.slow
def test_the_path_is_explained_and_its_ends_are_measured(planted):
    table = blocks(planted, Table)[1]
    assert table.data["switched"].tolist()[:2] == ["default", "strong"]
    between = len(table.data) - 2
    assert table.data["measured"].notna().tolist() == [True, *[False] * between, True]
    assert table.data["share"].iloc[-1] == pytest.approx(1.0)
    assert table.data["measured"].iloc[0] == pytest.approx(additive(DEFAULT), abs=0.01)
    assert any(
        "% (cumulative) of the predicted gain" in text.text for text in blocks(planted, Text)
    )


@pytest.mark.slow
def test_an_untrusted_surrogate_shows_points_only():
    part = section(Findings(sampled(flat, noise=0.02, n=40)))
    figures = blocks(part, Figure)
    assert [figure.name for figure in figures] == ["importances_PGN", "marginals_PGN"]
    figures[1].draw().canvas.draw()
    (warning,) = [text for text in blocks(part, Text) if text.kind == "warning"]
    assert "not trusted" in warning.text
    assert "permutation mean" not in blocks(part, Table)[0].data


@pytest.mark.slow
def test_the_default_may_be_the_best():
    part = section(Findings(sampled(lambda p: 1.4 - additive(p), n=40)))
    (sentence,) = [text.text for text in blocks(part, Text) if "is the default" in text.text]
    assert sentence == "The trial that the selection rule validation chose is the default."


def test_too_few_trials_are_one_sentence():
    for planted in (study(), sampled(additive, n=1), sampled(additive, n=9)):
        texts = [block.text for block in section(Findings(planted)).blocks]
        assert "No sensitivities of PGN" in texts[-1]


def test_failed_trials_are_counted():
    failed = [trial(k, DEFAULT, [0.5], state="failed", reason="x") for k in range(3)]
    texts = [block.text for block in section(Findings(study(failed))).blocks]
    assert "Left out: 3 failed." in texts[0]


@pytest.mark.parametrize("plan", ["OneAtATime", "Listed"])
def test_an_ablation_has_its_own_section(plan):
    assert section(Findings(sampled(additive, n=20, plan={"name": plan}))) is None


def test_nothing_searched_is_nothing_to_say():
    assert section(Findings(sampled(flat, space={}))) is None
    assert PLACE == 40


@pytest.mark.slow
def test_several_baselines_are_told_apart():
    one = sampled(additive, n=12)
    second = [replace(r, number=r.number + 12, baseline="b (2)") for r in one.trials]
    part = section(Findings(study([*one.trials, *second], baselines=("PGN", "b (2)"))))
    for kind in (Figure, Table):
        names = [block.name for block in blocks(part, kind)]
        assert len(set(names)) == len(names)
        assert {file_name("importances", name) for name in ("PGN", "b (2)")} <= set(names)
    assert any(f.caption.startswith("b (2): ") for f in blocks(part, Figure))


@pytest.mark.slow
def test_all_trials_draw_the_curves_and_the_block_the_importances():
    planted = crowded(additive, more=18)
    for record in planted.trials[:12]:
        record.params["idle"] = 1
    part = section(Findings(planted))
    table, figures = blocks(part, Table)[0], blocks(part, Figure)
    assert "n = 12 trials" in table.caption
    assert "over 5 folds; 30 trials" in table.caption
    assert "n = 30" in figures[1].caption
    figures[1].draw().canvas.draw()
    texts = [text.text for text in blocks(part, Text)]
    assert "The selection rule validation uses the same number, validation AUROC." in texts[1]
    assert "is fitted to all 30 trials" in texts[2]
    assert "idle" not in set(table.data["parameter"])


@pytest.mark.slow
def test_a_biased_sample_is_warned_of_and_judged_with_care():
    part = section(Findings(crowded(additive, n=4, more=16)))
    warnings = [text.text for text in blocks(part, Text) if text.kind == "warning"]
    assert any("--ablate sobol" in text for text in warnings)
    table = blocks(part, Table)[0]
    assert "above noise" not in set(table.data["verdict"])
    assert 'no parameter is reported as "above noise"' in table.caption


@pytest.mark.slow
def test_what_nobody_may_see_has_no_say_in_the_curves():
    planted = sampled(additive, n=20)
    for record in planted.trials:
        record.metrics["test_auroc"] = [0.5] * len(record.replicas)
    part = section(Findings(planted))
    assert blocks(part, Table)[0].shown["parameter"].iloc[0] == "strong"
    assert "test AUROC" not in "".join(figure.caption for figure in blocks(part, Figure))


def test_every_trial_of_an_older_record_is_a_sentence():
    planted = sampled(additive, n=12)
    for record in planted.trials:
        del record.params["idle"]
    texts = [block.text for block in section(Findings(planted)).blocks]
    assert "12 lacking a searched parameter" in texts[0]
    assert "No sensitivities of PGN" in texts[1]
