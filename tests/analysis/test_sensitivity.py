from dataclasses import replace

import pytest

from analysis.document import Figure, Table, Text
from analysis.sections.sensitivity import PLACE, section
from tests.analysis.planted_sensitivity import DEFAULT, additive, flat, sampled, study, trial


def blocks(found, kind):
    return [each for each in found.blocks if isinstance(each, kind)]


@pytest.fixture(scope="module")
def planted():
    return section(sampled(additive, n=40))


def test_all_figures_of_a_trusted_surrogate_are_drawn(planted):
    figures = blocks(planted, Figure)
    names = ["importances_pgn", "marginals_pgn", "pair_pgn", "path_pgn"]
    assert [each.name for each in figures] == names
    for each in figures:
        each.draw().canvas.draw()


def test_the_table_of_importances_says_what_it_is(planted):
    table = blocks(planted, Table)[0]
    assert table.shown["parameter"].iloc[0] == "strong"
    assert "n = 40 trials" in table.caption
    assert "Spearman" in table.caption
    assert {"fANOVA value", "PED-ANOVA high", "permutation mean", "verdict"} <= set(table.data)


def test_the_path_is_explained_and_its_ends_are_measured(planted):
    table = blocks(planted, Table)[1]
    assert table.data["switched"].tolist()[:2] == ["default", "strong"]
    between = len(table.data) - 2
    assert table.data["measured"].notna().tolist() == [True, *[False] * between, True]
    assert table.data["share"].iloc[-1] == pytest.approx(1.0)
    assert table.data["measured"].iloc[0] == pytest.approx(additive(DEFAULT), abs=0.01)
    assert any("Of the predicted gain" in text.text for text in blocks(planted, Text))


def test_an_untrusted_surrogate_shows_points_only():
    found = section(sampled(flat, noise=0.02, n=40))
    figures = blocks(found, Figure)
    assert [each.name for each in figures] == ["importances_pgn", "marginals_pgn"]
    figures[1].draw().canvas.draw()
    (warning,) = [text for text in blocks(found, Text) if text.kind == "warning"]
    assert "not believed" in warning.text
    assert "permutation mean" not in blocks(found, Table)[0].data


def test_the_default_may_be_the_best():
    found = section(sampled(lambda p: 1.4 - additive(p), n=40))
    (said,) = [text.text for text in blocks(found, Text) if "default itself" in text.text]
    assert said == "The best trial by validation is the default itself."


def test_too_few_trials_are_one_sentence():
    for planted in (study(), sampled(additive, n=1), sampled(additive, n=9)):
        said = [each.text for each in section(planted).blocks]
        assert "No sensitivities of PGN" in said[-1]


def test_failed_trials_are_counted():
    failed = [trial(k, DEFAULT, [0.5], state="failed", reason="x") for k in range(3)]
    said = [each.text for each in section(study(failed)).blocks]
    assert "Left out: 3 failed." in said[0]


@pytest.mark.parametrize("plan", ["OneAtATime", "Listed"])
def test_an_ablation_has_its_own_section(plan):
    assert section(sampled(additive, n=20, plan={"name": plan})) is None


def test_nothing_searched_is_nothing_to_say():
    assert section(sampled(flat, space={})) is None
    assert PLACE == 40


def test_several_baselines_are_told_apart():
    one = sampled(additive, n=12)
    second = [replace(r, number=r.number + 12, baseline="b (2)") for r in one.trials]
    found = section(study([*one.trials, *second], baselines=("PGN", "b (2)")))
    for kind in (Figure, Table):
        names = [each.name for each in blocks(found, kind)]
        assert len(set(names)) == len(names)
        assert {"importances_pgn", "importances_b_2"} <= set(names)
    assert any(f.caption.startswith("b (2): ") for f in blocks(found, Figure))
