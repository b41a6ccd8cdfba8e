"""What the page of results asks, from `questions.toml`.

The file holds, in the order of importance, a table `[[asked]]` for each question:

- `question`, and `study`, the folder of records that answers it, or `studies`, several folders
  whose selection rules are compared;
- `finding`, optional: the answer in a person's words. A number in it is a name in braces, such as
  `{loss}`, and is looked up in a table of the report by the entry of that name in `numbers`:
  `{table = "effects", row = {change = "bias = False (from True)"}, column = "difference"}`.
  `tone`, `above` and `below` say what the words take for granted about that number;
- `against`, optional: what a paper says, if the finding contradicts it.

A table `[[left]]` names what was not run: `question`, `why`, and the `options` of its command.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from tune_ad.errors import UserError

QUESTIONS = "questions.toml"
Row = TypeVar("Row")


@dataclass(frozen=True)
class Number:
    """A number of a finding.

    Attributes:
        table: the name of a table of the report.
        row: texts of cells of one row, by column, enough to find it.
        column: the column of the number.
        tone: the outcome of its test, such as "better", that the words take for granted.
        above: a value, in the unit of the table's files, below which the words are wrong.
        below: a value above which they are wrong.
    """

    table: str
    column: str
    row: Mapping[str, str] = field(default_factory=dict)
    tone: str = ""
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Asked:
    """A question that studies answer; the attributes are those of the file."""

    question: str
    study: str = ""
    studies: Sequence[str] = ()
    finding: str = ""
    numbers: Mapping[str, Number] = field(default_factory=dict)
    against: str = ""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the records."""
        return (self.study,) if self.study else tuple(self.studies)


@dataclass(frozen=True)
class Left:
    """What was not run; the attributes are those of the file."""

    question: str
    why: str
    options: str


@dataclass(frozen=True)
class Questions:
    """The content of the file."""

    asked: Sequence[Asked]
    left: Sequence[Left]


def read(folder: Path) -> Questions:
    """The questions of a folder.

    Raises:
        UserError: if the file is missing or damaged, or an entry has an unknown or lacks a key.
    """
    path = folder / QUESTIONS
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    asked = [_asked(path, entry) for entry in stored.get("asked", [])]
    left = [_row(Left, path, entry) for entry in stored.get("left", [])]
    return Questions(asked, left)


def _asked(path: Path, entry: Mapping[str, Any]) -> Asked:
    numbers = {
        name: _row(Number, path, number) for name, number in entry.get("numbers", {}).items()
    }
    asked = _row(Asked, path, {**entry, "numbers": numbers})
    if bool(asked.study) == bool(asked.studies):
        raise UserError(f"{path}: {asked.question!r} needs either `study` or `studies`")
    return asked


def _row(kind: type[Row], path: Path, entry: Mapping[str, Any]) -> Row:
    """An entry of the file as a dataclass."""
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    needed = {
        name
        for name, item in known.items()
        if item.default is MISSING and item.default_factory is MISSING
    }
    if odd := sorted((entry.keys() - known.keys()) | (needed - entry.keys())):
        raise UserError(
            f"{path}: an entry has unknown keys or lacks some: {', '.join(odd)}; a table of "
            f"{kind.__name__} has {', '.join(known)}"
        )
    return kind(**entry)
