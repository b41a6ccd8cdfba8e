"""AUROCs from the stored ranks of scores."""

from collections.abc import Mapping

import numpy as np

from tune_ad.storage.score_ranks import PartRanks


def placements(normal: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    r"""The placement of each anomaly among the normal images, shape (m,), in [0, 1].

    $v_j = \frac1n \sum_i [n_i < a_j] + \frac12 [n_i = a_j]$: the share of normal images that score
    less, and half the share that scores the same. The AUROC against any set of these anomalies is
    the mean of their placements (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).

    Args:
        normal: scores or ranks of normal images, shape (n,), n >= 1.
        anomalous: those of anomalies, shape (m,).
    """
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalous)
    not_above = np.searchsorted(ordered, anomalous, side="right")
    placed: np.ndarray = (below + not_above) / (2 * len(normal))
    return placed


def auroc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """The AUROC of scores or ranks, in [0, 1]; NaN if one side is empty."""
    if not len(normal) or not len(anomalous):
        return float("nan")
    return float(placements(normal, anomalous).mean())


def main_outsider(outsiders: Mapping[str, np.ndarray]) -> str:
    """The set of anomalies of the main AUROC, which is the first."""
    return next(iter(outsiders))


def auroc_of_images(part: PartRanks, start: int) -> float:
    """The mean AUROC over seeds on every other image, beginning with number `start`.

    NaN without anomalies.
    """
    if not part.outsiders:
        return float("nan")
    anomalous = part.outsiders[main_outsider(part.outsiders)]
    values = [auroc(n[start::2], a[start::2]) for n, a in zip(part.normal, anomalous, strict=True)]
    return float(np.mean(values))
