"""Several data sets side by side in one tensor, so that an image is one number."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tune_ad.data.images import ImageSet
from tune_ad.errors import UserError


class Pool:
    """Data sets of one image shape, laid end to end: training files, then test files of each.

    Attributes:
        names: the data sets, in order.
        classes: the class names of each data set.
        shape: the shape of one image, (c, h, w).
        pixels: all images, uint8, shape (n, c, h, w).
        labels: the label of each image within its own data set, int64, shape (n,).

    Args:
        image_sets: at least one; the pool copies the images and keeps no reference.

    Raises:
        UserError: there is no set, two sets have the same name, or their image shapes differ.
    """

    def __init__(self, image_sets: Sequence[ImageSet]) -> None:
        self.names = tuple(image_set.name for image_set in image_sets)
        self._refuse(image_sets)
        self.classes = {each.name: each.classes for each in image_sets}
        self.shape = image_sets[0].shape
        parts = [part for each in image_sets for part in (each.train_images, each.test_images)]
        marks = [part for each in image_sets for part in (each.train_labels, each.test_labels)]
        self.pixels = torch.cat(parts)
        self.labels = torch.cat(marks)
        self._train: dict[str, range] = {}
        self._test: dict[str, range] = {}
        start = 0
        for each in image_sets:
            middle = start + len(each.train_images)
            end = middle + len(each.test_images)
            self._train[each.name], self._test[each.name] = (
                range(start, middle),
                range(middle, end),
            )
            start = end

    def _refuse(self, image_sets: Sequence[ImageSet]) -> None:
        if not image_sets:
            raise UserError("a pool needs at least one data set; name one")
        if len(set(self.names)) < len(self.names):
            raise UserError(f"data sets {', '.join(self.names)}: name each data set once")
        first = image_sets[0]
        for other in image_sets[1:]:
            if other.shape != first.shape:
                raise UserError(
                    f"images of {first.name} have shape {first.shape}, those of {other.name} "
                    f"{other.shape} (c, h, w); use sets of one shape, or bring them to one in "
                    "a .npz of your own"
                )

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices: Tensor) -> Tensor:
        """The images at `indices` (int64, shape (k,)): uint8, shape (k, c, h, w)."""
        return self.pixels[indices]

    def train_range(self, name: str) -> range:
        """The indices of the training files of the data set `name`.

        Raises:
            UserError: the pool does not hold it.
        """
        return self._train[self._known(name)]

    def test_range(self, name: str) -> range:
        """The indices of the test files of the data set `name`.

        Raises:
            UserError: the pool does not hold it.
        """
        return self._test[self._known(name)]

    def by_class(self, name: str, files: range) -> list[Tensor]:
        """The indices in `files` of each class of the data set `name`, ascending, int64."""
        labels = self.labels[files.start : files.stop]
        classes = range(len(self.classes[self._known(name)]))
        return [torch.nonzero(labels == label).flatten() + files.start for label in classes]

    def _known(self, name: str) -> str:
        if name not in self.classes:
            raise UserError(f"data set {name!r} is not loaded; loaded are {', '.join(self.names)}")
        return name
