"""The baselines of a study beside each other, class by class, and which of them differ."""

from analysis.document.blocks import Section
from analysis.questions.comparison.contenders import contender, every_pair
from analysis.questions.comparison.side_by_side import pair_blocks, results_table
from analysis.quoted import results
from analysis.report.findings import Findings

PLACE = 12


def section(findings: Findings) -> Section | None:
    """Results side by side; None where fewer than two are quoted."""
    study = findings.study
    contenders = [contender(each.label, each) for each in results(study)]
    if len(contenders) < 2:
        return None
    blocks = [
        results_table(contenders, "baselines", "baseline"),
        *pair_blocks(every_pair(contenders), "baselines"),
    ]
    return Section("Baselines side by side", blocks)
