"""Several data sets in a row, so that a single index identifies an image of any of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tune_ad.data.images import ImageSet
from tune_ad.errors import UserError


class Pool:
    """Several data sets of the same image shape, with common indices.

    The indices of each data set are contiguous: first its training images, then its test images.

    Attributes:
        names: the names of the data sets, in order.
        classes: the class names of each data set.
        shape: the shape of one image, (c, h, w).
        parts: the images in order, uint8, each of shape (n, c, h, w).
        with_every_label: the names of the data sets of which all labels serve selection.
        labels: the label of each image within its own data set, int64, shape (n,).

    Args:
        image_sets: one or more data sets; they share their images with the pool.

    Raises:
        UserError: there is no data set, two have the same name, or their image shapes differ.
    """

    def __init__(self, image_sets: Sequence[ImageSet]) -> None:
        self.names = tuple(image_set.name for image_set in image_sets)
        self._check(image_sets)
        self.classes = {image_set.name: image_set.classes for image_set in image_sets}
        self.with_every_label = {s.name for s in image_sets if s.every_label}
        self.shape = image_sets[0].shape
        self.parts = [i for s in image_sets for i in (s.train_images, s.test_images)]
        self.labels = torch.cat([i for s in image_sets for i in (s.train_labels, s.test_labels)])
        self._train: dict[str, range] = {}
        self._test: dict[str, range] = {}
        start = 0
        for image_set in image_sets:
            middle = start + len(image_set.train_images)
            end = middle + len(image_set.test_images)
            self._train[image_set.name] = range(start, middle)
            self._test[image_set.name] = range(middle, end)
            start = end

    def _check(self, image_sets: Sequence[ImageSet]) -> None:
        if not image_sets:
            raise UserError("a pool needs at least one data set; add one")
        if len(set(self.names)) < len(self.names):
            raise UserError(f"data sets {', '.join(self.names)}: name each data set once")
        first = image_sets[0]
        for other in image_sets[1:]:
            if other.shape != first.shape:
                raise UserError(
                    f"images of {first.name} have shape {first.shape}, those of {other.name} "
                    f"{other.shape} (c, h, w); use data sets of the same shape, or resize the "
                    "images and save them as your own .npz"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, indices: Tensor) -> Tensor:
        """The images at `indices` (int64, shape (k,)): uint8, shape (k, c, h, w)."""
        picked = torch.empty((len(indices), *self.shape), dtype=torch.uint8)
        start = 0
        for part in self.parts:
            inside = (indices >= start) & (indices < start + len(part))
            picked[inside] = part[indices[inside] - start]
            start += len(part)
        return picked

    def places(self, indices: Tensor) -> Tensor:
        """The position of each image among the training or the test images of its data set.

        Args:
            indices: indices of images, int64, shape (k,).
        """
        sizes = torch.tensor([len(part) for part in self.parts])
        ends = sizes.cumsum(0)
        return indices - (ends - sizes)[torch.searchsorted(ends, indices, right=True)]

    def train_range(self, name: str) -> range:
        """The indices of the training images of the data set `name`.

        Raises:
            UserError: the data set is not in the pool.
        """
        self._require(name)
        return self._train[name]

    def test_range(self, name: str) -> range:
        """The indices of the test images of the data set `name`.

        Raises:
            UserError: the data set is not in the pool.
        """
        self._require(name)
        return self._test[name]

    def by_class(self, name: str, files: range) -> list[Tensor]:
        """The indices in `files` for each class of the data set `name`, ascending, int64.

        Args:
            name: the name of the data set.
            files: its `train_range` or `test_range`.

        Raises:
            UserError: the data set is not in the pool.
        """
        self._require(name)
        labels = self.labels[files.start : files.stop]
        return [
            torch.nonzero(labels == label).flatten() + files.start
            for label in range(len(self.classes[name]))
        ]

    def _require(self, name: str) -> None:
        if name not in self.classes:
            raise UserError(
                f"the data set {name!r} is not loaded; loaded are {', '.join(self.names)}"
            )
