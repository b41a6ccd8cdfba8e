"""Docstrings of the project as reStructuredText: their formulas are written between dollars."""

import re

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

FORMULA = re.compile(r"(?P<before>\w?)\$(?P<latex>[^$`]+)\$(?P<after>\w?)")
CODE = re.compile(r"(`[^`]*`|^ *>>>.*(?:\n.*\S.*)*)", re.MULTILINE)
SPECIAL = re.compile(r"\||(?<=\w)_(?!\w)")
"""What reStructuredText takes for more than text: bars, and an underscore at the end of a word."""
BEFORE_NAPOLEON = 400  # which has Sphinx's usual priority, 500


def as_restructured_text(lines: list[str]) -> list[str]:
    r"""The lines with a role for each formula, also for one that goes over several lines.

    What is no code and has a meaning in reStructuredText is escaped.

    >>> as_restructured_text(["The rate $r^2$ of |x|, `a|b`."])
    ['The rate :math:`r^2` of \\|x\\|, `a|b`.']
    """
    parts = CODE.split(FORMULA.sub(_role, "\n".join(lines)))
    plain = [SPECIAL.sub(r"\\\g<0>", part) for part in parts[::2]]
    parts[::2] = plain
    return "".join(parts).split("\n")


def with_literal_blocks(lines: list[str]) -> list[str]:
    """The lines of a module's docstring, whose indented paragraphs are shown as they are.

    >>> with_literal_blocks(["Files:", "", "    a.json   the one"])
    ['Files:', '', '::', '', '    a.json   the one']
    """
    result: list[str] = []
    for line in lines:
        begins = line.startswith("    ") and result and not result[-1].strip()
        if begins and not any(before.startswith("    ") for before in result[-2:]):
            result += ["::", ""]
        result.append(line)
    return result


def _role(found: re.Match[str]) -> str:
    formula = f":math:`{' '.join(found['latex'].split())}`"
    before = f"{found['before']}\\ " if found["before"] else ""
    after = f"\\ {found['after']}" if found["after"] else ""
    return f"{before}{formula}{after}"


def _process(  # noqa: PLR0913
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    if what == "module":
        lines[:] = with_literal_blocks(lines)
    lines[:] = as_restructured_text(lines)


def _skip(  # noqa: PLR0913
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out the fields of named tuples, which the docstring of the class describes."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the conversion."""
    app.connect("autodoc-process-docstring", _process, priority=BEFORE_NAPOLEON)
    app.connect("autodoc-skip-member", _skip)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
