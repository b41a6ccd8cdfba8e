"""AUROCs from the stored ranks of scores, and how much of them is the sampling of images."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

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


def mean_placements(others: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """The placements of images among the others, averaged over models, shape (m,).

    Args:
        others: the ranks of the others, shape (seeds, n).
        placed: the ranks of the images that are placed, shape (seeds, m).
    """
    pairs = zip(others, placed, strict=True)
    mean: np.ndarray = np.mean([placements(n, a) for n, a in pairs], axis=0)
    return mean


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


class Placed(NamedTuple):
    """The placements of the test images of a task among those of the other kind.

    Attributes:
        anomalies: those of the anomalies, averaged over models, shape (m,).
        normals: those of the normal images, shape (n,).
        sizes: the numbers of all normal images and anomalies, at least n and m.
        classes: the classes of both, by which other images can be recognised.
    """

    anomalies: np.ndarray
    normals: np.ndarray
    sizes: tuple[int, int]
    classes: np.ndarray

    def same_images(self, other: "Placed") -> bool:
        """Whether the other placements can be those of the same images."""
        shapes = [(len(p.anomalies), len(p.normals), p.sizes) for p in (self, other)]
        return shapes[0] == shapes[1] and np.array_equal(self.classes, other.classes)


def placed(
    part: PartRanks, outsider: str | None = None, seeds: Collection[int] | None = None
) -> Placed | None:
    """The placements of the images of a part, averaged over the models of some seeds.

    None without ranks of such anomalies or of one of the seeds.

    Args:
        part: the ranks of the test images of a task.
        outsider: the name of the set of anomalies; None = the first.
        seeds: the seeds of the models; None = all.
    """
    name = next(iter(part.outsiders), "") if outsider is None else outsider
    if name not in part.outsiders or not {*(seeds or ())} <= {*part.seeds}:
        return None
    rows = [k for k, seed in enumerate(part.seeds) if seeds is None or seed in seeds]
    normal, anomalous = part.normal[rows], part.outsiders[name][rows]
    if not normal.size or not anomalous.size:
        return None
    return Placed(
        mean_placements(normal, anomalous),
        mean_placements(anomalous, normal),
        part.images(name),
        np.concatenate([part.outsider_classes[name], part.classes]),
    )


def contrast_error(parts: Iterable[Placed | None], weights: Sequence[float]) -> float:
    r"""The standard error, due to the sampling of test images, of a weighted sum of AUROCs.

    $\sqrt{s_{10}^2 / m + s_{01}^2 / n}$, where $s_{10}$ and $s_{01}$ are the sample standard
    deviations, over the m anomalies and the n normal images, of the weighted sums of their
    placements among the other kind, each averaged over the models of a part (DeLong, DeLong and
    Clarke-Pearson, Biometrics 44, 1988). All models scored the same images, so what is hard for
    all of them cancels in a difference. If ranks of a sample of the images are stored, m and n are
    the numbers of all of them. NaN with fewer than two images of one kind, without placements, or
    if the parts have different images.

    Args:
        parts: the placements of the test images of a task, one for each configuration.
        weights: the weight of the AUROC of each, as in (-1, 1) for a difference.
    """
    first, of_anomalies, of_normals = None, np.zeros(0), np.zeros(0)
    for part, weight in zip(parts, weights, strict=True):
        if part is None or not part.same_images(first or part):
            return math.nan
        if first is None:
            first = part
            of_anomalies, of_normals = (np.zeros(len(p)) for p in (part.anomalies, part.normals))
        of_anomalies += weight * part.anomalies
        of_normals += weight * part.normals
    if first is None or min(len(of_anomalies), len(of_normals)) < 2:
        return math.nan
    n, m = first.sizes
    return float(np.sqrt(np.var(of_anomalies, ddof=1) / m + np.var(of_normals, ddof=1) / n))


def joined(parts: Sequence[PartRanks]) -> PartRanks:
    """The ranks of models of several seeds, which scored the same images."""
    first = parts[0]
    shared = [name for name in first.variants if all(name in p.variants for p in parts)]
    return PartRanks(
        np.concatenate([part.normal for part in parts]),
        {name: np.concatenate([p.outsiders[name] for p in parts]) for name in first.outsiders},
        first.classes,
        first.outsider_classes,
        tuple(seed for part in parts for seed in part.seeds),
        first.sizes,
        {name: joined([part.variants[name] for part in parts]) for name in shared},
    )
