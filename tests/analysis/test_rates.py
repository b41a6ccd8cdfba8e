"""Rates and distortions from planted records."""

import math

import pytest

from analysis.rates import Quantity, quantity, rates
from tune_ad.records import Replica, TrialRecord


def record(number, beta, metrics, state="complete"):
    return TrialRecord(
        number=number,
        identity=f"{number:012x}",
        baseline="beta-VAE",
        detector="VAE",
        params={"beta": beta, "latent_dim": 32},
        searched=["beta"],
        state=state,
        reason="",
        objective=None,
        reports=[],
        replicas=[Replica("mnist", seed, "complete", "", 3) for seed in (0, 1)],
        metrics=metrics,
    )


def planted(part, rate, distortion):
    """Two replicas, one above and one below the means given, on images of 100 dimensions."""
    found = {}
    for name, value in (("rate", rate), ("distortion", distortion)):
        values = [value - 1.0, value + 1.0]
        found[f"{part}_{name}"] = values
        found[f"{part}_{name}_bits_per_dim"] = [v / (100 * math.log(2)) for v in values]
    return found


def test_each_complete_trial_has_its_rate_and_distortion_in_both_units():
    table = rates([record(0, 0.1, planted("test", 30, 70)), record(1, 10, planted("test", 5, 90))])
    assert list(table["number"]) == [1, 0]  # by rate
    assert list(table["param/beta"]) == [10, 0.1]
    assert list(table["rate"]) == [5, 30]
    assert list(table["distortion"]) == [90, 70]
    assert list(table["n"]) == [2, 2]
    assert table["rate std"][0] == pytest.approx(math.sqrt(2))
    assert table["distortion bits/dim"][1] == pytest.approx(70 / (100 * math.log(2)))


def test_test_images_go_before_held_out_ones():
    both = planted("test", 3, 4) | planted("validation", 1, 2)
    table = rates([record(0, 1.0, both), record(1, 2.0, planted("validation", 5, 6))])
    assert dict(zip(table["number"], table["part"], strict=True)) == {0: "test", 1: "validation"}
    assert dict(zip(table["number"], table["rate"], strict=True)) == {0: 3, 1: 5}


def test_trials_without_a_number_from_every_replica_are_left_out():
    broken = planted("test", 3, 4)
    broken["test_rate"] = [None, 3.0]
    left_out = [
        record(0, 1.0, broken),
        record(1, 1.0, {"test_auroc": [0.5, 0.6]}),
        record(2, 1.0, planted("test", 3, 4), state="failed"),
        record(3, 1.0, {"test_rate": [1.0, 2.0], "test_rate_bits_per_dim": [0.1, 0.2]}),
    ]
    assert rates(left_out).empty
    assert rates([]).empty


def test_one_replica_has_no_standard_deviation():
    found = quantity([7.0], [0.1])
    assert isinstance(found, Quantity)
    assert (found.mean, found.bits_per_dim, found.n) == (7.0, 0.1, 1)
    assert math.isnan(found.std)
    assert quantity([], []) is None


def test_a_distortion_that_is_no_likelihood_has_no_bits():
    metrics = planted("test", 3, 4)
    del metrics["test_distortion_bits_per_dim"]
    table = rates([record(0, 1.0, metrics)])
    assert table["distortion"][0] == 4
    assert math.isnan(table["distortion bits/dim"][0])
    assert table["rate bits/dim"][0] == pytest.approx(3 / (100 * math.log(2)))
