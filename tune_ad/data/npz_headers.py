"""Checks the layout of a .npz file of images by its headers, without reading the arrays."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tune_ad.array_files import DAMAGE, ArrayHeader, check_memory, headers_of
from tune_ad.errors import UserError, cut

IMAGE_KEYS = ("train_images", "test_images")
LABEL_KEYS = ("train_labels", "test_labels")
TRAIN_KEYS = ("train_images", "train_labels")
ARRAY_KEYS = ("train_images", "train_labels", "test_images", "test_labels")
UNSPLIT = {"images": "labels"}
"""The arrays of a file whose images are not divided into training and test images."""
OPTIONAL = ("about", "classes", "normal")
KEYS = (*ARRAY_KEYS, *UNSPLIT, *UNSPLIT.values(), *OPTIONAL)
"""The arrays that are read."""
COPIES = 3  # of all pixels in memory while they are divided: decoded, in arrays, in tensors
BYTES_OF_CONVERSION = 16  # of each float of an array that is converted to uint8: two of float64
SMALLER = "give fewer or smaller images"

HOW_TO_WRITE = (
    "write it with numpy.savez: train_images and test_images of uint8 or of floats in [0, 1], "
    "(n, h, w) or (n, h, w, 3), train_labels and test_labels of integers or texts (n,); or images "
    "and labels, or images alone"
)


class NpzHeader(NamedTuple):
    """The sizes of a valid .npz file: image shape (c, h, w) and the number of images.

    Both numbers are that of all images if the file does not divide them.
    """

    shape: tuple[int, int, int]
    train_images: int
    test_images: int


def npz_fault(path: Path, fault: str, remedy: str = HOW_TO_WRITE) -> UserError:
    """The one-line error about the file at `path`: the fault and the remedy."""
    return UserError(f"{path}: {' '.join(fault.split())}; {remedy}")


def validate_npz_header(path: str | os.PathLike[str]) -> NpzHeader:
    """Check keys, types, shapes and lengths of a .npz file without decoding its arrays.

    The training arrays may be missing or empty: such a data set can only be an outsider set.

    Args:
        path: the path of the file.

    Returns:
        The shape of an image as (c, h, w) and the number of training and of test images.

    Raises:
        UserError: the file is missing, is not a .npz, is truncated, or has another layout.
    """
    path = Path(path)
    headers = checked_headers(path)
    images = {key: headers[key] for key in (*IMAGE_KEYS, *UNSPLIT) if key in headers}
    shapes = {key: _grey(header.shape[1:]) for key, header in images.items()}
    if len(set(shapes.values())) > 1:
        both = " and ".join(f"{key} {shape}" for key, shape in shapes.items())
        raise npz_fault(path, f"images differ in shape: {both}", "give all images the same shape")
    height, width, *colours = next(iter(shapes.values()))
    test = images.get("test_images", images.get("images"))
    train = images.get("train_images", images.get("images"))
    channels = colours[0] if colours else 1
    counts = [header.shape[0] if header else 0 for header in (train, test)]
    return NpzHeader((channels, height, width), *counts)


def checked_headers(path: Path) -> dict[str, ArrayHeader]:
    """The headers of the known arrays of a .npz file, whose types, shapes and lengths are right.

    Raises:
        UserError: as `validate_npz_header`, except for images that differ in shape.
    """
    headers = _read_headers(path)
    _check_keys(path, headers)
    for key, header in headers.items():
        _check_array(path, key, header)
    _check_lengths(path, headers)
    return headers


def _grey(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image without a last axis of length 1."""
    return shape[:-1] if shape[2:] == (1,) else shape


