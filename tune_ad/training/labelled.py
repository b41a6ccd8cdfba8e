"""Validation AUROC with only a few labelled anomalies, computed from placements."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from tune_ad.randomness import numpy_stream
from tune_ad.storage.metric import OTHER_CLASSES
from tune_ad.training.suite import Suite

LABELLED = (1, 2, 5, 10, 50)  # numbers of labelled anomalies
DRAWS = 20


def labelled(
    suite: Suite, tasks: Sequence[str], placed: Mapping[int, np.ndarray], seed: int
) -> dict[str, list[float | None]]:
    """The mean validation AUROC over replicas with only k of the anomalies, for several draws.

    Draw d takes the same k validation anomalies of a task in every trial of a study. The AUROC of
    all normal validation images against them is the mean of their placements.

    Args:
        suite: tasks and images.
        tasks: the task of each replica.
        placed: the placements of all validation anomalies of its task, by replica.
        seed: the seed of the study.

    Returns:
        `DRAWS` numbers in [0, 1] for each k (as text) up to the number of validation anomalies of
        every task; None instead of each number if a replica has no placements.
    """
    held_out = {task: suite.split(task).validation.outsiders for task in tasks}
    known = {task: len(outsiders.get(OTHER_CLASSES, ())) for task, outsiders in held_out.items()}
    means: dict[str, list[float | None]] = {}
    for count in LABELLED:
        if count > min(known.values()):
            break
        means[str(count)] = [None] * DRAWS
        if len(placed) == len(tasks):
            drawn = {task: drawings(seed, task, count, known[task]) for task in known}
            aurocs = [placed[k][drawn[task]].mean(1) for k, task in enumerate(tasks)]
            means[str(count)] = np.mean(aurocs, axis=0).tolist()
    return means


@lru_cache(maxsize=1024)
def drawings(seed: int, task: str, count: int, known: int) -> np.ndarray:
    """Indices of the anomalies in every draw: `count` of `known`, without replacement.

    They have shape (DRAWS, count), and are the same for every trial of a study.
    """
    streams = [numpy_stream(seed, "labelled", task, count, draw) for draw in range(DRAWS)]
    return np.stack([stream.choice(known, count, replace=False) for stream in streams])
