import json
from dataclasses import asdict, dataclass, replace

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from tune_ad.detectors.autoencoders.aae import AAE
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config, number
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.likelihood_vae.detector import LikelihoodVAE
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import BUDGETS, LIMITS, Budget
from tune_ad.search.checks.rules import check_selection, usable_rules
from tune_ad.search.claim import Claim
from tune_ad.search.declaration import Search
from tune_ad.search.plans import Grid, Listed, OneAtATime, Optuna
from tune_ad.search.study import Study
from tune_ad.storage.records import TrialSpec, identity

GREY, COLOUR = ImageShape(1, 28, 28), ImageShape(3, 32, 32)
BUDGET = Budget(trials=5, epochs=7, seeds=2)
BUDGET_OF = dict.fromkeys(BUDGETS, BUDGET)
RATE = {"learning_rate": FloatDistribution(1e-5, 1e-2, log=True)}


def search(*baselines, **fields):
    values = {"name": "s_{data}", "data": ("mnist",), "budgets": BUDGET_OF, **fields}
    return Search(baselines=baselines or (Baseline(PGN, space=RATE),), **values)


def study(*baselines, settings=(), selection="validation", budget=BUDGET, **fields):
    declared = search(*baselines, **fields)
    return Study(
        "s_mnist",
        declared,
        "mnist",
        GREY,
        "paper" if not budget.validation_fraction else "quick",
        budget,
        selection,
        settings=dict(settings),
    )


def many(declared, trials):
    """A study of so many trials."""
    return replace(declared, budget=replace(declared.budget, trials=trials))


