"""Reads and writes an image set as a .npz file, and computes the SHA-256 of its content."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tune_ad.array_files import DAMAGE, ArrayHeader, check_memory
from tune_ad.atomic import replacing
from tune_ad.data.declaration import Arrays
from tune_ad.data.images import ImageSet, from_arrays, to_arrays
from tune_ad.data.npz_headers import (
    ARRAY_KEYS,
    KEYS,
    SMALLER,
    check_images,
    check_size,
    checked_headers,
    npz_fault,
    validate_npz_header,
)
from tune_ad.data.own.layouts import NORMAL, is_tested, normal_class
from tune_ad.errors import UserError, cut
from tune_ad.wording import count

MOST_CLASSES = 65_536
STATE_NORMAL = "or name the normal class in the array normal"


def read_npz(
    path: str | os.PathLike[str], name: str | None = None, classes: tuple[str, ...] | None = None
) -> ImageSet:
    """Read and check the images in a .npz file.

    Images may be uint8 or floats in [0, 1], which become round(255 x). Without training arrays,
    the data set can only serve as an outsider set. A file with `images` (and `labels`, if not all
    are normal) is divided: a fifth of the normal images, chosen by their content, and all
    anomalies are test images. The normal class is the one in `normal`; without it, the one that
    `normal_class` finds by the names of the classes. If there is none, or `normal` is empty, each
    class is normal in a task of its own.

    Args:
        path: a file with the arrays train_images, train_labels, test_images, test_labels (images
            (n, h, w), (n, h, w, 1) or (n, h, w, 3), labels integers or texts (n,)), or images and
            labels, or images alone; optional are a text `about`, the names `classes` of the
            labels, and the label or name `normal` of the normal class: an integer is a label, and
            if the labels are texts its digits are one; a text is a name.
        name: the name of the data set; the file's name without ".npz" if None.
        classes: the names of the labels of a declared data set, of which each is normal in a task
            of its own; None for a user's file, in which they are the texts, or "0", "1", ... up to
            the largest label.

    Raises:
        UserError: the file cannot be read, does not have this layout, or has a value out of range.
            The message is one line with the file, the fault and the remedy.
    """
    path = Path(path)
    validate_npz_header(path)
    check_size(path, checked_headers(path))
    stored = _read_arrays(path)
    images = {k: uint8_images(path, k, a) for k, a in stored.items() if k.endswith("images")}
    stored |= images
    about = str(stored.pop("about", ""))
    stated = stored.pop("normal", None)
    names = classes or tuple(map(str, stored.pop("classes", ()))) or None
    stored.pop("classes", None)
    labels = {key: array for key, array in stored.items() if key.endswith("labels")}
    are_texts = _are_texts(labels)
    names, numbers = _numbered(path, labels, names)
    content = _Content.of({**stored, **numbers}, names)
    normal = _normal(path, content, stated, are_texts) if classes is None else None
    arrays = content.divided(path, normal)
    image_set = from_arrays(name or path.stem, content.names, arrays, about)
    return replace(image_set, normal=normal, every_label=normal is not None)


def load_images(path: Path, keys: Sequence[str] = ("images",)) -> npt.NDArray[Any]:
    """One array of images of a .npz, or that of a .npy, as it is stored.

    A .npy is mapped into memory, so that only what is used is read; of a .npz only that array is
    read.

    Args:
        path: the file.
        keys: the names of the array in a .npz; the first that it has.

    Raises:
        UserError: if the file is damaged or holds no such array.
    """
    try:
        if path.suffix.casefold() == ".npz":
            validate_npz_header(path)
            headers = checked_headers(path)
            with np.load(path, allow_pickle=False) as file:
                key = next((key for key in keys if key in file), None)
                if key is None:
                    raise npz_fault(
                        path,
                        f"holds none of {', '.join(keys)} (it holds: {', '.join(file)})",
                        "write the images as numpy.savez(path, images=images)",
                    )
                check_memory(path, headers[key].nbytes, SMALLER)
                images: npt.NDArray[Any] = file[key]
        else:
            images = np.lib.format.open_memmap(path, mode="r")  # refuses objects
    except DAMAGE as error:
        if "Python objects" in str(error):
            raise npz_fault(
                path,
                "holds Python objects instead of numbers",
                "write it as one array of uint8, shape (n, h, w) or (n, h, w, 3)",
            ) from error
        raise npz_fault(path, f"is damaged ({cut(str(error))})", "write it again") from error
    check_images(path, "the array", ArrayHeader(images.dtype, images.shape))
    return images


def of_images(path: Path, name: str) -> ImageSet:
    """The normal images in a .npy file, of which a fifth are test images.

    Args:
        path: a file with an array of images, as in `read_npz`.
        name: the name of the data set.

    Raises:
        UserError: if the file is damaged or holds something else.
    """
    images = load_images(path)
    check_size(path, {"images": ArrayHeader(images.dtype, images.shape)})
    content = _Content.of({"images": uint8_images(path, "the array", images)}, None)
    arrays = content.divided(path, normal=(0,))
    return replace(from_arrays(name, content.names, arrays, "own images"), normal=(0,))


def uint8_images(path: Path, key: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of images as uint8, without a last axis of length 1; floats become round(255 x).

    Args:
        path: the file, for messages.
        key: the name of the array, for messages.
        array: uint8 or floats, shape (n, h, w), (n, h, w, 1) or (n, h, w, 3).

    Raises:
        UserError: if a float is NaN or lies outside [0, 1].
    """
    array = array[..., 0] if array.shape[3:] == (1,) else array
    if array.dtype == np.uint8:
        return array
    if np.isnan(array).any():
        raise npz_fault(path, f"{key} has NaN pixels", "replace them, or leave these images out")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):
        raise npz_fault(
            path,
            f"{key} of type {array.dtype} must lie in [0, 1], got {low:g} to {high:g}",
            "divide them by their largest possible value, or convert them to uint8",
        )
    return np.rint(array * np.float64(255)).astype(np.uint8)


