"""Every value of a hyperparameter or an option comes back from JSON with its type."""

import json
import math

import numpy as np
import pytest

from tune_ad.storage.records import TrialSpec, identity
from tune_ad.storage.values import decode, encode

VALUES = [
    None,
    True,
    False,
    0,
    1,
    -7,
    10**20,
    0.0,
    -0.0,
    1.0,
    0.1 + 0.2,
    5e-324,
    1.7976931348623157e308,
    math.inf,
    -math.inf,
    "",
    "1",
    "1.0",
    "inf",
    "-inf",
    "nan",
    "None",
    "True",
    "ä\u2028\n",
    (),
    (0.5, 0.75),
    (1, 1.0, True, "1", None),
    ((1, 2), (), ((),)),
    (math.inf, "inf"),
    {},
    {"a": 1, "b": {"c": (1.0, math.inf), "d": {}}},
    {"float": 1.0},
    {"float": "inf", "other": 1},
    {"list": ()},
]


def through_json(value):
    """A value as a file gives it back."""
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


def same(one, other):
    """Whether two values are equal and of the same types, however nested; -0.0 is not 0.0."""
    return repr(one) == repr(other) and type(one) is type(other)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_with_its_type(value):
    assert same(through_json(value), value)


def test_a_number_that_is_none_comes_back():
    assert math.isnan(through_json(math.nan))
    assert through_json("nan") == "nan"


def test_values_that_python_holds_to_be_equal_stay_apart():
    assert [type(value) for value in through_json((1, 1.0, True, "1"))] == [int, float, bool, str]
    assert [type(value) for value in through_json(("inf", math.inf))] == [str, float]


def test_values_are_written_as_plain_as_can_be():
    assert encode((1, (2.5, None))) == [1, [2.5, None]]
    assert encode({"bound": -math.inf, "T": "inf"}) == {"bound": {"float": "-inf"}, "T": "inf"}
    assert encode(math.nan) == {"float": "nan"}
    assert encode({3: "x"}) == {"3": "x"}, "names are texts"


def test_a_list_comes_back_as_a_tuple():
    """No hyperparameter or option is a list."""
    assert same(through_json([1, [2]]), (1, (2,)))


@pytest.mark.parametrize(
    "value",
    [{1, 2}, frozenset(), b"bytes", 1j, object(), np.array([1.0]), np.int64(3), range(3)],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("nested", [False, True])
def test_what_json_cannot_give_back_is_refused(value, nested):
    with pytest.raises(TypeError, match=f"of type {type(value).__name__} cannot be stored"):
        encode({"a": (1, value)} if nested else value)


def test_a_number_of_numpy_that_is_a_float_comes_back_as_one():
    assert type(through_json(np.float64(0.5))) is float
    assert same(through_json(np.float64("inf")), math.inf)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_trial_spec_and_its_identity_keep_the_value(value):
    spec = TrialSpec(3, "PGN", {"value": value}, (1000,))
    read = TrialSpec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False)))
    assert same(read.params, spec.params)
    assert read == spec
    assert identity("PGN", read.params) == identity("PGN", spec.params)
