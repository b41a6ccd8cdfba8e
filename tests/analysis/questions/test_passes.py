"""The claims on T on planted scores of PGN."""

import math

import numpy as np
import pytest

from analysis.questions.claims.passes import (
    DEVIATIONS,
    GAIN,
    MEANS,
    ratio_of_deviations,
    verdicts_on_passes,
)
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.report.sections import passes as part
from tests.analysis.planted import record, study

AS_CLAIMED = {0: -0.03, 10: 0.0, 20: 0.001, 50: 0.001, "inf": 0.001}


def planted(tmp_path, shifts, seeds=8, noise=0.0005, spread=None, **changes):
    """A study of PGN whose test AUROC at each T is that of T = 20 plus a shift, and noise."""
    rng = np.random.default_rng(0)
    base = 0.9 + 0.01 * rng.standard_normal(seeds)
    by_passes = {
        t: base.mean()
        + (spread or {}).get(t, 1.0) * (base - base.mean())
        + shift
        + noise * rng.standard_normal(seeds)
        for t, shift in shifts.items()
    }
    variants = {
        f"mc_samples={t}": {"test_auroc": np.repeat(values, 2).tolist()}
        for t, values in by_passes.items()
    }
    trial = record(0, {"width": 1.0}, base.tolist(), variants=variants, **changes)
    return study(tmp_path, [trial], selection="oracle")


def outcomes(ours):
    return {verdict.claim: verdict.outcome for verdict in verdicts_on_passes(results(ours))}


def test_what_is_claimed_holds_where_it_is_planted(tmp_path):
    ours = planted(tmp_path, AS_CLAIMED)
    assert outcomes(ours) == dict.fromkeys((MEANS, DEVIATIONS, GAIN), "holds")
    assert part.section(Findings(ours)).title == "Claims on the number of passes T"


def test_what_is_claimed_is_refuted_where_the_opposite_is_planted(tmp_path):
    ours = planted(tmp_path, {0: 0.03, 10: 0.0, 20: 0.05}, spread={10: 1.0, 20: 3.0})
    assert outcomes(ours)[MEANS] == outcomes(ours)[DEVIATIONS] == "does not hold"
    assert outcomes(planted(tmp_path / "loss", {0: 0.03, 20: 0.0}))[GAIN] == "does not hold"
    no_gain = planted(tmp_path / "none", {0: 0.0, 20: 0.0}, seeds=12, noise=0.002)
    assert outcomes(no_gain)[GAIN] == "does not hold"


def test_too_few_seeds_are_inconclusive_and_the_number_needed_is_said(tmp_path):
    verdicts = verdicts_on_passes(results(planted(tmp_path, AS_CLAIMED, seeds=5)))
    assert {verdict.outcome for verdict in verdicts} == {"inconclusive"}
    assert all("6 are needed" in verdict.reason for verdict in verdicts)


def test_noise_is_inconclusive(tmp_path):
    ours = planted(tmp_path, {0: 0.0, 10: 0.0, 20: 0.0}, noise=0.06)
    assert set(outcomes(ours).values()) == {"inconclusive"}


def test_other_methods_and_scores_at_one_number_of_passes_have_no_verdict(tmp_path):
    assert outcomes(planted(tmp_path, AS_CLAIMED, detector="AE")) == {}
    assert outcomes(planted(tmp_path / "one", {20: 0.0})) == {}
    assert part.section(Findings(study(tmp_path / "nothing"))) is None


def test_the_interval_of_a_ratio_of_deviations_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        first = rng.standard_normal(8)
        second = 0.5 * first + 0.5 * rng.standard_normal(8)
        ratio = ratio_of_deviations(first.tolist(), second.tolist())
        covered += ratio.low <= 1 / math.sqrt(0.5) <= ratio.high
    assert 870 <= covered <= 930


def test_a_ratio_of_deviations_in_closed_form():
    values = [0.1, 0.2, 0.4, 0.3]
    twice = ratio_of_deviations([2 * value for value in values], values)
    assert twice == pytest.approx((2.0, 2.0, 2.0))
    assert ratio_of_deviations([1.0] * 3, [1.0] * 3) == (1.0, 1.0, 1.0)
    assert ratio_of_deviations([1.0] * 3, [1.0, 2.0, 3.0]).high == math.inf
    with pytest.raises(ValueError, match="needs 3 pairs"):
        ratio_of_deviations([0.1, 0.2], [0.1, 0.2])
