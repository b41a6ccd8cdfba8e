"""Measurements in turn, A B A B ..., so that a change of the machine's speed affects all alike."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

RANGE = (0.025, 0.975)  # the quantiles over rounds that are printed
K, T = TypeVar("K", bound=Hashable), TypeVar("T")


def in_turn(rounds: int, measurements: Mapping[K, Callable[[], T]]) -> dict[K, list[T]]:
    """The results of every measurement by name, one of each round.

    Args:
        rounds: number of rounds; in each, every measurement is made once.
        measurements: the measurements by name, in the order in which they are made.
    """
    results: dict[K, list[T]] = {name: [] for name in measurements}
    for _ in range(rounds):
        for name, measurement in measurements.items():
            results[name].append(measurement())
    return results


def summary(values: Sequence[float], digits: int = 0) -> str:
    """The median and the range over rounds, as in "1,050 [990, 1,100]"."""
    low, high = np.quantile(values, RANGE)
    middle = float(np.median(values))
    return f"{middle:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def ratio(rates: Sequence[float], others: Sequence[float]) -> str:
    """The median and the range of the ratios of rates of the same round."""
    return summary([rate / other for rate, other in zip(rates, others, strict=True)], digits=2)
