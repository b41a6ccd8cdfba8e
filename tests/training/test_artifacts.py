"""Artifacts for reports and TensorBoard: histograms, samples of scores and steps, pictures."""

import numpy as np
import pytest

from tests.training.cases import PARTS, SECOND, planted, replica_set_on
from tune_ad.data.groups import Groups
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.training.artifacts import (
    HISTOGRAM_BINS,
    KEPT_SCORES,
    KEPT_STEPS,
    histogram,
    histograms,
    pictures,
    thinned_scores,
    thinned_steps,
)
from tune_ad.training.scoring import ScoreKey


@pytest.mark.parametrize(
    "scores",
    [
        Groups(np.linspace(0, 1, 77), {"": np.linspace(0.5, 9, 13)}),
        Groups(np.random.default_rng(0).lognormal(0, 4, 500), {"": np.array([0.0])}),
        Groups(np.full(6, 0.25), {"": np.full(3, 0.25)}),
        Groups(np.zeros(6), {"": np.zeros(1)}),
        Groups(np.full(5, 0.3), {"": np.array([np.nextafter(0.3, 1)])}),
        Groups(np.full(5, 5e-9), {"": 5e-9 + 1e-24 * np.arange(9)}),
        Groups(np.full(5, -1e5), {"": -1e5 + 1e-11 * np.arange(50)}),
        Groups(np.zeros(2), {"": np.array([5e-324])}),
        Groups(np.array([7.0]), {}),
    ],
    ids=str,
)
def test_histogram_counts_add_up(scores):
    drawn = histogram(scores)
    assert set(drawn) == {"edges", "counts"}
    counted = Groups(**drawn["counts"])
    assert list(counted.outsiders) == list(scores.outsiders)
    edges = drawn["edges"]
    assert len(edges) == HISTOGRAM_BINS + 1
    assert edges == sorted(set(edges))
    everything = np.concatenate(scores.values())
    assert edges[0] <= everything.min() <= everything.max() <= edges[-1]
    for group, counts in zip(scores.values(), counted.values(), strict=True):
        assert len(counts) == HISTOGRAM_BINS
        assert sum(counts) == len(group)
        for k in (0, HISTOGRAM_BINS - 1):
            last = k == HISTOGRAM_BINS - 1
            above = group >= edges[k]
            below = group <= edges[k + 1] if last else group < edges[k + 1]
            assert counts[k] == (above & below).sum()


def test_one_outsider_set_shares_the_histogram_of_its_task():
    groups = Groups(np.array([1.0, 2.0]), {"b": np.array([3.0])})
    about = {"task": "a-vs-b", "component": "rate", "outsider": ""}
    assert histograms(ScoreKey("a-vs-b", "rate"), groups) == [{**about, **histogram(groups)}]


def test_each_of_several_outsider_sets_has_a_separate_histogram():
    normal, near, far = np.array([1.0, 2.0]), np.array([3.0]), np.array([1e6])
    rows = histograms(ScoreKey("a"), Groups(normal, {"near": near, "far": far}))
    assert rows == [
        {
            "task": "a",
            "component": "",
            "outsider": name,
            **histogram(Groups(normal, {name: scores})),
        }
        for name, scores in (("near", near), ("far", far))
    ]
    assert rows[0]["edges"][-1] < rows[1]["edges"][-1], "common bins would show only one of them"


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1500, 9999])
def test_thinned_scores_are_few_and_evenly_spaced(count):
    kept = thinned_scores(Groups(np.arange(count), {})).normal
    assert len(kept) == min(count, KEPT_SCORES)
    assert count == 1 or np.ptp(np.diff(kept)) <= 1
    assert kept[0] == 0
    assert kept[-1] >= count - (count // KEPT_SCORES + 1)


@pytest.mark.parametrize("count", [1, KEPT_STEPS, KEPT_STEPS + 1, 3 * KEPT_STEPS])
def test_thinned_steps_are_few_and_keep_their_values(count):
    steps = list(range(1, count + 1))
    whole = {"loss": {"step": steps, "mean": [2 * k for k in steps], "least": steps}}
    kept = thinned_steps(whole)["loss"]
    assert len(kept["step"]) == min(count, KEPT_STEPS)
    assert kept["step"][0] == 1
    assert kept["mean"] == [2 * k for k in kept["step"]]
    assert kept["least"] == kept["step"]


def test_pictures_are_of_each_task_once():
    suite = planted(PARTS, SECOND, stripes=True)
    shown = pictures(replica_set_on(suite, AE, seeds=(0, 1)), suite, 3)
    assert set(shown) == {"toy/0", "toy/1"}
    for task, count in (("toy/0", 3), ("toy/1", 2)):
        assert set(shown[task]) == {"image", "reconstruction"}
        for images in shown[task].values():
            assert images.dtype == np.uint8
            assert images.shape == (count, 8, 8, 1)
    held_out = suite.images[suite.splits["toy/0"].validation.normal[:3]].transpose(0, 2, 3, 1)
    assert np.array_equal(shown["toy/0"]["image"], held_out)
    assert pictures(replica_set_on(suite), suite, 3) == {"toy/0": {}, "toy/1": {}}
