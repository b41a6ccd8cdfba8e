"""Figures as SVG and PDF, drawn once for all formats; the same figure gives the same bytes."""

import io
import re
import xml.etree.ElementTree as ET
from typing import NamedTuple

import matplotlib.style
from matplotlib.figure import Figure as Drawing

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
OUTLINE = re.compile(r' (?:d|x|y)="[^"]*"')
BETWEEN = re.compile(r">\s+<")
TITLE = re.compile(r"<title>[^<]*</title>")
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
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
    """An attribute whose coordinates have two digits, a hundredth of a point, after the point."""
    return LONG_NUMBER.sub(lambda number: f"{float(number[0]):.2f}", outline[0])


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

    The ink becomes the colour of the page's text, the paper that of its ground, the width follows
    the page, and every identifier is prefixed by `figure-<name>:` so that figures do not
    interfere. Style rules of the drawing are left out, since they would apply to the whole page,
    which has its own.
    """
    root = ET.fromstring(figure.svg)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in (f"{SVG}style", f"{SVG}metadata")]:
            parent.remove(child)
    for element in root.iter():
        _adapt(element, f"figure-{figure.name}:")
    label = one_line(figure.caption) or figure.name
    most, least = GROWTH * width, SHRINKING * width
    style = f"width: 100%; min-width: {least:.0f}pt; max-width: {most:.0f}pt; height: auto"
    root.attrib.update({"role": "img", "aria-label": label, "style": style})
    return ET.tostring(root, encoding="unicode")


def _adapt(element: ET.Element, prefix: str) -> None:
    """Adapt an element of an SVG file to a page: bare tags, prefixed identifiers, its ink."""
    element.tag = element.tag.removeprefix(SVG)
    if LINK in element.attrib:
        element.set("href", element.attrib.pop(LINK))
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, prefix + value)
        elif key == "href" and value.startswith("#"):
            element.set(key, f"#{prefix}{value[1:]}")
        else:
            inked = value.replace(theme.INK, "currentColor").replace(theme.PAPER, GROUND)
            element.set(key, inked.replace("url(#", f"url(#{prefix}"))
