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
    MOST,
    draw_importances,
    importances,
    refusal,
    seeds_share,
    suited,
    trials_used,
)
from analysis.questions.sensitivity.observations import (
    EARLY,
    FAILED,
    LACKING,
    OUTSIDE,
    UNANSWERED,
    encode,
    observations,
    startup,
)
from analysis.questions.sensitivity.response import (
    BITS,
    CANDIDATES,
    LOSS,
    NATS,
    TEST,
    VALIDATION,
    reason,
    response_of,
)
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
from tune_ad.search.selection import RULES


def test_a_planted_order_is_found_by_both_evaluators():
    found = importances(observations(sampled(additive), "PGN"))
    alone, apart = found.tables["fANOVA"], found.tables["PED-ANOVA"]
    assert alone["value"].idxmax() == apart["value"].idxmax() == "strong"
    assert alone["value"]["strong"] > 0.7
    assert alone["value"].sum() <= 1.0
    assert apart["value"].sum() == pytest.approx(1.0)
    for table in (alone, apart):
        assert (table["low"] <= table["value"]).all()
        assert (table["value"] <= table["high"]).all()
        assert table.to_numpy().min() >= 0.0
        assert table.to_numpy().max() <= 1.0
    verdicts = found.verdicts()
    assert verdicts["strong"] == verdicts["choice"] == ABOVE
    assert verdicts["idle"] == BELOW
    assert found.agreement > 0.5
    assert found.noise < 0.02


def test_pure_noise_is_not_distinguishable_from_noise():
    found = importances(observations(sampled(flat, noise=0.02), "PGN"))
    assert found.noise > 0.8
    assert set(found.verdicts().values()) == {BELOW}


def test_noise_of_one_seed_is_unknown_and_chance_alone_is_the_floor():
    found = importances(observations(sampled(additive, seeds=1), "PGN"))
    assert math.isnan(found.noise)
    assert found.floor == found.chance
    assert found.verdicts()["idle"] == BELOW
    draw_importances(found)


def test_few_trials_promise_nothing_of_a_parameter_that_does_nothing():
    found = importances(observations(sampled(additive, n=FEWEST + 2), "PGN"))
    assert found.verdicts()["idle"] != ABOVE


def test_the_same_seed_gives_the_same_numbers():
    own = observations(sampled(additive, n=20), "PGN")
    first, second = importances(own), importances(own)
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
    own = observations(planted, "PGN")
    assert why in refusal(own)
    with pytest.raises(DegenerateInputError, match=why):
        importances(own)


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
    lost.metrics["validation_auroc"][0] = math.nan
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
    own = observations(study(trials), "PGN")
    assert own.n == 3
    assert own.excluded == {FAILED: 1, EARLY: 2, UNANSWERED: 1, OUTSIDE: 1, LACKING: 1}
    assert "2 stopped early" in own.described()
    alone = observations(study([older]), "PGN")
    assert (alone.n, alone.excluded, alone.seeds.shape) == (0, {LACKING: 1}, (0, 0))
    assert refusal(alone)


def test_one_trial_without_a_test_number_does_not_switch_the_response():
    planted = sampled(additive, n=12, selection="oracle")
    del planted.trials[3].metrics["test_auroc"]
    own = observations(planted, "PGN")
    assert (own.response, own.n, own.excluded) == (TEST, 11, {UNANSWERED: 1})


@pytest.mark.parametrize(
    ("rule", "metrics", "kind", "said"),
    [
        (
            "validation",
            ["validation_auroc", "test_auroc"],
            VALIDATION,
            "selection rule validation looks at",
        ),
        ("random", ["validation_auroc", "test_auroc"], VALIDATION, "looks at no number"),
        ("oracle", ["validation_auroc", "test_auroc"], TEST, "chosen on the test set"),
        (
            "validation",
            ["test_auroc"],
            TEST,
            "No trial has the number that the selection rule validation looks at",
        ),
        ("random", ["test_auroc"], TEST, "chosen on the test set"),
        (
            "normal_only",
            ["validation_loss", "test_auroc"],
            LOSS,
            "selection rule normal_only looks at",
        ),
        (
            "likelihood",
            ["validation_negative_iwae_bits_per_dim"],
            BITS,
            "selection rule likelihood looks at",
        ),
        ("likelihood", ["validation_negative_iwae"], NATS, "selection rule likelihood looks at"),
        ("validation", [], VALIDATION, "selection rule validation looks at"),
    ],
)
def test_the_response_is_what_the_rule_looks_at(rule, metrics, kind, said):
    values = {name: [0.2, 0.4] for name in metrics}
    planted = study([trial(0, {}, [0.5], metrics=values)], selection=rule)
    assert response_of(planted) is kind
    assert said in reason(planted)
    if metrics:
        assert observations(planted, "PGN").values == pytest.approx([0.3 * kind.sign])


