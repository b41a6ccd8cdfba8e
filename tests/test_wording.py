import unicodedata

import pytest

from tune_ad.wording import csv_cell, printable, printable_lines


def test_no_control_character_is_left():
    everything = "".join(map(chr, range(0x110000)))
    left = {unicodedata.category(c) for c in printable(everything)}
    assert not left & {"Cc", "Cs", "Zl", "Zp"}
    marks = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert not set(marks) & set(printable(everything))


def test_other_texts_are_unchanged():
    for text in ("plain", "Größe, 大きさ, β-VAE ≈ 3 ▲", "", "a\\x1b"):
        assert printable(text) == text


def test_lines_are_kept_only_where_they_are_meant():
    assert printable("a\nb") == "a\\nb"
    assert printable_lines("a\n\rb") == "a\n\\rb"


@pytest.mark.parametrize("begin", "=+-@＝＋－＠")
def test_a_spreadsheet_runs_no_cell(begin):
    assert csv_cell(f"{begin}HYPERLINK(1)") == f"'{begin}HYPERLINK(1)"
    assert csv_cell(f"{begin}A1") == f"'{begin}A1"


@pytest.mark.parametrize("text", ["\t=1", "\r=1", "\n=1"])
def test_a_cell_does_not_begin_with_a_blank_that_acts(text):
    assert csv_cell(text)[0] == "\\"


@pytest.mark.parametrize(
    "value", [1, -1, -0.5, None, True, "-0.5", "+1.2e-3", "-1.0 [-2.0, +3.0]"]
)
def test_numbers_and_intervals_stay(value):
    assert csv_cell(value) == value
