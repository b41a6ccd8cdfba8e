"""The ranks of the scores of a trial's images, stored without its models.

From them the report computes whatever depends on the order of scores alone: the AUROC against a
part of the anomalies, the AUROC of several trials together, and how much of an AUROC is the
sampling of images.
"""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tune_ad.array_files import StoredArray, read_arrays
from tune_ad.errors import UserError, one_line
from tune_ad.storage.jsonl import CONVERSION

REMEDY = "restore it from a backup, or remove it (the report then lacks what it holds)"
NOTHING = np.array([], dtype=np.int64)
NORMAL = ""
"""The title of the normal images in a file; a set of anomalies has a "/" before its name."""

ARRAYS: Mapping[str, StoredArray] = {
    "K.names": StoredArray(
        "text",
        "2 + groups",
        'part ("validation" or "test"), name of the task, then the groups: an empty text for the '
        'normal images, "/" and its name for a set of anomalies',
    ),
    "K.seeds": StoredArray("int64", "seeds", "seeds of the models"),
    "K.sizes": StoredArray(
        "int64", "groups", "number of images of each group, also of those whose ranks are left out"
    ),
    "K.ranks.J": StoredArray(
        "uint16 or uint32",
        "seeds, images",
        "doubled average ranks of the scores among all images of the part; larger = more "
        "anomalous, without a unit",
    ),
    "K.classes.J": StoredArray("uint16", "images", "class of each image within its data set"),
    "K.steps.J": StoredArray(
        "uint16 or uint32",
        "size",
        "positions of all images of the group among the test images of their data set, each as "
        "the difference from the one before; of test images alone",
    ),
    "K.variants": StoredArray(
        "text",
        "variants",
        "names of other scores of the same models; these arrays are missing in trials that no "
        "result is quoted from",
    ),
    "K.variant_ranks.J": StoredArray(
        "uint16 or uint32",
        "variants, seeds, images",
        "their ranks, as K.ranks.J, of a sample of the images",
    ),
    "K.variant_classes.J": StoredArray("uint16", "images", "class of each image of the sample"),
}
"""The arrays of a file: K counts parts and tasks from 0, J the groups of K.names."""


@dataclass(frozen=True, eq=False)
class PartRanks:
    """The ranks of one part, validation or test, of the images of a task.

    Attributes:
        normal: the ranks of the normal images, shape (seeds, n). They are doubled average ranks
            among all images of the part, which are whole numbers; only their order has a meaning.
        outsiders: those of each set of anomalies, shape (seeds, m), by its name.
        classes: the class of each image within its own data set, shape (n,) or (m,), of the normal
            images.
        outsider_classes: the same for each set of anomalies.
        seeds: the seeds of the models, in the order of the rows.
        sizes: how many normal images, and anomalies of each set, the part has; more than n and m
            if only some of their ranks are stored. Empty if it has no more, or if that is unknown,
            as in the first files of ranks.
        variants: the ranks of a sample of the images by other scores of the same models, by the
            name of the score variant; empty if none are stored.
        positions: the positions of all images of the part among the test images of their data
            set, ascending: of the normal images, then of each set of anomalies, as in `sizes`.
            The images whose ranks are stored are those that `thinned` keeps
            (`tune_ad.sampling`). Empty for validation images, and in files of earlier versions.
    """

    normal: np.ndarray
    outsiders: Mapping[str, np.ndarray]
    classes: np.ndarray
    outsider_classes: Mapping[str, np.ndarray]
    seeds: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    variants: Mapping[str, "PartRanks"] = field(default_factory=dict)
    positions: tuple[np.ndarray, ...] = ()

    def images(self, outsider: str) -> tuple[int, int]:
        """The numbers of normal images and of anomalies of a set that the part has.

        Args:
            outsider: the name of the set of anomalies.
        """
        if not self.sizes:
            return self.normal.shape[1], self.outsiders[outsider].shape[1]
        return self.sizes[0], self.sizes[1 + list(self.outsiders).index(outsider)]

    def positions_of(self, outsider: str) -> tuple[np.ndarray, ...]:
        """The positions of all normal images and of all anomalies of a set; empty if unknown.

        Args:
            outsider: the name of the set of anomalies.
        """
        if not self.positions:
            return ()
        return self.positions[0], self.positions[1 + list(self.outsiders).index(outsider)]


ScoreRanks = Mapping[tuple[str, str], PartRanks]
"""The ranks of a trial by part ("validation" or "test") and name of the task."""


