"""Reads the data sets that torchvision keeps under the data root, or fetches them there."""

from functools import partial
from pathlib import Path

import numpy as np

from tune_ad.data.declaration import Arrays, Torchvision
from tune_ad.data.fetch.idx import IDX_NAMES


def in_two_parts(kind: str, files: tuple[str, ...]) -> Torchvision:
    """The data set class `kind` of torchvision, which takes `train` and holds data and targets."""
    return Torchvision(files, partial(_read_parts, kind))


def in_idx_files(kind: str) -> Torchvision:
    """The data set class `kind` of torchvision, which keeps idx files in `<root>/<kind>/raw`."""
    return in_two_parts(kind, tuple(f"{kind}/raw/{name}" for name in IDX_NAMES))


def _read_parts(kind: str, root: Path, download: bool) -> Arrays:
    from torchvision import datasets

    data_set = getattr(datasets, kind)
    train, test = (data_set(root, train=part, download=download) for part in (True, False))
    return Arrays(
        np.asarray(train.data),
        np.asarray(train.targets),
        np.asarray(test.data),
        np.asarray(test.targets),
    )
