"""The image sets of a study: checked before any is decoded, fetched, brought to one size."""

from collections.abc import Callable, Sequence

from tune_ad.data import controls
from tune_ad.data.fetch.sources import load
from tune_ad.data.finding import check, data_root, find, locate
from tune_ad.data.images import ImageSet
from tune_ad.errors import UserError

GRAIN = 8  # a trunk halves an image three times


def check_sets(name: str, outsiders: Sequence[str], root: str | None) -> None:
    """Refuse bad files of a data set and of its outsiders, before any is decoded.

    Args:
        name: short name of the data set.
        outsiders: names of the data sets and controls against which it is set.
        root: the data root, as in `tune_ad.data.data_root`.

    Raises:
        UserError: a name is unknown, the root is wrong, or a file breaks the layout.
    """
    for each in (name, *_read(outsiders)):
        check(each, root)


def load_sets(
    name: str, outsiders: Sequence[str], root: str | None, say: Callable[[str], None]
) -> tuple[ImageSet, ...]:
    """The image sets of a study: the source first, then the outsiders, all of one size.

    Args:
        name: short name of the source.
        outsiders: names of the data sets and controls against which it is set; none if its
            classes are set against each other.
        root: the data root, as in `tune_ad.data.data_root`.
        say: prints a line.

    Raises:
        UserError: if one cannot be loaded, or they have different channels.
    """
    names = (name, *_read(outsiders))
    for each in names:
        if not locate(each, root):
            missing = find(each, root).name
            say(f"The data set {missing} is not in {data_root(root)} yet: fetching it.")
    image_sets = [load(each, root) for each in names]
    return side_by_side(image_sets, outsiders) if outsiders else tuple(image_sets)


def _read(outsiders: Sequence[str]) -> list[str]:
    """The outsiders that are no controls."""
    return [name for name in outsiders if name not in controls.CONTROLS]


def side_by_side(image_sets: Sequence[ImageSet], outsiders: Sequence[str]) -> tuple[ImageSet, ...]:
    """Data sets of one image size, the source first, with the controls among the outsiders.

    Where their sides differ or are no multiple of 8, all are padded with zeros to the smallest
    square that is one: 28x28 to 32x32. Controls are made in the source's size and padded alike,
    so that the border tells nothing apart.

    Args:
        image_sets: the source, then the outsiders that are read.
        outsiders: the names of all outsiders.

    Raises:
        UserError: if the sets have different channels.
    """
    source, *others = image_sets
    for other in others:
        if other.shape[0] != source.shape[0]:
            raise UserError(
                f"images of {source.name} have {source.shape[0]} channels, those of {other.name} "
                f"{other.shape[0]}; set a data set against others of as many channels"
            )
    made = [controls.control(n, source.shape) for n in outsiders if n in controls.CONTROLS]
    gathered = (*image_sets, *made)
    sides = {side for each in gathered for side in each.shape[1:]}
    if len(sides) == 1 and not max(sides) % GRAIN:
        return gathered
    side = -(-max(sides) // GRAIN) * GRAIN
    return tuple(controls.padded(each, side) for each in gathered)
