"""A refusal to choose by a rule names ways out, and each of them leads out."""

import re
from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.likelihood_vae.detector import LikelihoodVAE
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.shallow.kde import KDE
from tune_ad.errors import UserError
from tune_ad.pseudo_outliers import generators
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import BUDGETS, Budget
from tune_ad.search.checks.rules import check_selection, usable_rules
from tune_ad.search.declaration import Search
from tune_ad.search.plans import Grid
from tune_ad.search.study import Study
from tune_ad.selection import RULES, automatic

RATE = {"learning_rate": FloatDistribution(1e-5, 1e-2, log=True)}
PIXELS = {"likelihood": CategoricalDistribution(["categorical", "gaussian"])}
SEEING = Budget(trials=5, epochs=7, seeds=2)
BLIND = replace(SEEING, validation_fraction=0.0)
BASELINES = {
    "PGN": (Baseline(PGN, space=RATE),),
    "two": (Baseline(PGN, space=RATE), Baseline(AE, space=RATE)),
    "fitted": (Baseline(KDE),),
    "likelihoods": (Baseline(LikelihoodVAE, space=PIXELS),),
    "objectives": tuple(
        Baseline(DeepSVDD, space=RATE, settings={"objective": objective}, name=objective)
        for objective in ("one-class", "soft-boundary")
    ),
}
SUITES = {
    "classes": {},
    "whole": {"whole": True},
    "outsiders": {"outsiders": {"mnist": ("fmnist", "noise")}},
}


WITHOUT_ANOMALIES = [
    "normal_only",
    "oracle",
    "pseudo_outliers",
    *(f"pseudo_{name}" for name in generators()),
    "random",
    "seed_agreement",
    "seed_agreement_pseudo",
]
"""The rules that a search by classes of a detector without a likelihood needs no anomaly for."""


def study(baselines, suite, budget, rule, plan):
    """A study by a rule that its search does not declare; the search declares chance."""
    budgets = dict.fromkeys(BUDGETS, SEEING)
    search = Search(
        name="s",
        data=("mnist",),
        baselines=BASELINES[baselines],
        budgets=budgets,
        selection="random",
        **SUITES[suite],
        **({"plan": plan} if plan else {}),
    )
    return Study("s", search, "mnist", ImageShape(1, 28, 28), "quick", budget, rule)


def refusal(declared):
    """Why a study is refused; empty if it is not."""
    try:
        check_selection(declared)
    except UserError as error:
        return str(error)
    return ""


def followed(declared, message):
    """The studies that follow the advice of a refusal, each by its words."""
    if trials := re.search(r"use --trials (\d+)", message):
        yield trials[0], replace(declared, budget=replace(declared.budget, trials=int(trials[1])))
    if budgets := re.search(r"use --budget ([\w ]+)", message):
        for name in budgets[1].split(" or "):
            budget = declared.search.budgets_for("mnist")[name]
            yield name, replace(declared, budget=budget, budget_name=name)
    if names := re.findall(r"--set (\w+)=VALUE", message):
        config = next(iter(declared.baselines.values())).config(declared.shape, {})
        values = {name: getattr(config, name) for name in names}
        yield str(names), replace(declared, settings=values)
    rules = re.search(r"use another rule: ([\w, ]+)", message)
    for rule in rules[1].split(", "):
        yield rule, replace(declared, selection=rule)


@pytest.mark.parametrize("plan", [None, Grid(points=2)], ids=["adaptive", "grid"])
@pytest.mark.parametrize("budget", [SEEING, BLIND], ids=["held out", "nothing held out"])
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("baselines", BASELINES)
def test_every_advice_of_a_refusal_leads_out(baselines, suite, budget, plan):
    for rule in RULES:
        declared = study(baselines, suite, budget, rule, plan)
        message = refusal(declared)
        assert (not message) == (rule in usable_rules(declared)), message
        if not message:
            continue
        assert "\n" not in message
        ways = dict(followed(declared, message))
        assert ways
        for words, changed in ways.items():
            assert not refusal(changed), f"{message}\nfollowed: {words}"