def _read_headers(path: Path) -> dict[str, ArrayHeader]:
    """The headers of the arrays of images, labels and `about` in the archive at `path`."""
    if not path.is_file():
        raise npz_fault(path, "is a folder" if path.is_dir() else "no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        if not {*ARRAY_KEYS, *UNSPLIT} & set(names):
            present = ", ".join(sorted(names)) or "nothing"
            raise npz_fault(
                path, f"holds none of {', '.join(ARRAY_KEYS)} (it holds: {cut(present)})"
            )
        headers = headers_of(path, KEYS)
    except zipfile.BadZipFile as error:
        raise npz_fault(path, f"not a whole .npz archive ({error})") from error
    except DAMAGE as error:
        raise npz_fault(path, f"cannot be read ({cut(str(error))})") from error
    return {key: headers[key] for key in KEYS if key in headers}


def _check_keys(path: Path, headers: dict[str, ArrayHeader]) -> None:
    if "images" in headers and not any(key in headers for key in ARRAY_KEYS):
        return
    test_only = not any(key in headers for key in TRAIN_KEYS)
    required = [key for key in ARRAY_KEYS if not (test_only and key in TRAIN_KEYS)]
    missing = [key for key in required if key not in headers]
    if missing:
        raise npz_fault(path, f"{', '.join(missing)} missing (it holds: {', '.join(headers)})")


def _check_array(path: Path, key: str, header: ArrayHeader) -> None:
    dtype, shape = header
    if dtype.hasobject:
        raise npz_fault(path, f"{key} holds Python objects, not numbers")
    if key in IMAGE_KEYS or key in UNSPLIT:
        check_images(path, key, header)
    elif key in (*LABEL_KEYS, "labels") and (dtype.kind not in "iuU" or len(shape) != 1):
        raise npz_fault(
            path,
            f"{key} must be integers or texts of shape (n,), but are {dtype} of shape {shape}",
            "convert texts in bytes with labels.astype(str), and other labels with "
            "labels.astype('int64').ravel()",
        )
    elif (key == "classes" and (dtype.kind != "U" or len(shape) != 1)) or (
        key == "normal" and (dtype.kind not in "iuU" or len(shape) != 1)
    ):
        kind = "texts" if key == "classes" else "labels"
        raise npz_fault(
            path,
            f"{key} must be {kind} of shape (k,), but is {dtype} of shape {shape}",
            "write the names of the labels as classes=numpy.array(['bag', 'shoe']) and the "
            "normal ones as normal=numpy.array([0])",
        )
    elif key == "about" and (dtype.kind != "U" or shape != ()):
        raise npz_fault(
            path,
            f"about must be one text, but is {dtype} of shape {shape}",
            "write about=numpy.array('a sentence')",
        )


def check_size(path: Path, headers: Mapping[str, ArrayHeader]) -> None:
    """Check that images, and what is made of them while they are read, fit into memory.

    Args:
        path: the file.
        headers: the headers of all arrays that are read, by their names.

    Raises:
        UserError: if they do not.
    """
    images = [header for key, header in headers.items() if key.endswith("images")]
    floats = [header.items for header in images if header.dtype != np.uint8]
    needed = sum(header.nbytes for header in headers.values())
    needed += COPIES * sum(header.items for header in images)
    check_memory(path, needed + BYTES_OF_CONVERSION * max(floats, default=0), SMALLER)


def check_images(path: Path, key: str, header: ArrayHeader) -> None:
    """Check the type and the shape of an array of images.

    Raises:
        UserError: with the file, the array and what is right.
    """
    dtype, shape = header
    if dtype != np.uint8 and dtype.kind != "f":
        raise npz_fault(
            path,
            f"{key} must be uint8 or floats in [0, 1], but is {dtype}",
            "scale the images to 0..255 and convert them with .astype('uint8')",
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)) or 0 in shape[1:]:
        raise npz_fault(
            path,
            f"{key} must have shape (n, h, w) or (n, h, w, 3), but has {shape}",
            "put the channels last" if len(shape) == 4 else "write it as an array of images",
        )


def _check_lengths(path: Path, headers: dict[str, ArrayHeader]) -> None:
    pairs = {**dict(zip(IMAGE_KEYS, LABEL_KEYS, strict=True)), **UNSPLIT}
    for images, labels in pairs.items():
        if images not in headers or (images in UNSPLIT and labels not in headers):
            continue
        image_count, label_count = headers[images].shape[0], headers[labels].shape[0]
        if image_count != label_count:
            raise npz_fault(
                path,
                f"{images} holds {image_count} images and {labels} {label_count} labels",
                "give every image one label",
            )
    tested = "test_images" if "test_images" in headers else "images"
    if headers[tested].shape[0] == 0:
        raise npz_fault(path, f"{tested} holds no image", "add at least one")
