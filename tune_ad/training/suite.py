"""The tasks over which a configuration is judged, with the images that they use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tune_ad.data import ImageSet, Pool, Split, SplitSizes, Task, split
from tune_ad.search.budgets import Budget


@dataclass(frozen=True)
class Suite:
    """Tasks and their splits, and one array with the images that any of them uses.

    Attributes:
        images: uint8, shape (n, c, h, w); read-only, so that processes may share it.
        tasks: what is told apart.
        splits: by name of the task, the positions in `images` of each group, int64, shape (n,).
        about: what is known of the images, by data set.
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
        """Cut the splits and keep the images that they use.

        Args:
            image_sets: those that the tasks name.
            tasks: of the suite.
            budget: gives the sizes.
            seed: of the cut.

        Raises:
            UserError: if a class has too few images for the cut.
        """
        pool = Pool(image_sets)
        sizes = SplitSizes(
            validation_fraction=budget.validation_fraction,
            train_images=budget.train_images,
            validation_images=budget.validation_images,
            test_images=budget.test_images,
        )
        cuts = {task.name: split(task, pool, sizes, seed).map(Tensor.numpy) for task in tasks}
        used = np.unique(np.concatenate([part for cut in cuts.values() for part in cut.values()]))
        splits = {task: cut.map(partial(_positions, used)) for task, cut in cuts.items()}
        images = pool.images(torch.from_numpy(used)).numpy()
        return cls(
            images,
            tuple(tasks),
            splits,
            {image_set.name: image_set.about for image_set in image_sets},
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image, (c, h, w)."""
        return self.images.shape[1:]

    def split(self, task: str) -> Split[Tensor]:
        """The split of a task: positions in `images` of each group, int64, shape (n,)."""
        return self.splits[task].map(torch.tensor)


def _positions(used: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Where `indices` stand among those that are used, ascending."""
    return np.searchsorted(used, indices)
