"""A document as one page: a single file that loads nothing from the network.

Every text is escaped by the templates. The policy in the page's head lets a browser run the page's
own script, identified by its hash, and load nothing else.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.document.blocks import Document
from analysis.report.render import content
from analysis.report.render.figures import RenderedFigure, inline

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M2 13V3m0 10h12M4 10l3-4 3 2 4-5' fill='none' stroke='%232f81f7' "
    "stroke-width='2'/%3E%3C/svg%3E"
)

TALL = 30  # rows from which a table scrolls in a frame of limited height


def html(document: Document, figures: Sequence[RenderedFigure]) -> str:
    """The page of a document.

    Args:
        document: the content.
        figures: all figures of the document, rendered.

    Raises:
        KeyError: if a figure of the document is missing.
    """
    environment = _environment()
    script = _source("page.js")
    return environment.get_template("page.html.j2").render(
        title=content.one_line(document.title),
        summary=content.passages(document.lead),
        sections=content.section_views(document),
        unshown=content.unshown_tables(document),
        # Drawn by matplotlib and written by an XML library, which escaped the texts in it.
        svg={figure.name: Markup(inline(figure)) for figure in figures},
        marks=content.MARKS,
        meanings=content.MEANINGS,
        tall=TALL,
        icon=ICON,
        style=Markup(_source("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("analysis.report.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sortable": sortable, "breakable": breakable}
    return environment


def _source(name: str) -> str:
    """The content of a file in the templates folder."""
    environment = _environment()
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, name)
    return source.strip()


def breakable(name: str) -> Markup:
    """The name of a column, which may be broken after an underscore.

    >>> breakable("weight_<b>")
    Markup('weight_<wbr>&lt;b&gt;')
    """
    return Markup("_<wbr>").join(map(escape, name.split("_")))


def sortable(value: float) -> str:
    """A number as the page's script reads it; empty for NaN.

    >>> sortable(0.5), sortable(math.inf), sortable(math.nan)
    ('0.5', 'Infinity', '')
    """
    if math.isnan(value):
        return ""
    return repr(float(value)).replace("inf", "Infinity")
