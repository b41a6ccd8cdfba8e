"""Curves of ranks against closed forms and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from analysis.stats.rank_curves import LEVELS, false_positive_rate, precision_recall, roc


@pytest.fixture(params=[0, 1, 2])
def scores(request):
    """Normal and anomalous scores, with many ties for the last seed."""
    stream = np.random.default_rng(request.param)
    groups = stream.normal(0, 1, 83), stream.normal(1, 1, 61)
    return tuple(np.round(group) for group in groups) if request.param == 2 else groups


def labelled(normal, anomalous):
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    return labels, np.concatenate([normal, anomalous])


def test_the_area_under_the_roc_curve_is_the_auroc(scores):
    levels = np.linspace(0, 1, 83 * 100 + 1)  # every rate of 83 images is one of them
    area = np.trapezoid(roc(*scores, levels), levels)
    # the curve may rise at a rate; the trapezoid before it is too large by half a step
    assert area == pytest.approx(roc_auc_score(*labelled(*scores)), abs=0.5 / 8300)


def test_the_roc_curve_passes_through_the_points_of_scikit_learn(scores):
    false, true, _ = roc_curve(*labelled(*scores), drop_intermediate=False)
    highest = {rate: true[false == rate].max() for rate in np.unique(false)}
    assert roc(*scores, np.array(list(highest))) == pytest.approx(list(highest.values()))


def test_precision_is_that_of_the_highest_threshold_that_reaches_a_recall(scores):
    precision, recall, _ = precision_recall_curve(*labelled(*scores))
    precision, recall = precision[:-1][::-1], recall[:-1][::-1]  # by rising recall
    levels = np.unique(recall)[1:]
    expected = [precision[np.searchsorted(recall, level)] for level in levels]
    assert precision_recall(*scores, levels=levels) == pytest.approx(expected)


def test_a_sample_has_the_precision_of_all_images(scores):
    normal, anomalous = scores
    everything = precision_recall(np.repeat(normal, 9), anomalous)
    sample = precision_recall(normal, anomalous, (9 * len(normal), len(anomalous)))
    assert sample == pytest.approx(everything)


def test_perfect_and_useless_scores():
    low, high = np.zeros(10), np.ones(5)
    assert roc(low, high).tolist() == [1.0] * len(LEVELS)
    assert precision_recall(low, high).tolist() == [1.0] * len(LEVELS)
    assert false_positive_rate(low, high) == 0
    assert roc(low, low) == pytest.approx(LEVELS)
    assert precision_recall(low, np.zeros(5)) == pytest.approx(1 / 3)
    assert false_positive_rate(low, np.zeros(5)) == 1
    assert precision_recall(high, low).min() == pytest.approx(10 / 15)  # at a recall of 1


def test_the_false_positive_rate_takes_the_threshold_that_catches_enough():
    normal, anomalous = np.arange(100.0), np.arange(50.0, 70.0)
    # 19 of 20 anomalies reach 51, and so do 49 normal images
    assert false_positive_rate(normal, anomalous) == 0.49
    assert false_positive_rate(normal, anomalous, 1.0) == 0.5
    assert false_positive_rate(normal, anomalous, 0.05) == 0.31
