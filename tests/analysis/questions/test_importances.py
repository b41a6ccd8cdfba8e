import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.questions.sensitivity.importances import (
    ABOVE,
    BELOW,
    BETWEEN,
    FEWEST,
    MOST_TRIALS,
    _fanova,
    _study,
    draw_importances,
    importances,
    refusal,
    seeds_share,
    suited,
    trials_used,
)
from analysis.questions.sensitivity.observations import (
    FAILED,
    LACKING,
    OUTSIDE,
    PRUNED,
    UNANSWERED,
    encode,
    observations,
    startup,
)
from analysis.questions.sensitivity.response import (
    TEST,
    VALIDATION,
    reason,
    response_of,
    responses_of,
)
from analysis.questions.sensitivity.surrogate import fit
from tests.analysis.planted_sensitivity import (
    SPACE,
    additive,
    crowded,
    drawn,
    flat,
    noted,
    sampled,
    study,
    trial,
)
from tune_ad.errors import DegenerateInputError
from tune_ad.selection import RULES
from tune_ad.storage.metric import TEST_AUROC, VALIDATION_AUROC

(LOSS,) = responses_of("normal_only")
BITS, NATS = responses_of("likelihood")


@pytest.mark.slow
def test_a_planted_order_is_found_by_both_evaluators():
    result = importances(observations(sampled(additive), "PGN"))
    alone, apart = result.tables["fANOVA"], result.tables["PED-ANOVA"]
    assert alone["value"].idxmax() == apart["value"].idxmax() == "strong"
    assert alone["value"]["strong"] > 0.7
    assert alone["value"].sum() <= 1.0
    assert apart["value"].sum() == pytest.approx(1.0)
    for table in (alone, apart):
        assert (table["low"] <= table["value"]).all()
        assert (table["value"] <= table["high"]).all()
        assert table.to_numpy().min() >= 0.0
        assert table.to_numpy().max() <= 1.0
    verdicts = result.verdicts()
    assert verdicts["strong"] == verdicts["choice"] == ABOVE
    assert verdicts["idle"] == BELOW
    assert result.agreement > 0.5
    assert result.noise < 0.02


@pytest.mark.slow
def test_pure_noise_is_not_distinguishable_from_noise():
    result = importances(observations(sampled(flat, noise=0.02), "PGN"))
    assert result.noise > 0.8
    assert set(result.verdicts().values()) == {BELOW}


@pytest.mark.slow
def test_noise_of_one_seed_is_unknown_and_chance_alone_is_the_floor():
    result = importances(observations(sampled(additive, seeds=1), "PGN"))
    assert math.isnan(result.noise)
    assert result.floor == result.chance
    assert result.verdicts()["idle"] == BELOW
    draw_importances(result)


@pytest.mark.slow
def test_few_trials_promise_nothing_of_a_parameter_that_does_nothing():
    result = importances(observations(sampled(additive, n=FEWEST + 2), "PGN"))
    assert result.verdicts()["idle"] != ABOVE


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers():
    trials = observations(sampled(additive, n=20), "PGN")
    first, second = importances(trials), importances(trials)
    assert first.chance == second.chance
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])


def test_seeds_share_in_closed_form():
    # within variances 2, 2; means 1, 5: between variance 8; share = (2 / 2) / 8
    balanced = pd.DataFrame([[0.0, 2.0], [4.0, 6.0]])
    assert seeds_share(balanced) == pytest.approx(1 / 8)
    # within: (2 + 0) / 1; mean of 1 / n = 0.75; means 1, 5
    unequal = pd.DataFrame([[0.0, 2.0], [5.0, np.nan]])
    assert seeds_share(unequal) == pytest.approx(2 * 0.75 / 8)
    assert seeds_share(pd.DataFrame([[1.0, 3.0], [2.0, 2.0]])) == 1.0
    assert math.isnan(seeds_share(pd.DataFrame([[1.0], [2.0]])))
    assert math.isnan(seeds_share(pd.DataFrame([[1.0, 2.0]])))


