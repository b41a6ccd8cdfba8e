"""Words of messages and reports."""

from collections.abc import Iterable


def either(texts: Iterable[str]) -> str:
    """The alternatives with commas and an "or" between them.

    >>> either(["a", "b", "c"])
    'a, b or c'
    """
    *first, last = texts
    return " or ".join([", ".join(first), last] if first else [last])


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