def refusal(make):
    with pytest.raises(UserError) as caught:
        make()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("detector", "fields", "words"),
    [
        (PGN, {"space": {"lr": FloatDistribution(0, 1)}}, ["PGN", "'lr'", "learning_rate"]),
        (AE, {"space": {"dropout": FloatDistribution(0, 1)}}, ["AE", "'dropout'"]),
        (
            PGN,
            {"space": {"latent_dims": IntDistribution(1, 8)}},
            ["PGN has no parameter 'latent_dims'; did you mean latent_dim?"],
        ),
        (
            PGN,
            {"space": {"latent_dim": CategoricalDistribution([8, "a"])}},
            ["the search space of latent_dim of PGN contains 'a'", "an integer in [1, 100000]"],
        ),
        (
            PGN,
            {"space": {"dropout": FloatDistribution(0.5, 1.5)}},
            ["the search space of dropout of PGN contains 1.5"],
        ),
        (
            PGN,
            {"space": {"latent_dim": [8, 16]}},
            ["latent_dim", "CategoricalDistribution", "got [8, 16]"],
        ),
        (PGN, {"space": [8]}, ["space of PGN must be a dictionary", "got [8]"]),
        (PGN, {"score_space": {"latent_dim": (8, 16)}}, ["'latent_dim'", "mc_samples"]),
        (AE, {"score_space": {"mc_samples": (0, 1)}}, ["'mc_samples'", "none"]),
        (
            PGN,
            {"score_space": {"mc_sample": (0, 1)}},
            ["'mc_sample'", "did you mean mc_samples?"],
        ),
        (PGN, {"score_space": {"mc_samples": (0, 10_001)}}, ["mc_samples", "10001"]),
        (PGN, {"score_space": {"mc_samples": "inf"}}, ["a tuple of values", "got 'inf'"]),
        (PGN, {"settings": {"lr": 0.1}}, ["'lr'", "learning_rate"]),
        (PGN, {"settings": {"dropout": 1.5}}, ["dropout", "1.5"]),
        (PGN, {"name": 3}, ["name of a baseline", "string", "3"]),
        ("PGN", {}, ["subclass of Detector", "'PGN'"]),
    ],
)
def test_a_baseline_that_cannot_be_is_refused_where_it_is_declared(detector, fields, words):
    message = refusal(lambda: Baseline(detector, **fields))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"dropout": FloatDistribution(0.6, 0.9)}, ["dropout=0.5", "outside", "0.6"]),
        (
            {"mc_samples": CategoricalDistribution([0, 50, "inf"])},
            ["mc_samples=20", "outside"],
        ),
        ({"latent_dim": IntDistribution(30, 38, step=4)}, ["latent_dim=32", "outside"]),
    ],
)
def test_a_default_outside_its_space_is_refused(space, words):
    message = refusal(lambda: Baseline(PGN, space=space).resolved(GREY))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"budgets": {"standard": BUDGET}}, ["must contain 'quick'", "('standard',)"]),
        ({"budgets": {**BUDGET_OF, "huge": BUDGET}}, ["'huge'", "quick, standard, paper"]),
        ({"budgets": {**BUDGET_OF, "papre": BUDGET}}, ["'papre'", "did you mean paper?"]),
        ({"budgets": {"quick": 3}}, ["budgets['quick'] must be a Budget, got 3"]),
        ({"budgets": BUDGET}, ["budgets must be a dictionary"]),
        ({"budgets_on": {"cifar": {"quick": BUDGET}}}, ["cifar", "mnist"]),
        ({"budgets_on": {"mnist": {"tiny": BUDGET}}}, ["tiny", "quick"]),
        ({"budgets_on": {"mnist": BUDGET}}, ["budgets_on['mnist'] must be a dictionary"]),
        ({"budgets_on": {"mnist": {"quick": 3}}}, ["budgets_on['mnist']['quick'] must be a Bud"]),
        ({"name_on": {"cifar": "mine"}}, ["name_on names cifar", "mnist"]),
        ({"name_on": {"mnist": 3}}, ["name_on['mnist'] must be a string, got 3"]),
        ({"data": "mnist"}, ["data must be a tuple, (\"mnist\",), got 'mnist'"]),
        ({"data": ("mnist", 3)}, ["data must be a tuple of names, got ('mnist', 3)"]),
        ({"data": ()}, ["data must name at least one data set"]),
        ({"selection": "best"}, ["'best'", "validation", "oracle"]),
        ({"selection": "orcale"}, ["'orcale'", "did you mean oracle?"]),
        ({"plan": "grid"}, ["plan must be a Plan, got 'grid'"]),
        ({"plan": Grid}, ["plan must be a Plan"]),
        ({"claim": "capacity"}, ["claim must be a Claim, got 'capacity'"]),
        ({"whole": "no"}, ["whole must be True or False, got 'no'"]),
        ({"pruning": 1}, ["pruning must be True or False, got 1"]),
        ({"patience": -1}, ["patience", "-1", "at least 0"]),
        ({"patience": "3"}, ["patience must be an integer, got '3'"]),
        ({"patience": 2, "budgets": {"quick": BUDGET}}, ["patience", "held-out", "paper"]),
        ({"outsiders": {"mnist": "svhn"}}, ["outsiders['mnist'] must be a tuple, (\"svhn\",)"]),
        ({"outsiders": {"mnist": ("noise",)}}, ["'validation'", "another rule"]),
        ({"outsiders": {"mnist": ()}, "selection": "random"}, ["outsiders", "at least one"]),
        ({"outsiders": {"cifar": ("svhn",)}, "selection": "random"}, ["outsiders", "cifar"]),
        (
            {"outsiders": {"mnist": ("noise",)}, "selection": "random", "whole": True},
            ["outsiders", "whole"],
        ),
        (
            {
                "outsiders": {"mnist": ("noise",)},
                "selection": "random",
                "budgets": {"quick": replace(BUDGET, classes=(1,))},
            },
            ["classes", "None"],
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused(fields, words):
    message = refusal(lambda: search(**fields))
    assert "s_{data}" in message
    for word in words:
        assert word in message


def test_baselines_of_one_name_are_refused():
    assert "PGN" in refusal(lambda: search(Baseline(PGN), Baseline(PGN, space=RATE)))
    both = search(Baseline(PGN), Baseline(PGN, space=RATE, name="other"))
    assert [baseline.title for baseline in both.baselines] == ["PGN", "other"]


@pytest.mark.parametrize("baselines", [(), Baseline(PGN), [Baseline(PGN)], ("PGN",), None])
def test_a_search_without_a_tuple_of_baselines_is_refused(baselines):
    message = refusal(lambda: Search("s_{data}", ("mnist",), baselines, BUDGET_OF))
    assert "search s_{data}: baselines must be" in message


def test_the_name_of_a_search_is_a_string():
    assert "the name of a search must be a string, got 3" in refusal(lambda: search(name=3))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trials", 0),
        ("epochs", -3),
        ("seeds", 0),
        ("evaluations", 0),
        ("evaluation_seeds", -1),
        ("classes", ()),
        ("train_images", 0),
        ("validation_images", 0),
        ("test_images", -2),
        ("validation_fraction", 1.0),
        ("validation_fraction", -0.1),
        ("validation_fraction", "0.1"),
        ("trials", "8"),
        ("trials", 8.0),
        ("trials", None),
        ("trials", 10**20),
        ("seeds", True),
        ("seeds", 1001),
        ("evaluation_seeds", 10**12),
        ("evaluations", 10**7),
        ("epochs", 10**7),
        ("train_images", 10**10),
        ("train_images", "all"),
        ("validation_images", 10**10),
        ("test_images", 10**10),
        ("classes", 3),
        ("classes", [0, 3]),
        ("classes", "03"),
        ("test_curve", 1),
        ("only", ("width",)),
    ],
)
def test_a_budget_that_cannot_be_is_refused(field, value):
    message = refusal(lambda: replace(BUDGET, **{field: value}))
    assert field in message
    if value != ():
        assert repr(value) in message


