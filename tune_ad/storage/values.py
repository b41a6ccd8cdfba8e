"""Encodes values of hyperparameters and options as JSON without losing their type.

JSON distinguishes true and 1, 1 and 1.0, "1" and 1, and has null for None. It has no tuples and no
infinite numbers, so a tuple is written as a list, and a number that is not finite as an object
{"float": "inf"}. No hyperparameter or option is a list, or a mapping whose only key is "float", so
every list is read as a tuple and every such object as a number.
"""

import math
from collections.abc import Mapping
from typing import Any

NOT_FINITE = "float"


def encode(value: Any) -> Any:  # noqa: ANN401
    """A value as strict JSON.

    >>> encode({"milestones": (0.5, 0.75), "mc_samples": "inf", "bound": float("inf")})
    {'milestones': [0.5, 0.75], 'mc_samples': 'inf', 'bound': {'float': 'inf'}}

    Raises:
        TypeError: if the type of the value is not supported.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {NOT_FINITE: repr(float(value))}  # also for NumPy's float64
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be stored as JSON")


def decode(value: Any) -> Any:  # noqa: ANN401
    """The inverse of `encode`; lists become tuples.

    >>> decode([0.5, {"float": "-inf"}, True, 1, 1.0, "1", None])
    (0.5, -inf, True, 1, 1.0, '1', None)
    """
    if isinstance(value, list):
        return tuple(decode(item) for item in value)
    if isinstance(value, dict):
        if value.keys() == {NOT_FINITE} and isinstance(value[NOT_FINITE], str):
            return float(value[NOT_FINITE])
        return {name: decode(item) for name, item in value.items()}
    return value
