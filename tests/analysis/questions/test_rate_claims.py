"""Claims about rate and distortion on planted points."""

import pandas as pd
import pytest

from analysis.questions.rate_claims import rate_claims, rate_parts
from analysis.questions.rates import rate_distortion_curves
from tests.analysis.planted import record
from tune_ad.storage.metric import Metric

BETAS = (0.1, 0.5, 1.0, 2.0, 5.0)


def claims_of(rates, distortions, betas=BETAS, seeds=3, **others):
    table = pd.DataFrame(
        {
            "number": range(len(betas)),
            "baseline": "VAE",
            "params.beta": betas,
            **{f"params.{name}": values for name, values in others.items()},
            "error": "bce",
            "part": "test",
            "seeds": seeds,
            "n": seeds,
            "rate": rates,
            "rate std": 0.0,
            "rate bits/dim": 0.1,
            "distortion": distortions,
            "distortion std": 0.0,
            "distortion bits/dim": 0.1,
        }
    ).sort_values("rate", ignore_index=True)
    return rate_claims(rate_distortion_curves(table))


def test_no_claim_is_tested_where_another_parameter_varies_with_beta():
    rates, distortions = (40, 20, 10, 4, 1), (60, 66, 72, 80, 90)
    assert claims_of(rates, distortions, width=(1, 2, 1, 2, 1)) == []
    assert len(claims_of(rates, distortions, width=1)) == 3


def test_a_convex_falling_curve_holds_where_it_should():
    falling, growing, convex = claims_of((40, 20, 10, 4, 1), (60, 66, 72, 80, 90))
    assert (falling.holds, falling.of, falling.verdict, falling.detail) == (4, 4, "holds", "")
    assert growing.detail.startswith("R + D is smallest at beta = 1")
    assert (growing.holds, growing.of, growing.verdict) == (2, 4, "does not hold")
    assert "not from beta 1 to 2, 2 to 5" in growing.detail
    assert (convex.holds, convex.of, convex.verdict) == (5, 5, "holds")


def test_a_sum_that_grows_in_every_step_holds():
    _, growing, _ = claims_of((40, 20, 10, 4, 1), (60, 66, 72, 76, 78))
    assert (growing.holds, growing.verdict) == (4, "holds")


def test_two_seeds_are_too_few_for_a_verdict():
    claims = claims_of((40, 20, 10, 4, 1), (60, 66, 72, 76, 78), seeds=2)
    assert {claim.verdict for claim in claims} == {"inconclusive"}
    assert all(claim.detail.startswith("2 seeds, 3 are needed") for claim in claims)


def test_an_infinite_beta_counts_for_the_rate_alone():
    """It trains no decoder, so its distortion is that of random weights."""
    betas = (0.1, 1.0, 5.0, "inf")
    falling, growing, convex = claims_of((40, 20, 5, 1), (60, 70, 80, 2000), betas)
    assert (falling.holds, falling.of) == (3, 3)
    assert growing.of == 2
    assert (convex.holds, convex.of) == (3, 3)


def test_a_rate_that_grows_with_beta_does_not_hold():
    falling, _, _ = claims_of((1, 4, 10, 20, 40), (90, 80, 72, 66, 60))
    assert (falling.holds, falling.verdict) == (0, "does not hold")
    assert falling.detail == "not from beta 0.1 to 0.5, 0.5 to 1, 1 to 2, 2 to 5"


def test_a_point_above_the_hull_is_named_with_its_distance():
    _, _, convex = claims_of((40, 20, 10, 4, 0), (60, 66, 75, 80, 90))
    # the hull from (4, 80) to (20, 66) is at 80 - 6 * 14 / 16 = 74.75 for a rate of 10
    assert (convex.holds, convex.of, convex.verdict) == (4, 5, "holds in part")
    assert convex.detail == "beta = 1 above the hull, by at most 0.25 nats"


def test_two_values_of_beta_are_too_few():
    assert claims_of((2, 1), (3, 4), (0.5, 1.0)) == []


def test_parts_of_the_rate_are_means_over_models_and_say_where_they_are_bounds():
    def trial(number, rate, information):
        values = {
            "rate": rate,
            "mutual_information": information,
            "aggregate_divergence": rate - information,
            "largest_estimate": 6.0,
        }
        record_ = record(number, {"beta": 1.0 + number}, (0.5, 0.5))
        for name, value in values.items():
            metric = Metric("information", name)
            record_.metrics[metric] = [value, value + 1, value, value + 1]
        return record_

    high, low = rate_parts([trial(0, 20.0, 5.9), trial(1, 2.0, 0.5), record(2, {}, (0.5,))])[::-1]
    assert (low.number, low.rate, low.mutual_information) == (1, 2.5, 1.0)
    assert not low.bounded
    assert high.bounded
    assert high.n == 4
    assert high.aggregate_divergence == pytest.approx(14.6)
