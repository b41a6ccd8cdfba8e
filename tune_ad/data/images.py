"""A set of labelled images as uint8 tensors."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tune_ad.data.declaration import Arrays
from tune_ad.errors import UserError
from tune_ad.wording import printable


class Contents(NamedTuple):
    """What an image set contains, without the images.

    Attributes:
        name: the name of the data set.
        classes: the names of its classes.
        about: a sentence about the images.
        train_images: number of training images.
        test_images: number of test images.
        class_images: number of training images of a normal class, on average.
        normal_classes: number of classes that are normal, each in a task of its own.
    """

    name: str
    classes: tuple[str, ...]
    about: str
    train_images: int
    test_images: int
    class_images: int
    normal_classes: int


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images with the published split into training and test images.

    Attributes:
        name: the full name of the data set, e.g. "fashion_mnist".
        classes: the name of each label; label k is called `classes[k]`.
        train_images: the training images, uint8, shape (n, c, h, w) with c = 1 or 3; n = 0 for a
            data set that can only serve as an outsider set.
        train_labels: their labels, int64 in [0, len(classes)), shape (n,).
        test_images: the test images, uint8, shape (m, c, h, w), m >= 1.
        test_labels: their labels, int64 in [0, len(classes)), shape (m,).
        about: where the images come from and what is unusual about them, stored in study.json.
        normal: the labels of the images that are normal, in ascending order; every other class is
            anomalous and is never trained on. None if each class is normal in a task of its own.
        every_label: whether all training images of the anomalous classes of a task serve
            selection; otherwise only the held-out share of each class, as of the declared sets.

    Raises:
        ValueError: a tensor does not have the type, shape or range above.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    about: str = ""
    normal: tuple[int, ...] | None = None
    every_label: bool = False

    def __post_init__(self) -> None:
        parts = (self.train_images, self.train_labels), (self.test_images, self.test_labels)
        for images, labels in parts:
            self._check_images(images)
            self._check_labels(labels, len(images))
        if self.train_images.shape[1:] != self.test_images.shape[1:] or not len(self.test_images):
            both = f"{tuple(self.train_images.shape)} and {tuple(self.test_images.shape)}"
            raise ValueError(
                f"{self.name}: training and test images must have the same (c, h, w), and there "
                f"must be at least one test image, but their shapes are {both}"
            )
        if self.normal is not None and not set(self.normal) <= set(range(len(self.classes))):
            raise ValueError(
                f"{self.name}: normal labels must lie in [0, {len(self.classes)}), got "
                f"{self.normal}"
            )

    def _check_images(self, images: Tensor) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(
                f"{self.name}: images must be uint8 of shape (n, 1, h, w) or (n, 3, h, w), "
                f"but are {images.dtype} of shape {tuple(images.shape)}"
            )

    def _check_labels(self, labels: Tensor, count: int) -> None:
        if labels.dtype != torch.int64 or labels.shape != (count,):
            raise ValueError(
                f"{self.name}: labels must be int64 of shape ({count},), "
                f"but are {labels.dtype} of shape {tuple(labels.shape)}"
            )
        if count and not (0 <= int(labels.min()) and int(labels.max()) < len(self.classes)):
            raise ValueError(
                f"{self.name}: labels must lie in [0, {len(self.classes)}), "
                f"got {int(labels.min())} to {int(labels.max())}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image, (c, h, w)."""
        channels, height, width = self.test_images.shape[1:]
        return channels, height, width

    @property
    def normal_classes(self) -> tuple[int, ...]:
        """The labels that are normal, each in a task of its own: as stated, or all trained on."""
        if self.normal is not None:
            return self.normal
        return tuple(torch.unique(self.train_labels).tolist())

    @property
    def labelled_anomalies(self) -> int:
        """The number of training images of other classes, of the task that has the fewest."""
        trained = len(self.train_labels)
        if self.normal is not None:
            normal = torch.isin(self.train_labels, torch.tensor(self.normal))
            return trained - int(normal.sum())
        counts = torch.bincount(self.train_labels, minlength=1)
        return trained - int(counts.max())

    @property
    def tested_anomalies(self) -> int:
        """The number of test images that are anomalous in at least one task."""
        if len(self.normal_classes) > 1:
            return len(self.test_labels)
        return int((~torch.isin(self.test_labels, torch.tensor(self.normal_classes))).sum())

    @property
    def contents(self) -> Contents:
        """What the image set contains, which takes no memory."""
        labels = self.normal_classes
        of_normal = int(torch.isin(self.train_labels, torch.tensor(labels)).sum())
        of_class = of_normal // max(1, len(labels))
        counts = len(self.train_images), len(self.test_images), of_class, len(labels)
        return Contents(self.name, self.classes, self.about, *counts)


def from_arrays(name: str, classes: tuple[str, ...], arrays: Arrays, about: str) -> ImageSet:
    """An `ImageSet` from arrays in the layout of a .npz file.

    Args:
        name: the name of the data set.
        classes: the name of each label.
        arrays: uint8 images (n, h, w) or (n, h, w, 3) and labels (n,) of any integer type.
        about: a sentence about the images, stored in study.json.

    Raises:
        ValueError: the arrays do not have the type, shape or range that `ImageSet` requires.
        UserError: if the name of a class has characters that cannot be printed.
    """
    if odd := [class_name for class_name in classes if printable(class_name) != class_name]:
        raise UserError(
            f"{name}: the class {printable(odd[0])} has control characters in its name; rename it"
        )
    return ImageSet(
        name=name,
        classes=classes,
        train_images=channels_first(arrays.train_images),
        train_labels=torch.from_numpy(np.array(arrays.train_labels, np.int64)),
        test_images=channels_first(arrays.test_images),
        test_labels=torch.from_numpy(np.array(arrays.test_labels, np.int64)),
        about=printable(" ".join(about.split())),
    )


def to_arrays(image_set: ImageSet) -> Arrays:
    """The arrays of `image_set` in the layout of a .npz file; labels in the smallest int type."""
    return Arrays(
        _channels_last(image_set.train_images),
        _smallest_type(image_set.train_labels),
        _channels_last(image_set.test_images),
        _smallest_type(image_set.test_labels),
    )


def channels_first(images: npt.NDArray[Any]) -> Tensor:
    """A copy of images (n, h, w) or (n, h, w, c) as a tensor (n, c, h, w)."""
    array = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.array(array, order="C"))


def _channels_last(images: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = images.cpu().numpy()
    if array.shape[1] == 1:
        return np.ascontiguousarray(array[:, 0])
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def _smallest_type(labels: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = labels.cpu().numpy()
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))
