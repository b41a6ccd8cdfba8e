"""The report of a study; it also works while the study runs, or if every trial failed."""

from pathlib import Path
from typing import NamedTuple

from analysis import frame
from analysis.document.blocks import Document, Section, Table, Text
from analysis.report.answer import answer, scope
from analysis.report.findings import Findings
from analysis.report.headline import headline
from analysis.report.render.export import export
from analysis.report.sections import sections
from analysis.study import StudyRecords


class WrittenReport(NamedTuple):
    """A report on the disk.

    Attributes:
        path: the path of the page, `report.html`.
        summary: the summary of the study, in lines.
    """

    path: Path
    summary: str


def write_report(path: Path) -> WrittenReport:
    """Write the report into the folder of a study: HTML, Markdown, LaTeX, tables and figures.

    Args:
        path: the path of the folder.

    Raises:
        UserError: if the folder contains no study, or one of a newer schema.
    """
    report = document(StudyRecords.read(path))
    return WrittenReport(export(report, path).html, report.summary.replace("\n\n", "\n"))


def document(study: StudyRecords) -> Document:
    """The texts, tables and figures of a study's report."""
    findings = Findings(study)
    tables = (
        Table("replicas", study.replicas),
        Table("variants", frame.variants(study.trials)),
        Table("evaluation", study.fresh_replicas),
        Table("evaluation_variants", frame.variants(study.evaluation)),
    )
    summary = answer(findings)
    first, *others = sections(findings)
    described = Text(scope(study))
    return Document(
        title=study.name,
        summary=summary,
        sections=[first, Section("Summary", [described, Text(summary)]), *others],
        tables=tables,
        headline=headline(findings),
    )
