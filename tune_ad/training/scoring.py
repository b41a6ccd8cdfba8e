"""What the replicas of a configuration make of held-out and of test images, as named numbers.

`part` is "validation" or "test". For each replica the metrics are, as (part, term):

    auroc, ap            normals against anomalies, one for each set of outsiders; where all are
                         other data sets, the one without a set's name is that of the first
    score, <term>        mean over normals of the score and of its components; what is in nats
                         (`Detector.nats`), also of training terms, in bits per dimension, too
    loss                 mean training loss over held-out normals ("validation" alone)
    distinct, tied       distinct scores; share of images with a score that another image has, too
    relative_range       of the scores, over their largest magnitude
    collapsed            1 where every image has one score, but for rounding, else 0

The last four leave controls out: there are only 256 constant grey images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tune_ad.data.controls import CONTROLS
from tune_ad.data.groups import Groups
from tune_ad.detectors.base import Numbers, ScoreSpace, Terms, variant_name
from tune_ad.errors import DegenerateInputError
from tune_ad.storage.metric import OTHER_CLASSES, Metric, ScoreVariant, Values
from tune_ad.training.ranking import (
    auroc,
    average_precision,
    placements,
    require_finite,
    ties,
)
from tune_ad.training.replica_set import ReplicaSet
from tune_ad.training.suite import Suite

SCORE = "score"
NO_VARIANTS: Mapping[str, ScoreVariant] = MappingProxyType({})


class ScoreKey(NamedTuple):
    """Whose scores are kept to be drawn.

    Attributes:
        task: name of the task.
        component: of the score; empty for the score itself.
    """

    task: str
    component: str = ""


@dataclass
class PartScores:
    """What one part of the images gave; nothing of the replicas is changed by it.

    Attributes:
        metrics: by replica, its numbers; empty for one that has none.
        variants: by replica, the AUROCs under other scores.
        kept: the scores of each group of images by the first replica of each task.
        normals: by replica, the scores of normal images and their components, each of shape (n,).
        placements: by replica, of its held-out anomalies among its held-out normals, shape (m,).
        faults: by replica, why its scores give no numbers.
    """

    metrics: list[Numbers]
    variants: list[dict[ScoreVariant, Numbers]]
    kept: dict[ScoreKey, Groups[np.ndarray]] = field(default_factory=dict)
    normals: dict[int, Terms] = field(default_factory=dict)
    placements: dict[int, np.ndarray] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)

    @classmethod
    def nothing(cls, replicas: int) -> "PartScores":
        """What a part gives that is not scored.

        Args:
            replicas: how many there are.
        """
        return cls([{} for _ in range(replicas)], [{} for _ in range(replicas)])


def by_metric(replicas: Sequence[Numbers]) -> dict[Metric, Values]:
    """Numbers by metric from numbers by replica; None where a replica has no such number.

    >>> [*by_metric([{Metric("test", "auroc"): 1.0}, {}]).values()]
    [[1.0, None]]
    """
    metrics = dict.fromkeys(metric for numbers in replicas for metric in numbers)
    return {metric: [numbers.get(metric) for numbers in replicas] for metric in metrics}


def by_variant(
    replicas: Sequence[Mapping[ScoreVariant, Numbers]],
) -> dict[ScoreVariant, dict[Metric, Values]]:
    """As `by_metric`, for each score variant."""
    variants = dict.fromkeys(variant for scores in replicas for variant in scores)
    return {
        variant: by_metric([scores.get(variant, {}) for scores in replicas])
        for variant in variants
    }


def score_part(
    replica_set: ReplicaSet, suite: Suite, part: str, every_variant: bool = False
) -> PartScores:
    """Score the images of one part of every task with its replicas.

    A replica whose scores are not finite has no numbers, and a fault that says why.

    Args:
        replica_set: the replicas.
        suite: tasks and images.
        part: "validation" or "test".
        every_variant: also score under the values of the score space.
    """
    scores = PartScores.nothing(len(replica_set.replicas))
    for k in replica_set.living():
        try:
            _score_replica(scores, replica_set, suite, k, part, every_variant)
        except DegenerateInputError as error:
            scores.faults[k] = str(error)
    return scores


def _score_replica(  # noqa: PLR0913 - the arguments of `score_part` for one replica
    scores: PartScores,
    replica_set: ReplicaSet,
    suite: Suite,
    k: int,
    part: str,
    every_variant: bool,
) -> None:
    """Put what one replica gives into `scores`, all or nothing.

    Raises:
        DegenerateInputError: if a score or a loss is not finite.
    """
    replica = replica_set.replicas[k]
    task = replica.spec.task
    split = suite.split(task)
    groups = (split.validation if part == "validation" else split.test).map(
        lambda positions: replica_set.score(k, positions, every_variant)
    )
    names = variant_names(replica.score_space)
    numbers = replica_metrics(groups, part, names)
    if part == "validation":
        losses = replica_set.losses(k, split.validation.normal)
        if losses is not None:
            numbers[Metric(part, "loss")] = finite_mean(losses)
    variants = variant_aurocs(groups, part, names) if every_variant else {}
    _keep(scores, task, groups, replica.module.histograms)
    scores.metrics[k], scores.variants[k], scores.normals[k] = numbers, variants, groups.normal
    if anomalous := groups.outsiders.get(OTHER_CLASSES):
        placed = placements(groups.normal[SCORE], anomalous[SCORE])
        scores.placements[k] = placed.cpu().numpy()


def _keep(scores: PartScores, task: str, groups: Groups[Terms], components: Sequence[str]) -> None:
    """Keep the scores of a task's first replica, and the components that have histograms.

    Raises:
        DegenerateInputError: if one of them is not finite.
    """
    names = (SCORE, *components)
    for component in names:
        require_finite("normal", groups.normal[component])
        for name, terms in groups.outsiders.items():
            require_finite(name or "anomalous", terms[component])
    for component in names:
        scored = ScoreKey(task, "" if component == SCORE else component)
        if scored not in scores.kept:
            scores.kept[scored] = groups.map(partial(_as_array, component))


def _as_array(name: str, terms: Terms) -> np.ndarray:
    array: np.ndarray = terms[name].cpu().numpy()
    return array


def variant_names(score_space: ScoreSpace) -> dict[str, ScoreVariant]:
    """The score variants of a score space, by their names among the scores."""
    return {
        variant_name(parameter, value): ScoreVariant(parameter, value)
        for parameter, values in score_space.items()
        for value in values
    }


def replica_metrics(
    groups: Groups[Terms], part: str, names: Mapping[str, ScoreVariant] = NO_VARIANTS
) -> Numbers:
    """The metrics of one replica.

    Args:
        groups: scores and their components.
        part: "validation" or "test".
        names: of scores that are variants of it and no components.

    Raises:
        DegenerateInputError: if a score is not finite or a group is empty.
    """
    numbers: Numbers = {}
    normal = groups.normal
    require_finite("normal", normal[SCORE])
    for name, terms in groups.outsiders.items():
        pair = normal[SCORE], terms[SCORE]
        numbers[Metric(part, "auroc", name)] = auroc(*pair)
        numbers[Metric(part, "ap", name)] = average_precision(*pair)
    numbers |= of_first_set(numbers, groups)
    for term, values in normal.items():
        if term not in names:
            numbers[Metric(part, term)] = float(values.mean())
    outsiders = [terms for name, terms in groups.outsiders.items() if name not in CONTROLS]
    apart = ties(torch.cat([terms[SCORE] for terms in (normal, *outsiders)]))
    numbers[Metric(part, "distinct")] = float(apart.distinct)
    numbers[Metric(part, "tied")] = apart.share
    numbers[Metric(part, "relative_range")] = apart.relative_range
    numbers[Metric(part, "collapsed")] = float(apart.collapsed)
    return numbers


def finite_mean(losses: Tensor) -> float:
    """The mean of losses.

    Raises:
        DegenerateInputError: if one of them is not finite.
    """
    if not bool(losses.isfinite().all()):
        raise DegenerateInputError("the loss of held-out normals is not finite")
    return float(losses.mean())


def variant_aurocs(
    groups: Groups[Terms], part: str, names: Mapping[str, ScoreVariant]
) -> dict[ScoreVariant, Numbers]:
    """The AUROCs of one replica by each component of the score and each value of the score space.

    Args:
        groups: scores and their components.
        part: "validation" or "test".
        names: of scores that are variants of it and no components.

    Raises:
        DegenerateInputError: if a score is not finite or a group is empty.
    """
    variants: dict[ScoreVariant, Numbers] = {}
    for name, values in groups.normal.items():
        if name != SCORE:
            aurocs = {
                Metric(part, "auroc", outsider): auroc(values, terms[name])
                for outsider, terms in groups.outsiders.items()
            }
            variant = names.get(name, ScoreVariant.of_component(name))
            variants[variant] = aurocs | of_first_set(aurocs, groups)
    return variants


def of_first_set(numbers: Numbers, groups: Groups[Terms]) -> Numbers:
    """The metrics of the first set of outsiders, without its name.

    Nothing where that is theirs already, or nothing is anomalous. So what a search is about has
    one name, whichever the outsiders.
    """
    first = next(iter(groups.outsiders), OTHER_CLASSES)
    if first == OTHER_CLASSES:
        return {}
    return {
        metric._replace(outsider=OTHER_CLASSES): value
        for metric, value in numbers.items()
        if metric.outsider == first
    }
