"""Recognises how a folder of images is laid out, from the paths alone.

Three layouts are read, the first that applies:

    train/CLASS/... and test/CLASS/...   with splits; images in `val`, `valid` or `validation` are
                                         training images, of which the study holds out its own;
                                         images directly in `train` are normal
    CLASS/...                            without splits, two or more classes
    images alone, also in one folder     all of them are normal

A class called normal, good, ok or nominal is the normal one, and all others are anomalous.
Otherwise, if there are training images of a single class that is not called anomalous (anomalous,
anomaly, abnormal, bad, defect, ng), that is the normal one; if there are several, each is normal
in a task of its own.

A folder in which one of these layouts begins further down, such as a folder of several data sets,
is refused: read from its top, test images and anomalies would be trained on as normal ones.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from tune_ad.errors import UserError

TRAIN, TEST = ("train", "training", "val", "valid", "validation"), ("test", "testing")
NORMAL_NAMES = ("normal", "good", "ok", "nominal")
ANOMALOUS_NAMES = (
    "anomalous",
    "anomaly",
    "anomalies",
    "abnormal",
    "bad",
    "defect",
    "defects",
    "defective",
    "ng",
)
NORMAL = "normal"
TESTED_SHARE = 0.2
"""The share of normal images that are test images if there are no splits."""
READ = (
    "train/CLASS and test/CLASS, or CLASS folders such as normal/ and anomalous/, or a folder of "
    "normal images alone"
)


class Item(NamedTuple):
    """An image of a layout.

    Attributes:
        path: the path below the folder.
        label: the name of its class.
        part: "train" or "test"; empty if the layout has no splits.
    """

    path: PurePosixPath
    label: str
    part: str


class Layout(NamedTuple):
    """The images of a folder by class and split.

    Attributes:
        items: the images, in the order of their paths.
        normal: the name of the normal class; None if each class takes its turn.
        title: the layout in words.
        ignored: the number of images that belong to no split.
    """

    items: Sequence[Item]
    normal: str | None
    title: str
    ignored: int = 0


def is_tested(content: bytes) -> bool:
    """Whether a normal image without a split is a test image: a fifth are, by their SHA-256.

    So the part of an image does not change if others are added.
    """
    return int.from_bytes(hashlib.sha256(content).digest()[:4], "big") < TESTED_SHARE * 2**32


def is_normal(name: str) -> bool:
    """Whether a class has a name of normal images, in upper or lower case."""
    return name.casefold() in NORMAL_NAMES


def is_anomalous(name: str) -> bool:
    """Whether a class has a name of anomalous images, in upper or lower case."""
    return name.casefold() in ANOMALOUS_NAMES


def normal_class(trained: Iterable[str], every: Iterable[str]) -> str | None:
    """The normal class by its name, or because no other can be; None if several can be.

    A class that is called anomalous is never normal.

    Args:
        trained: the names of the classes of the training images.
        every: the names of all classes.

    Raises:
        UserError: if two classes have names of normal images, or a class that is called anomalous
            has training images and which of the others are normal is unclear.
    """
    named = sorted({name for name in every if is_normal(name)})
    if len(named) > 1:
        raise UserError(
            f"the classes {' and '.join(named)} are both called normal; make one class of them"
        )
    if named:
        return named[0]
    possible = sorted({name for name in trained if not is_anomalous(name)})
    anomalous = sorted({name for name in trained if is_anomalous(name)})
    if anomalous and len(possible) != 1:
        others = (
            f"which of {', '.join(possible)} is normal is unclear"
            if possible
            else "there is no other"
        )
        raise UserError(
            f"the class {anomalous[0]!r} is called anomalous, and {others}; put the normal images "
            f"into one class called {NORMAL}"
        )
    return possible[0] if len(possible) == 1 else None


def layout_of(paths: Iterable[PurePosixPath], folder: str) -> Layout:
    """The layout of image files.

    Args:
        paths: their paths below the folder.
        folder: the path of the folder, for messages.

    Raises:
        UserError: if there is no image, or the layout is none of those that are read.
    """
    files = sorted(paths)
    if not files:
        raise UserError(f"{folder} contains no image file; give a folder with {READ}")
    tops = {path.parts[0].casefold() for path in files if len(path.parts) > 1}
    if tops & set(TRAIN):
        return _with_splits(files, folder)
    if tops & set(TEST):
        raise UserError(
            f"{folder} has test images and no folder of training images; put normal images into "
            "train/good"
        )
    _refuse_inner_layout(files, folder)
    loose = [path for path in files if len(path.parts) == 1]
    if len(tops) < 2 and not (tops and loose):
        return _of_one_kind(files, tops, folder)
    if loose:
        raise UserError(
            f"{folder} contains both folders and {loose[0]}, so its layout is unclear; give a "
            f"folder with {READ}"
        )
    items = [Item(path, path.parts[0], "") for path in files]
    labels = {item.label for item in items}
    title = f"{len(labels)} class folders without splits"
    return Layout(items, normal_class(labels, labels), title)


def _refuse_inner_layout(files: Iterable[PurePosixPath], folder: str) -> None:
    """Refuse files among which a layout begins below the top.

    Raises:
        UserError: if a folder below the top contains a split, a class that is called anomalous, or
            one that is called normal beside others, or several that are.
    """
    contents: dict[PurePosixPath, set[str]] = {}
    for path in files:
        for depth in range(1, len(path.parts) - 1):
            contents.setdefault(PurePosixPath(*path.parts[:depth]), set()).add(path.parts[depth])
    several = sum(any(map(is_normal, names)) for names in contents.values()) > 1
    for place, names in contents.items():
        split = [name for name in names if name.casefold() in (*TRAIN, *TEST)]
        anomalous = [name for name in names if is_anomalous(name)]
        normal = [name for name in names if is_normal(name) and (several or len(names) > 1)]
        if found := sorted(split or anomalous or normal):
            raise UserError(
                f"{folder} contains {place / found[0]}, so its layout begins below the top; give "
                f"{PurePosixPath(folder) / place}"
            )


def _of_one_kind(files: Sequence[PurePosixPath], tops: set[str], folder: str) -> Layout:
    """All images are normal; the folder that contains them all names the class if there is one.

    Raises:
        UserError: if that name is one of anomalies.
    """
    label = files[0].parts[0] if tops else NORMAL
    if is_anomalous(label):
        raise UserError(
            f"{folder} contains only {label}/, whose images are anomalies by its name, and no "
            f"normal image to train on; give a folder with {READ}"
        )
    return Layout([Item(path, label, "") for path in files], label, "normal images alone")


def _with_splits(files: Sequence[PurePosixPath], folder: str) -> Layout:
    items, ignored = [], 0
    for path in files:
        top = path.parts[0].casefold()
        part = "train" if top in TRAIN else ("test" if top in TEST else "")
        if not part or len(path.parts) == 1:
            ignored += 1
            continue
        label = path.parts[1] if len(path.parts) > 2 else NORMAL
        items.append(Item(path, label, part))
    trained = {item.label for item in items if item.part == "train"}
    if not any(item.part == "test" for item in items):
        unsplit = [item._replace(part="") for item in items]
        normal = normal_class(trained, trained)
        return Layout(unsplit, normal, "training images without test images", ignored)
    normal = normal_class(trained, {item.label for item in items})
    if normal is not None and normal not in trained:
        raise UserError(
            f"{folder}: the normal class {normal!r} has no training image; add some to "
            f"train/{normal}"
        )
    return Layout(items, normal, "train and test folders", ignored)


def by_class(items: Iterable[Item]) -> Mapping[str, int]:
    """The number of images of each class, by name."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.label] = counts.get(item.label, 0) + 1
    return dict(sorted(counts.items()))