def test_seeds_share_of_planted_variances():
    rng = np.random.default_rng(0)
    means = rng.normal(scale=2.0, size=(4000, 1))
    table = pd.DataFrame(means + rng.normal(size=(4000, 4)))
    assert seeds_share(table) == pytest.approx((1 / 4) / (4 + 1 / 4), rel=0.08)


@pytest.mark.parametrize(
    ("planted", "why"),
    [
        (study(), "no complete trial"),
        (sampled(additive, n=FEWEST - 1), "at least 10"),
        (sampled(flat, noise=0.0), "same response"),
        (sampled(flat, space={}), "no searched parameter"),
    ],
)
def test_refuses_with_a_reason(planted, why):
    observed = observations(planted, "PGN")
    assert why in refusal(observed)
    with pytest.raises(DegenerateInputError, match=why):
        importances(observed)


@pytest.mark.slow
def test_ties_at_the_top_leave_ped_anova_with_nothing():
    capped = sampled(lambda p: 1.0 if p["strong"] > 0.001 else 0.5, n=20, noise=0.0)
    assert importances(observations(capped, "PGN")).tables["PED-ANOVA"]["value"].sum() in (
        0.0,
        1.0,
    )


def test_trials_that_are_left_out_are_counted_by_their_reason():
    rng = np.random.default_rng(0)
    kept = [trial(k, drawn(SPACE, rng), [0.5 + 0.01 * k]) for k in range(3)]
    lost = trial(6, drawn(SPACE, rng), [0.5])
    lost.metrics[VALIDATION_AUROC][0] = math.nan
    outside = trial(7, {**drawn(SPACE, rng), "choice": "elsewhere"}, [0.5])
    older = trial(8, drawn(SPACE, rng), [0.5])
    del older.params["idle"]
    trials = [
        *kept,
        trial(3, drawn(SPACE, rng), [0.5], state="failed"),
        trial(4, drawn(SPACE, rng), [0.5], state="pruned"),
        trial(5, drawn(SPACE, rng), [0.5], state="pruned"),
        lost,
        outside,
        older,
    ]
    observed = observations(study(trials), "PGN")
    assert observed.n == 3
    assert observed.excluded == {FAILED: 1, PRUNED: 2, UNANSWERED: 1, OUTSIDE: 1, LACKING: 1}
    assert "2 pruned" in observed.described()
    alone = observations(study([older]), "PGN")
    assert (alone.n, alone.excluded, alone.seeds.shape) == (0, {LACKING: 1}, (0, 0))
    assert refusal(alone)


def test_one_trial_without_a_test_number_does_not_switch_the_response():
    planted = sampled(additive, n=12, selection="oracle")
    del planted.trials[3].metrics[TEST_AUROC]
    observed = observations(planted, "PGN")
    assert (observed.response, observed.n, observed.excluded) == (TEST, 11, {UNANSWERED: 1})


@pytest.mark.parametrize(
    ("rule", "metrics", "kind", "sentence"),
    [
        (
            "validation",
            ["validation_auroc", "test_auroc"],
            VALIDATION,
            "The selection rule validation uses the same number",
        ),
        ("random", ["validation_auroc", "test_auroc"], VALIDATION, "uses no result"),
        ("oracle", ["validation_auroc", "test_auroc"], TEST, "chosen on the test set"),
        (
            "validation",
            ["test_auroc"],
            TEST,
            "No trial has the metric that the selection rule validation uses",
        ),
        ("random", ["test_auroc"], TEST, "chosen on the test set"),
        (
            "normal_only",
            ["validation_loss", "test_auroc"],
            LOSS,
            "The selection rule normal_only uses the same number",
        ),
        (
            "likelihood",
            ["validation_negative_iwae_bits_per_dim"],
            BITS,
            "The selection rule likelihood uses the same number",
        ),
        (
            "likelihood",
            ["validation_negative_iwae"],
            NATS,
            "The selection rule likelihood uses the same number",
        ),
        ("validation", [], VALIDATION, "The selection rule validation uses the same number"),
    ],
)
def test_the_response_is_what_the_rule_looks_at(rule, metrics, kind, sentence):
    values = {name: [0.2, 0.4] for name in metrics}
    planted = study([trial(0, {}, [0.5], metrics=values)], selection=rule)
    assert response_of(planted) == kind
    assert sentence in reason(planted)
    if metrics:
        assert observations(planted, "PGN").values == pytest.approx([0.3 * kind.sign])


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_response_for_each_metric_that_it_looks_at(rule):
    declared, responses = RULES[rule], responses_of(rule)
    assert [response.metric for response in responses] == list(declared.metrics)
    assert all(response.sign == declared.sign for response in responses)
    assert bool(responses) == (declared.looks_at != "nothing")