def test_the_images_of_another_set_are_no_circle():
    first = refusal(study("PGN", "outsiders", SEEING, "validation", None))
    assert first == (
        "--selection validation: s has no anomaly for validation, because its anomalies come from "
        f"other data sets; use another rule: {', '.join(WITHOUT_ANOMALIES)}"
    )
    second = refusal(study("PGN", "outsiders", SEEING, "likelihood", None))
    assert second == (
        "--selection likelihood compares the likelihood of trials, which PGN does not have; use "
        f"another rule: {', '.join(WITHOUT_ANOMALIES)}"
    )


def test_a_budget_is_offered_only_if_it_holds_images_out(tiny, open_study, tmp_path):
    more = {"budget": "paper", "changes": {"trials": 3}}
    with pytest.raises(UserError, match="use --trials 1, or use --budget quick or standard, or"):
        open_study(tiny, tmp_path, **more)
    for budget in ("quick", "standard"):
        assert open_study(tiny, tmp_path, **{**more, "budget": budget}).study.selects


def test_what_is_fixed_is_offered_only_where_it_helps():
    assert "fix it with --set likelihood=VALUE" in refusal(
        study("likelihoods", "classes", SEEING, "likelihood", None)
    )
    assert "--set" not in refusal(study("objectives", "classes", SEEING, "normal_only", None))


@pytest.mark.parametrize(
    ("rule", "fields", "named"),
    [
        ("validation", SUITES["outsiders"], WITHOUT_ANOMALIES),
        (
            "likelihood",
            {"baselines": BASELINES["likelihoods"]},
            [*WITHOUT_ANOMALIES[1:], "validation"],
        ),
    ],
)
def test_a_search_that_declares_such_a_rule_may_declare_those_that_are_named(rule, fields, named):
    declared = {
        "name": "s",
        "data": ("mnist",),
        "baselines": BASELINES["PGN"],
        "budgets": {"quick": SEEING},
        **fields,
    }
    with pytest.raises(UserError, match="another rule") as error:
        Search(**declared, selection=rule)
    assert str(error.value).rpartition(": ")[2].split(", ") == named
    for name in named:
        assert Search(**declared, selection=name).selection == name


def test_following_the_advice_of_the_command_line_opens_the_study(tiny, open_study, tmp_path):
    budgets = {name: replace(b, classes=None) for name, b in tiny.budgets.items()}
    search = replace(
        tiny, budgets=budgets, outsiders={"digits": ("noise",)}, selection="normal_only"
    )
    for rule in ("validation", "likelihood"):
        with pytest.raises(UserError, match="use another rule: ") as error:
            open_study(search, tmp_path, selection=rule)
        for name in str(error.value).rpartition(": ")[2].split(", "):
            assert open_study(search, tmp_path, selection=name).study.selection == name


def test_too_few_seeds_to_compare_are_said_and_more_are_offered():
    few = study("PGN", "classes", replace(SEEING, seeds=1), "seed_agreement", None)
    message = refusal(few)
    assert message.startswith(
        "--selection seed_agreement compares at least 2 seeds of each configuration, but the "
        "study trains 1; use --seeds 2, "
    )
    assert not refusal(replace(few, budget=SEEING))


@pytest.mark.parametrize(
    ("suite", "budget", "rule"),
    [
        ("classes", SEEING, "validation"),
        ("whole", SEEING, "pseudo_outliers"),
        ("outsiders", SEEING, "pseudo_outliers"),
        ("outsiders", BLIND, "validation"),
    ],
)
def test_the_automatic_rule_needs_labels_only_where_there_are_some(suite, budget, rule):
    declared = study("PGN", suite, budget, "random", None)
    assert automatic(lambda name: declared.search.has_data_for(name, budget)) == rule