def test_a_class_of_a_budget_is_a_number():
    assert "a class number must be an integer, got 'cat'" in refusal(
        lambda: replace(BUDGET, classes=(0, "cat"))
    )
    assert "a class number must be at least 0, got -1" in refusal(
        lambda: replace(BUDGET, classes=(-1,))
    )


def test_a_budget_gives_several_values_of_a_parameter():
    assert "only must give a tuple of values for width, got 2.0" in refusal(
        lambda: replace(BUDGET, only={"width": 2.0})
    )


@pytest.mark.parametrize("field", LIMITS)
def test_the_limits_of_a_budget_are_legal(field):
    for limit in LIMITS[field]:
        assert getattr(replace(BUDGET, **{field: limit}), field) == limit


@pytest.mark.parametrize(
    ("epochs", "evaluations", "interval"),
    [(10, 10, 1), (100, 10, 10), (7, 3, 3), (2, 10, 1), (0, 10, 1)],
)
def test_reports_are_evenly_spaced(epochs, evaluations, interval):
    assert replace(BUDGET, evaluations=evaluations).interval(epochs) == interval


def test_a_search_appears_once_for_each_data_set():
    assert search(data=("mnist", "cifar")).names() == {"s_mnist": "mnist", "s_cifar": "cifar"}


def test_a_data_set_may_have_budgets_of_its_own():
    small = replace(BUDGET, trials=2)
    declared = search(data=("mnist", "cifar"), budgets_on={"cifar": {"quick": small}})
    assert declared.budgets_for("mnist") == BUDGET_OF
    assert declared.budgets_for("cifar") == {**BUDGET_OF, "quick": small}
    assert declared.budgets_for("cifar10") == declared.budgets_for("cifar")


def test_the_sets_against_which_a_data_set_is_set_go_by_both_of_its_names():
    declared = search(outsiders={"mnist": ("fmnist", "noise")}, selection="random")
    assert declared.outsiders_for("mnist") == ("fmnist", "noise")
    two = {"cifar": ("svhn",), "fmnist": ("mnist",)}
    declared = search(data=("cifar", "fmnist"), outsiders=two, selection="random")
    for short, full in (("cifar", "cifar10"), ("fmnist", "fashion_mnist")):
        assert declared.outsiders_for(short) == declared.outsiders_for(full) == two[short]
    assert declared.outsiders_for("mnist") == ()


def test_a_setting_that_is_a_parameter_of_no_detector_is_refused():
    message = refusal(lambda: study(settings={"learning_rat": 1e-3}).baselines)
    assert message == (
        "--set: no detector of this search has a parameter 'learning_rat'; did you mean "
        "learning_rate?"
    )


def test_the_default_is_the_released_one_for_the_images():
    space = {"latent_dim": CategoricalDistribution([32, 128])}
    assert Baseline(PGN, space=space).resolved(GREY).default == {"latent_dim": 32}
    assert Baseline(PGN, space=space).resolved(COLOUR).default == {"latent_dim": 128}
    changed = Baseline(PGN, space=space, settings={"latent_dim": 128})
    assert changed.resolved(GREY).default == {"latent_dim": 128}


