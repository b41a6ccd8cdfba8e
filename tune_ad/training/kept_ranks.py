"""The ranks of the scores of a trial, as they are stored for the report."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from tune_ad.data.groups import Groups
from tune_ad.sampling import thinned
from tune_ad.storage.score_ranks import PartRanks, ScoreRanks
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.scoring import VARIANT_IMAGES, PartScores
from tune_ad.training.suite import Suite

KEPT_RANKS = 2_000
"""The maximum number of images of each group whose ranks are kept for a trial of the search.

They are evenly spaced and the same in every trial. Of the final evaluation all images are kept.
"""
RANKED = ("validation", "test")


def kept_ranks(
    replica_set: ReplicaSet,
    suite: Suite,
    parts: Mapping[str, PartScores],
    most: int | None,
    by_variants: bool = False,
) -> ScoreRanks:
    """The ranks of the scores of validation and test images, by part and task.

    Args:
        replica_set: the replicas; those that have failed have no ranks.
        suite: tasks and images.
        parts: the results by part.
        most: the maximum number of images of each group that are kept; None = no limit.
        by_variants: whether the ranks of a sample of test images by every score variant are kept.
    """
    of_tasks: dict[str, list[int]] = {}
    for k in replica_set.living():
        of_tasks.setdefault(replica_set.replicas[k].spec.task, []).append(k)
    kept = {}
    for part in RANKED:
        scores = parts[part].ranks if part in parts else {}
        by_variant = parts[part].variant_ranks if by_variants and part in parts else {}
        for task, replicas in of_tasks.items():
            ranked = [k for k in replicas if k in scores]
            by_seed = {replica_set.replicas[k].spec.seed: scores[k] for k in ranked}
            if not by_seed:
                continue
            kept[part, task] = _part_ranks(suite, task, part, by_seed, most)
            if all(k in by_variant for k in ranked):
                of_seeds = {replica_set.replicas[k].spec.seed: by_variant[k] for k in ranked}
                variants = _variants(suite, task, part, of_seeds)
                kept[part, task] = replace(kept[part, task], variants=variants)
    return kept


def _places(suite: Suite, positions: Groups[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The positions of the images of each group among the test images of their data set."""
    return tuple(suite.places[group] for group in positions.values())


def _part_ranks(
    suite: Suite, task: str, part: str, by_seed: Mapping[int, np.ndarray], most: int | None
) -> PartRanks:
    """The ranks of one part of a task.

    Args:
        suite: tasks and images.
        task: the name of the task.
        part: "validation" or "test".
        by_seed: the ranks of all images, shape (n,), by seed.
        most: the maximum number of images of each group that are kept; None = no limit.
    """
    positions = suite.groups(task, part).map(Tensor.numpy)
    everything = np.concatenate(positions.values())
    ends = np.cumsum([len(group) for group in positions.values()])
    columns = [np.arange(a, b) for a, b in zip([0, *ends], ends, strict=False)]
    kept = [thinned(group, len(group) if most is None else most) for group in columns]
    ranks = np.stack(list(by_seed.values()))
    normal, *outsiders = (ranks[:, group] for group in kept)
    classes, *outsider_classes = (suite.labels[everything[group]] for group in kept)
    return PartRanks(
        normal,
        dict(zip(positions.outsiders, outsiders, strict=True)),
        classes,
        dict(zip(positions.outsiders, outsider_classes, strict=True)),
        tuple(by_seed),
        tuple(map(len, columns)),
        positions=_places(suite, positions) if part == "test" else (),
    )


def _variants(
    suite: Suite, task: str, part: str, by_seed: Mapping[int, Mapping[str, np.ndarray]]
) -> dict[str, PartRanks]:
    """The ranks of the sampled images by every score variant that all seeds have.

    Args:
        suite: tasks and images.
        task: the name of the task.
        part: "test".
        by_seed: the ranks of the sample, shape (n,), by seed and by the name of the variant.
    """
    positions = suite.groups(task, part).map(Tensor.numpy)
    kept = [thinned(group, VARIANT_IMAGES) for group in positions.values()]
    ends = np.cumsum([len(group) for group in kept])
    first, *others = by_seed.values()
    variants = {}
    for name in [name for name in first if all(name in other for other in others)]:
        ranks = np.stack([of_seed[name] for of_seed in by_seed.values()])
        normal, *outsiders = np.split(ranks, ends[:-1], axis=1)
        classes, *outsider_classes = (suite.labels[group] for group in kept)
        variants[name] = PartRanks(
            normal,
            dict(zip(positions.outsiders, outsiders, strict=True)),
            classes,
            dict(zip(positions.outsiders, outsider_classes, strict=True)),
            tuple(by_seed),
            tuple(map(len, positions.values())),
            positions=_places(suite, positions),
        )
    return variants
