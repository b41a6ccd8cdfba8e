"""Values as people read them: numbers, means with their spread, counted nouns, names of files."""

import hashlib
import math
import re
from typing import NamedTuple

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


def p_text(p: float) -> str:
    """The p of a test with two significant digits; "none" for NaN, no test.

    >>> p_text(0.0312), p_text(1.0), p_text(math.nan)
    ('0.031', '1', 'none')
    """
    return "none" if math.isnan(p) else f"{p:.2g}"


class Unit(NamedTuple):
    """How numbers of one kind are written.

    Attributes:
        scale: factor by which a number is multiplied before it is written.
        form: format specification of the product; with "+" where the sign matters.
    """

    scale: float
    form: str

    def text(self, number: float) -> str:
        """A number in this unit.

        >>> PERCENT.text(0.913), PERCENTAGE_POINTS.text(0.012)
        ('91.3', '+1.2')
        """
        return format(self.scale * number, self.form)


PERCENT = Unit(100, ".1f")
"""For a share in [0, 1], such as AUROC."""
PERCENTAGE_POINTS = Unit(100, "+.1f")
"""For a difference of two shares, in percentage points."""


def mean_text(
    mean: float,
    std: float = math.nan,
    low: float = math.nan,
    high: float = math.nan,
    unit: Unit = PERCENT,
) -> str:
    """A mean with what is known of its spread: "mean ± std [low, high]"; NaN = left out.

    >>> mean_text(0.913, 0.018, 0.9, 0.926)
    '91.3 ± 1.8 [90.0, 92.6]'
    >>> mean_text(0.012, low=-0.001, high=0.025, unit=PERCENTAGE_POINTS)
    '+1.2 [-0.1, +2.5]'
    """
    unsigned = unit._replace(form=unit.form.lstrip("+"))
    deviation = "" if math.isnan(std) else f" ± {unsigned.text(std)}"
    ends = "" if math.isnan(low) else f" {interval_text(low, high, unit)}"
    return f"{unit.text(mean)}{deviation}{ends}"


def interval_text(low: float, high: float, unit: Unit = PERCENT) -> str:
    """An interval by its two ends.

    >>> interval_text(0.9, 0.926)
    '[90.0, 92.6]'
    """
    return f"[{unit.text(low)}, {unit.text(high)}]"