def test_a_setting_of_the_user_fixes_a_parameter_and_takes_it_out_of_the_space():
    space = {**RATE, "dropout": FloatDistribution(0.1, 0.7)}
    fixed = study(Baseline(PGN, space=space), Baseline(AE, space=RATE), settings={"dropout": 0.85})
    assert [set(baseline.space) for baseline in fixed.resolved_baselines] == [
        {"learning_rate"},
        {"learning_rate"},
    ]
    spec = TrialSpec(3, "PGN", {"learning_rate": 1e-3})
    assert fixed.config(spec).dropout == 0.85
    assert fixed.describe()["baselines"]["PGN"]["params"]["dropout"] == 0.85
    assert "dropout" not in fixed.describe()["baselines"]["PGN"]["space"]


def test_a_setting_that_no_detector_has_is_refused():
    message = refusal(lambda: study(settings={"drop_out": 0.5}).resolved_baselines)
    assert "'drop_out'" in message
    assert "dropout" in message.replace("'drop_out'", "")


@pytest.mark.parametrize("value", ["fast", True, None, -1.0])
def test_a_setting_of_a_bad_value_is_refused(value):
    message = refusal(lambda: study(settings={"learning_rate": value}).resolved_baselines)
    assert "learning_rate" in message
    assert repr(value) in message


def test_the_budget_gives_the_epochs_and_the_seeds():
    declared = study(Baseline(PGN, settings={"epochs": 50}))
    assert declared.baselines["PGN"].config(GREY, {}).epochs == 7
    assert declared.seeds == (0, 1)
    assert len(declared.fresh_seeds) == BUDGET.evaluation_seeds
    assert not set(declared.seeds) & set(declared.fresh_seeds)


PUBLISHED = replace(BUDGET, epochs=None)


def test_a_budget_without_epochs_leaves_each_baseline_its_own():
    both = (Baseline(PGN, settings={"epochs": 50}), Baseline(AE))
    published = study(*both, budget=PUBLISHED)
    assert published.epochs() == {"PGN": 50, "AE": 100}
    assert published.config(TrialSpec(0, "PGN", {})).epochs == 50
    assert published.describe()["budget"]["epochs"] is None
    assert published.describe()["baselines"]["AE"]["params"]["epochs"] == 100
    assert study(*both).epochs() == {"PGN": 7, "AE": 7}
    assert study(*both, budget=PUBLISHED, settings={"epochs": 3}).epochs() == {"PGN": 3, "AE": 3}


def test_the_settings_of_a_budget_are_defaults_of_the_detectors_that_have_them():
    released = {"last_batch": "short", "updates": "simultaneous"}
    batches = {"last_batch": CategoricalDistribution(["filled", "short"])}
    both = (Baseline(PGN, space={**batches, **RATE}), Baseline(AAE), Baseline(KDE))
    usual, settled = study(*both), study(*both, budget=replace(BUDGET, settings=released))
    for declared, last, updates in (
        (usual, "filled", "alternating"),
        (settled, "short", "simultaneous"),
    ):
        pgn, aae, _ = declared.baselines.values()
        assert pgn.space.keys() == {"last_batch", *RATE}, "it is still searched"
        assert declared.resolved_baselines[0].default["last_batch"] == last
        config = aae.config(GREY, {})
        assert (config.last_batch, config.updates) == (last, updates)
        assert config.latent_dim == AAE.Config.released(GREY).latent_dim
    mine = {"updates": "alternating"}
    fixed = study(*both, budget=replace(BUDGET, settings=released), settings=mine)
    assert fixed.baselines["AAE"].config(GREY, {}).updates == "alternating"
    assert settled.describe()["budget"]["settings"] == released


def test_the_settings_of_a_budget_do_not_name_epochs():
    assert "settings of a budget must not name epochs" in refusal(
        lambda: replace(BUDGET, settings={"epochs": 3})
    )
    assert "settings must be a dictionary" in refusal(lambda: replace(BUDGET, settings=("width",)))


