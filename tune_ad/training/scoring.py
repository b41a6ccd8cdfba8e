"""Scores validation and test images with all replicas of a configuration, and computes metrics.

`part` is "validation" or "test". The metrics of each replica are, by term:

    auroc, ap            AUROC and average precision of normal images against each outsider set;
                         if these are other data sets, the metric without a name is of the first
    score, <component>   mean of the score and of its components over normal images
    loss                 mean training loss of normal images (only for "validation")
    distinct             number of distinct scores
    tied                 share of images whose score is shared by another image
    relative_range       range of the scores, divided by their largest magnitude
    collapsed            1 if the scores of all images are identical up to rounding, otherwise 0

The last four do not include controls, since there are only 256 constant grey images. Components
in nats (`Detector.nats`) are also reported in bits per dimension (`tune_ad.training.bits`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tune_ad.data.controls import CONTROLS
from tune_ad.data.groups import Groups
from tune_ad.detectors.base import Numbers, ScoreSpace, Terms, variant_name
from tune_ad.errors import DegenerateInputError
from tune_ad.storage.metric import OTHER_CLASSES, Metric, ScoreVariant, Values
from tune_ad.training.ranking import (
    aurocs,
    average_precision,
    placements,
    require_finite,
    ties,
)
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.suite import Suite

SCORE = "score"
Aurocs = dict[str, dict[str, float]]
"""The AUROCs of one replica by outsider set, then by component of the score."""
NO_VARIANTS: Mapping[str, ScoreVariant] = MappingProxyType({})


class ScoreKey(NamedTuple):
    """The name of scores that are kept for histograms.

    Attributes:
        task: the name of the task.
        component: the component of the score; empty for the score itself.
    """

    task: str
    component: str = ""


@dataclass
class PartScores:
    """The results of scoring one part of the images with all replicas.

    Attributes:
        metrics: the metrics of each replica; empty if it has none.
        variants: the AUROCs of each replica by each score variant.
        kept: the scores of each group of images by the first replica of each task.
        normals: the scores of normal images and their components, each of shape (n,), by replica.
        placements: the placements of the anomalous images among the normal ones, shape (m,), by
            replica; only for replicas whose anomalies are the other classes.
        faults: the reason why a replica has no metrics, by replica.
    """

    metrics: list[Numbers]
    variants: list[dict[ScoreVariant, Numbers]]
    kept: dict[ScoreKey, Groups[np.ndarray]] = field(default_factory=dict)
    normals: dict[int, Terms] = field(default_factory=dict)
    placements: dict[int, np.ndarray] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)

    @classmethod
    def nothing(cls, replicas: int) -> "PartScores":
        """The results of a part that is not scored.

        Args:
            replicas: the number of replicas.
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
    """Numbers by variant and metric from numbers by replica and variant, as in `by_metric`."""
    variants = dict.fromkeys(variant for scores in replicas for variant in scores)
    return {
        variant: by_metric([scores.get(variant, {}) for scores in replicas])
        for variant in variants
    }


def score_part(
    replica_set: ReplicaSet, suite: Suite, part: str, every_variant: bool = False
) -> PartScores:
    """Score the images of one part of every task with its replicas.

    A replica whose scores are not finite has a fault and no metrics. The replicas do not change.

    Args:
        replica_set: the replicas.
        suite: tasks and images.
        part: "validation" or "test".
        every_variant: whether to score with every value of the score space, too.
    """
    scores = PartScores.nothing(len(replica_set.replicas))
    positions = {
        k: _positions(suite, replica_set.replicas[k].spec.task, part) for k in replica_set.living()
    }
    wanted = {k: torch.cat(groups.values()) for k, groups in positions.items()}
    scored = {
        k: _split(terms, positions[k].map(len))
        for k, terms in replica_set.scores(wanted, every_variant).items()
    }
    by_replica = component_aurocs(scored)
    for k, groups in scored.items():
        replica = replica_set.replicas[k]
        names = variant_names(replica.score_space)
        try:
            numbers = replica_metrics(groups, part, by_replica[k], names)
            if part == "validation":
                losses = replica_set.losses(k, positions[k].normal)
                if losses is not None:
                    numbers[Metric(part, "loss")] = finite_mean(losses)
            components = groups.normal if every_variant else replica.module.histograms
            check_finite(groups, (SCORE, *components))
        except DegenerateInputError as error:
            scores.faults[k] = str(error)
            continue
        _keep(scores, replica.spec.task, groups, replica.module.histograms)
        scores.metrics[k], scores.normals[k] = numbers, groups.normal
        if every_variant:
            scores.variants[k] = variant_aurocs(part, by_replica[k], names)
        if anomalous := groups.outsiders.get(OTHER_CLASSES):
            placed = placements(groups.normal[SCORE], anomalous[SCORE])
            scores.placements[k] = placed.cpu().numpy()
    return scores


def _positions(suite: Suite, task: str, part: str) -> Groups[Tensor]:
    """The positions of the images of each group of a task."""
    split = suite.split(task)
    return split.validation if part == "validation" else split.test


def _split(terms: Terms, sizes: Groups[int]) -> Groups[Terms]:
    """The terms of each group, from those of all images in the order of `Groups.values`."""
    pieces = {name: values.split(sizes.values()) for name, values in terms.items()}
    normal, *others = (
        {name: of_groups[i] for name, of_groups in pieces.items()}
        for i in range(len(sizes.values()))
    )
    return Groups(normal, dict(zip(sizes.outsiders, others, strict=True)))


