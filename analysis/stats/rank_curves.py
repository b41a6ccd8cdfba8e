"""ROC and precision-recall curves from scores or from their ranks, and the FPR at 95 % TPR.

Anomalies are positive: an image raises an alarm if its score reaches a threshold.
"""

import math

import numpy as np

LEVELS = np.linspace(0, 1, 201)
"""The rates at which curves of several models are averaged."""
RECALL = 0.95


def _counts(normal: np.ndarray, anomalous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of false and of true alarms at each distinct threshold, the largest first."""
    thresholds = np.unique(np.concatenate([normal, anomalous]))[::-1]
    false = len(normal) - np.searchsorted(np.sort(normal), thresholds)
    true = len(anomalous) - np.searchsorted(np.sort(anomalous), thresholds)
    return false, true


def roc(normal: np.ndarray, anomalous: np.ndarray, levels: np.ndarray = LEVELS) -> np.ndarray:
    """The true positive rate at each false positive rate, shape (levels,), in [0, 1].

    Linear between the thresholds, so that the area under the whole curve is the AUROC, in which
    ties count half.

    Args:
        normal: scores or ranks of normal images, shape (n,), n >= 1.
        anomalous: those of anomalies, shape (m,), m >= 1.
        levels: false positive rates.
    """
    false, true = _counts(normal, anomalous)
    rates = np.append(0, false / len(normal)), np.append(0, true / len(anomalous))
    curve: np.ndarray = np.interp(levels, *rates)
    return curve


def precision_recall(
    normal: np.ndarray,
    anomalous: np.ndarray,
    sizes: tuple[int, int] | None = None,
    levels: np.ndarray = LEVELS,
) -> np.ndarray:
    """The precision at each recall, shape (levels,), in [0, 1].

    It is that of the highest threshold with at least this recall. By chance it is the share of
    anomalies.

    Args:
        normal: scores or ranks of normal images, shape (n,), n >= 1.
        anomalous: those of anomalies, shape (m,), m >= 1.
        sizes: the numbers of all normal images and anomalies, of which these are samples; None =
            these are all.
        levels: recalls.
    """
    false, true = _counts(normal, anomalous)
    n, m = sizes or (len(normal), len(anomalous))
    recall = true / len(anomalous)
    precision = m * recall / (m * recall + n * false / len(normal)).clip(min=1e-300)
    first = np.searchsorted(recall, levels - 1e-12)
    first = np.maximum(first, np.searchsorted(true, 1))  # a recall of 0 has no precision
    curve: np.ndarray = precision[first]
    return curve


def false_positive_rate(
    normal: np.ndarray, anomalous: np.ndarray, recall: float = RECALL
) -> float:
    """The share of normal images that raise an alarm where a share of the anomalies does.

    The threshold is the highest at which at least this share of the anomalies raises an alarm.
    In [0, 1], smaller is better; by chance it is `recall`.

    Args:
        normal: scores or ranks of normal images, shape (n,), n >= 1.
        anomalous: those of anomalies, shape (m,), m >= 1.
        recall: the true positive rate, in (0, 1].
    """
    needed = math.ceil(recall * len(anomalous) - 1e-9)
    threshold = np.sort(anomalous)[len(anomalous) - needed]
    return float((normal >= threshold).mean())