@pytest.mark.parametrize("field", ["budgets", "budgets_on"])
def test_a_setting_of_a_budget_that_no_detector_has_is_refused(field):
    def declared(**settings):
        budgets = {"quick": replace(BUDGET, settings=settings)}
        fields = {"budgets": budgets, "budgets_on": {"mnist": budgets}}
        return search(**{field: fields[field]})

    message = refusal(lambda: declared(last_bacth="short"))
    assert "no detector has the parameter 'last_bacth' of settings; did you mean last_b" in message
    assert f"search s_{{data}}: {field}" in message
    assert "leave it out" in refusal(lambda: declared(zzzzzz=1))
    declared(updates="simultaneous")  # a parameter of AAE, which is not in the search


def test_a_setting_of_a_budget_may_be_that_of_a_detector_elsewhere():
    @dataclass(frozen=True)
    class MyConfig(Config):
        sharpness: float = number(1.0, "(0, inf)")

    class Mine(KDE):
        Config = MyConfig

    budgets = {"quick": replace(BUDGET, settings={"sharpness": 2.0})}
    assert search(Baseline(Mine), budgets=budgets).baselines


SEARCHED = Baseline(PGN, space={"epochs": CategoricalDistribution([3, 5, 7, 9]), **RATE})


def test_epochs_that_a_baseline_searches_stay_searched_around_those_of_the_budget():
    declared = study(SEARCHED, Baseline(AE))
    assert list(declared.baselines["PGN"].space["epochs"].choices) == [3, 5, 7, 9]
    assert declared.resolved_baselines[0].default["epochs"] == 7
    assert declared.epochs() == {"PGN": 7, "AE": 7}
    assert declared.epochs_tried() == [3, 5, 7, 9]
    assert declared.epochs_of(TrialSpec(0, "PGN", {"epochs": 9})) == 9
    assert declared.epochs_of(TrialSpec(0, "AE", {})) == 7
    fixed = study(SEARCHED, settings={"epochs": 5}, budget=BUDGET.with_epochs(5))
    assert "epochs" not in fixed.baselines["PGN"].space
    assert fixed.epochs_tried() == [5]


def test_a_budget_restricts_searched_epochs_and_a_single_trial_has_its_default():
    budget = replace(BUDGET, only={"epochs": (5, 7)})
    declared = study(SEARCHED, budget=budget)
    assert list(declared.baselines["PGN"].space["epochs"].choices) == [5, 7]
    assert declared.epochs_tried() == [5, 7]
    assert study(SEARCHED, budget=replace(budget, trials=1)).epochs_tried() == [7]
    one = study(SEARCHED, budget=replace(BUDGET, only={"epochs": (7,)}))
    assert "epochs" not in one.baselines["PGN"].space
    assert one.epochs() == {"PGN": 7}


def test_the_epochs_of_a_budget_are_among_those_that_it_allows():
    message = refusal(lambda: replace(BUDGET, only={"epochs": (5, 9)}))
    assert message == "epochs must be one of the epochs that only allows, 5 or 9, got 7"
    outside = study(SEARCHED, budget=replace(BUDGET, epochs=8))
    assert "the default epochs=8 of PGN lies outside" in refusal(
        lambda: outside.resolved_baselines
    )


def test_searched_epochs_are_not_pruned():
    message = refusal(lambda: search(SEARCHED, pruning=True))
    assert "pruning compares trials after equally many reports" in message
    assert search(Baseline(PGN, space=RATE), pruning=True).pruning


def test_epochs_are_counted_over_all_stages():
    pretrained = Baseline(DeepSVDD, settings={"pretraining": 0.5}, name="pretrained")
    declared = study(pretrained, Baseline(DeepSVDD), budget=replace(BUDGET, epochs=20))
    assert declared.epochs() == {"pretrained": 30, "DeepSVDD": 20}


class Fitted(Detector[Config]):
    """Has nothing to train."""

    Config = Config

    def score_variants(self, images, noise, score_space):
        return {"score": images.flatten(1).mean(1)}


def test_the_epochs_of_a_budget_are_not_for_a_detector_that_is_fitted():
    declared = study(Baseline(Fitted), Baseline(PGN))
    assert declared.epochs() == {"Fitted": 0, "PGN": 7}
    assert asdict(declared.config(TrialSpec(0, "Fitted", {}))) == {"scaling": "unit"}


WHOLE = {"whole": True, "plan": Grid(points=2)}


