"""Which number of a study may be quoted, and how each kind is found."""

from dataclasses import replace

import pytest

from analysis.quoted import NOTHING, QUOTATIONS, results
from analysis.report.findings import Findings
from analysis.report.sections.result import section as result_section
from analysis.report.sections.trials import section as trials_section
from tests.analysis.planted import record, study
from tune_ad.selection import RULES
from tune_ad.storage.metric import VALIDATION_AUROC

FRESH = {"trials": 2, "seeds": 1, "evaluation_seeds": 3}
LIKELIHOOD = {"kind": "capacity", "factor": "width", "strata": ["likelihood"]}
DEFAULT = {"width": 1.0, "likelihood": "bernoulli"}
KINDS = {
    "winner": {"budget": FRESH, "plan": {"name": "Optuna"}},
    "oracle": {"selection": "oracle", "plan": {"name": "Optuna"}},
    "single": {"plan": {"name": "Optuna"}},
    "defaults": {},
    "strata": {"plan": {"name": "Grid"}, "claim": LIKELIHOOD},
    "configurations": {"plan": {"name": "Listed"}},
}


def two_likelihoods(path, **search):
    """A study of the default and of the same configuration with another likelihood."""
    trials = [
        record(0, DEFAULT, (0.6, 0.62), objective=0.5),
        record(1, {**DEFAULT, "likelihood": "categorical"}, (0.8, 0.82), objective=0.6),
    ]
    return study(path, trials, {"PGN": DEFAULT}, **search)


@pytest.mark.parametrize(("kind", "search"), KINDS.items())
def test_the_kind_of_a_quotation_follows_from_what_the_study_declares(tmp_path, kind, search):
    assert two_likelihoods(tmp_path, **search).quotes == kind


def test_every_kind_says_how_it_is_found_and_what_was_tested():
    assert set(QUOTATIONS) == {*KINDS, "winners"}, "winners are tested in tests/app"
    assert len({quotation.source for quotation in QUOTATIONS.values()}) == len(QUOTATIONS)


@pytest.mark.parametrize(
    ("kind", "means"),
    [
        ("winner", {}),
        ("oracle", {"PGN": 0.81}),
        ("single", {}),
        ("defaults", {"PGN": 0.61}),
        ("strata", {"likelihood = bernoulli": 0.61, "likelihood = categorical": 0.81}),
        ("configurations", {"likelihood = bernoulli": 0.61, "likelihood = categorical": 0.81}),
    ],
)
def test_the_numbers_of_each_kind(tmp_path, kind, means):
    quoted = results(two_likelihoods(tmp_path, **KINDS[kind]))
    assert {result.label: result.auroc.mean for result in quoted} == pytest.approx(means)
    assert {result.source for result in quoted} <= {QUOTATIONS[kind].source}


@pytest.mark.parametrize("kind", ["single", "defaults", "strata", "configurations"])
def test_one_trial_per_baseline_is_quoted_as_the_only_configuration(tmp_path, kind):
    only = study(tmp_path, [record(0, DEFAULT, (0.6,))], {"PGN": DEFAULT}, **KINDS[kind])
    assert only.quotes == "single"
    (result,) = results(only)
    assert (result.label, result.auroc.mean) == ("PGN", pytest.approx(0.6))
    assert (result.rule, result.selection) == (
        NOTHING,
        "Nothing was selected: every configuration was fixed before the run.",
    )


def test_values_chosen_after_training_are_named_with_the_result_and_with_each_trial(tmp_path):
    params = {**DEFAULT, "mc_samples": 20}
    winner = record(0, params, (0.6,), searched=["width"], chosen={"mc_samples": 5})
    winner.metrics[VALIDATION_AUROC] = [0.7, 0.7]
    fresh = [
        replace(winner, replicas=[replace(r, seed=seed) for r in winner.replicas], chosen=chosen)
        for seed, chosen in ((1000, {"mc_samples": "inf"}), (1001, {"mc_samples": 5}))
    ]
    budget = {"trials": 2, "evaluation_seeds": 2, "seeds": 1}
    changes = {"plan": {"name": "Optuna"}, "quotes": "winner", "budget": budget}
    ours = study(tmp_path, [winner], {"PGN": DEFAULT}, fresh, **changes)
    findings = Findings(ours)
    text = result_section(findings).blocks[0].text
    assert (
        "scored with mc_samples = inf (1 of 2) or mc_samples = 5 (1 of 2), chosen after training "
        "on held-out images."
    ) in text
    (table,) = trials_section(findings).blocks
    assert [str(cell) for cell in table.shown["mc_samples (chosen)"]] == ["5"]
    assert "chosen after training on held-out images" in table.caption


def test_one_stratum_is_labelled_by_its_baseline(tmp_path):
    wide = {**DEFAULT, "width": 2.0}
    trials = [record(0, DEFAULT, (0.6, 0.62)), record(1, wide, (0.9, 0.92))]
    claim = {"plan": {"name": "Grid"}, "claim": LIKELIHOOD}
    (result,) = results(study(tmp_path, trials, {"PGN": DEFAULT}, **claim))
    assert (result.label, result.auroc.mean) == ("PGN", pytest.approx(0.61))


def test_what_selected_is_said_in_the_words_of_the_rule(tmp_path):
    (result,) = results(two_likelihoods(tmp_path, **KINDS["oracle"]))
    assert result.selection == f"Selected by {RULES['oracle'].title}."
    assert result.selection.startswith("Selected by test AUROC (optimistic")
