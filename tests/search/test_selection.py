"""Rules by which configurations are chosen: what each looks at, and a new one in one entry."""

import math
from array import array
from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution
from scipy.stats import kstest

from tests.naming import named
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.likelihood_vae.detector import LikelihoodVAE
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import BUDGETS, Budget
from tune_ad.search.checks.rules import check_selection
from tune_ad.search.declaration import Search
from tune_ad.search.plans import Grid
from tune_ad.search.study import Study
from tune_ad.selection import RULES, SelectionRule, mean, ranked, rule_value
from tune_ad.storage.metric import Metric
from tune_ad.storage.records import ReplicaRecord

METRICS = named(
    {
        "validation_auroc": [0.5, 0.75],
        "validation_loss": [3.0, 5.0],
        "test_auroc": [0.875, 0.625],
        "train_loss": [100.0, 200.0],
        "validation_negative_iwae": [700.0, 900.0],
    }
)
LOOKED_AT = named(
    {
        "validation_auroc": "validation",
        "validation_loss": "normal_only",
        "test_auroc": "oracle",
        "validation_negative_iwae": "likelihood",
    }
)
"""Which rule looks at a metric."""


@pytest.mark.parametrize(
    ("name", "value"),
    [("validation", 0.625), ("normal_only", -4.0), ("oracle", 0.75), ("likelihood", -800.0)],
)
def test_each_rule_looks_at_its_own_number(name, value):
    rule = RULES[name]
    assert rule.value(METRICS, "0123abcd") == rule.value(METRICS, "ffff") == value


@pytest.mark.parametrize(("seen", "name"), LOOKED_AT.items(), ids=str)
def test_a_rule_without_its_number_cannot_judge(name, seen):
    rule = RULES[name]
    without = {metric: values for metric, values in METRICS.items() if metric != seen}
    assert rule.value(without, "a") is None
    assert rule.value({seen: METRICS[seen]}, "a") == rule.value(METRICS, "a")
    for missing in (None, math.nan, math.inf):
        assert rule.value({**METRICS, seen: [0.9, missing]}, "a") is None
        compact = array("d", [0.9, missing or math.nan])
        assert rule.value({**METRICS, seen: compact}, "a") is None
    assert rule.value({**METRICS, seen: []}, "a") is None
    assert rule.value({seen: array("d", METRICS[seen])}, "a") == rule.value(METRICS, "a")


def test_the_test_set_moves_no_rule_but_the_oracle():
    better = METRICS | named({"test_auroc": [1.0, 1.0], "test_score": [0.0, 0.0]})
    moved = {
        name for name, rule in RULES.items() if rule.value(better, "a") != rule.value(METRICS, "a")
    }
    assert moved == {"oracle"}


def test_a_number_against_one_set_of_outsiders_moves_no_rule():
    more = METRICS | named({"test_auroc/svhn": [0.0, 0.0], "validation_auroc/svhn": [0.0, 0.0]})
    for rule in RULES.values():
        assert rule.value(more, "a") == rule.value(METRICS, "a")


def test_a_random_pick_sees_the_identity_alone_and_is_the_same_in_every_run():
    random = RULES["random"].value
    values = [random({}, f"{k:012x}") for k in range(4000)]
    assert values == [random(METRICS, f"{k:012x}") for k in range(4000)]
    assert random({}, "0123456789ab") == 0.7376139610875712
    assert all(0 <= value < 1 for value in values)
    assert len(set(values)) == len(values)
    assert kstest(values, "uniform").pvalue > 0.01


def test_a_random_pick_is_of_complete_trials_only(trial):
    records = [trial(k, [0.1], state=state) for k, state in enumerate(("failed", "pruned"))]
    records += [trial(k, [k / 10]) for k in range(2, 8)]
    order = numbers(ranked(records, "random"))
    assert sorted(order) == list(range(2, 8))
    worse = [trial(k, [-k / 10]) for k in range(2, 8)]
    assert numbers(ranked(worse, "random")) == order != sorted(order)


def test_a_rule_values_a_trial_that_is_complete(trial):
    assert rule_value(trial(0, [0.25, 0.75]), "validation") == 0.5
    assert rule_value(trial(0, [0.25, None]), "validation") is None
    for rule in RULES:
        assert rule_value(trial(0, [0.5], state="pruned"), rule) is None


