import math

import numpy as np
import pytest
from sklearn.inspection import partial_dependence as scikit_learns

from analysis.questions.sensitivity.ablation_path import (
    AblationPath,
    explained,
    path_table,
    switches,
)
from analysis.questions.sensitivity.dependence import (
    choice_means,
    marginal_curves,
    partial_dependence,
    strongest_interaction,
)
from analysis.questions.sensitivity.observations import observations
from analysis.questions.sensitivity.surrogate import TRUSTED, Skill, fit, permutation
from tests.analysis.planted_sensitivity import (
    DEFAULT,
    SPACE,
    additive,
    flat,
    sampled,
    study,
    trial,
)
from tune_ad.errors import DegenerateInputError
from tune_ad.storage.metric import Metric

BEST = {"strong": 1.0, "weak": 1e-1, "choice": "high", "idle": 9}


def together(params):
    """`strong` matters only with the high `choice`."""
    return 0.6 + 0.2 * (params["strong"] > 0.5) * (params["choice"] == "high")


@pytest.fixture(scope="module")
def plain():
    return fit(observations(sampled(additive), "PGN"))


@pytest.mark.slow
def test_a_planted_response_is_trusted_and_noise_is_not(plain):
    assert plain.skill.r2 > 0.8
    assert plain.skill.low < plain.skill.r2 < plain.skill.high <= 1
    noise = fit(observations(sampled(flat, noise=0.02), "PGN"))
    assert noise.skill.r2 < TRUSTED
    assert not noise.trusted


