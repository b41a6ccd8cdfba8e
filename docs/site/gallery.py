"""The gallery: the report of every study in docs/results, made from its records.

Reports are written beside the built page, never into the folders of the records.
"""

from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from analysis.report.render.export import export
from analysis.report.study_report import document
from analysis.study import StudyRecords

RECORDS = Path("docs/results")
PAGE = Path("docs/gallery")
PARAGRAPHS, ITEMS = 3, 5  # of a summary and of each list in it
LOGGER = logging.getLogger(__name__)


class Exhibit(NamedTuple):
    """A report of the gallery.

    Attributes:
        name: the name of the study.
        lines: the summary of the study, in paragraphs.
        figures: the figures of the report with their captions, by the paths of their files below
            the folder of the report.
    """

    name: str
    lines: list[str]
    figures: dict[str, str]


def exhibits(records: Path, target: Path) -> list[Exhibit]:
    """Write the reports of all studies below a folder, and return what the page shows of them.

    Args:
        records: the folder of the records.
        target: the folder in which each report has one of its own.
    """
    shown = []
    for file in sorted(records.rglob("study.json")):
        report = document(StudyRecords.read(file.parent))
        export(report, target / file.parent.name)
        figures = {f"figures/{figure.name}.svg": figure.caption for figure in report.figures()}
        shown.append(Exhibit(file.parent.name, report.summary.split("\n\n"), figures))
    return shown


class Gallery(SphinxDirective):
    """The summaries and the first figure of all reports, with links to them."""

    def run(self) -> list[nodes.Node]:
        """A section for each report."""
        shown: list[Exhibit] = getattr(self.env.app, "exhibits", [])
        if not shown:
            return [nodes.paragraph("", f"There are no records in {RECORDS}.")]
        return [node for exhibit in shown for node in self._nodes(exhibit)]

    def _nodes(self, exhibit: Exhibit) -> list[nodes.Node]:
        place = f"{PAGE.name}/{exhibit.name}"
        section = nodes.section(ids=[exhibit.name], names=[exhibit.name])
        section += nodes.title("", exhibit.name)
        section += [node for text in exhibit.lines[:PARAGRAPHS] for node in _paragraph(text)]
        for file, caption in list(exhibit.figures.items())[:1]:
            picture = f'<img class="report-figure" src="{place}/{file}" alt="">'
            section += nodes.raw("", f"{picture}\n", format="html")
            section += nodes.paragraph("", caption, classes=["caption"])
        link = nodes.reference("", "The whole report", refuri=f"{place}/report.html")
        section += nodes.paragraph("", "", link)
        return [section]


def _paragraph(text: str) -> list[nodes.Node]:
    """A paragraph of a summary, whose lines after the first may be a list."""
    first, *rest = text.split("\n")
    items = [line.removeprefix("- ") for line in rest]
    shown = [nodes.list_item("", nodes.paragraph("", item)) for item in items[:ITEMS]]
    if left := len(items) - ITEMS if len(items) > ITEMS else 0:
        shown.append(nodes.list_item("", nodes.paragraph("", f"{left} more: in the report")))
    return [nodes.paragraph("", first), *([nodes.bullet_list("", *shown)] if shown else [])]


def _write(app: Sphinx) -> None:
    """Write the reports, and keep what the page shows."""
    if app.builder.format != "html":
        return
    found = exhibits(Path(app.srcdir) / RECORDS, Path(app.outdir) / PAGE)
    app.exhibits = found  # type: ignore[attr-defined]
    LOGGER.info("reports of the gallery: %s", ", ".join(e.name for e in found) or "none")


def _outdated(app: Sphinx, *_: object) -> list[str]:
    return [PAGE.as_posix()]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("gallery", Gallery)
    app.connect("builder-inited", _write)
    app.connect("env-get-outdated", _outdated)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