@pytest.mark.parametrize("name", RULES)
def test_the_value_of_a_trial_is_that_of_its_metrics_and_identity(name, record):
    metrics = METRICS | dict.fromkeys(RULES[name].metrics, [0.5, 0.75])
    complete = record(3, metrics=metrics)
    value = rule_value(complete, name)
    assert value is not None
    assert value == RULES[name].value(metrics, complete.identity)


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
    return [record.number for record in records]


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


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_each_metric_of_a_rule_has_a_name_for_its_value(rule):
    assert len(rule.metrics) == len(rule.labels)
    assert bool(rule.metrics) == (rule.looks_at != "nothing")
    assert rule.is_auroc == any(metric.is_auroc for metric in rule.metrics)
    assert rule.title


def test_bits_per_dimension_go_before_nats():
    likelihood = RULES["likelihood"].value
    bits = METRICS | named({"validation_negative_iwae_bits_per_dim": [2.0, 3.0]})
    assert likelihood(bits, "a") == -2.5
    bits |= named({"validation_negative_iwae_bits_per_dim": [2.0, None]})
    assert likelihood(bits, "a") is None, "a failed replica is not made up for by nats"


# -------------------------------------------------------------------- what a rule can compare


@pytest.mark.parametrize(
    ("name", "quantity"), [("normal_only", "loss"), ("likelihood", "likelihood")]
)
def test_a_rule_compares_trials_whose_quantity_is_measured_in_the_same(name, quantity, record):
    rule = RULES[name]
    bits, other, nothing = (
        record(number, scales=scales)
        for number, scales in enumerate(
            ({quantity: "categorical"}, {quantity: "gaussian"}, {"distortion": "bce"})
        )
    )
    assert rule.compares([])
    assert rule.compares([bits])
    assert rule.compares([bits, replace(bits, number=3)])
    assert not rule.compares([bits, other])
    assert not rule.compares([bits, nothing]), "what has no such quantity does not compare"
    assert rule.compares([nothing, replace(nothing, number=4)])
    assert rule.compares(iter([bits])), "any iterable"
    before = replace(bits, number=5, schema=1, scales={quantity: "in the words of schema 1"})
    assert rule.compares([before, bits]), "each schema words its scales in its own way"
    assert not rule.compares([before, bits, other])
    assert not rule.compares([before, replace(before, number=6, scales={quantity: "unlike"})])


@pytest.mark.parametrize("name", ["validation", "oracle", "random"])
def test_a_rule_without_a_quantity_compares_all_trials(name, record):
    scales = ({"loss": "PGN"}, {"loss": "AE"}, {})
    assert RULES[name].compares(record(k, scales=scale) for k, scale in enumerate(scales))


# ----------------------------------------------------------------------- a rule of one's own

NEW_RULES = {
    "least_rate": SelectionRule(
        name="least_rate",
        title="the rate of held-out normals",
        looks_at="held-out normals",
        metrics=(Metric("validation", "rate"),),
        labels=("rate of held-out normals",),
        sign=-1.0,
        quantity="rate",
    ),
    "best_precision": SelectionRule(
        name="best_precision",
        title="average precision on the test set",
        looks_at="test images",
        metrics=(Metric("test", "ap"),),
        labels=("test average precision",),
    ),
    "few_anomalies": SelectionRule(
        name="few_anomalies",
        title="average precision of held-out images",
        looks_at="held-out anomalies",
        metrics=(Metric("validation", "ap"),),
        labels=("validation average precision",),
    ),
}
BUDGET = Budget(trials=5, epochs=7, seeds=2)
BLIND = replace(BUDGET, validation_fraction=0.0)


@pytest.fixture(params=NEW_RULES)
def new_rule(request, monkeypatch):
    """The name of a rule that is one more entry of `RULES`; the other new ones are there, too."""
    for name, rule in NEW_RULES.items():
        monkeypatch.setitem(RULES, name, rule)
    return request.param


def study(rule, *baselines, budget=BUDGET, **fields):
    """A study of a search that is declared with a rule."""
    search = Search(
        "s_{data}", ("mnist",), baselines, dict.fromkeys(BUDGETS, budget), selection=rule, **fields
    )
    return Study("s_mnist", search, "mnist", ImageShape(1, 28, 28), "quick", budget, rule)


