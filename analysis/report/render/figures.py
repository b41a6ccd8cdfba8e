"""Figures as SVG and PDF, drawn once for all formats; the same figure gives the same bytes."""

import io
import re
import xml.etree.ElementTree as ET
from typing import NamedTuple

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.path import Path

from analysis.document import theme
from analysis.document.blocks import Figure
from analysis.report.render import marks
from analysis.report.render.content import one_line
from analysis.report.render.marks import SVG

LINK = "{http://www.w3.org/1999/xlink}href"
GROWTH = 1.25  # the largest width of a figure in a page, as a multiple of its own width
LEAST_LETTERS = 8.0  # pixels of a page, below which the figure scrolls instead of shrinking
POINT = 4 / 3  # pixels
GROUND = "var(--paper)"  # of a page
OUTLINE = re.compile(r' (d|x|y)="([^"]*)"')
BETWEEN = re.compile(r">\s+<")
TITLE = re.compile(r"<title>[^<]*</title>")
FRACTION = re.compile(r"-?\d+\.\d+")
LINES = re.compile(r"[ML][-. \d]+(?:L[-. \d]+)+")
AREA = re.compile(r"M([-. \d]+(?:L[-. \d]+)+)z ?")
EXACT = 0.1  # points, by which the outline of an area may differ from the one drawn
AROUND_COMMAND = re.compile(r" ?([A-Za-z]) ?")
REFERENCE = re.compile(r"(?<=^#)[^)]+|(?<=url\(#)[^)]+")
SHRINKING = LEAST_LETTERS / (POINT * theme.LEAST_SIZE)
"""The smallest width of a figure in a page, as a multiple of its own width."""


class RenderedFigure(NamedTuple):
    """A figure as the content of its files.

    Attributes:
        name: the name of its files.
        caption: the caption of the figure.
        svg: content of the SVG file, which begins with `<svg`.
        pdf: content of the PDF file.
    """

    name: str
    caption: str
    svg: str
    pdf: bytes


def render_figure(figure: Figure) -> RenderedFigure:
    """Draw a figure in the project's style, ignoring the user's matplotlib configuration.

    Errors of its drawing function are raised.
    """
    with matplotlib.style.context(["default", theme.STYLE]):
        drawing = figure.draw()
        pdf = _pdf(drawing)
        drawing.set_layout_engine("none")  # every place is known now
        marks.complete(drawing)
        svg = _svg(drawing)
    return RenderedFigure(figure.name, figure.caption, svg, pdf)


def _svg(drawing: Drawing) -> str:
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    drawing.savefig(file, format="svg", metadata=nothing)
    text = BETWEEN.sub("><", OUTLINE.sub(_shortened, file.getvalue()))
    return marks.with_titles(drawing, text[text.index("<svg") :])


def _shortened(outline: re.Match[str]) -> str:
    """An attribute whose coordinates are exact to a hundredth of a point, from 10 on to a tenth.

    >>> _shortened(OUTLINE.match(' d="M 40.30 67.218  L -0.001 7.5  Q 1 2 3 4  L 5 6  L 1 2  z "'))
    ' d="M40.3 67.2 0 7.5Q1 2 3 4L5 6 1 2z"'
    """
    text = " ".join(outline[2].split())
    if outline[1] == "d":
        text = AREA.sub(_simplified, text)
    text = FRACTION.sub(_short_number, text)
    if outline[1] == "d":
        # positions that follow those of M or L are lines without a letter
        text = LINES.sub(lambda lines: lines[0][0] + lines[0][1:].replace("L ", ""), text)
        text = AROUND_COMMAND.sub(r"\1", text)
    return f' {outline[1]}="{text}"'


def _simplified(area: re.Match[str]) -> str:
    """The outline of an area without points that lie on the line between others.

    Matplotlib leaves them out of lines alone.

    >>> _simplified(AREA.match("M 0 0 L 1 0.01 L 2 0 L 2 2 L 0 2 z"))
    'M 0 0 L 2 0 L 2 2 L 0 2 z'
    """
    points = Path(np.array(area[1].replace("L", "").split(), dtype=float).reshape(-1, 2))
    points.should_simplify, points.simplify_threshold = True, EXACT
    kept = points.cleaned(simplify=True)
    vertices, codes = np.asarray(kept.vertices), np.asarray(kept.codes)
    corners = vertices[codes != Path.STOP]
    corners = corners[np.append(True, np.diff(corners, axis=0).any(axis=1))]
    return f"M {' L '.join(f'{x:.6g} {y:.6g}' for x, y in corners)} z"


def _short_number(number: re.Match[str]) -> str:
    value = float(number[0])
    text = f"{value:.{1 if abs(value) >= 10 else 2}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _pdf(drawing: Drawing) -> bytes:
    file = io.BytesIO()
    nothing = dict.fromkeys(("CreationDate", "Creator", "Producer"))
    drawing.savefig(file, format="pdf", metadata=nothing)
    return file.getvalue()


def on_paper(figure: RenderedFigure, is_still: bool = False) -> str:
    """The SVG of the figure's file, on paper: a viewer's ground may be as dark as the ink.

    Args:
        figure: the figure.
        is_still: whether what only a pointer finds is left out, as for a figure in Markdown.
    """
    svg = _without_marks(figure.svg) if is_still else figure.svg
    head, _, rest = svg.partition(">")
    return f'{head}><rect width="100%" height="100%" fill="{theme.PAPER}"/>{rest}'


def _without_marks(svg: str) -> str:
    """A figure without the invisible marks that answer a pointer, and without titles."""
    root = ET.fromstring(svg)
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "marks":
            for parent in group.iter():
                for mark in parent.findall(f"{SVG}use"):
                    parent.remove(mark)
    return TITLE.sub("", ET.tostring(root, encoding="unicode"))


def inline(figure: RenderedFigure) -> str:
    """The SVG as an element of a page.

    The ink becomes the colour of the page's text, the paper that of its ground, and the width
    follows the page. Identifiers that something refers to become `<name>:0`, `<name>:1` and so
    on, so that figures do not interfere; the others are left out, and so are style rules of the
    drawing, since they would apply to the whole page, which has its own.
    """
    root = ET.fromstring(figure.svg)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in (f"{SVG}style", f"{SVG}metadata")]:
            parent.remove(child)
    own = {element.get("id") for element in root.iter()}
    values = [value for element in root.iter() for value in element.attrib.values()]
    used = dict.fromkeys(name for value in values for name in REFERENCE.findall(value))
    names = {name: f"{figure.name}:{k}" for k, name in enumerate(n for n in used if n in own)}
    for element in root.iter():
        _adapt(element, names)
    label = one_line(figure.caption) or figure.name
    most, least = GROWTH * width, SHRINKING * width
    style = f"width: 100%; min-width: {least:.0f}pt; max-width: {most:.0f}pt; height: auto"
    root.attrib.update({"role": "img", "aria-label": label, "style": style})
    return ET.tostring(root, encoding="unicode")


def _adapt(element: ET.Element, names: dict[str, str]) -> None:
    """Adapt an element of an SVG file to a page: bare tags, identifiers of its own, its ink."""
    element.tag = element.tag.removeprefix(SVG)
    if LINK in element.attrib:
        element.set("href", element.attrib.pop(LINK))
    if (name := element.attrib.pop("id", None)) in names:
        element.set("id", names[name])
    for key, value in element.attrib.items():
        if key != "id":
            inked = value.replace(theme.INK, "currentColor").replace(theme.PAPER, GROUND)
            element.set(key, REFERENCE.sub(lambda name: names.get(name[0], name[0]), inked))
