"""The tasks on which every configuration is trained and tested, with their images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tune_ad.data import (
    ImageSet,
    ImageStatistics,
    Pool,
    Split,
    SplitSizes,
    Task,
    split,
    without_copying,
)
from tune_ad.search.budgets import Budget


@dataclass(frozen=True)
class Suite:
    """Tasks and their splits, and one array with the images that any of them uses.

    Attributes:
        images: uint8, shape (n, c, h, w); read-only, so that processes may share it.
        tasks: the tasks.
        splits: the positions in `images` of each group, int64, shape (n,), by name of the task.
        about: the description of the images, by name of the data set.
    """

    images: np.ndarray
    tasks: tuple[Task, ...]
    splits: Mapping[str, Split[np.ndarray]]
    about: Mapping[str, str]

    @classmethod
    def prepare(
        cls,
        image_sets: Sequence[ImageSet],
        tasks: Sequence[Task],
        budget: Budget,
        seed: int,
    ) -> "Suite":
        """Split the images, and keep those that are used.

        Args:
            image_sets: the data sets that the tasks name.
            tasks: the tasks of the suite.
            budget: the budget, which sets the sizes of the splits.
            seed: the seed of the splits.

        Raises:
            UserError: if a class has too few images to split.
        """
        pool = Pool(image_sets)
        sizes = SplitSizes(
            validation_fraction=budget.validation_fraction,
            train_images=budget.train_images,
            validation_images=budget.validation_images,
            test_images=budget.test_images,
        )
        pooled = {task.name: split(task, pool, sizes, seed).map(Tensor.numpy) for task in tasks}
        groups = [indices for of_task in pooled.values() for indices in of_task.values()]
        used = np.unique(np.concatenate(groups))
        splits = {task: of_task.map(partial(_positions, used)) for task, of_task in pooled.items()}
        images = pool.images(torch.from_numpy(used)).numpy()
        return cls(
            images,
            tuple(tasks),
            splits,
            {image_set.name: image_set.about for image_set in image_sets},
        )

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: another process makes its own tensors and statistics."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image, (c, h, w)."""
        return self.images.shape[1:]

    @cached_property
    def pixels(self) -> Tensor:
        """The images as a tensor that shares their memory; do not write to it."""
        return without_copying(self.images)

    def pixels_on(self, device: str) -> Tensor:
        """The images on a device, where all trials of this process share them.

        Args:
            device: "cpu" or "cuda".
        """
        if device not in self._copies:
            self._copies[device] = self.pixels.to(device)
        return self._copies[device]

    @cached_property
    def _copies(self) -> dict[str, Tensor]:
        """The images by device; on the CPU they share the memory of `images`."""
        return {}

    @cached_property
    def statistics(self) -> ImageStatistics:
        """The statistics of the images, shared by all trials of this process."""
        return ImageStatistics(self.pixels)

    def split(self, task: str) -> Split[Tensor]:
        """The split of a task: positions in `images` of each group, int64, shape (n,)."""
        return self.splits[task].map(torch.tensor)


def _positions(used: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The positions of `indices` among those that are used, which are ascending."""
    return np.searchsorted(used, indices)
