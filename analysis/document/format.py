"""Formatting of numbers, intervals, counts and file names."""

import hashlib
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from tune_ad.wording import count

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


def in_words(parts: Sequence[str]) -> str:
    """Texts as a list in a sentence.

    >>> in_words(["one", "two"]), in_words(["one", "two", "three"])
    ('one and two', 'one, two and three')
    """
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def not_drawn(number: int, most: int) -> str:
    """What a caption says of classes for which a figure has no room, after a blank.

    >>> not_drawn(12, 10), not_drawn(3, 10)
    (' 2 more classes not drawn.', '')
    """
    more = number - most
    return f" {count(more, 'more class')} not drawn." if more > 0 else ""


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
CORRELATION = Unit(1, "+.2f")
"""The unit of a correlation, in [-1, 1]."""


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

    A standard deviation that would be rounded to 0 has one more digit.

    >>> mean_text(0.966, 0.0003)
    '96.6 ± 0.03'
    """
    deviation = "" if math.isnan(std) else f" ± {_deviation_text(std, unit)}"
    interval = "" if math.isnan(low) else f" {interval_text(low, high, unit)}"
    return f"{unit.text(mean)}{deviation}{interval}"


def _deviation_text(std: float, unit: Unit) -> str:
    """A standard deviation, with one more digit if it is below half of the last one."""
    unsigned = unit._replace(form=unit.form.lstrip("+"))
    text = unsigned.text(std)
    if float(text) or not text.startswith("0."):
        return text
    finer = f"{unit.scale * std:.{len(text) - 1}f}"
    return finer if float(finer) else text


def interval_text(low: float, high: float, unit: Unit = PERCENT) -> str:
    """An interval by its lower and upper bound.

    >>> interval_text(0.9, 0.926)
    '[90.0, 92.6]'
    """
    return f"[{unit.text(low)}, {unit.text(high)}]"
