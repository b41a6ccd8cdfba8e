"""A document as one page: a file that needs nothing but itself, and asks the network for nothing.

Every text is escaped by the templates. The policy in its head lets a browser run the page's own
script, known by its hash, and load nothing.
"""

import base64
import hashlib
import math
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.document.blocks import Document
from analysis.report.render import content
from analysis.report.render.figures import Drawn, inline

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M2 13V3m0 10h12M4 10l3-4 3 2 4-5' fill='none' stroke='%232f81f7' "
    "stroke-width='2'/%3E%3C/svg%3E"
)


def html(document: Document, drawn: Sequence[Drawn]) -> str:
    """The page.

    Args:
        document: what it says.
        drawn: all figures of the document.

    Raises:
        KeyError: if a figure of the document was not drawn.
    """
    environment = _environment()
    script = _own("page.js")
    return environment.get_template("page.html.j2").render(
        title=content.line(document.title),
        summary=content.passages(document.summary),
        parts=content.parts(document),
        silent=content.silent(document),
        # Drawn by matplotlib and written by an XML library, which escaped the texts in it.
        svg={each.name: Markup(inline(each)) for each in drawn},
        marks=content.MARKS,
        meanings=content.MEANINGS,
        icon=ICON,
        style=Markup(_own("page.css")),
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
    environment.filters["sortable"] = sortable
    return environment


def _own(name: str) -> str:
    """A file of the package, as it stands."""
    environment = _environment()
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, name)
    return source.strip()


def sortable(value: float) -> str:
    """A number as the page's script reads it; nothing for NaN.

    >>> sortable(0.5), sortable(math.inf), sortable(math.nan)
    ('0.5', 'Infinity', '')
    """
    if math.isnan(value):
        return ""
    return repr(float(value)).replace("inf", "Infinity")
