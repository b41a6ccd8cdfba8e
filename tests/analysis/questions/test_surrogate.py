import math

import numpy as np
import pytest

from analysis.questions.sensitivity.responses import responses
from analysis.questions.sensitivity.surrogate import (
    TRUSTED,
    curves,
    fit,
    levels,
    path,
    permutation,
    strongest_pair,
)
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

BEST = {"strong": 1.0, "weak": 1e-1, "choice": "high", "idle": 9}


def together(params):
    """`strong` matters only with the high `choice`."""
    return 0.6 + 0.2 * (params["strong"] > 0.5) * (params["choice"] == "high")


@pytest.fixture(scope="module")
def plain():
    return fit(responses(sampled(additive), "PGN"))


def test_a_planted_response_is_trusted_and_noise_is_not(plain):
    assert plain.r2 > 0.8
    noise = fit(responses(sampled(flat, noise=0.02), "PGN"))
    assert noise.r2 < TRUSTED
    assert not noise.trusted


def test_permutation_orders_planted_parameters(plain):
    found = permutation(plain)["mean"]
    assert found["strong"] > found["choice"] > found["idle"]
    assert abs(found["idle"]) < 0.02


def test_curves_follow_what_was_planted(plain):
    by_name = {curve.parameter: curve for curve in curves(plain)}
    strong, idle, choice = (by_name[name] for name in ("strong", "idle", "choice"))
    assert strong.mean[-1] - strong.mean[0] == pytest.approx(0.2, abs=0.05)
    assert np.ptp(idle.mean) < 0.01
    assert choice.at.tolist() == [0.0, 1.0]
    assert choice.mean[1] - choice.mean[0] == pytest.approx(0.05, abs=0.02)
    for curve in by_name.values():
        assert (curve.low <= curve.mean).all()
        assert (curve.mean <= curve.high).all()


def test_the_planted_pair_is_the_strongest():
    pair = strongest_pair(fit(responses(sampled(together), "PGN")))
    assert set(pair.names) == {"strong", "choice"}
    # of a product of two halves, a third of the variance is interaction; its deviation is 0.2 / 4
    assert pair.h2 == pytest.approx(1 / 3, abs=0.1)
    assert pair.interaction == pytest.approx(0.05, abs=0.01)


def test_without_a_planted_interaction_there_is_hardly_any(plain):
    assert strongest_pair(plain).h2 < 0.05


def test_one_parameter_has_no_pair():
    space = {"strong": SPACE["strong"]}
    alone = sampled(lambda p: 0.6 + 0.2 * p["strong"], space=space)
    assert strongest_pair(fit(responses(alone, "PGN"))) is None


def test_the_path_takes_the_largest_gain_first(plain):
    steps = path(plain, DEFAULT, BEST)
    assert [step.parameter for step in steps][:2] == ["strong", "choice"]
    assert steps[0].share > 0.6
    assert steps[-1].share == pytest.approx(1.0)
    assert (steps[0].before, steps[0].after) == (0.0, 1.0)
    assert steps[-1].predicted == pytest.approx(plain.predict(BEST))
    assert path(plain, BEST, BEST) == []


def test_a_path_downhill_has_no_share(plain):
    assert all(math.isnan(step.share) for step in path(plain, BEST, DEFAULT))


def test_levels_are_plain_means_with_intervals():
    own = responses(sampled(additive), "PGN")
    low, high = levels(own, "choice")
    chosen = own.values[(own.params["choice"] == "high").to_numpy()]
    assert high.mean == pytest.approx(chosen.mean())
    assert high.n == len(chosen)
    assert high.low < high.mean < high.high
    assert low.mean < high.mean


def test_a_level_of_few_trials_has_no_interval():
    params = [{**BEST, "choice": "low"}, *({**BEST, "strong": 0.1 * k} for k in range(6))]
    planted = study([trial(k, each, [0.1 * k + 0.3]) for k, each in enumerate(params)])
    low, high = levels(responses(planted, "PGN"), "choice")
    assert (low.n, high.n) == (1, 6)
    assert low.mean == pytest.approx(0.3)
    assert math.isnan(low.low)
    assert high.mean == pytest.approx(0.65)
    assert 0.4 < high.low < high.mean < high.high < 0.9


def test_levels_of_a_loss_are_not_cut_to_an_auroc():
    planted = sampled(additive, n=20, selection="normal_only")
    for record in planted.trials:
        record.metrics["validation_loss"] = [1000.0 + record.number] * len(record.replicas)
    for level in levels(responses(planted, "PGN"), "choice"):
        assert -1020 < level.low <= level.mean <= level.high < -999


def test_the_background_has_every_parameter_even_if_a_draw_of_trials_would_lose_one():
    planted = sampled(additive, n=80)
    for record in planted.trials[1:]:
        record.params["idle"] = 9
    found = curves(fit(responses(planted, "PGN")))
    assert [curve.parameter for curve in found] == ["strong", "weak", "choice", "idle"]


def test_too_few_trials_are_refused():
    with pytest.raises(DegenerateInputError, match="at least 10"):
        fit(responses(sampled(additive, n=5), "PGN"))
