"""Figures, drawn once for all formats: the same figure gives the same bytes."""

import io
import xml.etree.ElementTree as ET
from typing import NamedTuple

import matplotlib.style
from matplotlib.figure import Figure as Drawing

from analysis.document import theme
from analysis.document.blocks import Figure
from analysis.report.render.content import line

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
GROWTH = 1.25  # a figure in a page is at most so many times as wide as drawn


class Drawn(NamedTuple):
    """A figure as it is stored.

    Attributes:
        name: of its files.
        caption: as it was given.
        svg: the file, which begins with `<svg`.
        pdf: the file.
    """

    name: str
    caption: str
    svg: str
    pdf: bytes


def drawn(figure: Figure) -> Drawn:
    """Draw a figure, in the project's style whatever the reader's matplotlib is set to.

    An error of its drawing is raised.
    """
    with matplotlib.style.context(["default", theme.STYLE]):
        drawing = figure.draw()
        svg, pdf = _svg(drawing), _pdf(drawing)
    return Drawn(figure.name, figure.caption, svg, pdf)


def _svg(drawing: Drawing) -> str:
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    drawing.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    return text[text.index("<svg") :]


def _pdf(drawing: Drawing) -> bytes:
    file = io.BytesIO()
    nothing = dict.fromkeys(("CreationDate", "Creator", "Producer"))
    drawing.savefig(file, format="pdf", metadata=nothing)
    return file.getvalue()


def inline(figure: Drawn) -> str:
    """The SVG as an element of a page.

    The ink becomes the colour of the page's letters, the width follows the page, every name
    begins with `figure-<name>:` so that several figures do not meet, and the rules for the whole
    page that a drawing brings are left out: the page has its own for figures.
    """
    root = ET.fromstring(figure.svg)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    for parent in list(root.iter()):
        for child in [each for each in parent if each.tag in (f"{SVG}style", f"{SVG}metadata")]:
            parent.remove(child)
    for element in root.iter():
        _adapt(element, f"figure-{figure.name}:")
    label = line(figure.caption) or figure.name
    style = f"width: 100%; max-width: {GROWTH * width:.0f}pt; height: auto"
    root.attrib.update({"role": "img", "aria-label": label, "style": style})
    return ET.tostring(root, encoding="unicode")


def _adapt(element: ET.Element, prefix: str) -> None:
    """Bare tags, as in a page; own names; the page's ink."""
    element.tag = element.tag.removeprefix(SVG)
    if LINK in element.attrib:
        element.set("href", element.attrib.pop(LINK))
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, prefix + value)
        elif key == "href" and value.startswith("#"):
            element.set(key, f"#{prefix}{value[1:]}")
        else:
            inked = value.replace(theme.INK, "currentColor")
            element.set(key, inked.replace("url(#", f"url(#{prefix}"))
