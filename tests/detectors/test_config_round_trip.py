"""Every value that a configuration may hold comes back from a study's files with its type."""

import json
import math
from dataclasses import asdict, fields
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tune_ad.detectors import every_detector
from tune_ad.detectors.config import Config, Rule, interval_ends
from tune_ad.errors import UserError
from tune_ad.search import Budget
from tune_ad.search.distributions import any_choices, from_json, to_json
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.records import TrialSpec
from tune_ad.storage.values import decode, encode

DETECTORS = every_detector()
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False),
    st.sampled_from(["inf", "1", "1.0", "True", "None", "nan", "", "(0.5,)", "β = 1"]),
)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)


def numbers(rule):
    """Legal numbers of a rule, the ends of its interval and infinities among them."""
    low, high = interval_ends(rule.interval)
    whole = st.integers(max(-(2**53), math.ceil(max(low, -(2**53)))), math.floor(min(high, 2**53)))
    if rule.kind is int:
        return whole.filter(rule.allows)
    ends = {
        "min_value": None if math.isinf(low) else low,
        "max_value": None if math.isinf(high) else high,
    }
    real = st.one_of(st.floats(**ends, allow_nan=False), whole, st.sampled_from([low, high]))
    if rule.kind is tuple:
        return st.lists(st.floats(**ends, allow_nan=False), max_size=3).map(tuple)
    return real


def legal(rule):
    """The values that a rule allows."""
    options = [st.sampled_from(rule.options)] if rule.options else []
    return st.one_of(*options, *([numbers(rule)] if rule.interval else [])).filter(rule.allows)


@st.composite
def configurations(draw, config):
    """Legal configurations; where fields contradict each other, fewer of them are changed."""
    rules = config.rules()
    names = draw(st.lists(st.sampled_from(sorted(rules)), max_size=len(rules), unique=True))
    chosen = {}
    for name in names:
        changed = {**chosen, name: draw(legal(rules[name]))}
        try:
            config(**changed)
        except UserError:
            continue  # what holds between fields
        chosen = changed
    return config(**chosen)


def typed(value):
    """A value with the types of all that it holds, so that 1, 1.0 and True differ."""
    if isinstance(value, tuple | list):
        return type(value).__name__, tuple(map(typed, value))
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    return type(value).__name__, repr(value)


def through_text(value):
    """A value through strict JSON text."""
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS.keys())
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_configuration_comes_back_with_its_types(detector, data):
    config = data.draw(configurations(detector.Config))
    spec = TrialSpec(3, "b", asdict(config), (1000,))
    line = json.loads(to_text(spec))
    restored = TrialSpec.from_json(line)
    assert typed(restored.params) == typed(spec.params)
    assert detector.Config(**restored.params) == config
    assert restored == spec


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=VALUES)
def test_any_value_of_an_option_comes_back_with_its_type(value):
    assert typed(through_text(value)) == typed(value)
    assert typed(through_text({"set": {"x": value}})) == typed({"set": {"x": value}})


@settings(max_examples=100, deadline=None, derandomize=True)
@given(choices=st.lists(VALUES, min_size=1, max_size=5))
def test_the_choices_of_a_distribution_come_back_with_their_types(choices):
    with any_choices():
        distribution = CategoricalDistribution(choices)
        restored = from_json(json.loads(json.dumps(to_json(distribution))))
    assert typed(restored.choices) == typed(tuple(choices))
    assert restored == distribution


@pytest.mark.parametrize(
    "distribution",
    [
        IntDistribution(1, 9, step=2),
        IntDistribution(1, 64, log=True),
        FloatDistribution(0.1, 0.9, step=0.2),
        FloatDistribution(1e-5, 1e-3, log=True),
        FloatDistribution(0, 1),
    ],
    ids=str,
)
def test_an_interval_comes_back(distribution):
    assert from_json(to_json(distribution)) == distribution


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    classes=st.none() | st.lists(st.integers(0, 9), min_size=1, unique=True).map(tuple),
    epochs=st.none() | st.integers(1, 9),
    only=st.dictionaries(st.sampled_from("abc"), st.lists(VALUES, min_size=1).map(tuple)),
)
def test_a_budget_comes_back(classes, epochs, only):
    budget = Budget(trials=1, epochs=epochs, seeds=1, classes=classes, only=only)
    restored = Budget(**through_text(asdict(budget)))
    assert restored == budget
    assert typed(asdict(restored)) == typed(asdict(budget))


def test_a_closed_interval_may_hold_infinity_beside_a_word():
    rule = Rule(options=("inf",), interval="[0, inf]")
    assert rule.allows(math.inf)
    assert rule.allows("inf")
    for value in (math.inf, "inf"):
        restored = through_text({"x": value})["x"]
        assert restored == value
        assert type(restored) is type(value)


def test_what_json_cannot_give_back_is_refused():
    with pytest.raises(TypeError, match="set cannot be stored"):
        encode({"x": {1, 2}})
    with pytest.raises(TypeError, match="SimpleNamespace cannot be stored"):
        encode([SimpleNamespace()])


def test_every_field_of_every_configuration_is_covered():
    for detector in DETECTORS.values():
        assert issubclass(detector.Config, Config)
        names = {field.name for field in fields(detector.Config)}
        assert set(detector.Config.rules()) == names
