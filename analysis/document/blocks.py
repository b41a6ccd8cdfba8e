"""A report before it is rendered: sections of texts, tables and figures.

All texts of a document are plain text, which may come from a user; a renderer escapes them.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pandas as pd
from matplotlib.figure import Figure as Drawing

Tone = Literal["", "better", "worse", "alike", "unsure"]
"""The outcome of a test, shown as a mark and a colour; "unsure" = no verdict."""


class Cell(NamedTuple):
    """A table cell with a sort value, the outcome of a test and a note.

    Attributes:
        text: the text that is shown.
        value: the number by which the column is sorted; NaN = last.
        tone: the outcome of a test.
        note: the reason for the outcome, a tooltip in HTML.
    """

    text: str
    value: float = math.nan
    tone: Tone = ""
    note: str = ""

    def __str__(self) -> str:
        """The text alone."""
        return self.text


@dataclass(frozen=True)
class Text:
    """One or more paragraphs.

    Attributes:
        text: plain text; an empty line separates paragraphs, a line that begins with "- " is an
            item of a list, one that begins with "$ " a command.
        kind: the kind of text; "verdict", "warning" and "note" are set apart.
    """

    text: str
    kind: Literal["plain", "note", "warning", "verdict"] = "plain"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: the name of its file, `tables/<name>.csv`.
        shown: the formatted rows; each cell is a text, a number or a `Cell`.
        caption: what the numbers are, their unit, n and interval, and the selection rule.
        data: the same rows in full precision, for the file; None = `shown`.
        details: the rest of a long caption, such as how the numbers are computed; folded on a
            page.
    """

    name: str
    shown: pd.DataFrame
    caption: str = ""
    data: pd.DataFrame | None = None
    details: str = ""

    @property
    def stored(self) -> pd.DataFrame:
        """The content of its file."""
        return self.shown.map(plain) if self.data is None else self.data


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: the name of its files, `figures/<name>.svg` and `.pdf`.
        draw: the function that draws it; called once for all renderers.
        caption: what is drawn, what the bands are, n.
    """

    name: str
    draw: Callable[[], Drawing]
    caption: str = ""


Block = Text | Table | Figure


@dataclass(frozen=True)
class Section:
    """A section with a heading.

    Attributes:
        title: the heading.
        blocks: the content, in order.
    """

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    @property
    def anchor(self) -> str:
        """The title as the fragment of an address.

        >>> Section("AUROC of β-VAE (L = 10)").anchor
        'auroc-of-β-vae-l-10'
        """
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: the title of the report.
        summary: the summary of the study, in a few lines.
        headline: the answer in a sentence, which stands at the top in place of the summary; empty
            if the summary stands there.
        sections: the sections in order; titles and names of tables and figures are unique.
        tables: further tables, which have a file but are not shown.
    """

    title: str
    summary: str
    sections: Sequence[Section]
    tables: Sequence[Table] = ()
    headline: str = ""

    @property
    def lead(self) -> str:
        """The text at the top."""
        return self.headline or self.summary

    def figures(self) -> list[Figure]:
        """All figures, in their order."""
        return [block for block in self._blocks() if isinstance(block, Figure)]

    def all_tables(self) -> list[Table]:
        """All tables; those shown in the report come first."""
        return [*(block for block in self._blocks() if isinstance(block, Table)), *self.tables]

    def _blocks(self) -> Iterable[Block]:
        return (block for section in self.sections for block in section.blocks)


def plain(value: object) -> object:
    """A cell as a file holds it.

    >>> plain(Cell("91.3 ± 1.8", 0.913)), plain(2)
    ('91.3 ± 1.8', 2)
    """
    return value.text if isinstance(value, Cell) else value
