"""Formatting of numbers, intervals, counts and file names."""

import hashlib
import math
import re
from typing import NamedTuple

LONGEST_PART = 60  # maximum length of a name within a file name


def file_name(*parts: str) -> str:
    """The file name of a table or figure from texts; different texts give different names.

    >>> file_name("effects", "soft-boundary"), file_name("effects", "soft boundary")
    ('effects_soft-boundary', 'effects_soft-boundary-e42ef0')
    """
    return "_".join(map(_plainly, parts))


def _plainly(part: str) -> str:
    """Replace characters that are illegal in file names; append a hash if the text changed."""
    kept = re.sub(r"[^\w.+-]+", "-", part).strip("-")[:LONGEST_PART]
    if kept == part:
        return part
    return f"{kept}-{hashlib.sha256(part.encode()).hexdigest()[:6]}"


def short(value: object) -> str:
    """A value as text: four significant digits; empty for None and NaN.

    >>> short(0.123456), short(None), short(True), short((0, 3))
    ('0.1235', '', 'True', '(0, 3)')
    """
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None else str(value)


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


def p_text(p: float) -> str:
    """The p of a test with two significant digits; "none" for NaN, no test.

    >>> p_text(0.0312), p_text(1.0), p_text(math.nan)
    ('0.031', '1', 'none')
    """
    return "none" if math.isnan(p) else f"{p:.2g}"


class Unit(NamedTuple):
    """How numbers of one kind are written.

    Attributes:
        scale: the factor by which a number is multiplied before it is written.
        form: the format specification of the product; with "+" if the sign matters.
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
"""The unit of a share in [0, 1], such as AUROC."""
PERCENTAGE_POINTS = Unit(100, "+.1f")
"""The unit of a difference of two shares: percentage points."""


def mean_text(
    mean: float,
    std: float = math.nan,
    low: float = math.nan,
    high: float = math.nan,
    unit: Unit = PERCENT,
) -> str:
    """A mean with its standard deviation and interval: "mean ± std [low, high]"; NaN = omitted.

    >>> mean_text(0.913, 0.018, 0.9, 0.926)
    '91.3 ± 1.8 [90.0, 92.6]'
    >>> mean_text(0.012, low=-0.001, high=0.025, unit=PERCENTAGE_POINTS)
    '+1.2 [-0.1, +2.5]'
    """
    unsigned = unit._replace(form=unit.form.lstrip("+"))
    deviation = "" if math.isnan(std) else f" ± {unsigned.text(std)}"
    interval = "" if math.isnan(low) else f" {interval_text(low, high, unit)}"
    return f"{unit.text(mean)}{deviation}{interval}"


def interval_text(low: float, high: float, unit: Unit = PERCENT) -> str:
    """An interval by its lower and upper bound.

    >>> interval_text(0.9, 0.926)
    '[90.0, 92.6]'
    """
    return f"[{unit.text(low)}, {unit.text(high)}]"
