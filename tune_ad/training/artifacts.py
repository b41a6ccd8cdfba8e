"""What is kept to be looked at: histograms of scores, thinned scores, watched terms, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from tune_ad.data.groups import Groups
from tune_ad.training.replica_set import ReplicaSet
from tune_ad.training.scoring import ScoreKey
from tune_ad.training.suite import Suite

HISTOGRAM_BINS = 40
KEPT_SCORES = 500
KEPT_STEPS = 2_000

WatchedTerms = Mapping[str, Sequence[tuple[int, float]]]
"""What a replica tells at every step, by term: numbers of steps from 1 on, and batch means."""
Steps = dict[str, list[Any]]
"""A term at every step: "step" counts from 1; its "mean" and "least" over replicas."""


def histogram(scores: Groups[np.ndarray]) -> dict[str, Any]:
    """Edges of common bins between the smallest and the largest score, and counts of each group.

    Args:
        scores: each of shape (n,).

    Returns:
        "edges", shape (bins + 1,), and "counts" of "normal" images and, by name, of each of the
        "outsiders", each of shape (bins,).
    """
    everything = np.concatenate(scores.values())
    low, high = everything.min(), everything.max()
    # A nearly collapsed detector has scores too close for bins between the extremes.
    least = HISTOGRAM_BINS * np.spacing(np.abs(everything).max())
    pad = least if low < high < low + least else 0.0
    edges = np.histogram_bin_edges(everything, HISTOGRAM_BINS, (low - pad, high + pad))
    counts = scores.map(lambda values: np.histogram(values, edges)[0].tolist())
    return {"edges": edges.tolist(), "counts": asdict(counts)}


def histograms(scored: ScoreKey, scores: Groups[np.ndarray]) -> list[dict[str, Any]]:
    """The histograms of a task: one for each set of outsiders where there are several.

    Sets lie so far apart that common bins would show one of them alone.

    Args:
        scored: the task, and the component of the score.
        scores: of normals and of each set of outsiders.

    Returns:
        each with "task", "component", "outsider" (empty where one histogram holds all), "edges"
        and "counts".
    """
    if len(scores.outsiders) < 2:
        return [{**scored._asdict(), "outsider": "", **histogram(scores)}]
    pairs = {name: Groups(scores.normal, {name: s}) for name, s in scores.outsiders.items()}
    return [
        {**scored._asdict(), "outsider": name, **histogram(pair)} for name, pair in pairs.items()
    ]


def over_replicas(watched: Sequence[WatchedTerms]) -> dict[str, Steps]:
    """What replicas tell at every step: the mean and the least over those that made it.

    Args:
        watched: by replica, then by name of the term: the number of the step and the batch mean.

    Returns:
        by name: "step", "mean" and "least", each a list with one entry per step.

    >>> over_replicas([{"share": [(1, 0.5), (2, 0.25)]}, {"share": [(1, 1.0)]}])
    {'share': {'step': [1, 2], 'mean': [0.75, 0.25], 'least': [0.5, 0.25]}}
    """
    by_step: dict[str, dict[int, list[float]]] = {}
    for terms in watched:
        for name, points in terms.items():
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


def thinned_scores(scores: Groups[np.ndarray]) -> Groups[np.ndarray]:
    """At most `KEPT_SCORES` scores of each group, evenly taken."""
    return scores.map(lambda values: values[:: -(-len(values) // KEPT_SCORES)])


def thinned_steps(steps: Mapping[str, Steps]) -> dict[str, Steps]:
    """At most `KEPT_STEPS` steps of each term, evenly taken; TensorBoard has them all."""
    return {
        name: {key: values[:: -(-len(values) // KEPT_STEPS)] for key, values in points.items()}
        for name, points in steps.items()
    }


def pictures(replica_set: ReplicaSet, suite: Suite, count: int) -> dict[str, dict[str, Any]]:
    """What the first replica of each task makes of held-out normals.

    Args:
        replica_set: the replicas.
        suite: tasks and images.
        count: images of each task, at most.

    Returns:
        by task, then by title of the picture: uint8, shape (n, h, w, c).
    """
    by_task: dict[str, dict[str, Any]] = {}
    for k in replica_set.living():
        task = replica_set.replicas[k].spec.task
        held_out = suite.split(task).validation.normal[:count]
        if task not in by_task and len(held_out):
            images = replica_set.illustrate(k, held_out)
            by_task[task] = {title: _as_bytes(image) for title, image in images.items()}
    return by_task


def _as_bytes(images: Tensor) -> np.ndarray:
    """Images in [0, 1] of shape (n, c, h, w) as uint8 of shape (n, h, w, c)."""
    pixels: np.ndarray = (
        (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    )
    return pixels