def test_responses_encode_drop_constants_and_keep_seeds():
    params = [{"strong": 0.1 * k, "weak": 1e-3, "choice": "high", "idle": 2} for k in range(3)]
    observed = observations(study([trial(k, p, [0.5, 0.7]) for k, p in enumerate(params)]), "PGN")
    assert observed.constant == ("weak", "choice", "idle")
    assert observed.encoded().tolist() == [[pytest.approx(0.1 * k)] for k in range(3)]
    assert observed.seeds.to_numpy().tolist() == [[pytest.approx(0.5), pytest.approx(0.7)]] * 3
    assert encode(SPACE["weak"], 1e-2) == pytest.approx(math.log(1e-2))
    assert encode(SPACE["choice"], "high") == 1.0
    with pytest.raises(ValueError, match="outside"):
        encode(SPACE["idle"], 99)


@pytest.mark.parametrize(
    ("plan", "at_first", "adaptive"),
    [
        ({"name": "Optuna", "random_trials": 4}, None, 8),
        ({"name": "Optuna", "random_trials": None}, None, 11),  # the default alone is not
        ({"name": "Optuna", "random_trials": None}, 5, 7),
        ({"name": "Optuna", "random_trials": 9}, 5, 7),
        ({"name": "of a user"}, None, 11),
        ({"name": "Sobol"}, None, 0),
        ({"name": "Grid"}, 0, 0),
    ],
)
def test_adaptive_trials_are_counted(plan, at_first, adaptive):
    planted = sampled(additive, n=12, plan=plan)
    observed = observations(noted(planted, at_first) if at_first is not None else planted, "PGN")
    assert observed.adaptive.sum() == adaptive
    assert ("proposed adaptively" in observed.described()) == bool(adaptive)


def test_an_extension_of_the_budget_makes_no_trial_random():
    begun = noted(sampled(additive, n=12, plan={"name": "Optuna", "random_trials": None}), 4)
    search = {**begun.search, "budget": {**begun.budget, "trials": 4000}}
    extended = replace(begun, stored={**begun.stored, "study": search})
    assert startup(begun) == startup(extended) == 4


@pytest.mark.slow
def test_importances_are_of_the_random_block_where_it_suffices():
    planted = crowded(additive)
    observed = observations(planted, "PGN")
    used = suited(observed)
    assert (observed.n, used.n, used.adaptive.sum()) == (52, 12, 0)
    assert used.values.tolist() == observed.values[:12].tolist()
    alone = observations(sampled(additive, n=12), "PGN")
    result, expected = importances(used), importances(alone)
    pd.testing.assert_frame_equal(result.tables["fANOVA"], expected.tables["fANOVA"])
    assert result.noise == expected.noise == seeds_share(used.seeds)
    assert (result.adaptive, trials_used(observed).kind) == (0, "plain")
    assert "12 trials that were not proposed from earlier results" in trials_used(observed).text


