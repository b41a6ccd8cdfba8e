"""Tests of the printed numbers of the PGN paper, beside a study of its tables."""

from analysis.document.blocks import Section
from analysis.questions.claims.published.cells import compare_cells
from analysis.report.findings import Findings
from analysis.report.printed import pgn_tables, retest_blocks

PLACE = 26


def section(findings: Findings) -> Section | None:
    """The tests; None if the study has no result for a cell of the PGN paper's tables."""
    study, results = findings.study, findings.results
    if not any(compare_cells(study, results, table) for table in pgn_tables()):
        return None
    return Section("Tests of the printed numbers", retest_blocks())
