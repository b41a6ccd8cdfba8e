"""Reads the data sets that torchvision stores under the data root, or downloads them there."""

from functools import partial
from pathlib import Path

import numpy as np

from tune_ad.data.declaration import Arrays, Torchvision
from tune_ad.data.fetch.idx import IDX_NAMES


def in_two_parts(class_name: str, files: tuple[str, ...]) -> Torchvision:
    """A torchvision data set whose class takes `train` and has `data` and `targets`.

    Args:
        class_name: the name of the class in `torchvision.datasets`.
        files: the paths of its files below the data root.
    """
    return Torchvision(files, partial(_read_parts, class_name))


def in_idx_files(class_name: str) -> Torchvision:
    """A torchvision data set that is stored as idx files in `<root>/<class_name>/raw`."""
    return in_two_parts(class_name, tuple(f"{class_name}/raw/{name}" for name in IDX_NAMES))


def _read_parts(class_name: str, root: Path, download: bool) -> Arrays:
    from torchvision import datasets

    data_set = getattr(datasets, class_name)
    train, test = (data_set(root, train=part, download=download) for part in (True, False))
    return Arrays(
        np.asarray(train.data),
        np.asarray(train.targets),
        np.asarray(test.data),
        np.asarray(test.targets),
    )