def one_parameter(params):
    """Only `strong` matters."""
    return 0.6 + 0.1 * params["strong"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_the_smallest_design_finds_one_planted_parameter_and_believes_no_noise(seed):
    found = fit(observations(sampled(one_parameter, n=24, noise=0.02, seed=seed), "PGN"))
    assert found.trusted
    assert permutation(found)["mean"].idxmax() == "strong"
    noise = fit(observations(sampled(flat, n=24, noise=0.02, seed=seed), "PGN"))
    assert not noise.trusted


def test_a_good_r2_by_chance_is_not_trusted():
    assert Skill(0.5, 0.2, 0.7).trusted
    assert not Skill(0.5, -0.1, 0.7).trusted, "it may be no better than the mean"
    assert not Skill(0.2, 0.1, 0.3).trusted, "it is better, but not good"


@pytest.mark.slow
def test_permutation_orders_planted_parameters(plain):
    increase = permutation(plain)["mean"]
    assert increase["strong"] > increase["choice"] > increase["idle"]
    assert abs(increase["idle"]) < 0.02


def test_curves_follow_what_was_planted(plain):
    by_name = {curve.parameter: curve for curve in marginal_curves(plain)}
    strong, idle, choice = (by_name[name] for name in ("strong", "idle", "choice"))
    assert strong.mean[-1] - strong.mean[0] == pytest.approx(0.2, abs=0.05)
    assert np.ptp(idle.mean) < 0.01
    assert choice.at.tolist() == [0.0, 1.0]
    assert choice.mean[1] - choice.mean[0] == pytest.approx(0.05, abs=0.02)
    for curve in by_name.values():
        assert (curve.low <= curve.mean).all()
        assert (curve.mean <= curve.high).all()


@pytest.mark.parametrize("columns", [(0,), (1,), (2,), (0, 1), (1, 3), (3, 2)])
def test_partial_dependence_is_scikit_learns(plain, columns):
    values = {0: [0.0, 0.3, 1.0], 1: [-9.0, -5.0, -3.0, -2.4], 2: [0.0, 1.0], 3: [1.0, 5.0]}
    at = {column: np.array(values[column]) for column in columns}
    expected = scikit_learns(
        plain.forest, plain.inputs, list(columns), custom_values=at, method="brute"
    )
    ours = partial_dependence(plain.forest, plain.inputs, at)
    np.testing.assert_allclose(ours, expected["average"][0], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_the_planted_pair_is_the_strongest():
    pair = strongest_interaction(fit(observations(sampled(together), "PGN")))
    assert set(pair.names) == {"strong", "choice"}
    # of a product of two halves, a third of the variance is interaction; its deviation is 0.2 / 4
    assert pair.h2 == pytest.approx(1 / 3, abs=0.1)
    assert pair.size == pytest.approx(0.05, abs=0.01)


def test_without_a_planted_interaction_there_is_hardly_any(plain):
    assert strongest_interaction(plain).h2 < 0.05


@pytest.mark.slow
def test_one_parameter_has_no_pair():
    space = {"strong": SPACE["strong"]}
    alone = sampled(lambda p: 0.6 + 0.2 * p["strong"], space=space)
    assert strongest_interaction(fit(observations(alone, "PGN"))) is None


def test_the_path_takes_the_largest_gain_first(plain):
    steps = switches(plain, DEFAULT, BEST)
    assert [switch.parameter for switch in steps][:2] == ["strong", "choice"]
    assert steps[0].share > 0.6
    assert steps[-1].share == pytest.approx(1.0)
    assert (steps[0].before, steps[0].after) == (0.0, 1.0)
    assert steps[-1].predicted == pytest.approx(plain.predict(BEST))
    assert switches(plain, BEST, BEST) == []


def test_a_gain_within_the_error_of_the_surrogate_is_shared_by_no_parameter(plain):
    responses = plain.observations.values
    assert plain.error == pytest.approx(responses.std() * math.sqrt(1 - plain.skill.r2))
    unsure = plain._replace(skill=plain.skill._replace(r2=-99.0))
    steps = switches(unsure, DEFAULT, BEST)
    assert all(math.isnan(switch.share) for switch in steps)
    response = plain.observations.response
    path = AblationPath(response, plain.predict(DEFAULT), steps, (0.5, 0.6), unsure.error)
    assert "no parameter can be credited" in explained(path)
    shown, _ = path_table(path)
    assert "share of the gain" not in shown


def test_a_path_downhill_has_no_share(plain):
    assert all(math.isnan(switch.share) for switch in switches(plain, BEST, DEFAULT))


def test_means_of_choices_are_plain_means_with_intervals():
    trials = observations(sampled(additive), "PGN")
    low, high = choice_means(trials, "choice")
    chosen = trials.values[(trials.params["choice"] == "high").to_numpy()]
    assert high.mean == pytest.approx(chosen.mean())
    assert high.n == len(chosen)
    assert high.low < high.mean < high.high
    assert low.mean < high.mean


def test_a_choice_of_few_trials_has_no_interval():
    params = [{**BEST, "choice": "low"}, *({**BEST, "strong": 0.1 * k} for k in range(6))]
    planted = study(
        [trial(k, configuration, [0.1 * k + 0.3]) for k, configuration in enumerate(params)]
    )
    low, high = choice_means(observations(planted, "PGN"), "choice")
    assert (low.n, high.n) == (1, 6)
    assert low.mean == pytest.approx(0.3)
    assert math.isnan(low.low)
    assert high.mean == pytest.approx(0.65)
    assert 0.4 < high.low < high.mean < high.high < 0.9


def test_means_of_a_loss_are_not_cut_to_an_auroc():
    planted = sampled(additive, n=20, selection="normal_only")
    for record in planted.trials:
        losses = [1000.0 + record.number] * len(record.replicas)
        record.metrics[Metric("validation", "loss")] = losses
    for choice in choice_means(observations(planted, "PGN"), "choice"):
        assert -1020 < choice.low <= choice.mean <= choice.high < -999


@pytest.mark.slow
def test_the_background_has_every_parameter_even_if_a_draw_of_trials_would_lose_one():
    planted = sampled(additive, n=80)
    for record in planted.trials[1:]:
        record.params["idle"] = 9
    curves = marginal_curves(fit(observations(planted, "PGN")))
    assert [curve.parameter for curve in curves] == ["strong", "weak", "choice", "idle"]


def test_too_few_trials_are_refused():
    with pytest.raises(DegenerateInputError, match="at least 10"):
        fit(observations(sampled(additive, n=5), "PGN"))
