"""Optuna's distributions as JSON and back; every choice keeps its type.

Optuna writes a tuple among the choices as a list, and warns that its databases cannot restore it.
Studies keep their own records, which can.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    distribution_to_json,
    json_to_distribution,
)

from tune_ad.storage.values import decode, encode


@contextmanager
def any_choices() -> Iterator[None]:
    """Context manager: choices may be tuples without a warning of Optuna."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Choices for a categorical distribution")
        yield


def to_json(distribution: BaseDistribution) -> str:
    """A distribution as strict JSON.

    >>> with any_choices():
    ...     to_json(CategoricalDistribution([(0.75,), ()]))
    '{"name": "CategoricalDistribution", "attributes": {"choices": [[0.75], []]}}'
    """
    written = json.loads(distribution_to_json(distribution))
    if isinstance(distribution, CategoricalDistribution):
        written["attributes"]["choices"] = encode(distribution.choices)
    return json.dumps(written, allow_nan=False)


def from_json(text: str) -> BaseDistribution:
    """The distribution that `to_json`, or Optuna, has written.

    Raises:
        KeyError: if a part is missing.
        ValueError: if the text describes no distribution.
    """
    written = json.loads(text)
    if written["name"] == CategoricalDistribution.__name__:
        with any_choices():
            return CategoricalDistribution(decode(written["attributes"]["choices"]))
    distribution: BaseDistribution = json_to_distribution(text)
    return distribution


def equal_choices(distribution: BaseDistribution) -> tuple[object, object] | None:
    """Two choices that are equal in Python, such as 1 and True; Optuna cannot distinguish them."""
    choices = getattr(distribution, "choices", ())
    for place, choice in enumerate(choices):
        for other in choices[:place]:
            if choice == other:
                return other, choice
    return None


def range_text(distribution: BaseDistribution) -> str:
    """The values of a distribution in words.

    >>> from optuna.distributions import FloatDistribution
    >>> range_text(FloatDistribution(1e-4, 1e-2, log=True))
    '0.0001 to 0.01, logarithmic'
    >>> range_text(CategoricalDistribution([16, 32]))
    'one of 16, 32'
    """
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {', '.join(map(str, distribution.choices))}"
    scale = ", logarithmic" if distribution.log else ""
    step = f", step {distribution.step}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low} to {distribution.high}{step}{scale}"


def extremes(distribution: BaseDistribution) -> tuple[Any, ...]:
    """All choices of a categorical distribution, or the bounds of an interval.

    >>> from optuna.distributions import IntDistribution
    >>> extremes(CategoricalDistribution([3, 1, 2])), extremes(IntDistribution(4, 8))
    ((3, 1, 2), (4, 8))
    """
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    return distribution.low, distribution.high
