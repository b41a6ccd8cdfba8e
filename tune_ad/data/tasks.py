"""Tasks of anomaly detection: a source of normal images and the outsider sets.

An outsider set is a data set whose images are anomalous (out of distribution, OOD).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tune_ad.data.discovery import available, canonical_name
from tune_ad.errors import UserError

MOST_DIGITS = 10  # of the number of a class


class NamedClasses(Protocol):
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
    """Which images are normal and which are anomalous.

    A task is plain data: hashable, and written as JSON through `dataclasses.asdict`.

    Attributes:
        name: unique name of the task, e.g. "cifar10/3" or "cifar10-vs-svhn". It must never change,
            because the seeds of the task's models are derived from it.
        source: name of the data set with the normal images.
        normal_class: the label of the normal images; None if every class of the source is normal,
            as it must be if there are outsider sets.
        outsiders: names of the outsider sets. If there are none, the other classes of the source
            are anomalous; if every class is normal, no image is anomalous.
        class_name: name of the normal class, e.g. "cat"; empty if it is unknown, or if every
            class is normal.

    Raises:
        UserError: an outsider set is named twice or is the source, or there are outsider sets and
            a normal class.
    """

    name: str
    source: str
    normal_class: int | None
    outsiders: tuple[str, ...]
    class_name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "outsiders", tuple(self.outsiders))  # JSON gives back a list
        if len({self.source, *self.outsiders}) <= len(self.outsiders):
            raise UserError(
                f"task {self.name}: outsider sets {', '.join(self.outsiders)} must differ from "
                f"each other and from the source {self.source}; name each data set once"
            )

        if self.outsiders and self.normal_class is not None:
            raise UserError(
                f"task {self.name}: class {self.normal_class} of {self.source} is set against "
                f"{', '.join(self.outsiders)}; set it against its other classes, or the whole "
                "data set against others"
            )

    @property
    def title(self) -> str:
        """The name shown to users: "cifar10/cat" for a class with a name, otherwise `name`.

        >>> one_class("cifar", 3).title, against("cifar", ["svhn"]).title
        ('cifar10/cat', 'cifar10-vs-svhn')
        """
        if self.class_name:
            return f"{self.source}/{self.class_name}"
        return self.name


def one_class(image_set_name: str, class_index: int, class_name: str = "") -> Task:
    """One class of a data set against its other classes.

    Args:
        image_set_name: name or alias of the data set.
        class_index: the label that is normal.
        class_name: name of that class; if it is empty, the name that the data set declares.

    >>> task = one_class("fmnist", 8)
    >>> task.name, task.normal_class, task.class_name, task.outsiders
    ('fashion_mnist/8', 8, 'Bag', ())
    """
    source = canonical_name(image_set_name)
    declared_classes = {data_set.name: data_set.classes for data_set in available().values()}
    classes = declared_classes.get(source, ())
    if not class_name and class_index in range(len(classes)):
        class_name = classes[class_index]
    return Task(f"{source}/{class_index}", source, class_index, (), class_name)


def against(source: str, outsiders: Sequence[str]) -> Task:
    """A data set against other data sets.

    Args:
        source: name or alias of the data set whose images are normal.
        outsiders: names or aliases of the data sets that are anomalous.

    >>> against("fmnist", ["mnist", "digits"]).name
    'fashion_mnist-vs-mnist+digits'

    Raises:
        UserError: there are no outsider sets, or one is named twice or is the source.
    """
    if isinstance(outsiders, str):
        raise UserError(f"outsiders must be a list of names, but is the text {outsiders!r}")
    source = canonical_name(source)
    others = tuple(canonical_name(name) for name in outsiders)
    if not others:
        raise UserError(f"{source}: no outsider set is given; name at least one")
    return Task(f"{source}-vs-{'+'.join(others)}", source, None, others)


def whole(source: str) -> Task:
    """A data set as a whole, with no anomalous image.

    Rate and distortion can be measured on such a task, AUROC cannot.

    >>> task = whole("fmnist")
    >>> task.name, task.normal_class, task.outsiders
    ('fashion_mnist', None, ())
    """
    source = canonical_name(source)
    return Task(source, source, None, ())


def class_tasks(data_set: NamedClasses, classes: Sequence[int | str] | None = None) -> list[Task]:
    """One task for each of the chosen classes against the other classes of the same data set.

    Args:
        data_set: a declared data set, or a loaded one.
        classes: labels, class names (upper or lower case), or labels as text; None chooses every
            class.

    Raises:
        UserError: a class is unknown, or named twice; the message lists the legal ones.
    """
    names = data_set.classes
    if classes is None:
        return [one_class(data_set.name, label, name) for label, name in enumerate(names)]
    labels = [_label(data_set, chosen) for chosen in classes]
    if len(set(labels)) < len(labels):
        raise UserError(
            f"{data_set.name}: classes {', '.join(map(str, classes))} name one class twice; "
            "name each class once"
        )
    return [one_class(data_set.name, label, names[label]) for label in labels]


def _label(data_set: NamedClasses, chosen: int | str) -> int:
    """The label of a class that is given by its name or label."""
    names = [name.casefold() for name in data_set.classes]
    if isinstance(chosen, str) and chosen.casefold() in names:
        return names.index(chosen.casefold())
    is_number = not isinstance(chosen, str) or (chosen.isdecimal() and len(chosen) < MOST_DIGITS)
    label = int(chosen) if is_number else -1
    if 0 <= label < len(names):
        return label
    legal = ", ".join(f"{number} ({name})" for number, name in enumerate(data_set.classes))
    raise UserError(f"{data_set.name} has no class {chosen!r}; its classes are {legal}")
