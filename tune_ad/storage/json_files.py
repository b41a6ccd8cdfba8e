"""Reads files of strict JSON, of which any may be damaged."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tune_ad.errors import UserError, cut
from tune_ad.wording import printable

LARGEST = 2**63  # of whole numbers, as other readers of JSON store them
NUMBER = (int, float)

SUSPECT = re.compile(r"\\[bfnrtu]|[^\n\r\t -~]")
"""What a JSON text has if one of its texts may not be printable; most have none."""
Kind = Any
"""What a value must be: a type or several, a set of texts, the fields of an object by their names
("*" matches every name, "?" at the end of a name: it may be left out), a list of the kind of its
items, or a `Field`."""


@dataclass(frozen=True)
class Field:
    """A kind with what a value of it means, for the page of formats.

    Attributes:
        kind: what the value must be.
        meaning: what it stands for, with its unit or range.
    """

    kind: Kind
    meaning: str


def parsed(content: bytes) -> Any:  # noqa: ANN401
    """The value of a JSON text, in which every text is printable.

    Raises:
        ValueError: if it is not strict JSON in UTF-8, or is nested too deeply to be read.
    """
    try:
        text = content.decode()
        value = json.loads(text, parse_constant=_refuse_constant)
        return _printable(value) if SUSPECT.search(text) else value
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error


def _printable(value: Any) -> Any:  # noqa: ANN401
    """Plain data with every text and name as by `printable`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {printable(name): _printable(item) for name, item in value.items()}
    return value


def _refuse_constant(name: str) -> None:
    """Refuse NaN and infinities, which are not JSON and are never written.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is no number of JSON")


def read_object(path: Path, remedy: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: the file.
        remedy: what mends it, for the message.

    Raises:
        UserError: if the file cannot be read or holds something else.
    """
    try:
        value = parsed(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({cut(str(error))}); {remedy}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object; {remedy}")
    return value


class Fault(NamedTuple):
    """A place of a value that is missing or of another kind than it must be.

    Attributes:
        place: the place, such as "study.budget.trials".
        value: what is there.
        is_missing: whether nothing is.
    """

    place: str
    value: object = None
    is_missing: bool = False


def check_kind(value: object, kind: Kind, noun: str, remedy: str) -> None:
    """Check that a value is of a kind.

    Args:
        value: plain data.
        kind: what it must be, as for `faults`.
        noun: what the value is, for the message.
        remedy: what mends it, for the message.

    Raises:
        UserError: with what it lacks, or with the first part that is of another kind.
    """
    found = list(faults(value, kind))
    if missing := [fault.place for fault in found if fault.is_missing]:
        raise UserError(f"{noun} lacks {cut(', '.join(missing))}; {remedy}")
    for fault in found:
        raise UserError(f"{fault.place or noun} cannot be {cut(repr(fault.value))}; {remedy}")


def faults(value: object, kind: Kind, where: str = "") -> Iterator[Fault]:
    """The places of a value that are missing or of another kind.

    >>> kind = {"a": {"b": str}, "c": [int], "d?": int}
    >>> [fault.place for fault in faults({"a": {"b": 1}, "c": [2, "3"]}, kind)]
    ['a.b', 'c.1']

    Args:
        value: plain data.
        kind: what it must be. Whole numbers have at most 63 bits; where other numbers may not
            stand, they are at least 0.
        where: the place of the value.
    """
    if isinstance(kind, Field):
        yield from faults(value, kind.kind, where)
    elif isinstance(kind, Mapping):
        yield from _faults_of_object(value, kind, where)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield Fault(where, value)
            return
        for position, item in enumerate(value):
            yield from faults(item, kind[0], f"{where}.{position}".lstrip("."))
    elif not _is_of(value, kind):
        yield Fault(where, value)


def _faults_of_object(value: object, kind: Mapping[str, Kind], where: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(where, value)
        return
    for name, inner in kind.items():
        key = name.removesuffix("?")
        for member in value if name == "*" else [key]:
            place = f"{where}.{member}".lstrip(".")
            if member in value:
                yield from faults(value[member], inner, place)
            elif key == name:
                yield Fault(place, is_missing=True)


def _is_of(value: object, kind: type | tuple[type, ...] | frozenset[str]) -> bool:
    """Whether a value has one of the types, or is one of the texts; True is no number."""
    if isinstance(kind, frozenset):
        return isinstance(value, str) and value in kind
    types = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, bool):
        return bool in types
    least = 1 - LARGEST if float in types else 0
    if isinstance(value, int) and not least <= value < LARGEST:
        return False
    return isinstance(value, types)
