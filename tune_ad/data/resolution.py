"""Checks and loads the data sets of a study by name, and pads them to the same size."""

from collections.abc import Callable, Sequence

from tune_ad.data import controls
from tune_ad.data.fetch.sources import load
from tune_ad.data.finding import check, data_root, find, locate
from tune_ad.data.images import ImageSet
from tune_ad.errors import UserError

SIDE_MULTIPLE = 8  # as in the published comparisons, which set 28x28 images against 32x32


def check_sets(name: str, outsiders: Sequence[str], root: str | None) -> None:
    """Check the .npz files of a data set and of its outsider sets, without decoding them.

    Args:
        name: name or alias of the data set whose images are normal.
        outsiders: names of the data sets and controls that are anomalous.
        root: the data root, as in `tune_ad.data.data_root`.

    Raises:
        UserError: a name is unknown, the root is wrong, or a file has another layout or the name
            of a control.
    """
    _refuse_shadowed((name, *outsiders), root)
    for data_set_name in (name, *_data_sets(outsiders)):
        check(data_set_name, root)


def load_sets(
    name: str, outsiders: Sequence[str], root: str | None, say: Callable[[str], None]
) -> tuple[ImageSet, ...]:
    """The image sets of a study, all of the same size: the source, then the outsider sets.

    Args:
        name: name or alias of the source, whose images are normal.
        outsiders: names of the data sets and controls that are anomalous; empty if the other
            classes of the source are anomalous.
        root: the data root, as in `tune_ad.data.data_root`.
        say: a function that prints a line for the user.

    Raises:
        UserError: if a data set cannot be loaded, they have different numbers of channels, or a
            file has the name of a control.
    """
    _refuse_shadowed((name, *outsiders), root)
    names = (name, *_data_sets(outsiders))
    for data_set_name in names:
        if not locate(data_set_name, root):
            missing = find(data_set_name, root).name
            say(f"The data set {missing} is not in {data_root(root)} yet: fetching it.")
    image_sets = [load(data_set_name, root) for data_set_name in names]
    return side_by_side(image_sets, outsiders) if outsiders else tuple(image_sets)


def _refuse_shadowed(names: Sequence[str], root: str | None) -> None:
    """Refuse a user's own file with the name of a control, which would be taken for it."""
    for name in names:
        path = data_root(root) / f"{name}.npz"
        if name in controls.CONTROLS and path.is_file():
            raise UserError(
                f"{path} has the name of the built-in control {name!r}, whose images are "
                "generated; rename the file"
            )


def _data_sets(outsiders: Sequence[str]) -> list[str]:
    """The outsider sets that are data sets, not controls."""
    return [name for name in outsiders if name not in controls.CONTROLS]


def side_by_side(image_sets: Sequence[ImageSet], outsiders: Sequence[str]) -> tuple[ImageSet, ...]:
    """Image sets of the same size: the source, the other data sets, then the controls.

    Unless all are squares of one size that is a multiple of 8, all are padded with zeros to the
    smallest such square, e.g. 28x28 to 32x32. Controls are generated in the source's size and
    padded like it, so that they cannot be recognised by the border.

    Args:
        image_sets: the source, then the outsider sets that are data sets.
        outsiders: the names of all outsider sets, including controls.

    Raises:
        UserError: if the data sets have different numbers of channels.
    """
    source, *others = image_sets
    for other in others:
        if other.shape[0] != source.shape[0]:
            raise UserError(
                f"images of {source.name} have {source.shape[0]} channels, those of {other.name} "
                f"{other.shape[0]}; use outsider sets with the same number of channels"
            )
    generated = [controls.control(n, source.shape) for n in outsiders if n in controls.CONTROLS]
    all_sets = (*image_sets, *generated)
    sides = {side for image_set in all_sets for side in image_set.shape[1:]}
    if len(sides) == 1 and not max(sides) % SIDE_MULTIPLE:
        return all_sets
    side = -(-max(sides) // SIDE_MULTIPLE) * SIDE_MULTIPLE
    return tuple(controls.padded(image_set, side) for image_set in all_sets)
