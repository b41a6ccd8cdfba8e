"""A document as Markdown of the kind that GitHub shows."""

import re

import pandas as pd

from analysis.document.blocks import Document, Tone
from analysis.report.render import content
from analysis.report.render.content import MARKS, MEANINGS, Grid, Part, Passage, Picture, Prose

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")
LEADING = re.compile(r"^([-+=](?=[-=\s]|$)|\d+(?=[.)](\s|$)))")
LABELS = {"verdict": "Verdict", "warning": "Warning", "note": "Note"}


def markdown(document: Document) -> str:
    """The document with its figures by their files; what a user typed stays what it is."""
    blocks = [f"# {escaped(document.title)}", *map(_passage, content.passages(document.summary))]
    for part in content.parts(document):
        blocks += _part(part)
    if names := content.silent(document):
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


def _part(part: Part) -> list[str]:
    return [f"## {escaped(part.title)}", *map(_block, part.blocks)]


def _block(block: Prose | Grid | Picture) -> str:
    if isinstance(block, Prose):
        return _prose(block)
    if isinstance(block, Grid):
        return _grid(block)
    head = f"Figure {block.number}. {escaped(block.caption)}".strip()
    return f"![{head}](figures/{block.name}.svg)\n\n{head}"


def _prose(prose: Prose) -> str:
    text = "\n\n".join(map(_passage, prose.passages))
    if prose.kind == "plain" or not text:
        return text
    labelled = f"**{LABELS[prose.kind]}**\n\n{text}"
    return "\n".join(f"> {each}".rstrip() for each in labelled.split("\n"))


def _passage(passage: Passage) -> str:
    return "\n".join(f"- {escaped(item)}" for item in passage.items) or escaped(passage.text)


def _grid(grid: Grid) -> str:
    head = f"Table {grid.number}. {escaped(grid.caption)}".strip()
    legend = ", ".join(f"{escaped(MARKS[tone])} {MEANINGS[tone]}" for tone in grid.tones)
    file = f"All digits: {_file(grid.name)}" if grid.stored else ""
    return "\n\n".join(filter(None, [head, _pipes(grid), legend, file]))


def _pipes(grid: Grid) -> str:
    if not grid.columns:
        return ""
    rows = [[_cell(each.text, each.tone) for each in row] for row in grid.rows]
    table = pd.DataFrame(rows, columns=[escaped(each.name) for each in grid.columns])
    sides = ["right" if each.numeric else "left" for each in grid.columns]
    text: str = table.to_markdown(
        index=False, disable_numparse=True, colalign=sides if rows else None
    )
    return text


def _cell(text: str, tone: Tone) -> str:
    return escaped(f"{text} {MARKS[tone]}" if tone else text)


def _file(name: str) -> str:
    return f"[{escaped(f'tables/{name}.csv')}](tables/{name}.csv)"
