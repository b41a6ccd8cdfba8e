"""The image sets of a search, of one size, and the tasks that they pose."""

from collections.abc import Callable, Sequence

from tune_ad import data
from tune_ad.data import ImageSet, Task, against, class_tasks, controls, whole
from tune_ad.errors import UserError
from tune_ad.search import Search, Study

GRAIN = 8  # a trunk halves an image three times


def check(search: Search, name: str, root: str | None) -> None:
    """Refuse bad files of the sets of a search, before any is decoded.

    Args:
        search: its outsiders are checked, too.
        name: short name of the data set.
        root: the data root, as in `tune_ad.data.data_root`.

    Raises:
        UserError: a name is unknown, the root is wrong, or a file breaks the layout.
    """
    for each in (name, *_read(search, name)):
        data.check(each, root)


def gather(
    search: Search, name: str, root: str | None, say: Callable[[str], None]
) -> tuple[ImageSet, ...]:
    """The image sets of a search on a data set: the source first, then the outsiders.

    Raises:
        UserError: if one cannot be loaded, or they have different channels.
    """
    names = (name, *_read(search, name))
    for each in names:
        if not data.locate(each, root):
            say(f"{data.find(each, root).name} is not in {data.data_root(root)}; fetching it")
    image_sets = [data.load(each, root) for each in names]
    if not search.outsiders:
        return tuple(image_sets)
    return side_by_side(image_sets, search.outsiders[name])


def _read(search: Search, name: str) -> list[str]:
    """The outsiders that are no controls."""
    return [each for each in search.outsiders.get(name, ()) if each not in controls.CONTROLS]


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


def tasks(study: Study, image_set: ImageSet) -> list[Task]:
    """The panel: a data set against others, a whole one, or each class against the others."""
    if study.outsiders:
        return [against(image_set.name, study.outsiders)]
    if study.search.whole:
        return [whole(image_set.name)]
    return class_tasks(image_set, study.budget.classes)
