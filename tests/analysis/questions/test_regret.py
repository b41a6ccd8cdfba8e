"""Selection rules: what each chooses among planted trials, and what a choice costs."""

import pytest

from analysis.questions.regret import choices, label_curve
from analysis.report.findings import Findings
from analysis.report.sections.selection import section
from tests.analysis.planted import record, study
from tune_ad.storage.metric import BITS_PER_DIM, VALIDATION_AUROC, Metric

VALIDATION_LOSS = Metric("validation", "loss")
TESTED = (0.6, 0.9, 0.7)
VALIDATED = (0.5, 0.6, 0.8)
LOSSES = (1.0, 3.0, 2.0)
LABELLED = {"1": ([0.9, 0.1], [0.1, 0.9], [0.5, 0.5]), "5": ([0.1] * 2, [0.9] * 2, [0.5] * 2)}


def trials(labelled=True):
    records = []
    for k, tested in enumerate(TESTED):
        aurocs = (tested - 0.1, tested + 0.1)
        trial = record(k, {"width": 1.0 + k}, aurocs, scales={"loss": "PGN"})
        trial.metrics[VALIDATION_AUROC] = [VALIDATED[k]] * 4
        trial.metrics[VALIDATION_LOSS] = [LOSSES[k]] * 4
        if labelled:
            trial.labelled.update({name: draws[k] for name, draws in LABELLED.items()})
        records.append(trial)
    return records


@pytest.fixture
def planted(tmp_path):
    def write(records):
        return study(tmp_path, records, plan={"name": "Optuna"})

    return write


def test_every_rule_is_judged_by_the_test_of_what_it_chooses(planted):
    by_rule = {choice.rule: choice for choice in choices(planted(trials()))}
    chosen = {"oracle": 1, "validation": 2, "normal_only": 0, "random": None}
    assert {rule: by_rule[rule].number for rule in chosen} == chosen
    regrets = {rule: by_rule[rule].regret.mean for rule in chosen}
    assert regrets == pytest.approx(
        {"oracle": 0.0, "validation": 0.2, "normal_only": 0.3, "random": 1 / 6}
    )
    assert by_rule["random"].auroc.mean == pytest.approx(sum(TESTED) / 3)
    assert by_rule["validation"].auroc.n == 2, "one value per seed"
    assert by_rule["validation"].regret.std == pytest.approx(0.0, abs=1e-12), "paired by seed"


def test_losses_of_different_baselines_do_not_compare(tmp_path):
    records = trials()
    records[1] = record(1, {"width": 2.0}, (0.8, 1.0), baseline="other", scales={"loss": "other"})
    records[1].metrics[VALIDATION_LOSS] = [0.5] * 4
    two = study(tmp_path, records, {"PGN": {"width": 1.0}, "other": {"width": 1.0}})
    assert "normal_only" not in {choice.rule for choice in choices(two)}


def test_bits_under_different_likelihoods_do_not_compare(planted):
    records = trials()
    for trial, name in zip(records, ("gaussian", "gaussian", "categorical"), strict=True):
        trial.metrics[Metric("validation", "negative_iwae", unit=BITS_PER_DIM)] = [3.0] * 4
        trial.scales.update(loss=f"PGN, {name}", likelihood=name)
    rules = {choice.rule for choice in choices(planted(records))}
    assert rules >= {"oracle", "validation", "random"}
    assert not rules & {"normal_only", "likelihood"}


def test_failed_stopped_and_untested_trials_are_no_candidates(planted):
    records = [*trials(), record(3, {"width": 9.0}, (None, 0.99))]
    records.append(record(4, {"width": 8.0}, (0.99, 0.99), state="pruned"))
    ours = planted(records)
    assert {choice.ranked for choice in choices(ours)} == {3}
    assert "Left out: 2 trials that failed" in section(Findings(ours)).blocks[1].caption


def test_one_trial_is_no_choice(planted):
    assert choices(planted(trials()[:1])) == []
    assert section(Findings(planted([]))) is None


def test_regret_falls_with_the_number_of_labels_where_that_is_planted(planted):
    curve = label_curve(planted(trials()))
    assert curve.labelled == ("0", "1", "5", "all")
    assert curve.regret == pytest.approx((0.3, (0.3 + 0.0) / 2, 0.0, 0.2))
    assert curve.draws == (1, 2, 2, 1)
    assert curve.random == pytest.approx(0.9 - sum(TESTED) / 3)
    assert (curve.low[1], curve.high[1]) == (pytest.approx(0.0075), pytest.approx(0.2925))


def test_without_labelled_draws_there_is_no_curve(planted):
    assert label_curve(planted(trials(labelled=False))) is None


def test_too_few_seeds_do_not_rank_the_rules(planted):
    blocks = section(Findings(planted(trials()))).blocks
    (table,) = [block for block in blocks if getattr(block, "name", "") == "regret"]
    assert "2 seeds are too few to rank the rules: their order may be chance." in table.caption
    assert "regrets, which are measured from it, tend to be too large" in table.caption