@pytest.mark.slow
def test_a_block_that_is_too_small_gives_a_warning_and_nothing_above_noise():
    observed = observations(crowded(additive, n=FEWEST - 1), "PGN")
    assert suited(observed) is observed
    result = importances(observed)
    assert (result.n, result.adaptive) == (49, 40)
    assert set(result.verdicts().values()) <= {BELOW, BETWEEN}
    unbiased = result._replace(adaptive=0)
    assert ABOVE in unbiased.verdicts().values(), "only the bias forbids it"
    text = trials_used(observed)
    assert text.kind == "warning"
    assert "--ablate sobol" in text.text
    assert "at least 10" in text.text


def test_trials_without_adaptive_ones_need_no_warning():
    observed = observations(sampled(additive, n=12, plan={"name": "Sobol"}), "PGN")
    assert suited(observed) is observed
    assert trials_used(observed).kind == "plain"


@pytest.mark.slow
def test_a_parameter_of_one_value_in_the_block_is_named_and_left_out():
    planted = crowded(additive)
    for record in planted.trials[:12]:
        record.params["idle"] = 1
    observed = observations(planted, "PGN")
    used = suited(observed)
    assert "idle" in observed.names
    assert used.constant == ("idle",)
    assert list(importances(used).tables["fANOVA"].index) == used.names == observed.names[:3]
    assert "Among these trials idle took a single value" in trials_used(observed).text


@pytest.mark.slow
def test_a_resample_in_which_a_parameter_takes_one_value_is_no_obstacle():
    planted = sampled(additive, n=FEWEST + 2)
    for record in planted.trials[1:]:
        record.params["idle"] = 9
    table = importances(observations(planted, "PGN")).tables["fANOVA"]
    assert np.isfinite(table.to_numpy()).all()
    assert table["value"]["idle"] < 0.2


@pytest.mark.slow
def test_the_seeds_share_is_of_the_trials_that_are_used(monkeypatch):
    monkeypatch.setattr("analysis.questions.sensitivity.importances.MOST_TRIALS", 20)
    observed = observations(sampled(additive, n=40), "PGN")
    used = observed.subsample(20)
    assert importances(observed).noise == seeds_share(used.seeds) != seeds_share(observed.seeds)


@pytest.mark.parametrize("analyse", [importances, fit])
def test_a_subsample_of_equal_responses_is_refused(monkeypatch, analyse):
    module = analyse.__module__
    monkeypatch.setattr(f"{module}.MOST_TRIALS", 20)
    observed = observations(sampled(flat, n=40, noise=0.0), "PGN")
    kept = np.random.default_rng(0).choice(40, 20, replace=False)  # as `subsample` draws
    values = observed.values.copy()
    values[np.setdiff1d(range(40), kept)[0]] = 0.5
    observed = observed._replace(values=values)
    assert not refusal(observed) and np.ptp(observed.subsample(20).values) == 0
    with pytest.raises(DegenerateInputError, match="same response"):
        analyse(observed)


def test_a_large_study_is_subsampled_and_says_so():
    observed = observations(sampled(additive, n=MOST_TRIALS + 50), "PGN").subsample(MOST_TRIALS)
    assert (observed.n, observed.drawn) == (MOST_TRIALS, MOST_TRIALS + 50)
    assert len(observed.params) == len(observed.seeds) == len(observed.adaptive) == MOST_TRIALS


@pytest.mark.slow
def test_the_seed_of_the_forest_moves_an_importance_by_less_than_its_interval():
    observed = observations(sampled(additive, n=24, noise=0.02), "PGN")
    result = importances(observed)
    table = result.tables["fANOVA"]
    study = _study(observed, np.arange(observed.n), np.random.default_rng(0).random(observed.n))
    values = [_fanova(study, observed.names, result.trees, seed=seed)[:-1] for seed in range(3)]
    moved = np.ptp(values, axis=0)
    widths = (table["high"] - table["low"]).to_numpy()
    assert (moved[widths > 0.02] < widths[widths > 0.02]).all()
    assert moved.max() < 0.05
    assert result.trees == 256
