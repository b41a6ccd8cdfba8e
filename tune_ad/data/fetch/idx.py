"""The idx format, in which MNIST and Fashion-MNIST are published."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tune_ad.data.declaration import Arrays

IDX_UINT8 = 8  # code of the type in the header
IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def read_idx(path: Path) -> npt.NDArray[Any]:
    """The uint8 array in an idx file, gzip-compressed if its name ends in ".gz".

    Raises:
        OSError: the file cannot be read or decompressed.
        ValueError: the file is not an idx file of uint8, or its size does not match its header.
    """
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if data[:3] != bytes([0, 0, IDX_UINT8]) or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path.name} is not an idx file of uint8 (first bytes: {data[:4]!r})")
    start = 4 + 4 * data[3]
    shape = np.frombuffer(data[4:start], ">u4").astype(int).tolist()
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_idx_folder(folder: Path, suffix: str = "") -> Arrays:
    """The arrays of the four idx files of a folder.

    Args:
        folder: the folder with the files of `IDX_NAMES`.
        suffix: the ending of each of these names, e.g. ".gz".

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is not an idx file, or is truncated.
    """
    return Arrays(*(read_idx(folder / f"{name}{suffix}") for name in IDX_NAMES))
