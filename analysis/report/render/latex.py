r"""A document as LaTeX that plain pdflatex sets.

Letters that its fonts lack are set as their number in a small frame.
"""

import itertools
import math
import unicodedata
from collections.abc import Iterable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.document.blocks import Cell, Document
from analysis.report.render import content
from analysis.report.render.content import LONG, TableView

PAGE = 24  # maximum number of lines between possible page breaks of a table
GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
).split()
MATHS = {
    "±": "pm", "−": "-", "×": "times", "·": "cdot", "÷": "div", "≤": "leq", "≥": "geq",
    "≠": "neq", "≈": "approx", "≡": "equiv", "∝": "propto", "∞": "infty", "∈": "in",
    "∑": "sum", "∏": "prod", "√": "surd", "∂": "partial", "∇": "nabla", "∩": "cap",
    "∪": "cup", "⊂": "subset", "∅": "emptyset", "¬": "neg", "→": "rightarrow",
    "←": "leftarrow", "↔": "leftrightarrow", "↑": "uparrow", "↓": "downarrow",
    "⇒": "Rightarrow", "⇔": "Leftrightarrow", "µ": "mu", "ℓ": "ell", "∣": "mid",
    "▲": "blacktriangle", "▼": "blacktriangledown", "ϕ": "phi", "ϵ": "epsilon",
}  # fmt: skip
TEXTS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_\allowbreak{}", "/": r"/\allowbreak{}",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}",
    "*": "{*}", "-": "-{}", ",": ",{}", "…": r"\ldots{}", "–": r"\textendash{}",
    "—": r"\textemdash{}", "‐": "-{}", "\u2011": "-{}", "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}", "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}",
    "„": r"\quotedblbase{}", "«": r"\guillemotleft{}", "»": r"\guillemotright{}",
    "•": r"\textbullet{}", "°": r"\textdegree{}", "§": r"\S{}", "©": r"\textcopyright{}",
    "®": r"\textregistered{}", "™": r"\texttrademark{}", "€": r"\texteuro{}",
    "£": r"\pounds{}", "†": r"\dag{}", "‡": r"\ddag{}", "‰": r"\textperthousand{}",
    "¡": r"\textexclamdown{}", "¿": r"\textquestiondown{}", "\u00a0": "~", "\u2009": r"\,",
    "\u202f": r"\,", "\u00ad": r"\-", "\u200b": "",
}  # fmt: skip
SCRIPTS = {"²": "^{2}", "³": "^{3}", "¹": "^{1}"}
LATIN = range(0x00C0, 0x0180)
ABSENT = frozenset(map(ord, "ĦħĿŀŉſŦŧĸ"))
"""Latin letters that the T1 encoding lacks."""


class Tex(str):
    """A text that is LaTeX already."""

    __slots__ = ()


class _Letters(dict[int, str]):
    """The LaTeX of each letter; a letter that is missing is set as its number in a frame."""

    def __missing__(self, code: int) -> str:
        if 0x20 <= code < 0x7F or (code in LATIN and code not in ABSENT):
            return chr(code)
        return rf"\missing{{{code:04X}}}"


def _letters() -> _Letters:
    letters = _Letters({ord(letter): text for letter, text in TEXTS.items()})
    maths = {ord(letter): f"\\{name}" for letter, name in MATHS.items()} | {ord("−"): "-"}
    for name in GREEK:
        size = "SMALL" if name.islower() else "CAPITAL"
        greek = {"lambda": "LAMDA", "Lambda": "LAMDA"}.get(name, name.upper())
        maths[ord(unicodedata.lookup(f"GREEK {size} LETTER {greek}"))] = f"\\{name}"
    scripts = {ord(letter): script for letter, script in SCRIPTS.items()}
    letters.update({code: rf"\ensuremath{{{text}}}" for code, text in (maths | scripts).items()})
    return letters


LETTERS = _letters()


def tex(value: object) -> Tex:
    r"""A text with every letter that acts in LaTeX escaped; what is LaTeX already is unchanged.

    >>> print(tex("100 % & #1 ± 中"))
    100 \% \& \#1 \ensuremath{\pm} \missing{4E2D}
    """
    if isinstance(value, Tex):
        return value
    return Tex(unicodedata.normalize("NFC", content.one_line(str(value))).translate(LETTERS))


def latex(document: Document) -> str:
    """The content of `report.tex`, which includes `figures/<name>.pdf`."""
    return (
        _environment()
        .get_template("report.tex.j2")
        .render(
            title=document.title,
            summary=content.passages(document.lead),
            sections=content.section_views(document),
            marks=content.MARKS,
            meanings=content.MEANINGS,
        )
    )


@cache
def _environment() -> Environment:
    """Templates with delimiters that LaTeX does not use, in which every value is escaped."""
    environment = Environment(
        loader=PackageLoader("analysis.report.render"),
        autoescape=False,
        undefined=StrictUndefined,
        finalize=tex,
        block_start_string="<<*",
        block_end_string="*>>",
        variable_start_string="<<<",
        variable_end_string=">>>",
        comment_start_string="<<#",
        comment_end_string="#>>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"layout": layout, "pages": pages, "raw": Tex}
    return environment


def layout(table: TableView) -> Tex:
    """The column types of a tabular: numbers to the right, long texts broken into lines.

    >>> table = TableView(1, "t", "", "", [content.Column("a", numeric=True)], [], [], False)
    >>> print(layout(table))
    @{}r@{}
    """
    kinds = ("r" if c.numeric else "L" if c.long else "l" for c in table.columns)
    return Tex(f"@{{}}{''.join(kinds)}@{{}}")


def pages(table: TableView) -> list[list[list[Cell]]]:
    """Split the rows into groups without page breaks; one empty group for an empty table."""
    lines = itertools.accumulate(map(_lines, table.rows))
    numbered = zip(lines, table.rows, strict=True)
    runs = itertools.groupby(numbered, lambda pair: (pair[0] - 1) // PAGE)
    return [[row for _, row in run] for _, run in runs] or [[]]


def _lines(row: Iterable[Cell]) -> int:
    """The number of lines that a row takes."""
    return max(1, *(math.ceil(len(cell.text) / LONG) for cell in row))
