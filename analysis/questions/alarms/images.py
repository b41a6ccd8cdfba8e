"""The ranks of test images that measures of alarms are computed from."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

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


class Sizes(NamedTuple):
    """The numbers of normal test images and of anomalies: of all, and of those with ranks."""

    all: tuple[int, int]
    ranked: tuple[int, int]


def sizes_of(part: PartRanks | None, outsider: str | None = None) -> Sizes | None:
    """The numbers of test images of a task; None without such anomalies.

    Args:
        part: the ranks of the test images of the task.
        outsider: the name of the set of anomalies; None = the first.
    """
    name = set_of(part, outsider) if part else None
    if part is None or name is None:
        return None
    return Sizes(part.images(name), (part.normal.shape[1], part.outsiders[name].shape[1]))


def share(part: PartRanks | None, outsider: str | None = None) -> float:
    """The share of anomalies among the test images; NaN if it is unknown.

    Args: as `sizes_of`.
    """
    sizes = sizes_of(part, outsider)
    return math.nan if sizes is None else sizes.all[1] / sum(sizes.all)


def is_sample(part: PartRanks | None, outsider: str | None = None) -> bool:
    """Whether only ranks of a sample of the test images are stored.

    Args: as `sizes_of`.
    """
    sizes = sizes_of(part, outsider)
    return sizes is not None and sizes.all != sizes.ranked


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
