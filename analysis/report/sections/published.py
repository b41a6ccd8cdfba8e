"""Comparison with published numbers."""

from collections.abc import Iterator, Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text
from analysis.document.format import mean_text
from analysis.questions.claims.published import MEAN, PublishedTable, tables
from analysis.questions.claims.published.cells import (
    NOT_COMPARABLE,
    CellComparison,
    compare_cells,
)
from analysis.report.findings import Findings
from analysis.stats.estimates import MARGIN
from tune_ad.wording import count

PLACE = 25
VERDICTS = (
    '"Better" and "worse": our mean differs from the published one by a test at 0.05, corrected '
    'by Holm for the cells of the table. "Alike": the difference is shown to lie within ± '
    f"{100 * MARGIN:.0f} points, by two one-sided Welch tests at 0.05, also corrected by Holm; "
    'they need both standard deviations. "No verdict": neither was shown, or no test was made. If '
    "no published standard deviation is available, the test assumes that it equals ours. If a "
    "paper's number of seeds is not known, no test is made. The tests are over seeds and hold for "
    "these test images."
)


def section(findings: Findings) -> Section | None:
    """The published cells for which this study has a result; None if it has none."""
    study, results = findings.study, findings.results
    compared = [
        (table, comparisons)
        for table in tables()
        if (comparisons := compare_cells(study, results, table))
    ]
    if not compared:
        return None
    shown: list[Block] = []
    for table, cells in compared:
        shown += [*_departures(table, cells), *_classes(table, cells)]
        shown.append(_table(table, cells, study.name))
    tested = any(cell.test for _, cells in compared for cell in cells)
    return Section(
        "Comparison with published numbers", [_about(results[0].source, tested), *shown]
    )


def _about(source: str, tested: bool) -> Text:
    """How to read the tables."""
    about = (
        "Test AUROC in per cent, mean ± standard deviation over seeds: this study | published. "
        f"This study: {source}. An average over classes is compared only if all classes were run."
    )
    return Text(f"{about} {VERDICTS}" if tested else about)


def _departures(table: PublishedTable, cells: Sequence[CellComparison]) -> Iterator[Text]:
    """How each result was obtained differently: one sentence per result of a table."""
    by_result = {_column(cell): cell.departure for cell in cells}
    if sentences := [f"- {name}: {d.sentence}." for name, d in by_result.items() if d.sentence]:
        opening = f"No verdict on these results by {table.title}:"
        yield Text("\n".join([opening, *sentences]), "warning")
    if remarks := [f"- {name}: {d.remark}." for name, d in by_result.items() if d.remark]:
        yield Text("\n".join(remarks), "note")


def _classes(table: PublishedTable, cells: Sequence[CellComparison]) -> Iterator[Text]:
    """That the averages of a table are not compared, where classes are missing."""
    classes = {cell.published.class_name for cell in cells} - {"", MEAN}
    if classes and len(classes) < table.classes:
        yield Text(
            f"{len(classes)} of {table.classes} classes were run: they are compared cell by cell, "
            "but not with the published averages.",
            "note",
        )


def _table(table: PublishedTable, comparisons: Sequence[CellComparison], study: str) -> Table:
    year = f", {table.year}" if table.year else ""
    seeds = count(table.seeds, "seed") if table.seeds else "an unknown number of seeds"
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
        if not comparison.departure.comparable:
            text = f"{text} ({NOT_COMPARABLE})"
        tone = comparison.tone if comparison.departure.comparable else ""
        row[_column(comparison)] = Cell(text, ours.mean, tone, comparison.note)
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
        "verdict": comparison.verdict,
        "differences": "; ".join(comparison.departure.differences),
        "note": comparison.note,
    }