def test_a_whole_data_set_has_no_classes():
    some = replace(BUDGET, classes=(0, 1))
    for fields in ({"budgets": {"quick": some}}, {"budgets_on": {"mnist": {"paper": some}}}):
        assert "classes" in refusal(lambda fields=fields: search(**WHOLE, **fields))
    assert study(**WHOLE).describe()["whole"] is True
    assert study().describe()["whole"] is False


@pytest.mark.parametrize(
    ("selection", "fraction", "whole", "selects"),
    [
        ("validation", 0.1, False, True),
        ("validation", 0.0, False, False),
        ("normal_only", 0.1, False, True),
        ("normal_only", 0.0, False, False),
        ("oracle", 0.0, False, True),
        ("validation", 0.1, True, False),
        ("oracle", 0.1, True, False),
        ("normal_only", 0.1, True, True),
        ("normal_only", 0.0, True, False),
        ("random", 0.0, False, True),
        ("random", 0.1, True, True),
    ],
)
def test_a_rule_selects_where_it_has_something_to_look_at(selection, fraction, whole, selects):
    budget = replace(BUDGET, validation_fraction=fraction)
    declared = study(budget=budget, selection=selection, whole=whole)
    assert declared.selects is selects
    if selects:
        check_selection(many(declared, 100))
    else:
        assert "cannot choose among 100 trials" in refusal(
            lambda: check_selection(many(declared, 100))
        )
        check_selection(many(declared, 1))


def test_of_a_whole_data_set_nothing_is_chosen_by_auroc():
    message = refusal(lambda: check_selection(many(study(whole=True), 2)))
    for word in ("nothing is anomalous in the whole of mnist", "normal_only", "--trials 1"):
        assert word in message
    check_selection(many(study(**WHOLE), 100))


def test_fresh_seeds_were_seen_by_no_search_however_long():
    most = {name: LIMITS[name][1] for name in ("seeds", "evaluation_seeds")}
    long = study(budget=replace(BUDGET, **most))
    assert not set(long.seeds) & set(long.fresh_seeds)


def test_the_configuration_and_identity_of_a_trial_spec():
    declared = study()
    spec = TrialSpec(0, "PGN", {"learning_rate": 0.002})
    config = declared.config(spec)
    assert (config.learning_rate, config.epochs) == (0.002, 7)
    assert declared.identity(spec) == identity("PGN", asdict(config))


@pytest.mark.parametrize(
    ("fields", "chooses"),
    [
        ({}, True),
        ({"budget": replace(BUDGET, evaluation_seeds=0)}, True),
        ({"plan": Grid()}, True),
        ({"plan": Grid(), "budget": replace(BUDGET, evaluation_seeds=0)}, False),
        (
            {
                "plan": Grid(),
                "selection": "oracle",
                "budget": replace(BUDGET, evaluation_seeds=0),
            },
            True,
        ),
        ({"budget": replace(BUDGET, validation_fraction=0.0)}, False),
        ({"whole": True, "plan": Grid()}, False),
    ],
)
def test_a_rule_chooses_where_a_winner_or_the_next_trial_depends_on_it(fields, chooses):
    assert study(**fields).chooses is chooses


ONCE = replace(BUDGET, evaluation_seeds=0)


@pytest.mark.parametrize(
    ("fields", "quotes"),
    [
        ({}, "winner"),
        ({"budget": ONCE}, "single"),
        ({"budget": ONCE, "plan": Grid()}, "defaults"),
        ({"budget": replace(ONCE, trials=1), "plan": Grid()}, "single"),
        ({"budget": ONCE, "plan": Grid(), "selection": "oracle"}, "oracle"),
        ({"budget": ONCE, "plan": Listed([{}, {"learning_rate": 0.002}])}, "configurations"),
        ({"whole": True, "plan": Grid()}, "nothing"),
    ],
)
def test_what_a_report_gives_follows_from_budget_rule_and_plan(fields, quotes):
    assert study(**fields).quotes == quotes


BLIND = replace(BUDGET, validation_fraction=0.0, evaluation_seeds=0)


@pytest.mark.parametrize("selection", ["validation", "normal_only"])
def test_nothing_is_chosen_among_several_trials_without_held_out_data(selection):
    declared = study(budget=BLIND, selection=selection)
    check_selection(many(declared, 1))
    message = refusal(lambda: check_selection(many(declared, 2)))
    for word in ("paper", selection, "2 trials", "--trials 1", "oracle"):
        assert word in message