def _are_texts(labels: Mapping[str, npt.NDArray[Any]]) -> bool:
    """Whether the labels are texts; then those that are numbers stand for their digits."""
    return any(array.dtype.kind == "U" for array in labels.values())


def _numbered(
    path: Path, labels: Mapping[str, npt.NDArray[Any]], names: tuple[str, ...] | None
) -> tuple[tuple[str, ...] | None, dict[str, npt.NDArray[Any]]]:
    """The names of the labels, and the labels as numbers, by key.

    Raises:
        UserError: if a label is out of range or has no name, or two labels have the same name.
    """
    if names and len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise npz_fault(
            path, f"classes names {twice!r} twice", "give each label a name of its own"
        )
    if not _are_texts(labels):
        for key, array in labels.items():
            _check_label_range(path, key, array, len(names) if names else MOST_CLASSES)
        return names, dict(labels)
    texts = {key: array.astype(str) for key, array in labels.items()}
    used = sorted({str(text) for array in texts.values() for text in np.unique(array)})
    names = names or tuple(used)
    if unknown := [text for text in used if text not in names]:
        raise npz_fault(
            path, f"the label {unknown[0]!r} is not among classes", "add it to classes"
        )
    position = {text: k for k, text in enumerate(names)}
    numbers = {
        key: np.array([position[text] for text in array.tolist()], np.int64)
        for key, array in texts.items()
    }
    return names, numbers


class _Content(NamedTuple):
    """The arrays of a file, with labels as numbers, and the names of the labels."""

    arrays: Mapping[str, npt.NDArray[Any]]
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, stored: Mapping[str, npt.NDArray[Any]], names: tuple[str, ...] | None
    ) -> "_Content":
        """Images without labels are normal; labels without names are called by their numbers."""
        if "images" in stored and "labels" not in stored:
            labels = np.zeros(len(stored["images"]), np.int64)
            return cls({**stored, "labels": labels}, names or (NORMAL,))
        labels_of_parts = [array for key, array in stored.items() if key.endswith("labels")]
        return cls(stored, names or _named(*labels_of_parts))

    def trained(self) -> list[str]:
        """The names of the classes of training images, or of all if they are not divided."""
        labels = self.arrays.get("train_labels", self.arrays.get("labels", np.zeros(0, int)))
        return [self.names[label] for label in np.unique(labels).tolist()]

    def every(self) -> list[str]:
        """The names of all classes that have images."""
        labels = [array for key, array in self.arrays.items() if key.endswith("labels")]
        return [self.names[label] for label in np.unique(np.concatenate(labels)).tolist()]

    def divided(self, path: Path, normal: tuple[int, ...] | None) -> Arrays:
        """The four arrays, of which those of training may be empty if the file divides them.

        Args:
            path: the file, for messages.
            normal: the labels that are normal; None if each class is, in a task of its own.

        Raises:
            UserError: if no training or no test image results.
        """
        if "images" not in self.arrays:
            images, labels = self.arrays["test_images"], self.arrays["test_labels"]
            train_images = self.arrays.get("train_images", images[:0])
            train_labels = self.arrays.get("train_labels", labels[:0])
            return Arrays(train_images, train_labels, images, labels)
        images, labels = self.arrays["images"], self.arrays["labels"]
        tested = np.array(
            [
                (normal is not None and label not in normal) or is_tested(image.tobytes())
                for image, label in zip(images, labels.tolist(), strict=True)
            ],
            bool,
        )
        if tested.all() or not tested.any():
            part = "training" if tested.all() else "test"
            raise npz_fault(
                path,
                f"of {count(len(images), 'image')}, a fifth of the normal ones by content are "
                f"test images, which leaves no {part} image",
                "add images, at least 10",
            )
        return Arrays(images[~tested], labels[~tested], images[tested], labels[tested])


