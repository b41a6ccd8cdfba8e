"""Rates and distortions from planted records."""

import math
from array import array
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.questions.rates import (
    Quantity,
    draw_rate_distortion,
    hull,
    quantity,
    rate_distortion_curves,
    rates,
)
from analysis.report.findings import Findings
from analysis.report.sections import rates as part
from analysis.study import StudyRecords
from tests.naming import named
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.records import ReplicaRecord, TrialRecord


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
        replicas=[ReplicaRecord("mnist", seed, "complete", "", 3) for seed in (0, 1)],
        metrics=named(metrics),
    )


def planted(part, rate, distortion):
    """Two replicas, one above and one below the means given, on images of 100 dimensions."""
    metrics = {}
    for name, value in (("rate", rate), ("distortion", distortion)):
        values = [value - 1.0, value + 1.0]
        metrics[f"{part}_{name}"] = values
        metrics[f"{part}_{name}_bits_per_dim"] = [v / (100 * math.log(2)) for v in values]
    return metrics


def study(trials):
    return StudyRecords(StudyFolder(Path("nowhere")), {"study": {}}, trials, [])


def test_each_complete_trial_has_its_rate_and_distortion_in_both_units():
    table = rates([record(0, 0.1, planted("test", 30, 70)), record(1, 10, planted("test", 5, 90))])
    assert list(table["number"]) == [1, 0]  # by rate
    assert list(table["params.beta"]) == [10, 0.1]
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
    measured = quantity([7.0], [0.1])
    assert isinstance(measured, Quantity)
    assert (measured.mean, measured.bits_per_dim, measured.n) == (7.0, 0.1, 1)
    assert math.isnan(measured.std)
    assert quantity([], []) is None


def test_a_distortion_that_is_no_likelihood_has_no_bits():
    metrics = planted("test", 3, 4)
    del metrics["test_distortion_bits_per_dim"]
    table = rates([record(0, 1.0, metrics)])
    assert table["distortion"][0] == 4
    assert math.isnan(table["distortion bits/dim"][0])
    assert table["rate bits/dim"][0] == pytest.approx(3 / (100 * math.log(2)))


def test_a_replica_that_is_nan_has_failed_like_one_that_is_none():
    assert quantity(array("d", [1.0, math.nan]), array("d", [0.1, 0.2])) is None
    assert quantity([1.0, None], [0.1, 0.2]) is None
    assert quantity([1.0, math.inf], [0.1, 0.2]) is None
    broken = planted("test", 3, 4) | {"test_rate": array("d", [math.nan, 3.0])}
    whole = {name: array("d", values) for name, values in planted("test", 3, 4).items()}
    assert list(rates([record(0, 1.0, broken), record(1, 1.0, whole)])["number"]) == [1]


def test_bits_of_some_replicas_only_are_no_mean():
    assert math.isnan(quantity([1.0, 2.0], [0.1, None]).bits_per_dim)
    assert math.isnan(quantity([1.0, 2.0], [0.1]).bits_per_dim)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], []),
        ([(1, 1)], [(1, 1)]),
        ([(0, 2), (1, 1), (2, 0)], [(0, 2), (2, 0)]),  # on one line: its ends
        ([(0, 2), (0, 1), (1, 3)], [(0, 1)]),  # the least distortion at the least rate
        ([(0, 4), (1, 1), (2, 0.9), (4, 0), (6, 1), (3, 3)], [(0, 4), (1, 1), (4, 0)]),
    ],
)
def test_the_hull_is_convex_and_falls(points, expected):
    assert hull(points) == expected


def test_no_point_lies_below_the_hull():
    rng = np.random.default_rng(0)
    rate = rng.uniform(0, 50, 200)
    points = np.column_stack([rate, 100 * np.exp(-rate / 20) + rng.exponential(5, 200)])
    corners = np.array(hull(map(tuple, points)))
    slopes = np.diff(corners[:, 1]) / np.diff(corners[:, 0])
    assert (slopes < 0).all()
    assert (np.diff(slopes) > 0).all()
    below = np.interp(points[:, 0], *corners.T)
    assert (points[:, 1] >= below - 1e-9).all()


def test_the_bound_is_the_least_sum_and_touches_a_point():
    table = rates([record(k, k, planted("test", 10 * k, 90 - 8 * k)) for k in range(1, 5)])
    (curve,) = rate_distortion_curves(table)
    assert curve.bound == pytest.approx(92)  # 10 + 82
    assert ((table["rate"] + table["distortion"]) >= curve.bound - 1e-9).all()


def test_a_distortion_that_is_no_likelihood_has_no_bound():
    metrics = planted("test", 3, 4)
    del metrics["test_distortion_bits_per_dim"]
    ours = study([record(0, 1.0, metrics), record(1, 2.0, planted("test", 2, 5))])
    assert math.isnan(rate_distortion_curves(rates(ours.trials))[0].bound)
    section = part.section(Findings(ours))
    assert "is not a bound" in section.blocks[1].text


def test_the_section_has_figure_bound_and_table():
    trials = [record(k, k, planted("test", 10 * k, 90 - 8 * k)) for k in range(1, 60)]
    section = part.section(Findings(study(trials)))
    figure, text, shown, claims = section.blocks
    assert claims.name == "rate_claims"
    assert figure.name == "rate_distortion"
    assert "H ≤ 92.0 nats" in text.text
    assert len(shown.shown) == 40 < len(shown.stored) == 59
    assert "beta" in shown.shown
    drawn = figure.draw()
    drawn.canvas.draw()
    assert "dashed: R + D = 92.0" in [label.get_text() for label in drawn.axes[0].texts]


def test_one_trial_has_a_table_and_no_figure():
    section = part.section(Findings(study([record(0, 1.0, planted("test", 3, 4))])))
    assert [type(block).__name__ for block in section.blocks] == ["Text", "Table"]


def test_a_study_without_rates_has_no_section():
    assert part.section(Findings(study([]))) is None
    assert part.section(Findings(study([record(0, 1.0, {"test_auroc": [0.5, 0.6]})]))) is None
    assert (
        part.section(Findings(study([record(0, 1.0, planted("test", 3, 4), state="failed")])))
        is None
    )


def test_several_baselines_have_a_curve_each():
    other = [
        replace(record(k, k, planted("test", 9 * k, 95 - 8 * k)), baseline="b")
        for k in range(1, 3)
    ]
    curves = rate_distortion_curves(rates([*other, record(9, 1.0, planted("validation", 5, 60))]))
    assert [(curve.label, curve.part) for curve in curves] == [
        ("b", "test"),
        ("beta-VAE", "validation"),
    ]
    drawn = draw_rate_distortion(curves)
    drawn.canvas.draw()
    assert len(drawn.axes[0].get_legend().get_texts()) == 2


def test_no_hull_goes_through_distortions_of_different_errors():
    trials = [record(k, 0.1 * k, planted("test", 10 + k, 90 - k)) for k in range(4)]
    mixed = [
        replace(trial, scales={"distortion": "bce" if k < 2 else "l1"})
        for k, trial in enumerate(trials)
    ]
    curves = rate_distortion_curves(rates(mixed))
    assert [curve.label for curve in curves] == ["beta-VAE, bce", "beta-VAE, l1"]
    assert [len(curve.points) for curve in curves] == [2, 2]
    assert len(rate_distortion_curves(rates(trials))) == 1
