"""The tasks over which a configuration is judged, with the images that they use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tune_ad.data import ImageSet, Pool, Split, SplitSizes, Task, split
from tune_ad.search.budgets import Budget

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Suite:
    """Tasks and their splits, and one array with the images that any of them uses.

    Attributes:
        images: uint8, shape (n, c, h, w); read-only, so that processes may share it.
        tasks: what is told apart.
        splits: by name of the task, the positions in `images` of "train", "validation_normal",
            "validation_anomalous", "test_normal" and "test/<outsiders>".
        about: what is known of the images, by data set.
    """

    images: np.ndarray
    tasks: tuple[Task, ...]
    splits: Mapping[str, Arrays]
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
        cuts = {task.name: _named_parts(split(task, pool, sizes, seed)) for task in tasks}
        used = np.unique(np.concatenate([part for cut in cuts.values() for part in cut.values()]))
        splits = {
            task: {name: np.searchsorted(used, part) for name, part in cut.items()}
            for task, cut in cuts.items()
        }
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

    def positions(self, task: str, part: str) -> Tensor:
        """Positions in `images` of one part of a task's split, by its name, shape (n,)."""
        return torch.tensor(self.splits[task][part])

    def outsiders(self, task: str) -> list[str]:
        """Names of the outsider sets of a task that are to be tested."""
        prefix = "test/"
        return [name[len(prefix) :] for name in self.splits[task] if name.startswith(prefix)]


def _named_parts(cut: Split) -> Arrays:
    parts = {
        "train": cut.train,
        "validation_normal": cut.validation_normal,
        "validation_anomalous": cut.validation_anomalous,
        "test_normal": cut.test_normal,
        **{f"test/{name}": indices for name, indices in cut.outsiders.items()},
    }
    return {name: indices.numpy() for name, indices in parts.items()}
