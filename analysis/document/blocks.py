"""A report before it is drawn: sections of texts, tables and figures. Renderers know nothing else.

Whatever stands in a document is plain text, as a user may have typed it; a renderer escapes it.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import pandas as pd
from matplotlib.figure import Figure as Drawing

Tone = Literal["", "better", "worse", "alike", "unsure"]
"""What a test says of a cell; shown as a mark and a colour. "unsure" = no verdict."""


class Cell(NamedTuple):
    """A cell of a table whose text is not all there is to it.

    Attributes:
        text: shown.
        value: by which the column is sorted; NaN = last.
        tone: what a test says of it.
        note: why, shown where there is room.
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
    """A paragraph.

    Attributes:
        text: plain words; an empty line separates paragraphs, a line that begins with "- " is an
            item of a list.
        kind: "verdict" and "warning" stand out.
    """

    text: str
    kind: Literal["plain", "note", "warning", "verdict"] = "plain"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of its file, `tables/<name>.csv`.
        shown: the rows as people read them; each cell a text, a number or a `Cell`.
        caption: what the numbers are, their unit, n, interval and the rule that selected.
        data: the same in full precision, for the file; None = what is shown.
    """

    name: str
    shown: pd.DataFrame
    caption: str = ""
    data: pd.DataFrame | None = None

    @property
    def stored(self) -> pd.DataFrame:
        """What its file holds."""
        return self.shown.map(plain) if self.data is None else self.data


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: of its files, `figures/<name>.svg` and `.pdf`.
        draw: makes it; called once for all renderers.
        caption: what is drawn, the bands, n.
    """

    name: str
    draw: Callable[[], Drawing]
    caption: str = ""


Block = Text | Table | Figure


@dataclass(frozen=True)
class Section:
    """A section with a heading.

    Attributes:
        title: of the heading.
        blocks: in their order.
    """

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    @property
    def anchor(self) -> str:
        """The title as part of an address.

        >>> Section("AUROC of β-VAE (L = 10)").anchor
        'auroc-of-β-vae-l-10'
        """
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: of the study.
        summary: the answer, a few lines.
        sections: in their order; their titles and the names of tables and figures differ.
        tables: written as files without being shown.
    """

    title: str
    summary: str
    sections: Sequence[Section]
    tables: Sequence[Table] = ()

    def figures(self) -> list[Figure]:
        """All figures, in their order."""
        return [each for each in self._blocks() if isinstance(each, Figure)]

    def all_tables(self) -> list[Table]:
        """All tables, shown ones first."""
        return [*(each for each in self._blocks() if isinstance(each, Table)), *self.tables]

    def _blocks(self) -> Iterable[Block]:
        return (block for section in self.sections for block in section.blocks)


def plain(value: object) -> object:
    """A cell as a file holds it.

    >>> plain(Cell("91.3 ± 1.8", 0.913)), plain(2)
    ('91.3 ± 1.8', 2)
    """
    return value.text if isinstance(value, Cell) else value
