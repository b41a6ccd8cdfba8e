"""Type checks of the fields that a search file declares."""

import re
from collections.abc import Mapping

from tune_ad.errors import UserError


def check_integer(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is not an integer between two bounds.

    Args:
        name: the field, as the message names it.
        value: the value of the field.
        least: the smallest legal number.
        most: the largest legal number; None = no upper bound.

    Raises:
        UserError: naming the field and the value.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise UserError(f"{name} must be at least {least}, got {value}")
    if most is not None and value > most:
        raise UserError(f"{name} must be at most {most}, got {value}")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        UserError: naming the field and the value.
    """
    if not isinstance(value, bool):
        raise UserError(f"{name} must be True or False, got {value!r}")


def check_names(name: str, value: object) -> None:
    """Refuse what is not a tuple of strings, above all the single string that a comma makes one.

    Raises:
        UserError: naming the field and the value.
    """
    if isinstance(value, str):
        raise UserError(f'{name} must be a tuple, ("{value}",), got {value!r}')
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise UserError(f"{name} must be a tuple of names, got {value!r}")


def check_folder_name(name: str, value: str) -> None:
    """Refuse a name that is unfit for a folder.

    Raises:
        UserError: naming the field and the value.
    """
    if not re.fullmatch(r"\w[\w.+-]*", value):
        raise UserError(
            f"{name} becomes the name of a folder, so it may only contain letters, digits and "
            f"_ . + -, and must begin with a letter, a digit or _, got {value!r}"
        )


def check_mapping(name: str, value: object) -> None:
    """Refuse what is not a mapping whose keys are strings.

    Raises:
        UserError: naming the field and the value.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UserError(f"{name} must be a dictionary whose keys are names, got {value!r}")


def check_instance(name: str, value: object, kind: type) -> None:
    """Refuse what is not an instance of a class.

    Raises:
        UserError: naming the field, the class and the value.
    """
    if not isinstance(value, kind):
        noun = "string" if kind is str else kind.__name__
        raise UserError(f"{name} must be a {noun}, got {value!r}")