def test_the_oracle_may_choose_without_held_out_data():
    declared = many(study(budget=BLIND, selection="oracle"), 100)
    check_selection(declared)
    assert "oracle" in usable_rules(declared)


@pytest.mark.parametrize("plan", [Grid(), OneAtATime(), Listed([{}])])
def test_a_plan_that_chooses_nothing_needs_no_held_out_data(plan):
    declared = many(study(budget=BLIND, plan=plan), 100)
    check_selection(declared)
    assert not declared.chooses


def test_the_defaults_of_several_baselines_are_no_choice():
    declared = study(Baseline(PGN, space=RATE), Baseline(AE, space=RATE), budget=BLIND)
    check_selection(many(declared, 2))
    assert "3 trials" in refusal(lambda: check_selection(many(declared, 3)))


def test_a_study_describes_itself_in_plain_data():
    space = {**RATE, "mc_samples": CategoricalDistribution([0, 20, "inf"])}
    baseline = Baseline(PGN, space=space, score_space={"mc_samples": (0, "inf")}, name="p")
    described = json.loads(json.dumps(study(baseline, settings={"width": 2.0}).describe()))
    assert described["settings"] == {"width": 2.0}
    assert described["image_shape"] == [1, 28, 28]
    assert described["budget"]["epochs"] == 7
    assert described["plan"] == {
        "name": "Optuna",
        "random_trials": None,
        "traits": Optuna.traits._asdict(),
    }
    (baseline,) = described["baselines"].values()
    assert baseline["detector"] == "PGN"
    assert baseline["score_space"] == {"mc_samples": [0, "inf"]}
    assert baseline["params"]["width"] == 2.0
    assert {name: json_to_distribution(text) for name, text in baseline["space"].items()} == space


def test_listed_configurations_are_described():
    described = study(plan=Listed([{"learning_rate": 1e-3}])).describe()
    assert json.loads(json.dumps(described))["plan"] == {
        "name": "Listed",
        "configurations": [{"learning_rate": 1e-3}],
        "traits": Listed.traits._asdict(),
    }


@pytest.mark.parametrize("rule", ["normal_only", "likelihood"])
def test_no_adaptive_plan_searches_what_changes_the_quantity_that_its_rule_compares(rule):
    space = {"likelihood": CategoricalDistribution(["categorical", "gaussian"])}
    baseline = Baseline(LikelihoodVAE, space=space)
    message = refusal(lambda: search(baseline, selection=rule))
    for word in ("likelihood", repr(rule), "a plan that does not adapt"):
        assert word in message
    assert search(baseline, selection=rule, plan=Grid()).baselines == (baseline,)
    assert search(baseline, selection="validation").baselines == (baseline,)


ONLY = {
    "latent_dim": (8, 64, 4),
    "learning_rate": (1e-3,),
    "width": (2.0, 0.5),
    "mc_samples": (20, 7),
    "none_of_its": (1,),
}


def test_a_budget_restricts_parameters_to_what_it_can_afford():
    space = {"latent_dim": IntDistribution(8, 64), **RATE}
    whole = Baseline(PGN, space=space)
    left = study(whole, budget=replace(BUDGET, only=ONLY)).baselines["PGN"]
    assert left.space == {"latent_dim": CategoricalDistribution([8, 64])}
    config = left.config(GREY, {})
    assert (config.latent_dim, config.learning_rate, config.width) == (8, 1e-3, 2.0)
    assert config.mc_samples == 20, "a default that is among them stays"
    (baseline,) = study(whole, budget=replace(BUDGET, only=ONLY)).resolved_baselines
    assert baseline.default == {"latent_dim": 8}


def test_a_setting_of_the_user_goes_before_what_the_budget_can_afford():
    baseline = study(settings={"width": 4.0}, budget=replace(BUDGET, only=ONLY)).baselines["PGN"]
    assert baseline.config(GREY, {}).width == 4.0


def test_a_budget_that_leaves_nothing_is_refused():
    declared = study(budget=replace(BUDGET, only={"learning_rate": (7.0,)}))
    message = refusal(lambda: declared.baselines)
    assert "learning_rate of PGN: the budget allows only 7.0" in message
    assert "width" in refusal(lambda: replace(BUDGET, only={"width": ()}))


