"""Comparison of the baselines of a study, class by class, with pairwise tests."""

from analysis.document.blocks import Section
from analysis.questions.comparison.contenders import every_pair
from analysis.questions.comparison.interactions import interactions, interactions_table
from analysis.questions.comparison.side_by_side import comparison_tables
from analysis.report.findings import Findings

PLACE = 12


def section(findings: Findings) -> Section | None:
    """Results side by side; None for fewer than two results."""
    contenders = findings.contenders
    if len(contenders) < 2:
        return None
    tables = comparison_tables(
        contenders,
        every_pair(contenders),
        findings.contrasts,
        "baselines",
        findings.pairs_to_come,
    )
    if found := interactions(contenders):
        tables.append(interactions_table(found))
    return Section("Baselines side by side", tables)
