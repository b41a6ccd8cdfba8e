"""What the replicas of a replica set make of held-out and of test images, as numbers by name.

`part` is "validation" or "test". For each replica the metrics are:

    <part>_auroc, <part>_ap            normals against anomalies; one per outsider set, which
                                       follows as in test_auroc/svhn unless it is "rest"; where
                                       all are other data sets, the name alone is of the first
    <...>_bits_per_dim                 of what is in nats (`Detector.nats`), also of training terms
    <part>_score, <part>_<term>        mean over normals of the score and of its named parts
    validation_loss                    mean training loss over held-out normals
    <part>_distinct, <part>_tied       distinct scores; share of images with a score not their own
    <part>_relative_range              of the scores, over their largest magnitude
    <part>_collapsed                   1 where every image has one score, but for rounding, else 0

The last three leave controls out: there are only 256 constant grey images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tune_ad.data.controls import CONTROLS
from tune_ad.detectors.base import Terms
from tune_ad.errors import DegenerateInputError
from tune_ad.randomness import numpy_stream
from tune_ad.storage.records import Values
from tune_ad.training.metrics import (
    auroc,
    average_precision,
    bits_per_dimension,
    placements,
    require_finite,
    ties,
)
from tune_ad.training.replica_set import ReplicaSet
from tune_ad.training.suite import Suite

LABELLED = (1, 2, 5, 10, 50)  # anomalies by which a selection may be made
DRAWS = 20


class Key(NamedTuple):
    """Which task and seed a replica has; tasks are counted in the suite's order."""

    task: int
    seed: int


@dataclass
class Examination:
    """What was found.

    Attributes:
        metrics: numbers by name, one per replica, None for a failed one.
        variants: the AUROCs under other score-time values, by variant, then as `metrics`.
        scores: per task, of its first replica: the scores of normals and of each outsider set;
            under "<task>, <part>" those of a part of the score that its detector shows, too.
        tested: the same of test images alone.
        placements: by replica, of its held-out anomalies among its held-out normals, shape (m,).
        untested: by replica, why it has no numbers on test images.
    """

    metrics: dict[str, Values] = field(default_factory=dict)
    variants: dict[str, dict[str, Values]] = field(default_factory=dict)
    scores: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    tested: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    placements: dict[int, np.ndarray] = field(default_factory=dict)
    untested: dict[int, str] = field(default_factory=dict)

    def add(self, other: "Examination") -> None:
        """Take in the metrics and variants of another part, and its scores where they tell more.

        Where the outsiders are other data sets, held-out scores are of normals alone.
        """
        self.metrics |= other.metrics
        for name, metrics in other.variants.items():
            self.variants.setdefault(name, {}).update(metrics)
        for task, sides in other.scores.items():
            if len(sides) > len(self.scores.get(task, {})):
                self.scores[task] = sides

    def keep(self, task: str, sides: Mapping[str, Terms], shown: Sequence[str]) -> None:
        """The scores of a task's first replica, and the parts of them that are shown.

        Raises:
            DegenerateInputError: if one of them is not finite.
        """
        for part in ("score", *shown):
            for side, terms in sides.items():
                require_finite(side, terms[part])
            kept = {side: terms[part].cpu().numpy() for side, terms in sides.items()}
            self.scores.setdefault(task if part == "score" else f"{task}, {part}", kept)


def by_name(replicas: Sequence[Mapping[str, float]]) -> dict[str, Values]:
    """Numbers by name from numbers by replica; None where a replica has no number of that name.

    >>> by_name([{"a": 1.0}, {}])
    {'a': [1.0, None]}
    """
    names = dict.fromkeys(name for replica in replicas for name in replica)
    return {name: [replica.get(name) for replica in replicas] for name in names}


def examine(
    replica_set: ReplicaSet,
    suite: Suite,
    keys: Sequence[Key],
    part: str,
    every_variant: bool = False,
    ends: bool = True,
) -> Examination:
    """Score the images of one part of every task with its replicas.

    A replica whose scores are not finite has no numbers.

    Args:
        replica_set: the replicas.
        suite: tasks and images.
        keys: of the replicas, in the replica set's order.
        part: "validation" or "test".
        every_variant: also score under the values of the score space.
        ends: whether a replica whose scores are not finite is ended as failed, too; otherwise it
            is named in `Examination.untested`.
    """
    metrics: list[dict[str, float]] = [{} for _ in keys]
    variants: list[dict[str, dict[str, float]]] = [{} for _ in keys]
    found = Examination()
    for k in replica_set.living():
        key = keys[k]
        sides = {
            name: replica_set.score(k, suite.positions(key.task, where), every_variant)
            for name, where in score_groups(suite, key.task, part).items()
        }
        losses = None
        if part == "validation":
            losses = replica_set.losses(k, suite.positions(key.task, "validation_normal"))
        try:
            numbers = replica_metrics(sides, part)
            if losses is not None:
                numbers["validation_loss"] = finite_mean(losses)
            others = variant_aurocs(sides, part) if every_variant else {}
            found.keep(suite.tasks[key.task].name, sides, replica_set.replicas[k].module.shown)
        except DegenerateInputError as error:
            if ends:
                replica_set.fail(k, replica_set.epoch, str(error))
            else:
                found.untested[k] = f"not tested: {error}"
            continue
        metrics[k], variants[k] = numbers, others
        if "rest" in sides:
            placed = placements(sides["normal"]["score"], sides["rest"]["score"])
            found.placements[k] = placed.cpu().numpy()
    found.metrics = by_name(metrics)
    names = dict.fromkeys(name for each in variants for name in each)
    found.variants = {name: by_name([each.get(name, {}) for each in variants]) for name in names}
    return found


