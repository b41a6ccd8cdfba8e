"""What the page of results asks, from `questions.toml`.

The file holds, in the order of importance, a table `[[asked]]` for each question:

- `question`, and `study`, the folder of records that answers it; or `studies`, several folders of
  one data set each, whose selection rules are compared, and `name`, the folder of that report;
- `pairs`, with `studies`: the results of these studies are compared instead, in pairs of a
  baseline of one and a baseline of another, such as `[["PGN", "KDE"]]`;
- `finding`, optional: the answer in a person's words, short enough for the README. A number in it
  is a name in braces, such as `{loss}`, and is looked up in a table of the report by the entry of
  that name in `numbers`:
  `{table = "effects", row = {change = "bias = False (from True)"}, column = "difference"}`.
  `tone`, `above` and `below` say what the words take for granted about that number; `report`
  names the report of another question that the table stands in;
- `details`, optional: what the page says besides, at the study, with such numbers too;
- `settings`, optional: what the words take for granted about the training of a baseline, such as
  `[{study = "table1_mnist", baseline = "PGN", params = {scaling = "unit"}}]`;
- `about`, optional: the baselines that the finding is about, if it is not about all; it does not
  begin with how far its studies are once their trials have ended. None, `[]`: only trials that
  have ended, or printed numbers;
- `against`, optional: what a paper says, if the finding contradicts it;
- `figure`, optional: the name of the figure that is shown, in place of the report's first one.

`preface`, optional, is what the page says before its findings: the words and papers that they take
for granted, in Markdown.

A table `[[left]]` names what was not run: `question`, `why`, and the `options` of its command.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from tune_ad.errors import UserError
from tune_ad.storage.json_files import NUMBER, Kind, check_kind

QUESTIONS = "questions.toml"
NUMBER_KIND: Kind = {
    "table": str,
    "column": str,
    "row?": {"*": str},
    "report?": str,
    "tone?": frozenset({"better", "worse", "alike", "unsure"}),
    "above?": NUMBER,
    "below?": NUMBER,
}
SETTING_KIND: Kind = {"study": str, "baseline": str, "params": {"*": (bool, int, float, str)}}
ASKED_KIND: Kind = {
    "question": str,
    "study?": str,
    "studies?": [str],
    "name?": str,
    "pairs?": [[str]],
    "finding?": str,
    "details?": str,
    "numbers?": {"*": NUMBER_KIND},
    "settings?": [SETTING_KIND],
    "about?": [str],
    "against?": str,
    "figure?": str,
}
LEFT_KIND: Kind = {"question": str, "why": str, "options": str}
KIND: Kind = {"preface?": str, "asked?": [ASKED_KIND], "left?": [LEFT_KIND]}
Row = TypeVar("Row")


@dataclass(frozen=True)
class Number:
    """A number of a finding.

    Attributes:
        table: the name of a table of the report.
        column: the column of the number.
        row: texts of cells of one row, by column, enough to find it.
        report: the name of the report; empty = that of the question.
        tone: the outcome of its test, such as "better", that the words take for granted.
        above: a value, in the unit of the table's files, below which the words are wrong.
        below: a value above which they are wrong.
    """

    table: str
    column: str
    row: Mapping[str, str] = field(default_factory=dict)
    report: str = ""
    tone: str = ""
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Setting:
    """Hyperparameters that all trials of a baseline have; the attributes are those of the file."""

    study: str
    baseline: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A question that studies answer; the attributes are those of the file."""

    question: str
    study: str = ""
    studies: Sequence[str] = ()
    name: str = ""
    pairs: Sequence[Sequence[str]] = ()
    finding: str = ""
    details: str = ""
    numbers: Mapping[str, Number] = field(default_factory=dict)
    settings: Sequence[Setting] = ()
    about: Sequence[str] | None = None
    against: str = ""
    figure: str = ""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the records."""
        return (self.study,) if self.study else tuple(self.studies)

    @property
    def report(self) -> str:
        """The folder of the report: the name of the question's study, or of the question."""
        return self.study or self.name

    @property
    def sources(self) -> dict[str, list[str]]:
        """The names of the tables that the numbers come from, by report, its own first."""
        found: dict[str, list[str]] = {self.report: []}
        for number in self.numbers.values():
            tables = found.setdefault(number.report or self.report, [])
            if number.table not in tables:
                tables.append(number.table)
        return found


@dataclass(frozen=True)
class NotRun:
    """What was not run; the attributes are those of the file."""

    question: str
    why: str
    options: str


@dataclass(frozen=True)
class Questions:
    """The content of the file."""

    asked: Sequence[Asked]
    left: Sequence[NotRun]
    preface: str


def read(folder: Path) -> Questions:
    """The questions of a folder.

    Raises:
        UserError: if the file is missing or damaged, or an entry has an unknown key, lacks one or
            has a value of another type.
    """
    path = folder / QUESTIONS
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    check_kind(stored, KIND, str(path), "see analysis/evidence/questions.py")
    if odd := sorted(stored.keys() - {"preface", "asked", "left"}):
        raise UserError(
            f"{path}: unknown {', '.join(odd)}; it has `preface`, [[asked]] and [[left]]"
        )
    asked = [_asked(path, entry) for entry in stored.get("asked", [])]
    left = [_row(NotRun, path, entry) for entry in stored.get("left", [])]
    _check_places(path, asked)
    return Questions(asked, left, stored.get("preface", "").strip())


def _check_places(path: Path, asked: Sequence[Asked]) -> None:
    """Refuse two different reports in one folder."""
    places: dict[str, tuple[str, ...]] = {}
    for one in asked:
        if places.setdefault(one.report, one.folders) != one.folders:
            raise UserError(f"{path}: two reports are called {one.report!r}; rename one of them")


def _asked(path: Path, entry: Mapping[str, Any]) -> Asked:
    numbers = {
        name: _row(Number, path, number) for name, number in entry.get("numbers", {}).items()
    }
    settings = [_row(Setting, path, setting) for setting in entry.get("settings", [])]
    asked = _row(Asked, path, {**entry, "numbers": numbers, "settings": settings})
    if bool(asked.study) == bool(asked.studies):
        raise UserError(f"{path}: {asked.question!r} needs either `study` or `studies`")
    if bool(asked.studies) != bool(asked.name):
        raise UserError(f"{path}: {asked.question!r} needs a `name`, but only with `studies`")
    if asked.pairs and not asked.studies:
        raise UserError(f"{path}: {asked.question!r} has `pairs`, but no `studies` to compare")
    if odd := [pair for pair in asked.pairs if len(pair) != 2]:
        raise UserError(f"{path}: {asked.question!r}: {odd[0]} in `pairs` is no pair")
    if asked.about is not None and not asked.finding:
        raise UserError(f"{path}: {asked.question!r} says what a finding is `about`, but has none")
    if asked.details and not asked.finding:
        raise UserError(f"{path}: {asked.question!r} has `details` of a `finding`, but has none")
    return asked


def _row(kind: type[Row], path: Path, entry: Mapping[str, Any]) -> Row:
    """An entry of the file as a dataclass."""
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    if odd := [name for name in entry if name not in known]:
        raise UserError(
            f"{path}: unknown {', '.join(odd)}; a table of {kind.__name__} has {', '.join(known)}"
        )
    return kind(**entry)