def test_a_new_rule_selects_where_it_has_what_it_looks_at(new_rule):
    looks_at = NEW_RULES[new_rule].looks_at
    whole = {"whole": True, "plan": Grid(points=2)}
    assert study(new_rule, Baseline(PGN)).selects
    assert study(new_rule, Baseline(PGN), budget=BLIND).selects == (looks_at == "test images")
    assert study(new_rule, Baseline(PGN), **whole).selects == (looks_at == "held-out normals")


def test_a_new_rule_that_sees_held_out_anomalies_is_refused_against_other_sets(new_rule):
    against = {"outsiders": {"mnist": ("noise",)}}
    if NEW_RULES[new_rule].looks_at == "held-out anomalies":
        with pytest.raises(UserError, match="selection must be another rule"):
            study(new_rule, Baseline(PGN), **against)
    else:
        assert study(new_rule, Baseline(PGN), **against).selects


class WithRate(AE):
    """An autoencoder that says it has a rate."""

    @classmethod
    def scales(cls, config):
        return super().scales(config) | {"rate": "nats"}


class OtherRate(AE):
    """One whose rate is measured in something else."""

    @classmethod
    def scales(cls, config):
        return super().scales(config) | {"rate": "bits"}


def test_a_new_rule_is_refused_where_trials_lack_its_quantity_or_measure_it_otherwise(new_rule):
    check_selection(study(new_rule, Baseline(WithRate)))
    check_selection(study(new_rule, Baseline(WithRate), Baseline(WithRate, name="other")))
    lacking = study(new_rule, Baseline(WithRate), Baseline(PGN))
    differing = study(new_rule, Baseline(WithRate), Baseline(OtherRate))
    if not NEW_RULES[new_rule].quantity:
        check_selection(lacking)
        check_selection(differing)
        return
    with pytest.raises(
        UserError, match="compares the rate of trials, which PGN does not have"
    ) as error:
        check_selection(lacking)
    assert "few_anomalies" in str(error.value), "rules that compare nothing are the way out"
    with pytest.raises(UserError, match=r"differently \(WithRate: nats; OtherRate: bits\)"):
        check_selection(differing)


def test_a_new_rule_ranks_records(new_rule, record):
    metric, sign = NEW_RULES[new_rule].metrics[0], NEW_RULES[new_rule].sign
    records = [record(k, metrics={metric: [value]}) for k, value in enumerate((0.5, 0.75, 0.25))]
    assert numbers(ranked(records, new_rule)) == ([1, 0, 2] if sign > 0 else [2, 0, 1])


def test_a_rule_that_is_not_known_is_refused_with_the_known_ones(new_rule):
    with pytest.raises(UserError, match="got 'nonsense'") as error:
        study("nonsense", Baseline(PGN))
    assert repr(new_rule) in str(error.value)


# ------------------------------------------------------------------ comparable by a declaration


@pytest.mark.parametrize("rule", ["normal_only", "likelihood"])
def test_what_a_rule_compares_is_checked_where_it_chooses(rule):
    quantity = RULES[rule].quantity
    one, other = (
        Baseline(LikelihoodVAE, settings={"likelihood": likelihood}, name=likelihood)
        for likelihood in ("categorical", "gaussian")
    )
    check_selection(study(rule, one))
    with pytest.raises(UserError, match=f"compares the {quantity} of trials.*differently"):
        check_selection(study(rule, one, other))
    unchosen = replace(BUDGET, evaluation_seeds=0)
    check_selection(study(rule, one, other, budget=unchosen, plan=Grid()))
    if rule == "likelihood":
        with pytest.raises(UserError, match="which AE does not have"):
            check_selection(study(rule, one, Baseline(AE)))


@pytest.mark.parametrize("rule", ["normal_only", "likelihood"])
def test_nothing_is_chosen_between_values_of_a_parameter_that_changes_the_quantity(rule):
    space = {"likelihood": CategoricalDistribution(["categorical", "gaussian"])}
    searched = Baseline(LikelihoodVAE, space=space)
    with pytest.raises(UserError, match="values of likelihood of LikelihoodVAE; fix it") as error:
        check_selection(study(rule, searched, plan=Grid()))
    assert "--set likelihood=VALUE" in str(error.value)
    check_selection(study("oracle", searched, plan=Grid()))
    unchosen = replace(BUDGET, evaluation_seeds=0)
    check_selection(study(rule, searched, plan=Grid(), budget=unchosen))
    fixed = replace(study(rule, searched, plan=Grid()), settings={"likelihood": "gaussian"})
    check_selection(fixed)
