"""Artifacts for reports and TensorBoard: histograms and samples of scores, steps, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from tune_ad.data.groups import Groups
from tune_ad.sampling import evenly_spaced, thinned
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.scoring import ScoreKey
from tune_ad.training.suite import Suite

HISTOGRAM_BINS = 40
KEPT_SCORES = 500
KEPT_STEPS = 2_000

WatchedTerms = Mapping[str, Sequence[tuple[int, float]]]
"""The values of one replica at every step, by term: number of the step (from 1), batch mean."""
Steps = dict[str, list[Any]]
"""The values of one term: lists of "step" (from 1), and its "mean" and "least" over replicas."""


def histogram(scores: Groups[np.ndarray]) -> dict[str, Any]:
    """The histogram of each group, with common bins from the smallest to the largest score.

    Args:
        scores: the scores of each group, shape (n,).

    Returns:
        "edges", shape (bins + 1,), and "counts", those of the "normal" images and of each outsider
        set (by its name in "outsiders"), each of shape (bins,).
    """
    everything = np.concatenate(scores.values())
    low, high = everything.min(), everything.max()
    # Scores of a nearly collapsed detector differ by less than the bins can resolve.
    least = HISTOGRAM_BINS * np.spacing(np.abs(everything).max())
    pad = least if low < high < low + least else 0.0
    edges = np.histogram_bin_edges(everything, HISTOGRAM_BINS, (low - pad, high + pad))
    counts = scores.map(lambda values: np.histogram(values, edges)[0].tolist())
    return {"edges": edges.tolist(), "counts": asdict(counts)}


def histograms(scored: ScoreKey, scores: Groups[np.ndarray]) -> list[dict[str, Any]]:
    """The histograms of a task: one for each outsider set if there are several.

    Scores of different outsider sets differ so much that common bins would show only one of them.

    Args:
        scored: the task, and the component of the score.
        scores: the scores of each group, shape (n,).

    Returns:
        histograms, each with "task", "component", "outsider" (empty if one histogram has all
        groups), "edges" and "counts".
    """
    if len(scores.outsiders) < 2:
        return [{**scored._asdict(), "outsider": "", **histogram(scores)}]
    pairs = {name: Groups(scores.normal, {name: s}) for name, s in scores.outsiders.items()}
    return [
        {**scored._asdict(), "outsider": name, **histogram(pair)} for name, pair in pairs.items()
    ]


def over_replicas(watched: Sequence[WatchedTerms]) -> dict[str, Steps]:
    """The mean and the minimum of each term over the replicas that trained a step.

    Args:
        watched: the values of each replica.

    Returns:
        the values over replicas, by name of the term.

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
    """An evenly spaced sample of at most `KEPT_SCORES` scores of each group."""
    return scores.map(lambda values: thinned(values, KEPT_SCORES))


def thinned_steps(steps: Mapping[str, Steps]) -> dict[str, Steps]:
    """An evenly spaced sample of at most `KEPT_STEPS` steps; TensorBoard has all of them."""
    return {
        name: {
            key: [values[k] for k in evenly_spaced(len(values), KEPT_STEPS)]
            for key, values in points.items()
        }
        for name, points in steps.items()
    }


def pictures(replica_set: ReplicaSet, suite: Suite, count: int) -> dict[str, dict[str, Any]]:
    """Normal validation images and their reconstructions by the first replica of each task.

    Args:
        replica_set: the replicas.
        suite: tasks and images.
        count: the maximum number of images of each task.

    Returns:
        uint8 arrays of shape (n, h, w, c), by task, then by title of the picture.
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