def score_groups(suite: Suite, task: int, part: str) -> dict[str, str]:
    """The names of the suite's parts that hold the normals and each outsider set.

    Where the outsiders are other data sets, selection has no anomaly to look at.
    """
    if part == "validation":
        rest = {"rest": "validation_anomalous"}
        known = len(suite.positions(task, "validation_anomalous"))
        return {"normal": "validation_normal"} | (rest if known else {})
    return {"normal": "test_normal"} | {n: f"test/{n}" for n in suite.outsiders(task)}


def replica_metrics(sides: Mapping[str, Terms], part: str) -> dict[str, float]:
    """The metrics of one replica.

    Raises:
        DegenerateInputError: if a score is not finite or a side is empty.
    """
    numbers: dict[str, float] = {}
    normal = sides["normal"]
    require_finite("normal", normal["score"])
    for name, side in sides.items():
        if name != "normal":
            end = outsider_suffix(name)
            numbers[f"{part}_auroc{end}"] = auroc(normal["score"], side["score"])
            numbers[f"{part}_ap{end}"] = average_precision(normal["score"], side["score"])
    numbers |= of_first(numbers, sides, (f"{part}_auroc", f"{part}_ap"))
    for term, values in normal.items():
        if "=" not in term:
            numbers[f"{part}_{term}"] = float(values.mean())
    apart = ties(torch.cat([t["score"] for name, t in sides.items() if name not in CONTROLS]))
    numbers[f"{part}_distinct"] = float(apart.distinct)
    numbers[f"{part}_tied"] = apart.share
    numbers[f"{part}_relative_range"] = apart.relative_range
    numbers[f"{part}_collapsed"] = float(apart.collapsed)
    return numbers


def labelled(
    suite: Suite, keys: Sequence[Key], placed: Mapping[int, np.ndarray], seed: int
) -> dict[str, list[float | None]]:
    """What selection would see with k held-out anomalies: the mean AUROC over replicas, by draw.

    Draw d takes the same k of a task's held-out anomalies in every trial of a study. The AUROC of
    all held-out normals against them is the mean of their placements.

    Args:
        suite: tasks and images.
        keys: of the replicas.
        placed: the placements of all held-out anomalies of a task, by replica.
        seed: of the study.

    Returns:
        by k as text, `DRAWS` numbers in [0, 1], None if a replica has no placements; without each
        k that exceeds the held-out anomalies of a task.
    """
    tasks = {key.task: suite.tasks[key.task].name for key in keys}
    known = {task: len(suite.positions(task, "validation_anomalous")) for task in tasks}
    means: dict[str, list[float | None]] = {}
    for count in LABELLED:
        if count > min(known.values()):
            break
        means[str(count)] = [None] * DRAWS
        if len(placed) == len(keys):
            drawn = {t: drawings(seed, name, count, known[t]) for t, name in tasks.items()}
            each = [placed[k][drawn[key.task]].mean(1) for k, key in enumerate(keys)]
            means[str(count)] = np.mean(each, axis=0).tolist()
    return means


@lru_cache(maxsize=1024)
def drawings(seed: int, task: str, count: int, known: int) -> np.ndarray:
    """Which `count` of the `known` held-out anomalies of a task each draw takes, without repeats.

    Shape (DRAWS, count); the same for every trial of a study.
    """
    streams = [numpy_stream(seed, "labelled", task, count, draw) for draw in range(DRAWS)]
    return np.stack([stream.choice(known, count, replace=False) for stream in streams])


def finite_mean(losses: Tensor) -> float:
    """The mean of losses.

    Raises:
        DegenerateInputError: if one of them is not finite.
    """
    if not bool(losses.isfinite().all()):
        raise DegenerateInputError("the loss of held-out normals is not finite")
    return float(losses.mean())


def variant_aurocs(sides: Mapping[str, Terms], part: str) -> dict[str, dict[str, float]]:
    """The AUROCs of one replica under each score variant.

    Raises:
        DegenerateInputError: if a score is not finite or a side is empty.
    """
    found = {
        variant: {
            f"{part}_auroc{outsider_suffix(name)}": auroc(values, side[variant])
            for name, side in sides.items()
            if name != "normal"
        }
        for variant, values in sides["normal"].items()
        if variant != "score"
    }
    return {
        name: {**each, **of_first(each, sides, (f"{part}_auroc",))} for name, each in found.items()
    }


def of_first(
    numbers: Mapping[str, float], sides: Mapping[str, Any], metrics: Sequence[str]
) -> dict[str, float]:
    """The metrics of the first outsider set under the metric's name alone.

    Nothing where that is theirs already, or nothing is anomalous. So what a search is about has
    one name, whichever the outsiders.
    """
    first = next((name for name in sides if name != "normal"), "rest")
    if first == "rest":
        return {}
    return {metric: numbers[f"{metric}{outsider_suffix(first)}"] for metric in metrics}


def with_bits(
    metrics: Mapping[str, Values], nats: Sequence[str], shape: Sequence[int]
) -> dict[str, Values]:
    """The metrics, and those of quantities in nats also in bits per dimension.

    Args:
        metrics: numbers by name, one per replica.
        nats: names of the terms and parts of scores that are nats per image.
        shape: of one image; its numbers are the dimensions.
    """
    converted = {
        f"{name}_bits_per_dim": [
            None if value is None else bits_per_dimension(value, math.prod(shape))
            for value in values
        ]
        for name, values in metrics.items()
        if name.partition("_")[2].rpartition("/")[2] in nats  # without the names of stage, phase
    }
    return {**metrics, **converted}


def outsider_suffix(name: str) -> str:
    """What follows a metric's name for an outsider set; nothing for the other classes."""
    return "" if name == "rest" else f"/{name}"
