"""Tables and words of the pages that are made from the code, as Markdown."""

import inspect
import re
from collections.abc import Iterable, Sequence

ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", re.MULTILINE | re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table; bars in its cells are escaped.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\|y |
    """
    lines = [_row(head), "|---" * len(head) + "|"]
    return "\n".join([*lines, *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    texts = [" ".join(cell.split()).replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(texts)} |"


def code(value: object) -> str:
    """A value as code; an empty text stays empty."""
    text = str(value)
    return f"`{text}`" if text else ""


def attributes(described: type) -> dict[str, str]:
    """What the docstrings of a class and of its bases say of each attribute."""
    texts: dict[str, str] = {}
    for cls in reversed(described.__mro__):
        written = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        section = written.partition("Attributes:\n")[2].partition("\n\n")[0]
        found = ATTRIBUTE.findall(section)
        texts.update((name, " ".join(text.split())) for name, text in found)
    return texts


def summary(described: object) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(described) or "").partition("\n\n")[0].split())
