"""Evenly spaced samples, which need no random numbers and grow smoothly with what is sampled."""

import numpy as np


def evenly_spaced(count: int, most: int) -> np.ndarray:
    """Which of `count` things are taken if at most `most` may be: evenly spaced positions.

    >>> evenly_spaced(4, 2).tolist(), evenly_spaced(3, 2).tolist(), evenly_spaced(2, 5).tolist()
    ([0, 2], [0, 1], [0, 1])

    Returns:
        ascending positions, min(count, most) of them.
    """
    taken = min(count, most)
    return np.arange(taken) * count // max(taken, 1)


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the values, evenly spaced.

    >>> thinned(np.array([5, 6, 7, 8]), 2).tolist()
    [5, 7]
    """
    taken: np.ndarray = values[evenly_spaced(len(values), most)]
    return taken
