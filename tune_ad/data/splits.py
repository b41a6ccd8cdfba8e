"""Splits the images of a task into training, validation and test images; one split per seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tune_ad.data.groups import Groups, S, T
from tune_ad.data.pool import Pool
from tune_ad.data.tasks import Task
from tune_ad.errors import UserError
from tune_ad.randomness import numpy_stream
from tune_ad.storage.metric import OTHER_CLASSES

Indices = npt.NDArray[Any]
"""Indices of images in a pool, int64, shape (n,)."""


@dataclass(frozen=True)
class SplitSizes:
    """How many images are held out for validation, and how many are used at most.

    Attributes:
        validation_fraction: the fraction of each class's training images that is held out, in
            [0, 1); with 0 all of them are trained on and there is no validation.
        train_images: the maximum number of training images; None = no limit.
        validation_images: the maximum number of normal and of anomalous validation images each.
        test_images: the maximum number of test images that are normal, and of each outsider set.

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
                "0.1 holds out 10 %"
            )
        for cap in ("train_images", "validation_images", "test_images"):
            value = getattr(self, cap)
            if value is not None and value < 1:
                raise UserError(f"{cap} must be at least 1, but is {value}; None sets no cap")


@dataclass(frozen=True, eq=False)
class Split(Generic[T]):
    """The images of a task by their use; the groups are disjoint.

    Each group that `split` returns is a tensor of indices into a `Pool`: int64, ascending.

    Attributes:
        train: images to train on, all normal.
        validation: held-out training images: those of the normal class or classes, and as the only
            outsider set those of the other classes. There is no outsider set if those of the task
            are other data sets, which selection must never use, or if the training images contain
            no anomaly.
        test: test images: those of the normal class or classes, and those of each outsider set.
            There is no outsider set if the whole data set is normal, so that no image is
            anomalous.
    """

    train: T
    validation: Groups[T]
    test: Groups[T]

    def map(self, function: Callable[[T], S]) -> "Split[S]":
        """What a function makes of each group."""
        return Split(function(self.train), self.validation.map(function), self.test.map(function))

    def values(self) -> list[T]:
        """Every group."""
        return [self.train, *self.validation.values(), *self.test.values()]


def split(task: Task, pool: Pool, sizes: SplitSizes, seed: int) -> Split[Tensor]:
    """Split the images of `task` into training, validation and test images.

    The training images of a data set are split once per seed, identically for all tasks: of each
    class, the first `validation_fraction` of a permutation drawn from (seed, "validation cut",
    data set, class) are held out, and the rest may be trained on. A limit keeps a random subset; a
    larger limit keeps a superset of it. Normal images are sampled in proportion to the sizes of
    their classes, anomalous images equally from each class as far as available.

    No model of a task is trained on anomalies. So of a user's own images (`ImageSet.every_label`)
    all training images of the other classes are validation images.

    Args:
        task: the task, which says what images are normal and anomalous.
        pool: a pool with the source and the outsider sets of the task; its other data sets have no
            influence.
        sizes: the validation fraction and the maximum numbers of images.
        seed: the seed of the split; the same for all replicas that are compared.

    Raises:
        UserError: a data set is not in the pool, the source has no training images or no such
            class, a class is empty or too small to split, or a group would be only normal or only
            anomalous images.
    """
    normal, anomalous = _labels(task, pool)
    held_out, trainable = _cut(task, pool, sizes.validation_fraction, seed)
    for label in normal:
        _refuse_small(task, pool, label, (len(held_out[label]), len(trainable[label])), sizes)
    test = _shuffled(pool, task.source, seed)
    rest = {} if task.normal_class is None else {OTHER_CLASSES: _of_classes(test, anomalous)}
    outsiders = {name: _shuffled(pool, name, seed) for name in task.outsiders} or rest
    validated = held_out
    if task.source in pool.with_every_label and sizes.validation_fraction:
        validated = [np.concatenate(parts) for parts in zip(held_out, trainable, strict=True)]
    known = _equal(_of_classes(validated, anomalous), sizes.validation_images)
    cut = Split(
        train=_proportional(_of_classes(trainable, normal), sizes.train_images),
        validation=Groups(
            _proportional(_of_classes(held_out, normal), sizes.validation_images),
            {OTHER_CLASSES: known} if len(known) else {},
        ),
        test=Groups(
            _proportional(_of_classes(test, normal), sizes.test_images),
            {name: _equal(classes, sizes.test_images) for name, classes in outsiders.items()},
        ),
    )
    _refuse_one_kind(task, cut)
    return cut