def to_bytes(ranks: ScoreRanks) -> bytes:
    """The content of a file of ranks, in NumPy's compressed format."""
    arrays: dict[str, Any] = {}
    for k, ((part, task), of_part) in enumerate(ranks.items()):
        names = [NORMAL, *(f"/{name}" for name in of_part.outsiders)]
        groups = [of_part.normal, *of_part.outsiders.values()]
        classes = [of_part.classes, *of_part.outsider_classes.values()]
        arrays[f"{k}.names"] = np.array([part, task, *names])
        arrays[f"{k}.seeds"] = np.array(of_part.seeds, dtype=np.int64)
        arrays[f"{k}.sizes"] = np.array(of_part.sizes, dtype=np.int64)
        for j, (group, labels) in enumerate(zip(groups, classes, strict=True)):
            arrays[f"{k}.ranks.{j}"] = _compact(group)
            arrays[f"{k}.classes.{j}"] = labels.astype(np.uint16)
        for j, positions in enumerate(of_part.positions):
            arrays[f"{k}.steps.{j}"] = _compact(np.diff(positions, prepend=0))
        arrays |= _of_variants(k, of_part.variants)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _compact(ranks: np.ndarray) -> np.ndarray:
    return ranks.astype(np.uint16 if ranks.max(initial=0) < 2**16 else np.uint32)


def _of_variants(k: int, variants: Mapping[str, PartRanks]) -> dict[str, np.ndarray]:
    """The arrays of part number k for score variants, which rank the same sample of images.

    The ranks of each group have the shape (variants, seeds, images).
    """
    if not variants:
        return {}
    parts = list(variants.values())
    first = parts[0]
    groups = [np.stack([part.normal for part in parts])]
    groups += [np.stack([part.outsiders[name] for part in parts]) for name in first.outsiders]
    classes = [first.classes, *first.outsider_classes.values()]
    arrays = {f"{k}.variants": np.array([*variants])}
    for j, (group, labels) in enumerate(zip(groups, classes, strict=True)):
        arrays[f"{k}.variant_ranks.{j}"] = _compact(group)
        arrays[f"{k}.variant_classes.{j}"] = labels.astype(np.uint16)
    return arrays


def read(path: Path) -> ScoreRanks:
    """The ranks in a file; empty if there is none, as for trials of earlier versions.

    Raises:
        UserError: if the file is damaged.
    """
    if not os.path.lexists(path):
        return {}
    arrays = read_arrays(path, REMEDY)
    count = sum(name.endswith(".names") for name in arrays)
    try:
        parts = dict(_part(arrays, k) for k in range(count))
        for part in parts.values():
            _check(part)
    except CONVERSION as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}); {REMEDY}") from error
    return parts


def _check(part: PartRanks) -> None:
    """Check that the arrays of a part fit each other.

    Raises:
        ValueError: if they do not.
    """
    groups = [part.normal, *part.outsiders.values()]
    classes = [part.classes, *part.outsider_classes.values()]
    for ranks, labels in zip(groups, classes, strict=True):
        if ranks.dtype.kind not in "ui" or ranks.shape != (len(part.seeds), len(labels)):
            raise ValueError(
                f"ranks of {ranks.dtype} of shape {ranks.shape} for {len(part.seeds)} seeds and "
                f"{len(labels)} images"
            )
    for numbers in (part.sizes, part.positions):
        if len(numbers) not in (0, len(groups)):
            raise ValueError(f"{len(numbers)} sizes or positions for {len(groups)} groups")
    if part.positions and list(part.sizes) != list(map(len, part.positions)):
        raise ValueError("sizes and positions of images differ")
    for variant in part.variants.values():
        _check(variant)


def _part(arrays: Mapping[str, np.ndarray], k: int) -> tuple[tuple[str, str], PartRanks]:
    """Part and task number k of a file, and the ranks."""
    part, task, _, *titles = arrays[f"{k}.names"].tolist()
    names = [title[1:] for title in titles]
    ranks = [arrays[f"{k}.ranks.{j}"] for j in range(len(names) + 1)]
    classes = [arrays[f"{k}.classes.{j}"] for j in range(len(names) + 1)]
    seeds = tuple(arrays[f"{k}.seeds"].tolist())
    sizes = tuple(arrays.get(f"{k}.sizes", NOTHING).tolist())
    steps = [arrays[name] for j in range(len(names) + 1) if (name := f"{k}.steps.{j}") in arrays]
    positions = tuple(np.cumsum(step, dtype=np.int64) for step in steps)
    whole = replace(_part_ranks(names, ranks, classes, seeds, sizes), positions=positions)
    if f"{k}.variants" not in arrays:
        return (part, task), whole
    classes = [arrays[f"{k}.variant_classes.{j}"] for j in range(len(names) + 1)]
    stacks = [arrays[f"{k}.variant_ranks.{j}"] for j in range(len(names) + 1)]
    variants = {
        variant: replace(
            _part_ranks(names, [stack[v] for stack in stacks], classes, seeds, sizes),
            positions=positions,
        )
        for v, variant in enumerate(arrays[f"{k}.variants"].tolist())
    }
    return (part, task), replace(whole, variants=variants)


def _part_ranks(
    names: Sequence[str],
    ranks: Sequence[np.ndarray],
    classes: Sequence[np.ndarray],
    seeds: tuple[int, ...],
    sizes: tuple[int, ...],
) -> PartRanks:
    """The ranks of one part from arrays of each group, the normal images first."""
    return PartRanks(
        ranks[0],
        dict(zip(names, ranks[1:], strict=True)),
        classes[0],
        dict(zip(names, classes[1:], strict=True)),
        seeds,
        sizes,
    )
