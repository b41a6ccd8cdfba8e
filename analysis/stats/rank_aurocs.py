"""AUROCs from the stored ranks of scores, and how much of them is the sampling of images."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from analysis.stats.estimates import Coverage, ImageError
from tune_ad.sampling import thinned
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
        outsider: the name of the set of anomalies.
        positions: the positions of all normal images and anomalies in their data sets; empty if
            they are unknown.
    """

    anomalies: np.ndarray
    normals: np.ndarray
    sizes: tuple[int, int]
    classes: np.ndarray
    outsider: str
    positions: tuple[np.ndarray, ...]

    def same_images(self, other: "Placed") -> bool:
        """Whether the other placements can be those of the same images."""
        shapes = [(len(p.anomalies), len(p.normals), p.sizes) for p in (self, other)]
        if shapes[0] != shapes[1] or not np.array_equal(self.classes, other.classes):
            return False
        both = zip(self.positions, other.positions, strict=False)  # empty if one has none
        return all(np.array_equal(ours, others) for ours, others in both)


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
        name,
        part.positions_of(name),
    )


class Influence(NamedTuple):
    """The influence of the images of one kind on a weighted sum of AUROCs of a task.

    Attributes:
        values: the influence of each image whose ranks are stored, shape (m,): its placement minus
            the mean, divided by the number of all images, negative for normal images.
        size: the number of all images.
        data_set: the name of their data set if it is an outsider set; empty = that of the task.
        positions: the positions of all images in the data set; None if they are unknown.
    """

    values: np.ndarray
    size: int
    data_set: str
    positions: np.ndarray | None

    @property
    def is_sample(self) -> bool:
        """Whether the ranks of some of the images are not stored."""
        return len(self.values) < self.size

    @property
    def variance(self) -> float:
        """The variance of the sum of the influences of all images."""
        return float(np.square(self.values).sum()) * self.size / len(self.values)


def influences(
    parts: Iterable[Placed | None], weights: Sequence[float]
) -> tuple[Influence, Influence] | None:
    r"""The influence of each anomaly and normal image on a weighted sum of AUROCs of a task.

    Without correlations between tasks, the squares of the influences add up to the variance
    $s_{10}^2 / m + s_{01}^2 / n$, where $s_{10}$ and $s_{01}$ are the sample standard deviations,
    over the m anomalies and the n normal images, of the weighted sums of their placements among
    the other kind, each averaged over the models of a part (DeLong, DeLong and Clarke-Pearson,
    Biometrics 44, 1988). All models scored the same images, so what is hard for all of them
    cancels in a difference. None with fewer than two images of one kind, without placements, or if
    the parts have different images.

    Args:
        parts: the placements of the test images of a task, one for each configuration.
        weights: the weight of the AUROC of each, as in (-1, 1) for a difference.
    """
    first, of_anomalies, of_normals = None, np.zeros(0), np.zeros(0)
    for part, weight in zip(parts, weights, strict=True):
        if part is None or not part.same_images(first or part):
            return None
        if first is None:
            first = part
            of_anomalies, of_normals = (np.zeros(len(p)) for p in (part.anomalies, part.normals))
        elif not first.positions:
            first = first._replace(positions=part.positions)
        of_anomalies += weight * part.anomalies
        of_normals += weight * part.normals
    if first is None or min(len(of_anomalies), len(of_normals)) < 2:
        return None
    n, m = first.sizes
    normal, anomalous = first.positions or (None, None)
    return (
        Influence(_centred(of_anomalies) / m, m, first.outsider, anomalous),
        Influence(-_centred(of_normals) / n, n, "", normal),
    )


def _centred(values: np.ndarray) -> np.ndarray:
    """The values minus their mean, so that their mean square is the sample variance (n - 1)."""
    centred: np.ndarray = (values - values.mean()) * math.sqrt(len(values) / (len(values) - 1))
    return centred


def error_over_tasks(tasks: Sequence[tuple[Influence, Influence]]) -> ImageError:
    """The standard error, due to the sampling of test images, of a mean over tasks.

    An image can be normal in one task and an anomaly in others: its influences are added before
    they are squared. If the positions of the images are unknown, tasks count as independent.

    Args:
        tasks: the influences of the images of each task, at least one task.
    """
    groups = [group for of_task in tasks for group in of_task]
    separate = sum(group.variance for group in groups)
    if len(tasks) == 1:
        return ImageError(math.sqrt(separate), Coverage.IMAGES)
    if any(group.positions is None for group in groups):
        return ImageError(math.sqrt(separate) / len(tasks), Coverage.SEPARATE_TASKS)
    variance = _variance_of_sum(groups)
    return ImageError(math.sqrt(variance) / len(tasks), Coverage.IMAGES)


def _variance_of_sum(groups: Sequence[Influence]) -> float:
    r"""The variance of the sum of all influences of images, some of which belong to many groups.

    It is $\sum_i (\sum_g f_{gi})^2$ over the images i and the groups g. If only samples of images
    are stored, $\sum_i f_{gi} f_{hi}$ is estimated from the images that both samples share, times
    the number of images that both groups share by that of the samples. The estimate can be
    negative if the samples are tiny; groups then count as independent.

    Args:
        groups: the influences of the images of each group, with their positions.
    """
    columns = _columns(groups)
    kept = [
        thinned(column, len(group.values)) for column, group in zip(columns, groups, strict=True)
    ]
    shape = len(groups), 1 + max(int(column.max()) for column in columns)
    values, stored, existing = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for row, group in enumerate(groups):
        values[row, kept[row]] = group.values
        stored[row, kept[row]], existing[row, columns[row]] = 1, 1
    if not any(group.is_sample for group in groups):
        return float(np.square(values.sum(axis=0)).sum())
    shared, of_samples = existing @ existing.T, stored @ stored.T
    variance = float((values @ values.T * shared / np.maximum(of_samples, 1)).sum())
    return variance if variance >= 0 else sum(group.variance for group in groups)


def _columns(groups: Sequence[Influence]) -> list[np.ndarray]:
    """The number of each image of each group, different for each position in each data set."""
    columns: dict[int, np.ndarray] = {}
    start = 0
    for name in dict.fromkeys(group.data_set for group in groups):
        members = [g for g, group in enumerate(groups) if group.data_set == name]
        ours = [p for g in members if (p := groups[g].positions) is not None]
        columns |= {g: start + p for g, p in zip(members, ours, strict=True)}
        start += 1 + max(int(p.max()) for p in ours)
    return [columns[g] for g in range(len(groups))]


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
        next((part.positions for part in parts if part.positions), ()),
    )