def test_every_rule_has_its_response():
    assert set(CANDIDATES) == set(RULES)


def test_responses_encode_drop_constants_and_keep_seeds():
    params = [{"strong": 0.1 * k, "weak": 1e-3, "choice": "high", "idle": 2} for k in range(3)]
    own = observations(study([trial(k, p, [0.5, 0.7]) for k, p in enumerate(params)]), "PGN")
    assert own.constant == ("weak", "choice", "idle")
    assert own.encoded().tolist() == [[pytest.approx(0.1 * k)] for k in range(3)]
    assert own.seeds.to_numpy().tolist() == [[pytest.approx(0.5), pytest.approx(0.7)]] * 3
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
    own = observations(noted(planted, at_first) if at_first is not None else planted, "PGN")
    assert own.adaptive.sum() == adaptive
    assert ("proposed adaptively" in own.described()) == bool(adaptive)


def test_an_extension_of_the_budget_makes_no_trial_random():
    begun = noted(sampled(additive, n=12, plan={"name": "Optuna", "random_trials": None}), 4)
    asked = {**begun.asked, "budget": {**begun.budget, "trials": 4000}}
    extended = replace(begun, stored={**begun.stored, "study": asked})
    assert startup(begun) == startup(extended) == 4


def test_importances_are_of_the_random_block_where_it_suffices():
    planted = crowded(additive)
    own = observations(planted, "PGN")
    used = suited(own)
    assert (own.n, used.n, used.adaptive.sum()) == (52, 12, 0)
    assert used.values.tolist() == own.values[:12].tolist()
    alone = observations(sampled(additive, n=12), "PGN")
    found, expected = importances(used), importances(alone)
    pd.testing.assert_frame_equal(found.tables["fANOVA"], expected.tables["fANOVA"])
    assert found.noise == expected.noise == seeds_share(used.seeds)
    assert (found.adaptive, trials_used(own).kind) == (0, "plain")
    assert "12 trials that were not proposed from earlier results" in trials_used(own).text


def test_a_block_that_is_too_small_gives_a_warning_and_nothing_above_noise():
    own = observations(crowded(additive, n=FEWEST - 1), "PGN")
    assert suited(own) is own
    found = importances(own)
    assert (found.n, found.adaptive) == (49, 40)
    assert set(found.verdicts().values()) <= {BELOW, BETWEEN}
    unbiased = found._replace(adaptive=0)
    assert ABOVE in unbiased.verdicts().values(), "only the bias forbids it"
    said = trials_used(own)
    assert said.kind == "warning"
    assert "--ablate sobol" in said.text
    assert "at least 10" in said.text


def test_trials_without_adaptive_ones_need_no_warning():
    own = observations(sampled(additive, n=12, plan={"name": "Sobol"}), "PGN")
    assert suited(own) is own
    assert trials_used(own).kind == "plain"


def test_a_parameter_of_one_value_in_the_block_is_named_and_left_out():
    planted = crowded(additive)
    for record in planted.trials[:12]:
        record.params["idle"] = 1
    own = observations(planted, "PGN")
    used = suited(own)
    assert "idle" in own.names
    assert used.constant == ("idle",)
    assert list(importances(used).tables["fANOVA"].index) == used.names == own.names[:3]
    assert "Among these trials idle took a single value" in trials_used(own).text


def test_a_resample_in_which_a_parameter_takes_one_value_is_no_obstacle():
    planted = sampled(additive, n=FEWEST + 2)
    for record in planted.trials[1:]:
        record.params["idle"] = 9
    table = importances(observations(planted, "PGN")).tables["fANOVA"]
    assert np.isfinite(table.to_numpy()).all()
    assert table["value"]["idle"] < 0.2


def test_the_seeds_share_is_of_the_trials_that_are_used(monkeypatch):
    monkeypatch.setattr("analysis.questions.sensitivity.importances.MOST", 20)
    own = observations(sampled(additive, n=40), "PGN")
    used = own.subsample(20)
    assert importances(own).noise == seeds_share(used.seeds) != seeds_share(own.seeds)


def test_a_large_study_is_subsampled_and_says_so():
    own = observations(sampled(additive, n=MOST + 50), "PGN").subsample(MOST)
    assert (own.n, own.drawn) == (MOST, MOST + 50)
    assert len(own.params) == len(own.seeds) == len(own.adaptive) == MOST
