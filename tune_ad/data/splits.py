"""Cuts the images of a task into training, validation and test, once per seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tune_ad.data.pool import Pool
from tune_ad.data.tasks import REST, Task
from tune_ad.errors import UserError
from tune_ad.randomness import numpy_stream

Indices = npt.NDArray[Any]


@dataclass(frozen=True)
class SplitSizes:
    """How much is held out, and how many images are used at most.

    Attributes:
        validation_fraction: the part of each class's training files that is held out, in [0, 1);
            0: none, the whole class is trained on and nothing is validated.
        train_images: cap on the training images; None: no cap.
        validation_images: cap on the validation images, for normals and anomalies each.
        test_images: cap on the test images, for normals and each set of outsiders.

    Raises:
        UserError: the fraction lies outside [0, 1), or a cap is below 1.
    """

    validation_fraction: float = 0.1
    train_images: int | None = None
    validation_images: int | None = None
    test_images: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.validation_fraction < 1:
            raise UserError(
                f"validation_fraction must lie in [0, 1), but is {self.validation_fraction}; "
                "0.1 holds out a tenth"
            )
        for cap in ("train_images", "validation_images", "test_images"):
            value = getattr(self, cap)
            if value is not None and value < 1:
                raise UserError(f"{cap} must be at least 1, but is {value}; None sets no cap")


@dataclass(frozen=True, eq=False)
class Split:
    """Indices into a `Pool`, int64, ascending, no image in two of them.

    Attributes:
        train: images to train on, all normal.
        validation_normal: held-out training files of the normal class or classes.
        validation_anomalous: held-out training files of the other classes; empty if the task's
            outsiders are other data sets, which selection must never see.
        test_normal: test files of the normal class or classes.
        outsiders: test files of each set of outsiders, by name; "rest" for the other classes;
            empty for a whole data set, of which nothing is anomalous.
    """

    train: Tensor
    validation_normal: Tensor
    validation_anomalous: Tensor
    test_normal: Tensor
    outsiders: dict[str, Tensor]


def split(task: Task, pool: Pool, sizes: SplitSizes, seed: int) -> Split:
    """Cut the images of `task`.

    The training files of a data set are cut once per seed, for all tasks: of each class, the
    first `validation_fraction` of a permutation drawn from (seed, "validation cut", data set,
    class) are held out, the rest may be trained on. Caps keep a random subset that grows with the
    cap: normals in proportion to their classes, anomalies as evenly over classes as they last.

    Args:
        task: what is normal and what is not.
        pool: holds the source and the outsiders of the task; other sets do not matter.
        sizes: fraction and caps.
        seed: of the cut; the same for all replicas that are compared.

    Raises:
        UserError: a set is not in the pool, the source has no training files or no such class, a
            class is empty or too small to cut, or a part would hold only one kind of image.
    """
    normal, other = _sides(task, pool)
    held, kept = _cut(task, pool, sizes.validation_fraction, seed)
    for label in normal:
        _refuse_small(task, pool, label, (len(held[label]), len(kept[label])), sizes)
    test = _shuffled(pool, task.source, seed)
    rest = {} if task.normal_class is None else {REST: _pick(test, other)}
    outsiders = {name: _shuffled(pool, name, seed) for name in task.outsiders} or rest
    result = Split(
        train=_proportional(_pick(kept, normal), sizes.train_images),
        validation_normal=_proportional(_pick(held, normal), sizes.validation_images),
        validation_anomalous=_even(_pick(held, other), sizes.validation_images),
        test_normal=_proportional(_pick(test, normal), sizes.test_images),
        outsiders={name: _even(each, sizes.test_images) for name, each in outsiders.items()},
    )
    _refuse_one_kind(task, result, bool(other) and sizes.validation_fraction > 0)
    return result


def _pick(classes: Sequence[Indices], labels: Sequence[int]) -> list[Indices]:
    return [classes[label] for label in labels]


def _sides(task: Task, pool: Pool) -> tuple[list[int], list[int]]:
    """The normal labels of the source, and those of its labels that are outsiders."""
    if not pool.train_range(task.source):
        raise UserError(
            f"task {task.name}: {task.source} has no training images, so it can only be an "
            "outsider; choose another source"
        )
    labels = range(len(pool.classes[task.source]))
    if task.normal_class is None:
        return list(labels), []
    if task.normal_class not in labels:
        raise UserError(
            f"task {task.name}: {task.source} has no class {task.normal_class}; "
            f"choose one from 0 to {labels[-1]}"
        )
    other = [] if task.outsiders else [label for label in labels if label != task.normal_class]
    return [task.normal_class], other


def _cut(
    task: Task, pool: Pool, fraction: float, seed: int
) -> tuple[list[Indices], list[Indices]]:
    """The held-out and the kept training files of each class of the source, in random order."""
    files = pool.by_class(task.source, pool.train_range(task.source))
    held, kept = [], []
    for label, replica_specs in enumerate(files):
        stream = numpy_stream(seed, "validation cut", task.source, label)
        # The permutation is of places within the class: other sets in the pool do not matter.
        order = replica_specs.numpy()[stream.permutation(len(replica_specs))]
        count = int(fraction * len(replica_specs) + 0.5)
        held.append(order[:count])
        kept.append(order[count:])
    return held, kept


def _shuffled(pool: Pool, name: str, seed: int) -> list[Indices]:
    """The test files of each class of the data set `name`, in the order in which a cap takes."""
    files = pool.by_class(name, pool.test_range(name))
    return [
        replica_specs.numpy()[
            numpy_stream(seed, "test cap", name, label).permutation(len(replica_specs))
        ]
        for label, replica_specs in enumerate(files)
    ]


def _proportional(classes: Sequence[Indices], cap: int | None) -> Tensor:
    """At most `cap` of the indices, each class in proportion to its size."""
    return _first(classes, [(np.arange(len(each)) + 0.5) / len(each) for each in classes], cap)


def _even(classes: Sequence[Indices], cap: int | None) -> Tensor:
    """At most `cap` of the indices, the same number of each class until a class is used up."""
    return _first(classes, [np.arange(len(each)) for each in classes], cap)


def _first(classes: Sequence[Indices], turns: Sequence[Indices], cap: int | None) -> Tensor:
    """The `cap` indices whose turn comes first, ascending; on equal turns the lower class."""
    if not classes:
        return torch.empty(0, dtype=torch.int64)
    order = np.argsort(np.concatenate(turns), kind="stable")[:cap]
    return torch.from_numpy(np.sort(np.concatenate(classes)[order]).astype(np.int64))


def _refuse_small(
    task: Task, pool: Pool, label: int, counts: tuple[int, int], sizes: SplitSizes
) -> None:
    """Refuse a normal class whose images are too few to be cut into (held out, kept) `counts`."""
    held, kept = counts
    fraction = sizes.validation_fraction
    called = f"class {label} ({pool.classes[task.source][label]}) of {task.source}"
    if not held + kept and task.normal_class is not None:
        raise UserError(
            f"task {task.name}: {called} has no training image; choose a class that has some"
        )
    if held + kept and fraction and not (held and kept):
        raise UserError(
            f"task {task.name}: {called} has {held + kept} training images, too few to hold out "
            f"{fraction:g} of them; give it more images, or set validation_fraction to 0"
        )


def _refuse_one_kind(task: Task, result: Split, validated: bool) -> None:
    """Refuse a part that lacks one of the kinds that its task has."""
    sides = {"normal": result.test_normal, **result.outsiders}
    empty = [name for name, indices in sides.items() if not len(indices)]
    if empty:
        raise UserError(
            f"task {task.name}: the test part holds no {' and no '.join(empty)} image, so that "
            "normal and anomalous cannot be told apart; choose another class or other outsiders"
        )
    if validated and not len(result.validation_anomalous):
        raise UserError(
            f"task {task.name}: too few images of the other classes to hold one out; raise "
            "validation_fraction, or set it to 0 and select without validation"
        )
