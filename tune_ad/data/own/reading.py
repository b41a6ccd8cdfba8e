"""A user's own images: from a path to an `ImageSet`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tune_ad.data.images import ImageSet
from tune_ad.errors import UserError


class Choices(NamedTuple):
    """How images are read."""

    image_size: tuple[int, int] | None
    resize: str
    colour: str
    skip_unreadable: bool
    workers: int


class OwnImages(NamedTuple):
    """Images that have been read."""

    image_set: ImageSet
    digest: str


def read_own(
    path: Path, name: str, choices: Choices, cache: Path, say: Callable[[str], None]
) -> OwnImages:
    """Read images.

    Raises:
        UserError: always, so far.
    """
    raise UserError(f"{path}: own images cannot be read yet; leave --data out")
