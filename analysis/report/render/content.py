"""A document as every renderer needs it: numbered, told apart, in cells; nothing escaped yet."""

import itertools
import math
import numbers
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import pandas as pd

from analysis.document.blocks import Block, Cell, Document, Section, Table, Text, Tone
from analysis.document.format import short

MARKS: dict[Tone, str] = {"better": "▲", "worse": "▼", "alike": "≈", "unsure": "?"}
"""What stands after a text, so that no colour is needed."""
MEANINGS: dict[Tone, str] = {
    "better": "better",
    "worse": "worse",
    "alike": "alike",
    "unsure": "no verdict",
}
LONG = 40  # letters from which a cell is broken into lines


class Passage(NamedTuple):
    """A paragraph, or a list where there are items."""

    text: str
    items: tuple[str, ...] = ()


class Prose(NamedTuple):
    """A text in its passages."""

    kind: Literal["plain", "note", "warning", "verdict"]
    passages: list[Passage]
    view: str = "prose"


class Column(NamedTuple):
    """A column.

    Attributes:
        name: above it.
        numeric: whether all filled cells have a value.
        long: whether a text in it is broken into lines.
        toned: whether a test says something of a cell in it.
    """

    name: str
    numeric: bool
    long: bool = False
    toned: bool = False


class Grid(NamedTuple):
    """A table in cells.

    Attributes:
        number: in the report, from 1.
        name: of the table.
        caption: on one line.
        columns: from the left.
        rows: of cells.
        tones: that occur, in the order of `MARKS`.
        stored: whether there is a file of it.
    """

    number: int
    name: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    tones: list[Tone]
    stored: bool
    view: str = "grid"


class Picture(NamedTuple):
    """A figure by its number in the report, from 1."""

    number: int
    name: str
    caption: str
    view: str = "picture"


class Part(NamedTuple):
    """A section with its address in the page."""

    title: str
    anchor: str
    blocks: list[Prose | Grid | Picture]


def parts(document: Document) -> list[Part]:
    """The sections of a document; tables and figures numbered through, addresses all different."""
    tables, figures = itertools.count(1), itertools.count(1)

    def viewed(block: Block) -> Prose | Grid | Picture:
        if isinstance(block, Text):
            return Prose(block.kind, passages(block.text))
        if isinstance(block, Table):
            return grid(block, next(tables))
        return Picture(next(figures), block.name, line(block.caption))

    return [
        Part(line(section.title), anchor, [viewed(block) for block in section.blocks])
        for section, anchor in zip(document.sections, anchors(document), strict=True)
    ]


def anchors(document: Document) -> list[str]:
    """An address for each section: its own, with a number behind it where it is taken.

    Taken are those of the tables and figures, `table-<name>` and `figure-<name>`, and `top`.
    """
    taken = {"top", *(f"table-{each.name}" for each in document.all_tables())}
    taken |= {f"figure-{each.name}" for each in document.figures()}
    chosen = []
    for section in document.sections:
        chosen.append(next(each for each in _addresses(section) if each not in taken))
        taken.add(chosen[-1])
    return chosen


def _addresses(section: Section) -> Iterator[str]:
    wanted = section.anchor or "section"
    yield wanted
    yield from (f"{wanted}-{k}" for k in itertools.count(2))


def passages(text: str) -> list[Passage]:
    r"""The paragraphs and lists of a text, in their order.

    >>> passages("One\nline.\n\n- a\n- b")
    [Passage(text='One line.', items=()), Passage(text='', items=('a', 'b'))]
    """
    found = []
    for part in re.split(r"\n\s*\n", text.strip()):
        for listed, lines in itertools.groupby(part.splitlines(), lambda each: each[:2] == "- "):
            if listed:
                found.append(Passage("", tuple(line(each[2:]) for each in lines)))
            else:
                found.append(Passage(line(" ".join(lines))))
    return [each for each in found if each.text or each.items]


def grid(table: Table, number: int = 1) -> Grid:
    """The cells of a table."""
    rows = [[cell(value) for value in row] for row in table.shown.itertuples(index=False)]
    columns = [_column(name, [row[k] for row in rows]) for k, name in enumerate(table.shown)]
    seen = {each.tone for row in rows for each in row}
    tones = [tone for tone in MARKS if tone in seen]
    return Grid(
        number, table.name, line(table.caption), columns, rows, tones, not table.stored.empty
    )


def _column(name: object, cells: Sequence[Cell]) -> Column:
    filled = [each for each in cells if each.text]
    numeric = bool(filled) and not any(math.isnan(each.value) for each in filled)
    long = any(len(each.text) > LONG for each in filled)
    return Column(line(str(name)), numeric, long, any(each.tone for each in cells))


def cell(value: object) -> Cell:
    r"""Whatever stands in a table as a cell on one line; empty where there is nothing.

    >>> cell(2), cell(float("nan")).text, cell("two\nlines").text
    (Cell(text='2', value=2.0, tone='', note=''), '', 'two lines')
    """
    if isinstance(value, Cell):
        return value._replace(text=line(value.text), note=line(value.note))
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return Cell("" if value is pd.NA or value is pd.NaT else line(short(value)))
    known = value if isinstance(value, numbers.Integral) else float(value)
    return Cell(short(known), float(value))


def line(text: str) -> str:
    r"""A text on one line.

    >>> line(" a\n b ")
    'a b'
    """
    return " ".join(text.split())


def silent(document: Document) -> list[str]:
    """The names of tables that are written without being shown."""
    return [table.name for table in document.tables if not table.stored.empty]