def held_out_images(images: int, fraction: float) -> int:
    """How many of so many training images of a class are held out: a fraction, rounded half up.

    >>> held_out_images(14, 0.1), held_out_images(15, 0.1)
    (1, 2)
    """
    return int(fraction * images + 0.5)


def _of_classes(by_class: Sequence[Indices], labels: Sequence[int]) -> list[Indices]:
    return [by_class[label] for label in labels]


def _labels(task: Task, pool: Pool) -> tuple[list[int], list[int]]:
    """The labels of the source that are normal, and those that are anomalous."""
    if not pool.train_range(task.source):
        raise UserError(
            f"task {task.title}: {task.source} has no training images, so it can only be an "
            "outsider set; choose another source"
        )
    labels = range(len(pool.classes[task.source]))
    if task.normal_class is None:
        return list(labels), []
    if task.normal_class not in labels:
        raise UserError(
            f"task {task.title}: {task.source} has no class {task.normal_class}; "
            f"choose one from 0 to {labels[-1]}"
        )
    return [task.normal_class], [label for label in labels if label != task.normal_class]


def _cut(
    task: Task, pool: Pool, fraction: float, seed: int
) -> tuple[list[Indices], list[Indices]]:
    """The held-out and the other training images of each class of the source, shuffled."""
    held_out, trainable = [], []
    by_class = pool.by_class(task.source, pool.train_range(task.source))
    for label, indices in enumerate(by_class):
        stream = numpy_stream(seed, "validation cut", task.source, label)
        # Positions within the class are permuted, so other sets in the pool have no influence.
        shuffled = indices.numpy()[stream.permutation(len(indices))]
        count = held_out_images(len(indices), fraction)
        held_out.append(shuffled[:count])
        trainable.append(shuffled[count:])
    return held_out, trainable


def _shuffled(pool: Pool, name: str, seed: int) -> list[Indices]:
    """The test images of each class of the data set `name`, in random order."""
    by_class = pool.by_class(name, pool.test_range(name))
    streams = [numpy_stream(seed, "test cap", name, label) for label in range(len(by_class))]
    return [
        indices.numpy()[stream.permutation(len(indices))]
        for indices, stream in zip(by_class, streams, strict=True)
    ]


def _proportional(by_class: Sequence[Indices], cap: int | None) -> Tensor:
    """At most `cap` of the indices, from each class in proportion to its size."""
    turns = [(np.arange(len(indices)) + 0.5) / len(indices) for indices in by_class]
    return _first(by_class, turns, cap)


def _equal(by_class: Sequence[Indices], cap: int | None) -> Tensor:
    """At most `cap` of the indices, equally many from each class as far as available."""
    return _first(by_class, [np.arange(len(indices)) for indices in by_class], cap)


def _first(by_class: Sequence[Indices], turns: Sequence[Indices], cap: int | None) -> Tensor:
    """The `cap` indices with the smallest turns, sorted; for equal turns the lower class first."""
    if not by_class:
        return torch.empty(0, dtype=torch.int64)
    order = np.argsort(np.concatenate(turns), kind="stable")[:cap]
    return torch.from_numpy(np.sort(np.concatenate(by_class)[order]).astype(np.int64))


def _refuse_small(
    task: Task, pool: Pool, label: int, counts: tuple[int, int], sizes: SplitSizes
) -> None:
    """Check that a normal class has enough images for training and for validation.

    Args:
        task: the task to which the class belongs.
        pool: the pool with its images.
        label: the label of the class.
        counts: the number of images that are held out, and the number to train on.
        sizes: the sizes with the validation fraction.
    """
    held_out, trainable = counts
    total, fraction = held_out + trainable, sizes.validation_fraction
    named = f"class {label} ({pool.classes[task.source][label]}) of {task.source}"
    if not total and task.normal_class is not None:
        raise UserError(
            f"task {task.title}: {named} has no training image; choose a class that has some"
        )
    if total and fraction and not (held_out and trainable):
        raise UserError(
            f"task {task.title}: {named} has {total} training images, too few for a validation "
            f"fraction of {fraction:g}; add images, choose other classes "
            "with --classes, or hold out none with --budget paper"
        )


def _refuse_one_kind(task: Task, cut: Split[Tensor]) -> None:
    """Check that the test images contain what the task compares."""
    missing = [] if len(cut.test.normal) else ["no normal image"]
    for name, indices in cut.test.outsiders.items():
        if not len(indices):
            missing.append(f"no image of {name or 'the other classes'}")
    if missing:
        raise UserError(
            f"task {task.title}: the test set has {' and '.join(missing)}, so AUROC cannot be "
            "computed; choose another class or other outsider sets"
        )
