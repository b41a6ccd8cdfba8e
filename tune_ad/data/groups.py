"""Groups of the images of a task: the normal images and each outsider set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True)
class Groups(Generic[T]):
    """One quantity of each group of a task's images, such as their scores or their positions.

    Attributes:
        normal: of the normal images.
        outsiders: of each outsider set, by its name; `OTHER_CLASSES` is the name of the other
            classes of the same data set. A set can have any name, including "normal".
    """

    normal: T
    outsiders: Mapping[str, T]

    def map(self, function: Callable[[T], S]) -> "Groups[S]":
        """What a function makes of each group.

        >>> Groups([1, 2], {"svhn": [3]}).map(len)
        Groups(normal=2, outsiders={'svhn': 1})
        """
        outsiders = {name: function(value) for name, value in self.outsiders.items()}
        return Groups(function(self.normal), outsiders)

    def values(self) -> list[T]:
        """The quantity of every group, that of the normal images first."""
        return [self.normal, *self.outsiders.values()]
