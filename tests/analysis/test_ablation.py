"""Effects of single changes, planted in records."""

import pytest

from analysis.ablation import auroc, effects, references
from tune_ad.records import Replica, TrialRecord

DEFAULT = {"width": 1.0, "bias": True, "milestones": [0.75]}
SEEDS, TASKS = (0, 1, 2), ("a", "b")


def record(number, changes=None, aurocs=None, baseline="PGN", state="complete"):
    """A trial on two tasks and three seeds; `aurocs` by seed, spread over the tasks."""
    values = []
    for seed in SEEDS:
        value = (aurocs or (0.8, 0.7, 0.6))[seed]
        values += [None, None] if value is None else [value - 0.1, value + 0.1]
    params = {**DEFAULT, "milestones": (0.75,), **(changes or {})}
    return TrialRecord(
        number=number,
        identity=f"{number:012x}",
        baseline=baseline,
        detector="PGN",
        params=params,
        searched=["width", "bias"],
        state=state,
        reason="",
        objective=None,
        reports=[],
        replicas=[Replica(task, seed, "complete", "", 3) for seed in SEEDS for task in TASKS],
        metrics={"test_auroc": values},
    )


def test_a_seed_counts_with_the_mean_of_its_classes_if_all_are_complete():
    assert auroc(record(0)).to_dict() == pytest.approx({0: 0.8, 1: 0.7, 2: 0.6})
    lost = record(0, aurocs=(0.8, None, 0.6))
    assert auroc(lost).to_dict() == pytest.approx({0: 0.8, 2: 0.6})
    half = record(0)
    half.metrics["test_auroc"][0] = None
    assert list(auroc(half).index) == [1, 2]


def test_a_planted_effect_is_found_with_its_sign_and_pairing():
    """Seeds differ by 0.1, the change by 0.05 everywhere: only pairing sees that."""
    records = [
        record(0),
        record(1, {"width": 2.0}, (0.85, 0.75, 0.65)),
        record(2, {"bias": False}, (0.7, 0.65, 0.45)),
    ]
    wide, without = effects({"PGN": DEFAULT}, records)
    assert (wide.parameter, wide.value, wide.default) == ("width", 2.0, 1.0)
    assert wide.difference.mean == pytest.approx(0.05)
    assert wide.difference.std == pytest.approx(0, abs=1e-12)
    assert wide.auroc.mean == pytest.approx(0.75)
    assert (without.parameter, without.value) == ("bias", False)
    assert without.difference.mean == pytest.approx(-0.1)
    assert without.difference.low < -0.1 < without.difference.high
    assert without.difference.low < 0, "a difference is not cut at 0"


def test_only_single_changes_of_tested_trials_count():
    records = [
        record(0),
        record(1, {"width": 2.0, "bias": False}),
        record(2, {"width": 0.5}, state="failed"),
        record(3, {"width": 4.0}, state="pruned"),
        record(4, {"bias": False}, baseline="other"),
    ]
    assert effects({"PGN": DEFAULT}, records) == []
    assert effects({"PGN": DEFAULT}, records[1:]) == []
    assert effects({"PGN": DEFAULT}, []) == []


def test_each_baseline_has_its_own_default():
    other = {**DEFAULT, "bias": False}
    records = [
        record(0),
        record(1, {"bias": False}, (0.9, 0.8, 0.7)),
        record(2, {"bias": False}, baseline="other"),
        record(3, {}, (0.5, 0.4, 0.3), baseline="other"),
    ]
    first, second = effects({"PGN": DEFAULT, "other": other}, records)
    assert (first.baseline, first.difference.mean) == ("PGN", pytest.approx(0.1))
    assert (second.baseline, second.difference.mean) == ("other", pytest.approx(-0.3))


def test_a_failed_seed_is_left_out_of_the_pairs():
    records = [record(0, aurocs=(0.8, None, 0.6)), record(1, {"width": 2.0}, (0.9, 0.1, 0.7))]
    (effect,) = effects({"PGN": DEFAULT}, records)
    assert (effect.difference.n, effect.difference.mean) == (2, pytest.approx(0.1))
    assert effect.auroc.n == 3


def test_the_reference_is_the_trial_with_nothing_changed():
    records = [record(0), record(1, {"width": 2.0}, (0.9, 0.9, 0.9)), record(2, baseline="other")]
    found = references({"PGN": DEFAULT}, records)
    assert [each.number for each in found] == [0]
    assert auroc(found[0]).mean() == pytest.approx(0.7)
    assert references({"PGN": DEFAULT}, [record(0, state="failed")]) == []
