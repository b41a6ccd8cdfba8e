"""Values as people read them: numbers, counted nouns, names of files."""

import hashlib
import re

LONGEST_PART = 60  # letters of a name within a file's name


def file_name(*parts: str) -> str:
    """Texts as the name of a table's or figure's file; different texts have different names.

    >>> file_name("effects", "soft-boundary"), file_name("effects", "soft boundary")
    ('effects_soft-boundary', 'effects_soft-boundary-e42ef0')
    """
    return "_".join(map(_plainly, parts))


def _plainly(part: str) -> str:
    """A text without what file systems do not take; marked by its hash if anything was lost."""
    kept = re.sub(r"[^\w.+-]+", "-", part).strip("-")[:LONGEST_PART]
    if kept == part:
        return part
    return f"{kept}-{hashlib.sha256(part.encode()).hexdigest()[:6]}"


def short(value: object) -> str:
    """A value as people read it: four significant digits, nothing for what is not there.

    >>> short(0.123456), short(None), short(True), short((0, 3))
    ('0.1235', '', 'True', '(0, 3)')
    """
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None else str(value)


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "class"), count(2, "class"), count(3, "study")
    ('1 class', '2 classes', '3 studies')
    """
    if number == 1:
        return f"{number:,} {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"
