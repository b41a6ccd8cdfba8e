"""The metrics of the scores of one part of the images, by replica.

`part` is "validation" or "test", or `PSEUDO`: held-out normal images and pseudo-outliers made from
them.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from tune_ad.data.controls import CONTROLS
from tune_ad.data.groups import Groups
from tune_ad.detectors.base import Numbers, ScoreSpace, Terms, variant_name
from tune_ad.errors import DegenerateInputError
from tune_ad.storage.metric import OTHER_CLASSES, PSEUDO, Metric, ScoreVariant
from tune_ad.training.ranking import agreements, aurocs, average_precision, require_finite, ties

SCORE = "score"
Aurocs = dict[str, dict[str, float]]
"""The AUROCs of one replica by outsider set, then by component of the score."""
NO_VARIANTS: Mapping[str, ScoreVariant] = MappingProxyType({})


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


def replica_metrics(
    groups: Groups[Terms],
    part: str,
    by_outsider: Aurocs,
    names: Mapping[str, ScoreVariant] = NO_VARIANTS,
) -> Numbers:
    """The metrics of one replica.

    Args:
        groups: the scores of each group and their components.
        part: "validation", "test" or `PSEUDO`, of which the AUROC of the score is the only metric.
        by_outsider: the AUROCs of the components.
        names: the score variants by name, for scores that are not components.

    Raises:
        DegenerateInputError: if a score is not finite or a group is empty.
    """
    normal = groups.normal
    require_finite("normal", normal[SCORE])
    if part == PSEUDO:
        check_finite(groups, (SCORE,))
        return auroc_metrics(part, by_outsider, SCORE)
    numbers = auroc_metrics(part, by_outsider, SCORE)
    for name, terms in groups.outsiders.items():
        precision = average_precision(normal[SCORE], terms[SCORE])  # checks the scores
        numbers[Metric(part, "ap", name)] = precision
    numbers |= over_sets(part, numbers, groups.outsiders)
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


def variant_names(score_space: ScoreSpace) -> dict[str, ScoreVariant]:
    """The variants of a score space, by the names under which a detector returns them."""
    return {
        variant_name(parameter, value): ScoreVariant(parameter, value)
        for parameter, values in score_space.items()
        for value in values
    }


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
            variant = names.get(name, ScoreVariant.of_component(name))
            variants[variant] = auroc_metrics(part, by_outsider, name)
    return variants


def auroc_metrics(part: str, by_outsider: Aurocs, component: str) -> Numbers:
    """The AUROCs of a component of one replica against every set, and over sets as `over_sets`.

    Args:
        part: "validation", "test" or `PSEUDO`.
        by_outsider: the AUROCs of the components.
        component: the name of the component, or `SCORE`.
    """
    of_sets = {
        Metric(part, "auroc", outsider): values[component]
        for outsider, values in by_outsider.items()
    }
    return of_sets | over_sets(part, of_sets, by_outsider)


def over_sets(part: str, numbers: Numbers, outsiders: Iterable[str]) -> Numbers:
    """The metrics under the empty name, so that the main AUROC has the same name in every search.

    They are those of the first outsider set, and for `PSEUDO` the medians over the generators, so
    that a single misleading kind of pseudo-outliers does not decide. Empty if the other classes
    are anomalous, or nothing is.

    Args:
        part: "validation", "test" or `PSEUDO`.
        numbers: the metrics of each set.
        outsiders: the names of the outsider sets or generators.
    """
    sets = list(outsiders)
    if OTHER_CLASSES in sets or not sets:
        return {}
    chosen = sets if part == PSEUDO else sets[:1]
    by_name: dict[Metric, list[float]] = {}
    for metric, value in numbers.items():
        if metric.outsider in chosen:
            by_name.setdefault(metric._replace(outsider=OTHER_CLASSES), []).append(value)
    return {metric: median(values) for metric, values in by_name.items()}


def seed_agreements(
    scored: Mapping[int, Groups[Terms]], tasks: Mapping[int, str], part: str
) -> dict[int, float]:
    """The mean rank correlation of each replica with the replicas of the same task of other seeds.

    Of normal images; for `PSEUDO` of normal images and pseudo-outliers. A replica without another
    one of its task has none.

    Args:
        scored: the scores of each group and their components, by replica.
        tasks: the task of each replica.
        part: "validation" or `PSEUDO`.
    """
    of_tasks: dict[str, list[int]] = {}
    for k in scored:
        of_tasks.setdefault(tasks[k], []).append(k)
    agreement: dict[int, float] = {}
    for replicas in of_tasks.values():
        if len(replicas) > 1:
            everything = part == PSEUDO
            of_images = [
                all_scores(scored[k]) if everything else scored[k].normal[SCORE] for k in replicas
            ]
            agreement |= zip(replicas, agreements(torch.stack(of_images)).tolist(), strict=True)
    return agreement


def all_scores(groups: Groups[Terms]) -> Tensor:
    """The scores of all images, shape (n,), in the order of `Groups.values`."""
    return torch.cat([terms[SCORE] for terms in groups.values()])


def check_finite(groups: Groups[Terms], components: Iterable[str]) -> None:
    """Check components of the scores of every group.

    Raises:
        DegenerateInputError: if one is not finite.
    """
    for component in components:
        require_finite("normal", groups.normal[component])
        for name, terms in groups.outsiders.items():
            require_finite(name or "anomalous", terms[component])


def finite_mean(losses: Tensor) -> float:
    """The mean of losses.

    Raises:
        DegenerateInputError: if a loss is not finite.
    """
    if not bool(losses.isfinite().all()):
        raise DegenerateInputError("the loss of normal validation images is not finite")
    return float(losses.mean())