def component_aurocs(scored: Mapping[int, Groups[Terms]]) -> dict[int, Aurocs]:
    """The AUROCs of all components of the scores of every replica.

    Those of replicas with the same numbers of images are computed together.

    Args:
        scored: the scores of each group and their components, by replica.
    """
    alike: dict[Any, list[int]] = {}
    for k, groups in scored.items():
        sizes = groups.map(lambda terms: len(terms[SCORE]))
        kind = (sizes.normal, *sizes.outsiders.items(), *groups.normal)
        alike.setdefault(kind, []).append(k)
    by_replica: dict[int, Aurocs] = {k: {} for k in scored}
    for members in alike.values():
        first = scored[members[0]]
        normal = _stacked([scored[k].normal for k in members])
        for outsider in first.outsiders:
            anomalous = _stacked([scored[k].outsiders[outsider] for k in members])
            for k, values in zip(members, aurocs(normal, anomalous).tolist(), strict=True):
                by_replica[k][outsider] = dict(zip(first.normal, values, strict=True))
    return by_replica


def _stacked(terms: Sequence[Terms]) -> Tensor:
    """The terms of several replicas: shape (replicas, terms, images), float64."""
    return torch.stack([torch.stack(list(of_one.values())) for of_one in terms]).double()


def check_finite(groups: Groups[Terms], components: Iterable[str]) -> None:
    """Check components of the scores of every group.

    Raises:
        DegenerateInputError: if one is not finite.
    """
    for component in components:
        require_finite("normal", groups.normal[component])
        for name, terms in groups.outsiders.items():
            require_finite(name or "anomalous", terms[component])


def _keep(scores: PartScores, task: str, groups: Groups[Terms], components: Sequence[str]) -> None:
    """Keep the scores of the first replica of a task, and the components that have histograms."""
    names = (SCORE, *components)
    for component in names:
        scored = ScoreKey(task, "" if component == SCORE else component)
        if scored not in scores.kept:
            scores.kept[scored] = groups.map(partial(_as_array, component))


def _as_array(name: str, terms: Terms) -> np.ndarray:
    array: np.ndarray = terms[name].cpu().numpy()
    return array


def variant_names(score_space: ScoreSpace) -> dict[str, ScoreVariant]:
    """The variants of a score space, by the names under which a detector returns them."""
    return {
        variant_name(parameter, value): ScoreVariant(parameter, value)
        for parameter, values in score_space.items()
        for value in values
    }


def replica_metrics(
    groups: Groups[Terms],
    part: str,
    by_outsider: Aurocs,
    names: Mapping[str, ScoreVariant] = NO_VARIANTS,
) -> Numbers:
    """The metrics of one replica.

    Args:
        groups: the scores of each group and their components.
        part: "validation" or "test".
        by_outsider: the AUROCs of the components.
        names: the score variants by name, for scores that are not components.

    Raises:
        DegenerateInputError: if a score is not finite or a group is empty.
    """
    numbers: Numbers = {}
    normal = groups.normal
    require_finite("normal", normal[SCORE])
    for name, terms in groups.outsiders.items():
        precision = average_precision(normal[SCORE], terms[SCORE])  # checks the scores
        numbers[Metric(part, "auroc", name)] = by_outsider[name][SCORE]
        numbers[Metric(part, "ap", name)] = precision
    numbers |= of_first_set(numbers, groups.outsiders)
    for term, values in normal.items():
        if term not in names:
            numbers[Metric(part, term)] = float(values.mean())
    outsiders = [terms for name, terms in groups.outsiders.items() if name not in CONTROLS]
    tied = ties(torch.cat([terms[SCORE] for terms in (normal, *outsiders)]))
    numbers[Metric(part, "distinct")] = float(tied.distinct)
    numbers[Metric(part, "tied")] = tied.share
    numbers[Metric(part, "relative_range")] = tied.relative_range
    numbers[Metric(part, "collapsed")] = float(tied.collapsed)
    return numbers


def finite_mean(losses: Tensor) -> float:
    """The mean of losses.

    Raises:
        DegenerateInputError: if a loss is not finite.
    """
    if not bool(losses.isfinite().all()):
        raise DegenerateInputError("the loss of normal validation images is not finite")
    return float(losses.mean())


def variant_aurocs(
    part: str, by_outsider: Aurocs, names: Mapping[str, ScoreVariant]
) -> dict[ScoreVariant, Numbers]:
    """The AUROCs of one replica by each component of the score and each value of the score space.

    Args:
        part: "validation" or "test".
        by_outsider: the AUROCs of the components.
        names: the score variants by name, for scores that are not components.
    """
    variants: dict[ScoreVariant, Numbers] = {}
    components = next(iter(by_outsider.values()), {})
    for name in components:
        if name != SCORE:
            of_sets = {
                Metric(part, "auroc", outsider): values[name]
                for outsider, values in by_outsider.items()
            }
            variant = names.get(name, ScoreVariant.of_component(name))
            variants[variant] = of_sets | of_first_set(of_sets, by_outsider)
    return variants


def of_first_set(numbers: Numbers, outsiders: Iterable[str]) -> Numbers:
    """The metrics of the first outsider set under the empty name.

    Empty if that is its name, or if there is no outsider set. So the main AUROC has the same name
    in every search.
    """
    first = next(iter(outsiders), OTHER_CLASSES)
    if first == OTHER_CLASSES:
        return {}
    return {
        metric._replace(outsider=OTHER_CLASSES): value
        for metric, value in numbers.items()
        if metric.outsider == first
    }
