"""Scores validation and test images with all replicas of a configuration, and computes metrics.

`part` is "validation" or "test", or `PSEUDO`: held-out normal images and pseudo-outliers made from
them. The metrics of each replica are, by term:

    auroc, ap            AUROC and average precision of normal images against each outsider set;
                         if these are other data sets, the metric without a name is of the first
    score, <component>   mean of the score and of its components over normal images
    loss                 mean training loss of normal images (only for "validation")
    distinct             number of distinct scores
    tied                 share of images whose score is shared by another image
    relative_range       range of the scores, divided by their largest magnitude
    collapsed            1 if the scores of all images are identical up to rounding, otherwise 0
    seed_agreement       mean rank correlation with the models of the same task of other seeds: of
                         normal images, or of all images for `PSEUDO`; not for "test"

For `PSEUDO` there are only the AUROC of each generator, their median, and the seed agreement.
Ties, ranges and collapse do not include controls, since there are only 256 constant grey images.
Components in nats (`Detector.nats`) are also reported in bits per dimension
(`tune_ad.training.bits`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from tune_ad.data.groups import Groups
from tune_ad.detectors.base import Numbers, Terms, variant_name
from tune_ad.errors import DegenerateInputError
from tune_ad.sampling import thinned
from tune_ad.storage.metric import SEED_AGREEMENT, Metric, ScoreVariant, Values
from tune_ad.training.ranking import doubled_ranks
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.score_metrics import (
    SCORE,
    all_scores,
    check_finite,
    component_aurocs,
    finite_mean,
    replica_metrics,
    seed_agreements,
    variant_aurocs,
    variant_names,
)
from tune_ad.training.suite import Suite

VARIANT_IMAGES = 500
"""The maximum number of test images of each group that are ranked by every score variant.

The standard error of an AUROC that is due to the sampling of images is estimated from them. The
relative standard deviation of this estimate is about 3 % at an AUROC of 0.76, but 6 % at 0.92,
13 % at 0.983 and 30 % at 0.998, because it then depends on the few images whose scores overlap.
"""


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
        ranks: the doubled ranks of the scores of all images, shape (n,), in the order of
            `Groups.values`, by replica; only if every score variant is computed.
        variant_ranks: the doubled ranks of a sample of the test images, at most `VARIANT_IMAGES`
            of each group, by each score variant, by replica.
        faults: the reason why a replica has no metrics, by replica.
    """

    metrics: list[Numbers]
    variants: list[dict[ScoreVariant, Numbers]]
    kept: dict[ScoreKey, Groups[np.ndarray]] = field(default_factory=dict)
    normals: dict[int, Terms] = field(default_factory=dict)
    ranks: dict[int, np.ndarray] = field(default_factory=dict)
    variant_ranks: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)
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


Scored = dict[int, Groups[Terms]]
"""The scores of each group of images and their components and variants, by replica."""


def score_images(
    replica_set: ReplicaSet, suite: Suite, part: str, every_variant: bool = False
) -> Scored:
    """Score the images of one part of every task with the replicas that have not failed.

    Args:
        replica_set: the replicas, which do not change.
        suite: tasks and images.
        part: "validation", "test" or `PSEUDO`.
        every_variant: whether to score with every value of the score space, too.
    """
    tasks = {k: replica_set.replicas[k].spec.task for k in replica_set.living()}
    positions = {k: suite.groups(task, part) for k, task in tasks.items()}
    wanted = {k: torch.cat(groups.values()) for k, groups in positions.items()}
    return {
        k: _split(terms, positions[k].map(len))
        for k, terms in replica_set.scores(wanted, every_variant).items()
    }


def scored_as(scored: Scored, variant: ScoreVariant, declared: ScoreVariant) -> Scored:
    """The scores with a variant in place of the score, which becomes the declared variant.

    Args:
        scored: the scores with all variants.
        variant: the variant that is the score from now on.
        declared: the same parameter with the value of the configuration.
    """
    new, old = (variant_name(v.parameter, v.value) for v in (variant, declared))
    return {
        k: groups.map(lambda terms: {**terms, SCORE: terms[new], old: terms[SCORE]})
        for k, groups in scored.items()
    }


def measure(
    replica_set: ReplicaSet,
    suite: Suite,
    part: str,
    scored: Scored,
    every_variant: bool,
    also: Iterable[ScoreVariant] = (),
) -> PartScores:
    """The metrics of scored images; a replica whose scores are not finite has a fault instead.

    Args:
        replica_set: the replicas.
        suite: tasks and images.
        part: "validation", "test" or `PSEUDO`.
        scored: the scores of the part.
        every_variant: whether `scored` has every value of the score space.
        also: further variants in `scored` that are not in the score space.
    """
    scores = PartScores.nothing(len(replica_set.replicas))
    tasks = {k: replica_set.replicas[k].spec.task for k in scored}
    further = {variant_name(v.parameter, v.value): v for v in also}
    by_replica = component_aurocs(scored)
    for k, groups in scored.items():
        replica = replica_set.replicas[k]
        names = variant_names(replica.score_space) | further
        try:
            numbers = replica_metrics(groups, part, by_replica[k], names)
            if part == "validation":
                held_out = suite.groups(tasks[k], part).normal
                losses = replica_set.losses(k, held_out)
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
            scores.ranks[k] = doubled_ranks(all_scores(groups)).cpu().numpy()
            scores.variant_ranks[k] = _variant_ranks(groups, names) if part == "test" else {}
    if part != "test":
        of_valid = {k: groups for k, groups in scored.items() if k not in scores.faults}
        for k, value in seed_agreements(of_valid, tasks, part).items():
            scores.metrics[k][Metric(part, SEED_AGREEMENT)] = value
    return scores


def _split(terms: Terms, sizes: Groups[int]) -> Groups[Terms]:
    """The terms of each group, from those of all images in the order of `Groups.values`."""
    pieces = {name: values.split(sizes.values()) for name, values in terms.items()}
    normal, *others = (
        {name: of_groups[i] for name, of_groups in pieces.items()}
        for i in range(len(sizes.values()))
    )
    return Groups(normal, dict(zip(sizes.outsiders, others, strict=True)))


def _keep(scores: PartScores, task: str, groups: Groups[Terms], components: Sequence[str]) -> None:
    """Keep the scores of the first replica of a task, and the components that have histograms."""
    names = (SCORE, *components)
    for component in names:
        scored = ScoreKey(task, "" if component == SCORE else component)
        if scored not in scores.kept:
            scores.kept[scored] = groups.map(partial(_as_array, component))


def _variant_ranks(
    groups: Groups[Terms], names: Mapping[str, ScoreVariant]
) -> dict[str, np.ndarray]:
    """The doubled ranks of the sampled images by every score variant, by its name.

    Args:
        groups: the scores of each group of images and their components.
        names: the score variants by name, for scores that are not components.
    """
    sampled = {
        name: torch.cat([values[name][_sample(len(values[name]))] for values in groups.values()])
        for name in groups.normal
        if name != SCORE
    }
    return {
        str(names.get(name, ScoreVariant.of_component(name))): doubled_ranks(scores).cpu().numpy()
        for name, scores in sampled.items()
    }


def _sample(images: int) -> np.ndarray:
    return thinned(np.arange(images), VARIANT_IMAGES)


def _as_array(name: str, terms: Terms) -> np.ndarray:
    array: np.ndarray = terms[name].cpu().numpy()
    return array
