"""Distributions come back from text as they were, each choice with its type."""

import json
import math
import warnings
from dataclasses import replace

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.search.distributions import any_choices, equal_choices, from_json, to_json
from tune_ad.search.plans import Listed, Optuna, contains
from tune_ad.search.scheduler import TrialScheduler
from tune_ad.storage.records import TrialSpec

GREY = ImageShape(1, 28, 28)
PLAIN = [
    FloatDistribution(0.1, 0.7),
    FloatDistribution(1e-5, 1e-1, log=True),
    FloatDistribution(0.1, 0.9, step=0.1),
    FloatDistribution(5e-324, 1.7976931348623157e308),
    IntDistribution(-3, 9),
    IntDistribution(16, 64, step=16),
    IntDistribution(1, 1024, log=True),
    CategoricalDistribution(["x", "y"]),
    CategoricalDistribution([1, 2, 4]),
    CategoricalDistribution([0.5, 1.0]),
    CategoricalDistribution([False, True]),
    CategoricalDistribution([0, 5, "inf"]),
    CategoricalDistribution([None, 1, "None"]),
    CategoricalDistribution([1.0]),
]
"""What Optuna itself can write and read."""
CHOICES = [
    [(0.75,), (), (0.5, 0.75)],
    [math.inf, "inf", -math.inf, 0.0],
    [None, (None,), "None"],
    [(1, 1.5, True, "1"), 3],
    [True, "True", 2, "2", 2.5],
    [((0.5,), ()), (0.5, ())],
]


def categorical(choices):
    with any_choices():
        return CategoricalDistribution(choices)


@pytest.mark.parametrize("distribution", PLAIN, ids=str)
def test_a_distribution_comes_back_as_it_was(distribution):
    read = from_json(to_json(distribution))
    assert read == distribution
    assert repr(read) == repr(distribution), "each choice with its type"


@pytest.mark.parametrize("distribution", PLAIN, ids=str)
def test_what_optuna_has_written_is_read(distribution):
    """As in the descriptions of earlier studies."""
    assert repr(from_json(distribution_to_json(distribution))) == repr(distribution)
    assert to_json(distribution) == distribution_to_json(distribution), "nothing else is written"


@pytest.mark.parametrize("choices", CHOICES, ids=str)
def test_choices_of_any_kind_come_back_with_their_types(choices):
    distribution = categorical(choices)
    text = to_json(distribution)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    read = from_json(text)
    assert read == distribution
    assert repr(read.choices) == repr(tuple(choices))
    assert all(contains(read, choice) for choice in choices)


def test_tuples_are_choices_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert from_json(to_json(categorical([(0.5,), ()]))).choices == ((0.5,), ())
    with pytest.warns(UserWarning, match="Choices for a categorical"):
        CategoricalDistribution([(0.5,), ()])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}", KeyError),
        ('{"name": "CategoricalDistribution", "attributes": {}}', KeyError),
        ('{"name": "SpecialDistribution", "attributes": {}}', ValueError),
        ("nonsense", ValueError),
    ],
)
def test_what_is_no_distribution_is_refused(text, error):
    with pytest.raises(error):
        from_json(text)


# -------------------------------------------------------------------------- equal choices


@pytest.mark.parametrize(
    ("choices", "pair"),
    [
        ([1, True], (1, True)),
        ([0, 1.0, 1], (1.0, 1)),
        (["x", False, 0], (False, 0)),
        (["x", "x"], ("x", "x")),
        ([(1, 2), (1.0, 2)], ((1, 2), (1.0, 2))),
        ([1, "1", None, "None", 2.5, (1,)], None),
        ([math.inf, "inf"], None),
    ],
    ids=str,
)
def test_equal_choices_are_found(choices, pair):
    equal = equal_choices(categorical(choices))
    assert equal == pair
    assert repr(equal) == repr(pair)


@pytest.mark.parametrize("distribution", PLAIN[:7], ids=str)
def test_an_interval_has_no_equal_choices(distribution):
    assert equal_choices(distribution) is None


@pytest.mark.parametrize(
    ("name", "choices", "words"),
    [
        ("extra_layer", [True, 1], "the choices True and 1 of extra_layer"),
        ("latent_dim", [16, 32, 32.0], "the choices 32 and 32.0 of latent_dim"),
        ("milestones", [(0.75,), (0.75,)], r"the choices \(0.75,\) and \(0.75,\) of milestones"),
    ],
)
def test_equal_choices_are_refused_by_a_baseline(name, choices, words):
    with pytest.raises(UserError, match=f"{words} of p are equal; leave one out") as refusal:
        Baseline(PGN, space={name: categorical(choices)}, name="p")
    assert "\n" not in str(refusal.value)


# ------------------------------------------------------- choices of any kind, all the way


TUPLES = categorical([(0.75,), (), (0.5, 0.75)])
SPACE = {"milestones": TUPLES, "mc_samples": CategoricalDistribution([0, 20, "inf"])}


def test_a_baseline_may_search_over_tuples():
    resolved = Baseline(PGN, space=SPACE).resolved(GREY)
    assert resolved.default == {"milestones": (0.75,), "mc_samples": 20}


@pytest.mark.parametrize("plan", [Optuna(), Listed([{"milestones": ()}, {"mc_samples": "inf"}])])
def test_a_search_over_tuples_goes_on_from_its_records(plan, record):
    baselines = [Baseline(PGN, space=SPACE).resolved(GREY)]
    first = TrialScheduler(plan, baselines, 6, seed=0)
    specs, records = [], []
    while (spec := first.ask()) is not None:
        specs.append(spec)
        records.append(record(spec.number, 0.5 + spec.number / 20, params=spec.params))
        first.tell(records[-1])
    assert len(specs) == (6 if plan == Optuna() else 2)
    assert {type(spec.params["milestones"]) for spec in specs} == {tuple}
    stored = [TrialSpec.from_json(json.loads(json.dumps(spec.to_json()))) for spec in specs]
    assert stored == specs
    for ended in range(1, len(specs)):
        again = TrialScheduler(plan, baselines, 6, seed=0)
        again.restore(stored[:ended], records[:ended])
        assert again.ask() == specs[ended]


def test_a_budget_may_leave_some_tuples_of_a_search():
    baseline = Baseline(PGN, space=SPACE).only(GREY, {"milestones": ((), (0.5, 0.75))})
    assert baseline.space["milestones"] == categorical([(), (0.5, 0.75)])
    assert baseline.config(GREY, {}).milestones == ()
    single = replace(baseline, space=SPACE, settings={}).only(GREY, {"milestones": ((0.75,),)})
    assert "milestones" not in single.space
