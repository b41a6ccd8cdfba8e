"""Tasks: one source of normal images, and the outsiders that a model must tell from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tune_ad.data.discovery import canonical_name
from tune_ad.errors import UserError

REST = "rest"


class Named(Protocol):
    """Anything with a name and class names: a `DataSet` or an `ImageSet`."""

    @property
    def name(self) -> str:
        """The data set's full name."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each label."""
        ...


@dataclass(frozen=True)
class Task:
    """What is normal and what is not; plain data, hashable, and JSON through `asdict`.

    Attributes:
        name: what tables call it, e.g. "cifar10/3" or "cifar10-vs-svhn".
        source: name of the data set that gives the normal images.
        normal_class: the label that is normal; None: all classes of the source are.
        outsiders: names of the data sets that are anomalous; empty: the other classes of the
            source are, so that nothing is where all of its classes are normal.

    Raises:
        UserError: an outsider is named twice or is the source.
    """

    name: str
    source: str
    normal_class: int | None
    outsiders: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "outsiders", tuple(self.outsiders))  # JSON gives back a list
        if len({self.source, *self.outsiders}) <= len(self.outsiders):
            raise UserError(
                f"task {self.name}: outsiders {', '.join(self.outsiders)} must differ from each "
                f"other and from the source {self.source}; name each data set once"
            )


def one_class(image_set_name: str, class_index: int) -> Task:
    """One class of a data set against its other classes.

    >>> one_class("cifar", 3)
    Task(name='cifar10/3', source='cifar10', normal_class=3, outsiders=())
    """
    source = canonical_name(image_set_name)
    return Task(f"{source}/{class_index}", source, class_index, ())


def against(source: str, outsiders: Sequence[str], normal_class: int | None = None) -> Task:
    """A data set, or one class of it, against other data sets.

    >>> against("fmnist", ["mnist", "digits"]).name
    'fashion_mnist-vs-mnist+digits'

    Raises:
        UserError: there are no outsiders, or one is named twice or is the source.
    """
    if isinstance(outsiders, str):
        raise UserError(f"outsiders must be a list of names, but is the text {outsiders!r}")
    source = canonical_name(source)
    others = tuple(canonical_name(name) for name in outsiders)
    if not others:
        raise UserError(f"{source} is set against no data set; name at least one outsider")
    normal = source if normal_class is None else f"{source}/{normal_class}"
    return Task(f"{normal}-vs-{'+'.join(others)}", source, normal_class, others)


def whole(source: str) -> Task:
    """A data set as a whole, with nothing anomalous: for rates and distortions, not for AUROC.

    >>> whole("fmnist")
    Task(name='fashion_mnist', source='fashion_mnist', normal_class=None, outsiders=())
    """
    source = canonical_name(source)
    return Task(source, source, None, ())


def class_tasks(data_set: Named, classes: Sequence[int | str] | None = None) -> list[Task]:
    """One task for each of the given classes against the other classes of the same set.

    Args:
        data_set: a declared data set, or a loaded one.
        classes: label numbers, or class names (in any case), or numbers as text; None: all.

    Raises:
        UserError: a class is unknown, or named twice; the message lists the legal ones.
    """
    if classes is None:
        return [one_class(data_set.name, index) for index in range(len(data_set.classes))]
    indices = [_class_index(data_set, given) for given in classes]
    if len(set(indices)) < len(indices):
        raise UserError(
            f"{data_set.name}: classes {', '.join(map(str, classes))} name one class twice; "
            "name each class once"
        )
    return [one_class(data_set.name, index) for index in indices]


def _class_index(data_set: Named, given: int | str) -> int:
    names = [name.casefold() for name in data_set.classes]
    if isinstance(given, str) and given.casefold() in names:
        return names.index(given.casefold())
    index = int(given) if not isinstance(given, str) or given.isdecimal() else -1
    if 0 <= index < len(names):
        return index
    legal = ", ".join(f"{label} ({name})" for label, name in enumerate(data_set.classes))
    raise UserError(f"{data_set.name} has no class {given!r}; its classes are {legal}")
