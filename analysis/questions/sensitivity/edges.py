"""Which parameters of a configuration lie at the edge of their range."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from analysis.document.format import short
from analysis.questions.sensitivity.observations import encode

NEAR = 0.02  # share of a range, or of its logarithm, within which a value lies at its edge


def edges(space: Mapping[str, BaseDistribution], params: Mapping[str, Any]) -> list[str]:
    """The numbers at the edge of their range, as texts with the range.

    >>> from optuna.distributions import FloatDistribution
    >>> space = {"p": FloatDistribution(0.0, 1.0), "width": CategoricalDistribution([1, 2, 4])}
    >>> edges(space, {"p": 0.5, "width": 4})
    ['width = 4 (of 1 to 4)']

    Args:
        space: the distributions of the searched parameters; choices that are no numbers have no
            edge.
        params: the configuration.
    """
    found = []
    for name, distribution in space.items():
        if (ends := _ends(distribution)) and name in params:
            low, high = ends
            if _is_near(distribution, params[name], low, high):
                found.append(f"{name} = {short(params[name])} (of {short(low)} to {short(high)})")
    return found


def _ends(distribution: BaseDistribution) -> tuple[Any, Any] | None:
    """The smallest and the largest value; None unless there are two different numbers."""
    if isinstance(distribution, CategoricalDistribution):
        numbers = [choice for choice in distribution.choices if _is_number(choice)]
        is_ordered = len(numbers) == len(distribution.choices) > 1
        return (min(numbers), max(numbers)) if is_ordered else None
    return (distribution.low, distribution.high) if distribution.low < distribution.high else None


def _is_number(choice: object) -> bool:
    return isinstance(choice, int | float) and not isinstance(choice, bool)


def _is_near(distribution: BaseDistribution, value: Any, low: Any, high: Any) -> bool:  # noqa: ANN401
    if isinstance(distribution, CategoricalDistribution):
        return value in (low, high)
    first, at, last = (encode(distribution, one) for one in (low, value, high))
    return min(at - first, last - at) <= NEAR * (last - first)
