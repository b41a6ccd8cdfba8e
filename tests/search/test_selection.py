import math
from array import array

import pytest
from scipy.stats import kstest

from tune_ad.search.selection import (
    RULES,
    describe,
    judged,
    likelihood,
    mean,
    normal_only,
    oracle,
    random,
    ranked,
    validation,
)
from tune_ad.storage.records import ReplicaRecord

METRICS = {
    "validation_auroc": [0.5, 0.75],
    "validation_loss": [3.0, 5.0],
    "test_auroc": [0.875, 0.625],
    "train_loss": [100.0, 200.0],
    "validation_negative_iwae": [700.0, 900.0],
}


@pytest.mark.parametrize(
    ("rule", "value"),
    [(validation, 0.625), (normal_only, -4.0), (oracle, 0.75), (likelihood, -800.0)],
)
def test_each_rule_looks_at_its_own_number(rule, value):
    assert rule(METRICS, "0123abcd") == rule(METRICS, "ffff") == value
    assert RULES[rule.__name__] is rule


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("validation", "validation_auroc"),
        ("normal_only", "validation_loss"),
        ("oracle", "test_auroc"),
        ("likelihood", "validation_negative_iwae"),
    ],
)
def test_a_rule_without_its_number_cannot_judge(name, seen):
    rule = RULES[name]
    assert rule({key: values for key, values in METRICS.items() if key != seen}, "a") is None
    assert rule({seen: METRICS[seen]}, "a") == rule(METRICS, "a")
    for missing in (None, math.nan, math.inf):
        assert rule({**METRICS, seen: [0.9, missing]}, "a") is None
        assert rule({**METRICS, seen: array("d", [0.9, missing or math.nan])}, "a") is None
    assert rule({**METRICS, seen: []}, "a") is None
    assert rule({seen: array("d", METRICS[seen])}, "a") == rule(METRICS, "a")


def test_the_test_set_moves_no_rule_but_the_oracle():
    better = {**METRICS, "test_auroc": [1.0, 1.0], "test_score": [0.0, 0.0]}
    moved = {name for name, rule in RULES.items() if rule(better, "a") != rule(METRICS, "a")}
    assert moved == {"oracle"}


def test_a_random_pick_sees_the_identity_alone_and_is_the_same_in_every_run():
    values = [random({}, f"{k:012x}") for k in range(4000)]
    assert values == [random(METRICS, f"{k:012x}") for k in range(4000)]
    assert random({}, "0123456789ab") == 0.7376139610875712
    assert all(0 <= value < 1 for value in values)
    assert len(set(values)) == len(values)
    assert kstest(values, "uniform").pvalue > 0.01
    assert RULES["random"] is random


def test_a_random_pick_is_of_complete_trials_only(trial):
    records = [trial(k, [0.1], state=state) for k, state in enumerate(("failed", "pruned"))]
    records += [trial(k, [k / 10]) for k in range(2, 8)]
    order = numbers(ranked(records, "random"))
    assert sorted(order) == list(range(2, 8))
    worse = [trial(k, [-k / 10]) for k in range(2, 8)]
    assert numbers(ranked(worse, "random")) == order != sorted(order)


def test_a_trial_is_judged_when_it_is_complete(trial):
    assert judged(trial(0, [0.25, 0.75]), "validation") == 0.5
    assert judged(trial(0, [0.25, None]), "validation") is None
    for rule in RULES:
        assert judged(trial(0, [0.5], state="pruned"), rule) is None


def test_the_mean_skips_no_replica():
    assert mean([1.0, 2.0, 6.0]) == 3.0
    assert mean([]) is None
    assert mean([1.0, None]) is None
    assert mean([1.0, math.nan]) is None


@pytest.fixture
def trial(record):
    def make(number, aurocs, **fields):
        return record(number, None, metrics={"validation_auroc": aurocs}, **fields)

    return make


def numbers(records):
    return [each.number for each in records]


def test_the_best_comes_first(trial):
    records = [trial(0, [0.6, 0.6]), trial(1, [0.5, 0.9]), trial(2, [0.1, 0.2])]
    assert numbers(ranked(records, "validation")) == [1, 0, 2]
    assert ranked([], "validation") == []


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_ties_go_to_the_earlier_trial(trial, order):
    assert numbers(ranked([trial(k, [0.7]) for k in order], "validation")) == [0, 1, 2]


def test_a_trial_with_a_failed_replica_is_not_eligible_however_good_the_others(trial):
    replicas = [
        ReplicaRecord("a", 0, "complete", "", 3),
        ReplicaRecord("b", 0, "failed", "nan", 1),
    ]
    failed = trial(0, [0.99, None], state="failed", replicas=replicas)
    unmarked = trial(1, [0.98, None])
    assert numbers(ranked([failed, unmarked, trial(2, [0.6, 0.6])], "validation")) == [2]


def test_a_trial_that_did_not_finish_is_not_eligible(trial):
    records = [trial(0, [0.9], state="pruned"), trial(1, [0.8], state="failed"), trial(2, [0.1])]
    assert numbers(ranked(records, "validation")) == [2]


def test_a_ranking_by_a_rule_that_saw_nothing_is_empty(trial):
    assert ranked([trial(0, [0.9])], "oracle") == []


def test_rules_may_disagree(record):
    records = [
        record(0, metrics={"validation_auroc": [0.9], "test_auroc": [0.1]}),
        record(1, metrics={"validation_auroc": [0.2], "test_auroc": [0.8]}),
    ]
    assert numbers(ranked(records, "validation")) == [0, 1]
    assert numbers(ranked(records, "oracle")) == [1, 0]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_rule_says_in_one_line_what_it_looks_at(rule):
    line = describe(rule)
    assert line.startswith(f"{rule}: ")
    assert "\n" not in line
    assert len(line) > len(rule) + 20


def test_bits_per_dimension_go_before_nats():
    bits = {**METRICS, "validation_negative_iwae_bits_per_dim": [2.0, 3.0]}
    assert likelihood(bits, "a") == -2.5
    bits["validation_negative_iwae_bits_per_dim"] = [2.0, None]
    assert likelihood(bits, "a") is None, "a failed replica is not made up for by nats"
