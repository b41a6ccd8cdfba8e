"""Comparison with published numbers."""

from collections.abc import Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text
from analysis.document.format import mean_text
from analysis.questions.claims.published import PublishedTable, tables
from analysis.questions.claims.published.cells import CellComparison, compare_cells
from analysis.report.findings import Findings
from analysis.stats.estimates import MARGIN
from analysis.study import StudyRecords

PLACE = 25


def section(findings: Findings) -> Section | None:
    """The published cells for which this study has a result; None if it has none."""
    study, results = findings.study, findings.results
    compared = [
        (table, comparisons)
        for table in tables()
        if (comparisons := compare_cells(results, table, study.tasks))
    ]
    if not compared:
        return None
    shown = [_table(table, comparisons, study.name) for table, comparisons in compared]
    return Section(
        "Comparison with published numbers", [*_about(study, results[0].source), *shown]
    )


def _about(study: StudyRecords, source: str) -> list[Block]:
    """How to read the tables, and how this study differs from the papers' protocol."""
    blocks: list[Block] = [
        Text(
            "Test AUROC in per cent, mean ± standard deviation over seeds: this study | "
            f'published. This study: {source}. "Better" and "worse": our mean differs from the '
            "published one by a test at 0.05, corrected by Holm for the cells of the table. "
            f'"Alike": the difference is shown to lie within ± {100 * MARGIN:.0f} points, by two '
            "one-sided Welch tests at 0.05, also corrected by Holm; they need both standard "
            'deviations. "No verdict": neither was shown, or no test was made. An average over '
            "classes is compared only if all classes were run. If no published standard deviation "
            "is available, the test assumes that it equals ours. If a paper's number of seeds is "
            "not known, no test is made."
        )
    ]
    if (name := study.search["budget_name"]) != "paper":
        blocks.append(
            Text(
                f"This study ran the budget {name}, not the papers' protocol: fewer seeds, "
                "images, epochs or classes. A difference from a published number may come from "
                "that alone.",
                "warning",
            )
        )
    if settings := study.search.get("settings"):
        fixed = ", ".join(f"{key} = {value}" for key, value in settings.items())
        blocks.append(Text(f"Settings fixed by the user: {fixed}.", "warning"))
    return blocks


def _table(table: PublishedTable, comparisons: Sequence[CellComparison], study: str) -> Table:
    year = f", {table.year}" if table.year else ""
    seeds = f"{table.seeds} seeds" if table.seeds else "an unknown number of seeds"
    caption = (
        f"{table.title}{year}: {study} | published. {table.source}. Published means are over "
        f"{seeds}. Not included: {table.missing}."
    )
    data = pd.DataFrame([_data(comparison) for comparison in comparisons])
    return Table(f"published_{table.name}", _shown(comparisons), caption, data)


def _shown(comparisons: Sequence[CellComparison]) -> pd.DataFrame:
    """One row per row of the paper, one column per method."""
    rows: dict[str, dict[str, object]] = {}
    for comparison in comparisons:
        published, ours = comparison.published, comparison.ours
        row = rows.setdefault(published.label, {"class": published.label})
        text = f"{ours.mean_std()} | {mean_text(published.mean, published.std)}"
        row[_column(comparison)] = Cell(text, ours.mean, comparison.tone, comparison.note)
    return pd.DataFrame(list(rows.values())).fillna("")


def _column(comparison: CellComparison) -> str:
    """The method, and the baseline if it has another name."""
    method = comparison.published.method
    same = comparison.baseline in (method.name, method.detector)
    return method.name if same else f"{method.name} ({comparison.baseline})"


def _data(comparison: CellComparison) -> dict[str, object]:
    published, ours = comparison.published, comparison.ours
    return {
        "data set": published.data_set,
        "class": published.class_name,
        "outsider": published.outsider,
        "method": published.method.name,
        "baseline": comparison.baseline,
        "ours": ours.mean,
        "ours std": ours.std,
        "ours n": ours.n,
        "published": published.mean,
        "published std": published.std,
        "read": published.read,
        "difference": comparison.difference,
        "test": comparison.test,
        "p": comparison.p,
        "p (Holm)": comparison.adjusted,
        "TOST p": comparison.equivalence,
        "TOST p (Holm)": comparison.equivalence_adjusted,
        "verdict": comparison.tone,
        "note": comparison.note,
    }
