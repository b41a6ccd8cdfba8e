"""Reads and writes an image set as a .npz file, and computes the SHA-256 of its content."""

import hashlib
import os
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tune_ad.data.declaration import Arrays
from tune_ad.data.images import ImageSet, from_arrays, to_arrays
from tune_ad.data.npz_headers import ARRAY_KEYS, LABEL_KEYS, npz_fault, validate_npz_header

MOST_CLASSES = 65_536


def read_npz(
    path: str | os.PathLike[str], name: str | None = None, classes: tuple[str, ...] | None = None
) -> ImageSet:
    """Read and check the images in a .npz file.

    Args:
        path: a file with the arrays train_images, train_labels, test_images, test_labels (images
            uint8 (n, h, w) or (n, h, w, 3)) and an optional text `about`. Without training
            arrays, the data set can only serve as an outsider set.
        name: the name of the data set; the file's name without ".npz" if None.
        classes: the names of the labels; "0", "1", ... up to the largest label if None.

    Raises:
        UserError: the file cannot be read, does not have this layout, or has a label out of
            range. The message is one line with the file, the fault and the remedy.
    """
    path = Path(path)
    validate_npz_header(path)
    stored = _read_arrays(path)
    for key in LABEL_KEYS:
        _check_label_range(path, key, stored.get(key), len(classes) if classes else MOST_CLASSES)
    arrays = _with_train_part(stored)
    if classes is None:
        largest = max(labels.max(initial=0) for labels in (arrays[1], arrays[3]))
        classes = tuple(str(label) for label in range(int(largest) + 1))
    about = str(stored["about"]) if "about" in stored else ""
    return from_arrays(name or path.stem, classes, arrays, about)


def write_npz(path: str | os.PathLike[str], image_set: ImageSet) -> None:
    """Write `image_set` to `path` in the layout that `read_npz` reads, uncompressed.

    The write is atomic: a temporary file in the same folder is written and then renamed.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    arrays: dict[str, Any] = to_arrays(image_set)._asdict()
    try:
        with unfinished.open("xb") as file:
            np.savez(file, **arrays, about=np.array(image_set.about))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def content_digest(image_set: ImageSet) -> str:
    r"""The SHA-256 of the decoded arrays, in hexadecimal.

    For each of train_images, train_labels, test_images, test_labels, in this order, the hash
    covers the line "key dtype shape\n", with the shape as a Python tuple, followed by the array's
    bytes in C order. Images are uint8 (n, h, w) or (n, h, w, 3), as in the .npz file; labels are
    little-endian int64. Names, classes and `about` are not hashed.
    """
    digest = hashlib.sha256()
    for key, array in zip(ARRAY_KEYS, to_arrays(image_set), strict=True):
        hashed = array if key.endswith("images") else array.astype("<i8")
        digest.update(f"{key} {hashed.dtype.name} {hashed.shape}\n".encode())
        digest.update(np.ascontiguousarray(hashed).data)
    return digest.hexdigest()


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in (*ARRAY_KEYS, "about") if key in file}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise npz_fault(path, f"is damaged ({error})", "write or fetch it again") from error


def _with_train_part(stored: dict[str, npt.NDArray[Any]]) -> Arrays:
    """The four arrays; the training arrays are empty if the file has none."""
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
            f"{key} must lie in [0, {classes}), got {low} to {high}",
            "number the classes 0, 1, 2, ...",
        )