def against(**fields):
    declared = search(outsiders={"mnist": ("fmnist", "noise")}, selection="random", **fields)
    return replace(study(), search=declared, selection="random")


def test_a_search_on_several_data_sets_needs_a_name_for_each():
    message = refusal(lambda: search(name="mine", data=("mnist", "cifar")))
    assert "needs a name for each, got ['mine']" in message
    assert "write {data} into its name" in message


@pytest.mark.parametrize(
    "claim",
    [
        Claim("capacity", factor="wdth"),
        Claim("capacity", factor="width", strata=("wdth",)),
        Claim("capacity", factor="width", levels={"narrow": {"wdth": 1.0}}),
    ],
)
def test_a_claim_about_an_unknown_parameter_is_refused(claim):
    assert "its claim uses wdth, which is not a parameter of PGN" in refusal(
        lambda: search(claim=claim)
    )


def test_a_study_against_other_sets_says_so():
    declared = against(claim=Claim("capacity", factor="width"), patience=0)
    assert declared.outsiders == ("fmnist", "noise")
    described = declared.describe()
    assert described["outsiders"] == ["fmnist", "noise"]
    assert described["claim"] == {"kind": "capacity", "factor": "width"}
    assert described["patience"] == 0
    assert replace(declared, data_set="cifar10").outsiders == ()
    assert study().describe()["outsiders"] == []


@pytest.mark.parametrize(
    ("rule", "selects"),
    [
        ("likelihood", True),
        ("normal_only", True),
        ("oracle", True),
        ("random", True),
        ("validation", False),
    ],
)
def test_what_a_rule_sees_where_outsiders_are_other_sets(rule, selects):
    assert replace(against(), selection=rule).selects == selects
    held_out = replace(BUDGET, validation_fraction=0.0)
    blind = replace(against(), selection=rule, budget=held_out)
    assert blind.selects == (rule in ("oracle", "random"))


def test_a_search_of_some_baselines_keeps_them_in_its_order_and_loses_its_claim():
    both = search(
        Baseline(PGN, space=RATE, name="first"),
        Baseline(AE),
        Baseline(KDE, name="last"),
        name_on={"mnist": "digits"},
        claim=Claim("capacity", factor="width"),
        budgets=dict.fromkeys(BUDGETS, replace(BUDGET, settings={"dropout": 0.1, "width": 1.0})),
    )
    some = both.of_baselines(["LAST", "ae"], "ae_last")
    assert [baseline.title for baseline in some.baselines] == ["AE", "last"]
    assert some.names() == {"digits_ae_last": "mnist"}
    assert some.claim is None
    quick = some.budgets_for("mnist")["quick"]
    assert (quick.settings, quick.trials) == ({"width": 1.0}, 4)
    with pytest.raises(UserError, match="--baselines names Lst, but the search has first, AE, "):
        both.of_baselines(["AE", "Lst"], "x")


def test_trials_are_divided_among_baselines_unless_the_plan_lists_them():
    baselines = (Baseline(PGN, space=RATE), Baseline(AE, space=RATE), Baseline(KDE))
    some = search(*baselines, plan=Optuna()).of_baselines(["AE"], "x")
    assert some.budgets_for("mnist")["quick"].trials == 2  # a third of five, rounded up
    listed = search(*baselines, plan=Listed([{}, {"learning_rate": 1e-3}]))
    assert listed.of_baselines(["AE"], "x").budgets_for("mnist")["quick"].trials == BUDGET.trials
    assert listed.of_baselines(["KDE"], "x").plan.configurations == [{}]
    with pytest.raises(UserError, match="none of the listed configurations has only parameters"):
        search(*baselines, plan=Listed([{"learning_rate": 1e-3}])).of_baselines(["KDE"], "x")


def test_names_that_differ_in_case_alone_must_be_written_as_they_are():
    both = search(Baseline(PGN, name="pgn"), Baseline(AE, name="PGN"))
    (chosen,) = both.of_baselines(["pgn"], "x").baselines
    assert chosen.detector is PGN
    with pytest.raises(UserError, match="--baselines names Pgn, but the search has pgn, PGN"):
        both.of_baselines(["Pgn"], "x")


def test_a_name_with_a_comma_is_refused():
    with pytest.raises(UserError, match="must have no comma, got 'a, b'"):
        Baseline(PGN, name="a, b")