def _named(*labels: npt.NDArray[Any]) -> tuple[str, ...]:
    """The numbers "0", "1", ... up to the largest label."""
    return tuple(str(k) for k in range(max(int(of_part.max(initial=0)) for of_part in labels) + 1))


def _known(stated: npt.NDArray[Any], names: Sequence[str], are_texts: bool) -> Mapping[str, int]:
    """What `normal` may state, as text, with the number of the label that it means.

    Args:
        stated: the array `normal`.
        names: the names of the labels.
        are_texts: whether the labels of the file are texts.
    """
    numbers = {str(k): k for k in range(len(names))}
    if are_texts:
        return _positions(names)
    return numbers if stated.dtype.kind != "U" else {**numbers, **_positions(names)}


def _normal(
    path: Path, content: _Content, stated: npt.NDArray[Any] | None, are_texts: bool
) -> tuple[int, ...] | None:
    """The labels that are normal; None if each class is normal in a task of its own.

    Args:
        path: the file, for messages.
        content: what the file contains.
        stated: the array `normal`; None if there is none.
        are_texts: whether the labels of the file are texts.

    Raises:
        UserError: if `normal` names no or several classes, two classes are called normal, or no
            image of a normal class is trained on.
    """
    trained = content.trained()
    if stated is None:
        try:
            found = normal_class(trained, content.every()) if trained else None
        except UserError as error:
            raise npz_fault(path, str(error), STATE_NORMAL) from error
        normal: tuple[int, ...] = () if found is None else (content.names.index(found),)
    else:
        known = _known(stated, content.names, are_texts)
        if unknown := [str(label) for label in stated if str(label) not in known]:
            raise npz_fault(
                path,
                f"normal names {unknown[0]!r}, which is no class",
                f"choose from {', '.join(content.names if stated.dtype.kind == 'U' else known)}",
            )
        normal = tuple(sorted({known[str(label)] for label in stated}))
        if len(normal) > 1:
            raise npz_fault(
                path,
                f"normal names {count(len(normal), 'class')}",
                "name one, and give the images of all normal classes its label; or leave normal "
                "out, so that each class is normal in a task of its own",
            )
    absent = [content.names[label] for label in normal if content.names[label] not in trained]
    if trained and absent:
        raise npz_fault(path, f"the normal class {absent[0]!r} has no training image", "add some")
    return normal or None


def _positions(names: Sequence[str]) -> dict[str, int]:
    return {name: k for k, name in enumerate(names)}


def write_npz(path: str | os.PathLike[str], image_set: ImageSet, named: bool = False) -> None:
    """Write `image_set` to `path` in the layout that `read_npz` reads, uncompressed.

    The write is atomic (`replacing`).

    Args:
        path: the file.
        image_set: the images.
        named: whether the names of the classes, and which of them are normal, are written also if
            each class is normal in a task of its own. Declared data sets declare their names.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    arrays: dict[str, Any] = to_arrays(image_set)._asdict()
    if named or image_set.normal is not None:
        arrays |= {
            "classes": np.array(image_set.classes),
            "normal": np.array([image_set.classes[k] for k in image_set.normal or ()], np.str_),
        }
    with replacing(Path(path), makes_folder=False) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **arrays, about=np.array(image_set.about))


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
            return {key: file[key] for key in KEYS if key in file}
    except DAMAGE as error:
        fault = f"is damaged ({cut(str(error))})"
        raise npz_fault(path, fault, "write or fetch it again") from error


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
