"""A set of labelled images as uint8 tensors, and its .npz file."""

import hashlib
import os
import uuid
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tune_ad.data.declaration import Arrays
from tune_ad.data.headers import KEYS, npz_fault, validate_npz_header

MOST_CLASSES = 65_536


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images in the two parts that their publisher cut: training files and test files.

    Attributes:
        name: the data set's full name, e.g. "fashion_mnist".
        classes: the name of each label; label k is called `classes[k]`.
        train_images: uint8 in [0, 255], shape (n, c, h, w) with c = 1 or 3; n = 0 for a set
            that can only serve as outsiders.
        train_labels: int64 in [0, len(classes)), shape (n,).
        test_images: uint8, shape (m, c, h, w), m >= 1.
        test_labels: int64, shape (m,).
        about: where the images come from and what is unusual about them, for records.

    Raises:
        ValueError: a tensor breaks the layout above.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    about: str = ""

    def __post_init__(self) -> None:
        parts = (self.train_images, self.train_labels), (self.test_images, self.test_labels)
        for images, labels in parts:
            self._check_images(images)
            self._check_labels(labels, len(images))
        if self.train_images.shape[1:] != self.test_images.shape[1:] or not len(self.test_images):
            both = f"{tuple(self.train_images.shape)} and {tuple(self.test_images.shape)}"
            raise ValueError(
                f"{self.name}: training and test images need one (c, h, w), and at least one test "
                f"image, but have shapes {both}"
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
                f"but reach from {int(labels.min())} to {int(labels.max())}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image, (c, h, w)."""
        channels, height, width = self.test_images.shape[1:]
        return channels, height, width


def from_arrays(name: str, classes: tuple[str, ...], arrays: Arrays, about: str) -> ImageSet:
    """An `ImageSet` from arrays in the layout of a .npz file.

    Args:
        name: the data set's name.
        classes: the name of each label.
        arrays: images uint8 (n, h, w) or (n, h, w, 3); labels of any integer type, (n,).
        about: a sentence for records.

    Raises:
        ValueError: the arrays break the layout of `ImageSet`.
    """
    return ImageSet(
        name,
        classes,
        _channels_first(arrays.train_images),
        torch.from_numpy(np.array(arrays.train_labels, np.int64)),
        _channels_first(arrays.test_images),
        torch.from_numpy(np.array(arrays.test_labels, np.int64)),
        about,
    )


def read_npz(
    path: str | os.PathLike[str], name: str | None = None, classes: tuple[str, ...] | None = None
) -> ImageSet:
    """Read and check the images in a .npz file.

    Args:
        path: a file with the arrays train_images, train_labels, test_images, test_labels (images
            uint8 (n, h, w) or (n, h, w, 3)) and an optional text `about`. Without training
            arrays, the set can only serve as outsiders.
        name: the data set's name; the file's name without ".npz" if None.
        classes: the names of the labels; "0", "1", ... up to the largest label if None.

    Raises:
        UserError: the file cannot be read, breaks the layout, or has a label out of range. The
            message is one line that names the file, the fault and the remedy.
    """
    path = Path(path)
    validate_npz_header(path)
    stored = _decoded(path)
    for key in ("train_labels", "test_labels"):
        _check_label_range(path, key, stored.get(key), len(classes) if classes else MOST_CLASSES)
    arrays = _with_train_part(stored)
    if classes is None:
        largest = max(labels.max(initial=0) for labels in (arrays[1], arrays[3]))
        classes = tuple(str(label) for label in range(int(largest) + 1))
    about = str(stored["about"]) if "about" in stored else ""
    return from_arrays(name or path.stem, classes, arrays, about)


def write_npz(path: str | os.PathLike[str], image_set: ImageSet) -> None:
    """Write `image_set` to `path` in the layout that `read_npz` reads, uncompressed.

    The file appears whole or not at all: it is written beside its place, then renamed.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    arrays: dict[str, Any] = npz_arrays(image_set)._asdict()
    try:
        with partial.open("xb") as file:
            np.savez(file, **arrays, about=np.array(image_set.about))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def npz_arrays(image_set: ImageSet) -> Arrays:
    """The four arrays of `image_set` as a .npz file stores them; labels in the smallest type."""
    return Arrays(
        _channels_last(image_set.train_images),
        _smallest(image_set.train_labels),
        _channels_last(image_set.test_images),
        _smallest(image_set.test_labels),
    )


def content_digest(image_set: ImageSet) -> str:
    r"""The sha256 of the decoded arrays, in hexadecimal.

    Hashed are, for train_images, train_labels, test_images, test_labels in this order: the line
    "key dtype shape\n" with the shape as a Python tuple, then the array's bytes in C order.
    Images have the layout of the .npz file, (n, h, w) or (n, h, w, 3) of uint8; labels are
    little-endian int64. Names, classes and `about` do not count.
    """
    digest = hashlib.sha256()
    for key, array in zip(KEYS, npz_arrays(image_set), strict=True):
        plain = array if key.endswith("images") else array.astype("<i8")
        digest.update(f"{key} {plain.dtype.name} {plain.shape}\n".encode())
        digest.update(np.ascontiguousarray(plain).data)
    return digest.hexdigest()


def _decoded(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in (*KEYS, "about") if key in file}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise npz_fault(path, f"is damaged ({error})", "write or fetch it again") from error


def _with_train_part(stored: dict[str, npt.NDArray[Any]]) -> Arrays:
    """The four arrays, the training ones empty where the file has none."""
    test_images, test_labels = stored["test_images"], stored["test_labels"]
    return Arrays(
        stored.get("train_images", test_images[:0]),
        stored.get("train_labels", test_labels[:0]),
        test_images,
        test_labels,
    )


def _check_label_range(
    path: Path, key: str, labels: npt.NDArray[Any] | None, classes: int
) -> None:
    if labels is None or not labels.size:
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise npz_fault(
            path,
            f"{key} must lie in [0, {classes}), but reach from {low} to {high}",
            "number the classes 0, 1, 2, ...",
        )


def _channels_first(images: npt.NDArray[Any]) -> Tensor:
    array = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.array(array, order="C"))


def _channels_last(images: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = images.cpu().numpy()
    if array.shape[1] == 1:
        return np.ascontiguousarray(array[:, 0])
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def _smallest(labels: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = labels.cpu().numpy()
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))
