"""Findings: a person's words with the numbers of reports in them."""

import math
import string
from collections.abc import Mapping
from numbers import Real

from analysis.document.blocks import Cell, Document, Table
from analysis.evidence.questions import Asked, Number
from tune_ad.errors import UserError, did_you_mean

NOTHING = ("", "none", "nan")


def words(asked: Asked, reports: Mapping[str, Document]) -> tuple[str, str]:
    """The finding of a question, and its details, with their numbers.

    Args:
        asked: the question.
        reports: all reports by name.

    Raises:
        UserError: if a number is not in its report, or is not what the words take for granted.
    """
    texts = (asked.finding, asked.details)
    try:
        parts = [part for text in texts for part in string.Formatter().parse(text)]
    except ValueError as error:
        raise UserError(f"the finding of {asked.question!r} cannot be read: {error}") from None
    named = {name for _, name, _, _ in parts if name is not None}
    if odd := sorted(named ^ asked.numbers.keys()):
        raise UserError(
            f"the finding of {asked.question!r} and its `numbers` do not name the same: "
            f"{', '.join(odd)}"
        )
    for name in asked.sources:
        if name not in reports:
            hint = did_you_mean(name, reports) or f"there are {', '.join(reports)}"
            raise UserError(f"{asked.question!r} quotes {name!r}, which is no report; {hint}")
    tables = {
        name: {table.name: table for table in reports[name].all_tables()} for name in asked.sources
    }
    numbers = {
        name: _checked(
            asked, name, number, _cell(asked, number, tables[number.report or asked.report])
        )
        for name, number in asked.numbers.items()
    }
    finding, details = (text.format(**numbers) for text in texts)
    return finding, details


def _cell(asked: Asked, number: Number, tables: Mapping[str, Table]) -> Cell:
    """The cell of a table that a number stands in."""
    if number.table not in tables:
        raise UserError(
            f"{asked.question!r} quotes the table {number.table!r}, which its report lacks; "
            f"{did_you_mean(number.table, tables) or ', '.join(tables)}"
        )
    shown = tables[number.table].shown
    for column in (*number.row, number.column):
        if column not in shown:
            raise UserError(
                f"{asked.question!r} quotes the column {column!r}, which the table "
                f"{number.table!r} lacks; it has {', '.join(map(str, shown))}"
            )
    rows = [
        row
        for _, row in shown.iterrows()
        if all(str(row[column]) == text for column, text in number.row.items())
    ]
    if len(rows) != 1:
        raise UserError(
            f"{asked.question!r} quotes a row of the table {number.table!r} that is there "
            f"{len(rows)} times: {dict(number.row)}"
        )
    value = rows[0][number.column]
    return value if isinstance(value, Cell) else Cell(str(value), _number(value))


def _number(value: object) -> float:
    return float(value) if isinstance(value, Real) else math.nan


def _checked(asked: Asked, name: str, number: Number, cell: Cell) -> str:
    """The text of a number that is there and is what the words take for granted."""
    faults = []
    if cell.text in NOTHING:
        faults.append("it is no number")
    if number.tone and cell.tone != number.tone:
        faults.append(f"its test says {cell.tone or 'nothing'}, not {number.tone}")
    if number.above is not None and not cell.value > number.above:
        faults.append(f"it is not above {number.above}")
    if number.below is not None and not cell.value < number.below:
        faults.append(f"it is not below {number.below}")
    if faults:
        raise UserError(
            f"the finding of {asked.question!r} no longer holds: {{{name}}} = {cell.text}, but "
            f"{' and '.join(faults)}; write it again"
        )
    return cell.text
