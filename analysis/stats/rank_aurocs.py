"""AUROCs from the stored ranks of scores, and how much of them is the sampling of images."""

from collections.abc import Mapping, Sequence

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


def image_error(part: PartRanks) -> float:
    r"""The standard error of the mean AUROC over seeds that is due to the sampling of test images.

    $\sqrt{s_{10}^2 / m + s_{01}^2 / n}$, where $s_{10}$ and $s_{01}$ are the sample standard
    deviations of the placements of the m anomalies among the normal images, and of the n normal
    images among the anomalies, each averaged over the models (DeLong, DeLong and Clarke-Pearson,
    Biometrics 44, 1988). NaN with fewer than two images of one kind.

    Args:
        part: the ranks of the test images of a task against the first set of anomalies.
    """
    if not part.outsiders:
        return float("nan")
    anomalous = part.outsiders[main_outsider(part.outsiders)]
    pairs = list(zip(part.normal, anomalous, strict=True))
    of_anomalies = np.mean([placements(n, a) for n, a in pairs], axis=0)
    of_normals = np.mean([placements(a, n) for n, a in pairs], axis=0)
    if min(len(of_anomalies), len(of_normals)) < 2:
        return float("nan")
    variances = [np.var(placed, ddof=1) / len(placed) for placed in (of_anomalies, of_normals)]
    return float(np.sqrt(sum(variances)))


def joined(parts: Sequence[PartRanks]) -> PartRanks:
    """The ranks of models of several seeds, which scored the same images."""
    first = parts[0]
    return PartRanks(
        np.concatenate([part.normal for part in parts]),
        {name: np.concatenate([p.outsiders[name] for p in parts]) for name in first.outsiders},
        first.classes,
        first.outsider_classes,
        tuple(seed for part in parts for seed in part.seeds),
    )
