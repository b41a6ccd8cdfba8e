"""A document in the form that all renderers use: numbered blocks, unique names, cells.

Nothing is escaped here; that is each renderer's own task.
"""

import itertools
import math
import numbers
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import pandas as pd

from analysis.document.blocks import Block, Cell, Document, Section, Table, Text, Tone
from analysis.document.format import short
from tune_ad.wording import printable

MARKS: dict[Tone, str] = {"better": "▲", "worse": "▼", "alike": "≈", "unsure": "?"}
"""The mark behind a text, so that its meaning does not depend on colour."""
MEANINGS: dict[Tone, str] = {
    "better": "better",
    "worse": "worse",
    "alike": "alike",
    "unsure": "no verdict",
}
ITEM, COMMAND = "- ", "$ "
LONG = 40  # cell length above which the text wraps


class Passage(NamedTuple):
    """A paragraph, a list if there are items, or a command to be typed."""

    text: str
    items: tuple[str, ...] = ()
    is_command: bool = False


class TextView(NamedTuple):
    """A text as its passages."""

    kind: Literal["plain", "note", "warning", "verdict"]
    passages: list[Passage]
    view: str = "text"


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: the head of the column.
        numeric: whether every cell that is not empty has a value.
        long: whether its cells are broken into lines.
        toned: whether at least one of its cells shows the outcome of a test.
    """

    name: str
    numeric: bool
    long: bool = False
    toned: bool = False


class TableView(NamedTuple):
    """A table as cells.

    Attributes:
        number: the number in the report, from 1.
        name: the name of the table.
        caption: the caption on one line.
        details: the rest of the caption, on one line.
        columns: the columns from the left.
        rows: the rows of cells.
        tones: the tones that occur in it, in the order of `MARKS`.
        stored: whether the report has a file of it.
    """

    number: int
    name: str
    caption: str
    details: str
    columns: list[Column]
    rows: list[list[Cell]]
    tones: list[Tone]
    stored: bool
    view: str = "table"


class FigureView(NamedTuple):
    """A figure with its number in the report, from 1."""

    number: int
    name: str
    caption: str
    view: str = "figure"


class SectionView(NamedTuple):
    """A section with its address in the page, that is, the identifier of its heading."""

    title: str
    anchor: str
    blocks: list[TextView | TableView | FigureView]


def section_views(document: Document) -> list[SectionView]:
    """The sections of a document, with tables and figures numbered and addresses unique."""
    tables, figures = itertools.count(1), itertools.count(1)

    def viewed(block: Block) -> TextView | TableView | FigureView:
        if isinstance(block, Text):
            return TextView(block.kind, passages(block.text))
        if isinstance(block, Table):
            return table_view(block, next(tables))
        return FigureView(next(figures), block.name, one_line(block.caption))

    return [
        SectionView(one_line(section.title), anchor, [viewed(block) for block in section.blocks])
        for section, anchor in zip(document.sections, anchors(document), strict=True)
    ]


def anchors(document: Document) -> list[str]:
    """The address of each section: its anchor, with a number appended if that is taken.

    Tables and figures take `table-<name>` and `figure-<name>`, the page takes `top`.
    """
    taken = {"top", *(f"table-{table.name}" for table in document.all_tables())}
    taken |= {f"figure-{figure.name}" for figure in document.figures()}
    addresses = []
    for section in document.sections:
        free = (address for address in _candidates(section) if address not in taken)
        addresses.append(next(free))
        taken.add(addresses[-1])
    return addresses


def _candidates(section: Section) -> Iterator[str]:
    """The addresses that a section may have, the preferred one first."""
    preferred = section.anchor or "section"
    yield preferred
    yield from (f"{preferred}-{k}" for k in itertools.count(2))


def passages(text: str) -> list[Passage]:
    r"""The paragraphs, lists and commands of a text, in their order.

    >>> [tuple(passage) for passage in passages("One\nline.\n\n- a\n- b\n$ ls")]
    [('One line.', (), False), ('', ('a', 'b'), False), ('ls', (), True)]
    """
    parts = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        for mark, lines in itertools.groupby(paragraph.splitlines(), _mark):
            if mark == ITEM:
                parts.append(Passage("", tuple(one_line(line[2:]) for line in lines)))
            elif mark == COMMAND:
                parts += [Passage(one_line(line[2:]), is_command=True) for line in lines]
            else:
                parts.append(Passage(one_line(" ".join(lines))))
    return [passage for passage in parts if passage.text or passage.items]


def _mark(line: str) -> str:
    """The mark at the beginning of a line; empty without one."""
    return next((mark for mark in (ITEM, COMMAND) if line.startswith(mark)), "")


def table_view(table: Table, number: int = 1) -> TableView:
    """A table as cells.

    Args:
        table: a table of a document.
        number: the number of the table in the report.
    """
    rows = [[cell(value) for value in row] for row in table.shown.itertuples(index=False)]
    columns = [_column(name, [row[k] for row in rows]) for k, name in enumerate(table.shown)]
    present = {entry.tone for row in rows for entry in row}
    tones = [tone for tone in MARKS if tone in present]
    return TableView(
        number=number,
        name=table.name,
        caption=one_line(table.caption),
        details=one_line(table.details),
        columns=columns,
        rows=rows,
        tones=tones,
        stored=not table.stored.empty,
    )


def _column(name: object, cells: Sequence[Cell]) -> Column:
    filled = [entry for entry in cells if entry.text]
    return Column(
        name=one_line(str(name)),
        numeric=bool(filled) and not any(math.isnan(entry.value) for entry in filled),
        long=any(len(entry.text) > LONG for entry in filled),
        toned=any(entry.tone for entry in cells),
    )


def cell(value: object) -> Cell:
    r"""The content of a table's cell on one line; empty for a missing value.

    >>> cell(2), cell(float("nan")).text, cell("two\nlines").text
    (Cell(text='2', value=2.0, tone='', note=''), '', 'two lines')
    """
    if isinstance(value, Cell):
        return value._replace(text=one_line(value.text), note=one_line(value.note))
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return Cell("" if value is pd.NA or value is pd.NaT else one_line(short(value)))
    number = value if isinstance(value, numbers.Integral) else float(value)
    return Cell(short(number), float(value))


def one_line(text: str) -> str:
    r"""A text on one line, with single spaces, of which no character acts (`printable`).

    >>> one_line(" a\n b \x1b")
    'a b \\x1b'
    """
    return printable(" ".join(text.split()))


def unshown_tables(document: Document) -> list[str]:
    """The names of the tables that have a file but are not shown in the report."""
    return [table.name for table in document.tables if not table.stored.empty]
