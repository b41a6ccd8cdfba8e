"""What a selection would see with a few labelled anomalies, by placements that are known."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from tune_ad.randomness import numpy_stream
from tune_ad.storage.metric import OTHER_CLASSES
from tune_ad.training.suite import Suite

LABELLED = (1, 2, 5, 10, 50)  # anomalies by which a selection may be made
DRAWS = 20


def labelled(
    suite: Suite, tasks: Sequence[str], placed: Mapping[int, np.ndarray], seed: int
) -> dict[str, list[float | None]]:
    """What selection would see with k held-out anomalies: the mean AUROC over replicas, by draw.

    Draw d takes the same k of a task's held-out anomalies in every trial of a study. The AUROC of
    all held-out normals against them is the mean of their placements.

    Args:
        suite: tasks and images.
        tasks: of the replicas.
        placed: the placements of all held-out anomalies of a task, by replica.
        seed: of the study.

    Returns:
        by k as text, `DRAWS` numbers in [0, 1], None if a replica has no placements; without each
        k that exceeds the held-out anomalies of a task.
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
    """Which `count` of the `known` held-out anomalies of a task each draw takes, without repeats.

    Shape (DRAWS, count); the same for every trial of a study.
    """
    streams = [numpy_stream(seed, "labelled", task, count, draw) for draw in range(DRAWS)]
    return np.stack([stream.choice(known, count, replace=False) for stream in streams])
