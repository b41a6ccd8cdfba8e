"""The baselines of a study beside each other, class by class, and which of them differ."""

from analysis.document.blocks import Section
from analysis.questions.comparison.contenders import contender, contrasts, every_pair
from analysis.questions.comparison.side_by_side import comparison_tables
from analysis.report.findings import Findings

PLACE = 12


def section(findings: Findings) -> Section | None:
    """Results side by side; None where fewer than two are quoted."""
    contenders = [contender(result.label, result) for result in findings.results]
    if len(contenders) < 2:
        return None
    pairs = every_pair(contenders)
    tables = comparison_tables(contenders, pairs, contrasts(pairs), "baselines")
    return Section("Baselines side by side", tables)
