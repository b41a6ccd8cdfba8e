"""What of an examination is kept to be looked at: histograms, thinned scores, pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from tune_ad.detectors.base import Terms
from tune_ad.training.replica_set import ReplicaSet
from tune_ad.training.scoring import Key
from tune_ad.training.suite import Suite

HISTOGRAM_BINS = 40
KEPT_SCORES = 500
KEPT_STEPS = 2_000

Told = Mapping[str, Sequence[tuple[int, float]]]
"""What a replica tells at every step, by term: numbers of steps from 1 on, and batch means."""
Steps = dict[str, list[Any]]
"""A term at every step: "step" counts from 1; its "mean" and "least" over replicas."""


def histogram(scores: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """Counts of each side over common bins between the smallest and the largest score."""
    everything = np.concatenate(list(scores.values()))
    low, high = everything.min(), everything.max()
    # A nearly collapsed detector has scores too close for bins between the extremes.
    least = HISTOGRAM_BINS * np.spacing(np.abs(everything).max())
    pad = least if low < high < low + least else 0.0
    edges = np.histogram_bin_edges(everything, HISTOGRAM_BINS, (low - pad, high + pad))
    counts = {side: np.histogram(each, edges)[0].tolist() for side, each in scores.items()}
    return {"edges": edges.tolist(), **counts}


def histograms(title: str, scores: Mapping[str, np.ndarray]) -> dict[str, dict[str, list[float]]]:
    """The histograms of a task, by name: one for each outsider set where there are several.

    Sets lie so far apart that common bins would show one of them alone.

    Args:
        title: name of the task, "<task>, <part>" for a part of the score.
        scores: of normals and of each outsider set.
    """
    others = [side for side in scores if side != "normal"]
    if len(others) < 2:
        return {title: histogram(scores)}
    task, comma, part = title.partition(", ")
    source = task.partition("-vs-")[0]
    return {
        f"{source}-vs-{name}{comma}{part}": histogram(
            {"normal": scores["normal"], name: scores[name]}
        )
        for name in others
    }


def over_replicas(told: Sequence[Told]) -> dict[str, Steps]:
    """What replicas tell at every step: the mean and the least over those that made it.

    Args:
        told: by replica, then by name of the term: the number of the step and the batch mean.

    Returns:
        by name: "step", "mean" and "least", each a list with one entry per step.

    >>> over_replicas([{"share": [(1, 0.5), (2, 0.25)]}, {"share": [(1, 1.0)]}])
    {'share': {'step': [1, 2], 'mean': [0.75, 0.25], 'least': [0.5, 0.25]}}
    """
    by_step: dict[str, dict[int, list[float]]] = {}
    for each in told:
        for name, points in each.items():
            for step, value in points:
                by_step.setdefault(name, {}).setdefault(step, []).append(value)
    return {
        name: {
            "step": sorted(steps),
            "mean": [float(np.mean(steps[step])) for step in sorted(steps)],
            "least": [min(steps[step]) for step in sorted(steps)],
        }
        for name, steps in by_step.items()
    }


def thinned(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """At most `KEPT_SCORES` scores of each side, evenly taken."""
    return {side: each[:: -(-len(each) // KEPT_SCORES)] for side, each in scores.items()}


def fewer(steps: Mapping[str, Steps]) -> dict[str, Steps]:
    """At most `KEPT_STEPS` steps of each term, evenly taken; TensorBoard has them all."""
    return {
        name: {key: values[:: -(-len(values) // KEPT_STEPS)] for key, values in each.items()}
        for name, each in steps.items()
    }


def pictures(
    replica_set: ReplicaSet, suite: Suite, keys: Sequence[Key], count: int
) -> dict[str, Terms]:
    """What the first replica of each task makes of held-out normals; uint8 (n, h, w, c)."""
    shown: dict[str, dict[str, Tensor]] = {}
    for k in replica_set.living():
        name = suite.tasks[keys[k].task].name
        held_out = suite.positions(keys[k].task, "validation_normal")[:count]
        if name not in shown and len(held_out):
            made = replica_set.illustrate(k, held_out)
            shown[name] = {
                title: (image.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu()
                for title, image in made.items()
            }
    return shown
