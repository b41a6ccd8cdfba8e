"""What a command-line option is: its flag, its legal values, and how its text is read.

Nothing here imports torch, Ray or Optuna.
"""

import argparse
import errno
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tune_ad.errors import UserError, cut, did_you_mean
from tune_ad.local_paths import local_path
from tune_ad.search.budgets import LIMITS
from tune_ad.wording import is_obeyed

BUDGET = "the budget"

LARGEST_PORT = 65535

T = TypeVar("T")


def integer(text: str) -> int:
    """The integer that a text stands for.

    Raises:
        argparse.ArgumentTypeError: if the text is not an integer.
    """
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from error


def port(text: str) -> int:
    """The number of a port on this machine that needs no rights.

    Raises:
        argparse.ArgumentTypeError: if it is none, as with the address of a host.
    """
    if not text.isdecimal() or not 1024 <= int(text) <= LARGEST_PORT:
        raise argparse.ArgumentTypeError(
            f"must be a number from 1024 to {LARGEST_PORT}, on this machine alone, got {text!r}"
        )
    return int(text)


def real(text: str) -> float:
    """The number that a text stands for.

    Raises:
        argparse.ArgumentTypeError: if the text is not a number.
    """
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from error


def share_or_auto(text: str) -> float | None:
    """The number of 0 or more that a text stands for; None for "auto".

    Raises:
        argparse.ArgumentTypeError: if the text is neither.
    """
    try:
        number = None if text == "auto" else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number or auto, got {text!r}") from error
    if number is not None and not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more, or auto, got {text!r}")
    return number


def filled(text: str) -> str:
    """The text itself.

    Raises:
        argparse.ArgumentTypeError: if the text is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError(f"must not be empty, got {text!r}")
    return text


def fault_of_path(text: str) -> str:
    """Why no file or folder can have a path; empty if one can.

    Control characters are refused as well, since they would reach terminals and pages.
    """
    if is_obeyed(text):
        return f"must have no control characters, got {cut(ascii(text))}"
    try:
        local_path(text, "")
        os.stat(text)
    except UserError as error:
        return str(error).strip()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            return f"must be a path that can exist, got {cut(text)} ({error.strerror})"
    return ""


def possible(text: str) -> str:
    """A text that may be the name or the path of something.

    Raises:
        argparse.ArgumentTypeError: if it is a URL, or no file or folder can have that path.
    """
    if fault := fault_of_path(text):
        raise argparse.ArgumentTypeError(fault)
    return text


def path_text(text: str) -> str:
    """The text of a path, or of a name.

    Raises:
        argparse.ArgumentTypeError: if it is empty, or as `possible`.
    """
    return possible(filled(text))


def path(text: str) -> Path:
    """The path of a file or a folder.

    Raises:
        argparse.ArgumentTypeError: as `path_text`.
    """
    return Path(path_text(text))


def names(text: str) -> list[str]:
    """The names between the commas of a text.

    Raises:
        argparse.ArgumentTypeError: if there is an empty one.
    """
    parts = [name.strip() for name in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f"must be names with a comma between them, got {text!r}")
    return parts


class Names(tuple[str, ...]):
    """Names of which each counts once, in the order in which they were given."""

    __slots__ = ()

    def __str__(self) -> str:
        """As they are typed, e.g. "mlflow,wandb"."""
        return ",".join(self)


def different_names(text: str) -> Names:
    """The different names between the commas of a text.

    Raises:
        argparse.ArgumentTypeError: if there is an empty one.
    """
    return Names(dict.fromkeys(names(text)))


class ImageSize(NamedTuple):
    """Height and width of an image in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        """As it is typed, e.g. "64x48"."""
        return f"{self.height}x{self.width}"


def image_size(text: str) -> ImageSize:
    """The size that a text such as "64" (a square) or "64x48" (height x width) stands for.

    Raises:
        argparse.ArgumentTypeError: if it is neither.
    """
    sides = text.lower().split("x")
    if not (1 <= len(sides) <= 2 and all(side.isdecimal() for side in sides)):
        raise argparse.ArgumentTypeError(f"must be a size such as 64 or 64x48, got {text!r}")
    return ImageSize(int(sides[0]), int(sides[-1]))


def assignment(text: str) -> tuple[str, str]:
    """The name and the value of "name=value", both as text.

    Raises:
        argparse.ArgumentTypeError: if the name or the value is missing.
    """
    name, _, value = text.partition("=")
    if not name or not value:
        raise argparse.ArgumentTypeError(f"must be name=value, got {text!r}")
    return name, value


class Option(NamedTuple):
    """A command-line option.

    Attributes:
        help: the text in --help.
        group: the heading under which --help shows the option.
        flag: the option as it is typed, e.g. "--seed"; derived from the field's name if empty.
        metavar: the placeholder of the value in --help.
        read: function that converts the typed text to the value, or to a (name, value) pair.
        repeated: whether the option may be given several times; its pairs become a mapping.
        flag_value: the value if the option is given without an argument.
        switch: whether the option never takes an argument.
        choices: the legal values; empty if any value is legal.
        minimum: the smallest legal number; None = no bound.
        maximum: the largest legal number; None = no bound.
        excludes_minimum: whether the number must be larger than `minimum`.
        unit: the unit of the number, for messages.
        kept: whether the option must be repeated with --resume.
    """

    help: str
    group: str
    flag: str = ""
    metavar: str | None = None
    read: Callable[[str], Any] = str
    repeated: bool = False
    flag_value: Any = None
    switch: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    excludes_minimum: bool = False
    unit: str = ""
    kept: bool = False

    def check(self, value: Any) -> None:  # noqa: ANN401
        """Check that a value is legal.

        Raises:
            UserError: with the flag, the value and what is legal.
        """
        if isinstance(value, tuple):
            for one in value:
                self.check(one)
            return
        if self.choices and value not in self.choices:
            hint = did_you_mean(value, self.choices)
            raise UserError(
                f"{self.flag} must be one of {', '.join(self.choices)}, got {cut(repr(value))}"
                + (f"; {hint}" if hint else "")
            )
        if value is None:  # the default of the machine
            return
        unit = f" {self.unit}" if self.unit else ""
        least, most = self.minimum, self.maximum
        if least is not None and not (value > least if self.excludes_minimum else value >= least):
            bound = "more than" if self.excludes_minimum else "at least"
            raise UserError(f"{self.flag} must be {bound} {least}{unit}, got {_plain(value)}")
        if most is not None and not value <= most:
            raise UserError(f"{self.flag} must be at most {most}{unit}, got {_plain(value)}")


def _plain(value: float) -> str:
    """A number without needless digits."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def option(default: T, help: str, group: str, **how: Any) -> T:  # noqa: ANN401
    """A field that one command-line option sets; `how` holds further fields of `Option`."""
    return field(default=default, metadata={"option": Option(help, group, **how)})


def mapping(**members: Option) -> Mapping[str, Any]:
    """A field that several options set: a mapping from their names to the given values."""
    return field(default_factory=dict, metadata={"members": members})


def assignments(help: str, group: str, **how: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """A field that an option sets one entry at a time, as name=value."""
    one = Option(help, group, read=assignment, repeated=True, **how)
    return field(default_factory=dict, metadata={"option": one})


def budget_number(name: str, help: str) -> Option:
    """An option that overrides a number of the budget, within the limits of `Budget`."""
    least, most = LIMITS[name]
    return Option(help, BUDGET, metavar="N", read=integer, minimum=least, maximum=most)
