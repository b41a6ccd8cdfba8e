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
from tune_ad.wording import count

RECORDS = Path("docs/results")
PAGE = Path("docs/gallery")
PARAGRAPHS, ITEMS = 3, 5  # of a summary and of each list in it
LOGGER = logging.getLogger(__name__)


class Exhibit(NamedTuple):
    """A report of the gallery.

    Attributes:
        name: the name of the study.
        state: how far the study is, if trials are still to run; empty if all have ended.
        lines: the summary of the study, in paragraphs.
        figure: the name of the first figure of the report; empty if it has none.
        caption: the caption of that figure.
    """

    name: str
    state: str
    lines: list[str]
    figure: str
    caption: str


def exhibits(records: Path, target: Path) -> list[Exhibit]:
    """Write the reports of all studies below a folder, and return what the page shows of them.

    Args:
        records: the folder of the records.
        target: the folder in which each report has one of its own.
    """
    shown = []
    for file in sorted(records.rglob("study.json")):
        name, study = file.parent.name, StudyRecords.read(file.parent)
        report = document(study)
        export(report, target / name)
        lines = report.summary.split("\n\n")
        drawn = [(figure.name, figure.caption) for figure in report.figures()]
        shown.append(Exhibit(name, state(study), lines, *(drawn[0] if drawn else ("", ""))))
    return shown


def state(study: StudyRecords) -> str:
    """How far a study is, in words; empty if all of its trials have ended."""
    ended, trials = len(study.trials), int(study.budget["trials"])
    return f"in progress ({ended} of {count(trials, 'trial')})" if ended < trials else ""


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
        section += nodes.title("", exhibit.name + f": {exhibit.state}" * bool(exhibit.state))
        section += [node for text in exhibit.lines[:PARAGRAPHS] for node in _paragraph(text)]
        if exhibit.figure:
            file = f"{place}/figures/{exhibit.figure}.svg"
            picture = f'<img class="report-figure" src="{file}" alt="">\n'
            section += nodes.raw("", picture, format="html")
            section += nodes.paragraph("", exhibit.caption, classes=["caption"])
        link = nodes.reference("", "The whole report", refuri=f"{place}/report.html")
        section += nodes.paragraph("", "", link)
        return [section]


def _paragraph(text: str) -> list[nodes.Node]:
    """A paragraph of a summary, whose lines after the first may be a list."""
    first, *rest = text.split("\n")
    items = [line.removeprefix("- ") for line in rest]
    shown = [nodes.list_item("", nodes.paragraph("", item)) for item in items[:ITEMS]]
    if (left := len(items) - ITEMS) > 0:
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
