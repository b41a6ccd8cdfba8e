"""Words of messages and reports."""

import math
import os
import re
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
TIME_UNITS = (("days", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""Characters that a terminal or a page would obey instead of showing: control characters, with
line breaks and escape sequences; marks that turn the direction of writing; bytes of no text."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""With what a cell of a CSV file begins that a spreadsheet would run."""
NUMBER = r"[-+]?(\d[\d,.]*(e[-+]?\d+)?|inf|nan)"
NUMERIC = re.compile(rf"[ \[]*{NUMBER}( *[\[±,%] *{NUMBER})*[ %\]]*")
"""Numbers and intervals as reports write them, which no spreadsheet takes for more."""


def either(texts: Iterable[str]) -> str:
    """The alternatives with commas and an "or" between them.

    >>> either(["a", "b", "c"])
    'a, b or c'
    """
    *first, last = texts
    return " or ".join([", ".join(first), last] if first else [last])


def duration(seconds: float) -> str:
    """A time in the largest unit of which it has at least one, with two significant digits.

    >>> duration(0.7658), duration(15.1), duration(900), duration(11_000)
    ('0.77 s', '15 s', '15 min', '3.1 h')
    """
    name, size = next((u for u in TIME_UNITS if seconds >= u[1]), TIME_UNITS[-1])
    number = seconds / size
    digits = 0 if number == 0 else max(0, 1 - math.floor(math.log10(number)))
    return f"{number:.{digits}f} {name}"


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural if needed.

    >>> count(1, "class"), count(2, "class"), count(3, "study")
    ('1 class', '2 classes', '3 studies')
    """
    if number == 1:
        return f"{number:,} {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def printable(text: str) -> str:
    r"""A text of which a terminal, a page or a file obeys no character: unsafe ones are named.

    >>> printable("a\x1b[31mred\n\u202eb")
    'a\\x1b[31mred\\n\\u202eb'
    """
    return UNSAFE.sub(_named, text)


def is_obeyed(text: str) -> bool:
    r"""Whether a terminal or a page obeys a character of a text that the system or a user gives.

    Bytes of names of files that are no text are allowed.

    >>> is_obeyed("a\x1b[31m"), is_obeyed("caf\udce9"), is_obeyed("café")
    (True, False, False)
    """
    decoded = os.fsencode(text).decode(errors="replace")
    return printable(decoded) != decoded


def printable_lines(text: str) -> str:
    r"""A text of several lines, each as by `printable`.

    >>> printable_lines("one\n\x07two")
    'one\n\\x07two'
    """
    return "\n".join(map(printable, text.split("\n")))


def _named(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()


def csv_cell(value: T) -> T | str:
    r"""A cell of a CSV file that a spreadsheet shows instead of running; numbers are unchanged.

    A text that would be a formula gets an apostrophe before it.

    >>> csv_cell("=cmd()"), csv_cell("+1.2 [-0.1, +2.5]"), csv_cell(-0.5), csv_cell("- a\n")
    ("'=cmd()", '+1.2 [-0.1, +2.5]', -0.5, "'- a\\n")
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(FORMULA) and not NUMERIC.fullmatch(text) else text
