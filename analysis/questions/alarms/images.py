"""The ranks of test images that measures of alarms are computed from."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from analysis.quoted import Result
from analysis.stats.rank_aurocs import main_outsider
from tune_ad.storage.score_ranks import PartRanks


def part_of(result: Result, task: str) -> PartRanks | None:
    """The ranks of the test images of a task by all models; None if none are stored."""
    return result.ranks.by_task.get(task)


def set_of(part: PartRanks, outsider: str | None) -> str | None:
    """The name of a set of anomalies; None if the part has no such set."""
    if outsider is None:
        return main_outsider(part.outsiders) if part.outsiders else None
    return outsider if outsider in part.outsiders else None


def share(part: PartRanks | None, outsider: str | None = None) -> float:
    """The share of anomalies among the test images; NaN if it is unknown.

    Args:
        part: the ranks of the test images of a task.
        outsider: the name of the set of anomalies; None = the first.
    """
    name = set_of(part, outsider) if part else None
    if part is None or name is None:
        return math.nan
    n, m = part.images(name)
    return m / (n + m)


def is_sample(part: PartRanks | None, outsider: str | None = None) -> bool:
    """Whether only ranks of a sample of the test images are stored.

    Args:
        part: the ranks of the test images of a task.
        outsider: the name of the set of anomalies; None = the first.
    """
    name = set_of(part, outsider) if part else None
    if part is None or name is None:
        return False
    return part.images(name) != (part.normal.shape[1], part.outsiders[name].shape[1])


def pairs(
    part: PartRanks, outsider: str | None, seeds: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The ranks of normal images and anomalies by the model of each seed; none if one is missing.

    Args:
        part: the ranks of the test images of a task.
        outsider: the name of the set of anomalies; None = the first.
        seeds: the seeds of the models.
    """
    name = set_of(part, outsider)
    if name is None or not {*seeds} <= {*part.seeds}:
        return
    for seed in seeds:
        row = part.seeds.index(seed)
        normal, anomalous = part.normal[row], part.outsiders[name][row]
        if len(normal) and len(anomalous):
            yield normal, anomalous
