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
from tune_ad.storage.budget import restrictions
from tune_ad.storage.values import decode
from tune_ad.wording import count

PLACE = 25
NOT_COMPARABLE = "not comparable"
VERDICTS = (
    '"Better" and "worse": our mean differs from the published one by a test at 0.05, corrected '
    'by Holm for the cells of the table. "Alike": the difference is shown to lie within ± '
    f"{100 * MARGIN:.0f} points, by two one-sided Welch tests at 0.05, also corrected by Holm; "
    'they need both standard deviations. "No verdict": neither was shown, or no test was made. If '
    "no published standard deviation is available, the test assumes that it equals ours. If a "
    "paper's number of seeds is not known, no test is made."
)
NOT_THE_PROTOCOL = "this study did not follow the papers' protocol"


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
    comparable = follows_protocol(study)
    shown = [_table(table, cells, study.name, comparable) for table, cells in compared]
    return Section(
        "Comparison with published numbers", [*_about(study, results[0].source), *shown]
    )


def follows_protocol(study: StudyRecords) -> bool:
    """Whether a difference from a published number can be due to the method.

    It cannot if the models had fewer epochs or images than those of the papers.
    """
    given = {*study.stored.get("changes", {}), *study.search.get("settings", {})}
    changed = given & {"epochs", "train_images"}
    return study.search["budget_name"] == "paper" and not changed


def _about(study: StudyRecords, source: str) -> list[Block]:
    """How to read the tables, and how this study differs from the papers' protocol."""
    about = (
        "Test AUROC in per cent, mean ± standard deviation over seeds: this study | published. "
        f"This study: {source}. An average over classes is compared only if all classes were run."
    )
    blocks: list[Block] = [Text(f"{about} {VERDICTS}" if follows_protocol(study) else about)]
    if not follows_protocol(study):
        limited = restrictions(
            decode(study.budget.get("only", {})), _parameters(study) - {*study.search["settings"]}
        )
        blocks.append(
            Text(
                f"This study (budget {study.search['budget_name']}) did not follow the papers' "
                "protocol: fewer seeds, images, epochs or classes, or a validation set"
                f"{''.join(f'; {text}' for text in limited)}. A "
                "difference from a published number may come from that alone, so no cell has a "
                'verdict: "not comparable".',
                "warning",
            )
        )
    if settings := study.search.get("settings"):
        fixed = ", ".join(f"{key} = {value}" for key, value in settings.items())
        blocks.append(Text(f"Settings fixed by the user: {fixed}.", "warning"))
    return blocks


def _parameters(study: StudyRecords) -> set[str]:
    """The names of the parameters of all baselines."""
    return {name for defaults in study.defaults.values() for name in defaults}


def _table(
    table: PublishedTable, comparisons: Sequence[CellComparison], study: str, comparable: bool
) -> Table:
    year = f", {table.year}" if table.year else ""
    seeds = count(table.seeds, "seed") if table.seeds else "an unknown number of seeds"
    caption = (
        f"{table.title}{year}: {study} | published. {table.source}. Published means are over "
        f"{seeds}. Not included: {table.missing}."
    )
    data = pd.DataFrame([_data(comparison, comparable) for comparison in comparisons])
    return Table(f"published_{table.name}", _shown(comparisons, comparable), caption, data)


def _shown(comparisons: Sequence[CellComparison], comparable: bool) -> pd.DataFrame:
    """One row per row of the paper, one column per method."""
    rows: dict[str, dict[str, object]] = {}
    for comparison in comparisons:
        published, ours = comparison.published, comparison.ours
        row = rows.setdefault(published.label, {"class": published.label})
        text = f"{ours.mean_std()} | {mean_text(published.mean, published.std)}"
        if comparable:
            cell = Cell(text, ours.mean, comparison.tone, comparison.note)
        else:
            cell = Cell(f"{text} ({NOT_COMPARABLE})", ours.mean, note=NOT_THE_PROTOCOL)
        row[_column(comparison)] = cell
    return pd.DataFrame(list(rows.values())).fillna("")


def _column(comparison: CellComparison) -> str:
    """The method, and the baseline if it has another name."""
    method = comparison.published.method
    same = comparison.baseline in (method.name, method.detector)
    return method.name if same else f"{method.name} ({comparison.baseline})"


def _data(comparison: CellComparison, comparable: bool) -> dict[str, object]:
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
        "verdict": comparison.tone if comparable else NOT_COMPARABLE,
        "note": comparison.note,
    }
