import math

import numpy as np
import pandas as pd
import pytest

from analysis.importances import (
    ABOVE,
    BELOW,
    FEWEST,
    MOST,
    draw_importances,
    importances,
    refusal,
    seeds_share,
)
from analysis.responses import EARLY, FAILED, KINDS, OUTSIDE, UNANSWERED, encode, responses
from tests.analysis.planted_sensitivity import SPACE, additive, drawn, flat, sampled, study, trial
from tune_ad.errors import DegenerateInputError


def test_a_planted_order_is_found_by_both_evaluators():
    found = importances(responses(sampled(additive), "PGN"))
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
    found = importances(responses(sampled(flat, noise=0.02), "PGN"))
    assert found.noise > 0.8
    assert set(found.verdicts().values()) == {BELOW}


def test_noise_of_one_seed_is_unknown_and_chance_alone_is_the_floor():
    found = importances(responses(sampled(additive, seeds=1), "PGN"))
    assert math.isnan(found.noise)
    assert found.floor == found.chance
    assert found.verdicts()["idle"] == BELOW
    draw_importances(found)


def test_few_trials_promise_nothing_of_a_parameter_that_does_nothing():
    found = importances(responses(sampled(additive, n=FEWEST + 2), "PGN"))
    assert found.verdicts()["idle"] != ABOVE


def test_the_same_seed_gives_the_same_numbers():
    own = responses(sampled(additive, n=20), "PGN")
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
    own = responses(planted, "PGN")
    assert why in refusal(own)
    with pytest.raises(DegenerateInputError, match=why):
        importances(own)


def test_ties_at_the_top_leave_ped_anova_with_nothing():
    capped = sampled(lambda p: 1.0 if p["strong"] > 0.001 else 0.5, n=20, noise=0.0)
    assert importances(responses(capped, "PGN")).tables["PED-ANOVA"]["value"].sum() in (0.0, 1.0)


def test_trials_that_are_left_out_are_counted_by_their_reason():
    rng = np.random.default_rng(0)
    kept = [trial(k, drawn(SPACE, rng), [0.5 + 0.01 * k]) for k in range(3)]
    lost = trial(6, drawn(SPACE, rng), [0.5])
    lost.metrics["test_auroc"][0] = None
    outside = trial(7, {**drawn(SPACE, rng), "choice": "elsewhere"}, [0.5])
    trials = [
        *kept,
        trial(3, drawn(SPACE, rng), [0.5], state="failed"),
        trial(4, drawn(SPACE, rng), [0.5], state="pruned"),
        trial(5, drawn(SPACE, rng), [0.5], state="pruned"),
        outside,
    ]
    own = responses(study(trials), "PGN")
    assert own.n == 3
    assert own.excluded == {FAILED: 1, EARLY: 2, OUTSIDE: 1}
    assert "2 stopped early" in own.described()
    assert own.kind is KINDS["oracle"]
    lacking = responses(study([*kept, lost]), "PGN")
    assert lacking.kind is KINDS["validation"], "one trial without a test: the rule's number"
    lost.metrics["validation_auroc"][0] = None
    assert responses(study([*kept, lost]), "PGN").excluded == {UNANSWERED: 1}


def test_responses_encode_drop_constants_and_keep_seeds():
    params = [{"strong": 0.1 * k, "weak": 1e-3, "choice": "high", "idle": 2} for k in range(3)]
    own = responses(study([trial(k, p, [0.5, 0.7]) for k, p in enumerate(params)]), "PGN")
    assert own.constant == ("weak", "choice", "idle")
    assert own.encoded().tolist() == [[pytest.approx(0.1 * k)] for k in range(3)]
    assert own.seeds.to_numpy().tolist() == [[pytest.approx(0.5), pytest.approx(0.7)]] * 3
    assert encode(SPACE["weak"], 1e-2) == pytest.approx(math.log(1e-2))
    assert encode(SPACE["choice"], "high") == 1.0
    with pytest.raises(ValueError, match="outside"):
        encode(SPACE["idle"], 99)


@pytest.mark.parametrize(
    ("plan", "adaptive"),
    [
        ({"name": "Optuna", "random_trials": 4}, 8),
        ({"name": "Optuna", "random_trials": None}, 2),  # of 400 trials 10 are random
        ({"name": "Grid"}, 0),
    ],
)
def test_adaptive_trials_are_counted(plan, adaptive):
    own = responses(sampled(additive, n=12, plan=plan), "PGN")
    assert own.adaptive == adaptive
    assert ("bias importances" in own.described()) == bool(adaptive)


def test_a_large_study_is_subsampled_and_says_so():
    own = responses(sampled(additive, n=MOST + 50), "PGN").subsample(MOST)
    assert (own.n, own.drawn) == (MOST, MOST + 50)
    assert len(own.params) == len(own.seeds) == MOST
    assert "drawn at random" in own.described()
