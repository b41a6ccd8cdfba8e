"""The tasks on which every configuration is trained and tested, with their images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
from tune_ad.data.groups import Groups
from tune_ad.pseudo_outliers import generators
from tune_ad.randomness import numpy_stream
from tune_ad.sampling import thinned
from tune_ad.search.budgets import Budget
from tune_ad.storage.metric import PSEUDO

PSEUDO_IMAGES = 500
"""The maximum number of held-out normal images of a task that pseudo-outliers are made from."""


@dataclass(frozen=True)
class Suite:
    """Tasks and their splits, and one array with the images that any of them uses.

    Attributes:
        images: uint8, shape (n, c, h, w); read-only, so that processes may share it.
        tasks: the tasks.
        splits: the positions in `images` of each group, int64, shape (n,), by name of the task.
        about: the description of the images, by name of the data set.
        labels: the class of each image within its own data set, int64, shape (n,); that of a
            pseudo-outlier is the class of the image that it was made from.
        places: the position of each image among the training or the test images of its own data
            set, int64, shape (n,); that of a pseudo-outlier is that of the same image.
        pseudo: the positions in `images` of held-out normal images, and of the pseudo-outliers
            that each generator made from them, by name of the task; empty without validation.
    """

    images: np.ndarray
    tasks: tuple[Task, ...]
    splits: Mapping[str, Split[np.ndarray]]
    about: Mapping[str, str]
    labels: np.ndarray
    places: np.ndarray
    pseudo: Mapping[str, Groups[np.ndarray]] = field(default_factory=dict)

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
        labels = pool.labels[torch.from_numpy(used)].numpy()
        places = pool.places(torch.from_numpy(used)).numpy()
        about = {image_set.name: image_set.about for image_set in image_sets}
        suite = cls(images, tuple(tasks), splits, about, labels, places)
        return suite.with_pseudo_outliers(seed)

    def with_pseudo_outliers(self, seed: int) -> "Suite":
        """The suite with pseudo-outliers of at most `PSEUDO_IMAGES` held-out images of each task.

        Args:
            seed: the seed of the study; the pseudo-outliers are the same in all of its trials.
        """
        pseudo: dict[str, Groups[np.ndarray]] = {}
        parts, end = [], len(self.images)
        for task, of_task in self.splits.items():
            source, made = thinned(of_task.validation.normal, PSEUDO_IMAGES), {}
            for generator in generators().values() if len(source) else ():
                stream = numpy_stream(seed, "pseudo-outliers", generator.name, task)
                parts.append(generator.make(self.images[source], stream))
                made[generator.name] = np.arange(end, end := end + len(source))
            if made:
                pseudo[task] = Groups(source, made)
        images = np.concatenate([self.images, *parts])
        labels, places = (
            np.concatenate(
                [values, *(np.tile(values[g.normal], len(g.outsiders)) for g in pseudo.values())]
            )
            for values in (self.labels, self.places)
        )
        return replace(self, images=images, labels=labels, places=places, pseudo=pseudo)

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

    @cached_property
    def _splits(self) -> dict[str, Split[Tensor]]:
        return {task: of_task.map(torch.tensor) for task, of_task in self.splits.items()}

    @cached_property
    def _pseudo(self) -> dict[str, Groups[Tensor]]:
        return {task: groups.map(torch.tensor) for task, groups in self.pseudo.items()}

    def split(self, task: str) -> Split[Tensor]:
        """The split of a task: positions in `images` of each group, int64, shape (n,).

        All trials of this process share them; do not write to them.
        """
        return self._splits[task]

    def groups(self, task: str, part: str) -> Groups[Tensor]:
        """The positions of the images of a part of a task, int64, each of shape (n,).

        All trials of this process share them; do not write to them.

        Args:
            task: the name of the task.
            part: "validation", "test" or `PSEUDO`.
        """
        if part == PSEUDO:
            return self._pseudo[task]
        split = self.split(task)
        return split.validation if part == "validation" else split.test


def _positions(used: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The positions of `indices` among those that are used, which are ascending."""
    return np.searchsorted(used, indices)
