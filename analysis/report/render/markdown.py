"""A document as Markdown of the kind that GitHub shows."""

import re

import pandas as pd

from analysis.document.blocks import Cell, Document
from analysis.report.render import content
from analysis.report.render.content import (
    MARKS,
    MEANINGS,
    FigureView,
    Passage,
    SectionView,
    TableView,
    TextView,
)

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")
LEADING = re.compile(r"^([-+=](?=[-=\s]|$)|\d+(?=[.)](\s|$)))")
LABELS = {"verdict": "Verdict", "warning": "Warning", "note": "Note"}


def markdown(document: Document) -> str:
    """The document, with links to the files of its figures; no text of it acts as markup."""
    blocks = [f"# {escaped(document.title)}", *map(_passage, content.passages(document.lead))]
    for section in content.section_views(document):
        blocks += section_blocks(section)
    if names := content.unshown_tables(document):
        blocks.append(f"More tables: {', '.join(map(_file, names))}")
    return "\n\n".join(filter(None, blocks)) + "\n"


def escaped(text: str) -> str:
    r"""A text of one line that Markdown shows as it is.

    >>> print(escaped("- <b> a|b"))
    \- \<b\> a\|b
    """
    marked = SPECIAL.sub(r"\\\1", text)
    number = LEADING.match(marked)
    if number is None:
        return marked
    head = number.group()
    return (head + "\\" if head.isdigit() else "\\" + head) + marked[number.end() :]


def section_blocks(section: SectionView) -> list[str]:
    """The heading and the blocks of a section."""
    return [f"## {escaped(section.title)}", *map(_block, section.blocks)]


def _block(block: TextView | TableView | FigureView) -> str:
    if isinstance(block, TextView):
        return _text(block)
    if isinstance(block, TableView):
        return _table(block)
    head = f"Figure {block.number}. {escaped(block.caption)}".strip()
    return f"![Figure {block.number}](figures/{block.name}.svg)\n\n{head}"


def _text(block: TextView) -> str:
    text = "\n\n".join(map(_passage, block.passages))
    if block.kind == "plain" or not text:
        return text
    labelled = f"**{LABELS[block.kind]}**\n\n{text}"
    return "\n".join(f"> {line}".rstrip() for line in labelled.split("\n"))


def _passage(passage: Passage) -> str:
    if passage.is_command:
        return f"    {passage.text}"
    return "\n".join(f"- {escaped(item)}" for item in passage.items) or escaped(passage.text)


def _table(table: TableView) -> str:
    caption = escaped(f"{table.caption} {table.details}")
    head = f"Table {table.number}. {caption}".strip()
    legend = ", ".join(f"{escaped(MARKS[tone])} {MEANINGS[tone]}" for tone in table.tones)
    file = f"Full precision: {_file(table.name)}" if table.stored else ""
    return "\n\n".join(filter(None, [head, pipes(table), legend, file]))


def pipes(table: TableView) -> str:
    """The rows of a table under their heads; empty without columns."""
    if not table.columns:
        return ""
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    content = pd.DataFrame(rows, columns=[escaped(column.name) for column in table.columns])
    sides = ["right" if column.numeric else "left" for column in table.columns]
    text: str = content.to_markdown(
        index=False, disable_numparse=True, colalign=sides if rows else None
    )
    return text


def _cell(cell: Cell) -> str:
    return escaped(f"{cell.text} {MARKS[cell.tone]}" if cell.tone else cell.text)


def _file(name: str) -> str:
    return f"[{escaped(f'tables/{name}.csv')}](tables/{name}.csv)"
