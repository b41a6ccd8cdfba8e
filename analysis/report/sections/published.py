"""What papers print, beside what this study found."""

from collections.abc import Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text
from analysis.document.format import mean_text
from analysis.questions.claims.cells import Compared, cells
from analysis.questions.claims.published import PublishedTable, tables
from analysis.quoted import results
from analysis.report.findings import Findings
from analysis.stats.estimates import MARGIN
from analysis.study import StudyRecords

PLACE = 25


def section(findings: Findings) -> Section | None:
    """The published cells that this study has, too; None where it has none."""
    study = findings.study
    found = [(table, own) for table in tables() if (own := cells(study, table))]
    if not found:
        return None
    shown = [_table(table, own, study.name) for table, own in found]
    return Section("Beside the published numbers", [*_about(study), *shown])


def _about(study: StudyRecords) -> list[Block]:
    source = results(study)[0].source
    blocks: list[Block] = [
        Text(
            "Test AUROC in per cent, mean ± standard deviation over seeds: ours | published. "
            f'Ours: {source}. "Better" and "worse": ours differs by a test at 0.05 after Holm '
            'over the cells of the table. "Alike": the difference is shown to lie within '
            f"± {100 * MARGIN:.0f} points (two one-sided Welch tests at 0.05 after Holm), for "
            'which both spreads are needed. "No verdict": neither was shown, or there was no '
            "test. An average is compared only where all classes were run. Where no published "
            "standard deviation is at hand, the test takes ours for the paper's over its number "
            "of seeds; where that number is not known, there is no test."
        )
    ]
    if (name := study.asked["budget_name"]) != "paper":
        blocks.append(
            Text(
                f"This study ran the budget {name}, not the papers' protocol: fewer seeds, "
                "images, epochs or classes. A difference from a published number may come from "
                "that alone.",
                "warning",
            )
        )
    if changed := study.asked.get("settings"):
        fixed = ", ".join(f"{key} = {value}" for key, value in changed.items())
        blocks.append(Text(f"Settings fixed by the user: {fixed}.", "warning"))
    return blocks


def _table(table: PublishedTable, own: Sequence[Compared], study: str) -> Table:
    year = f", {table.year}" if table.year else ""
    seeds = f"{table.seeds} seeds" if table.seeds else "a number of seeds that is not known"
    caption = (
        f"{table.title}{year}: {study} | published. {table.source}. Published means are over "
        f"{seeds}. Not at hand of the paper: {table.missing}."
    )
    return Table(f"published_{table.name}", _shown(own), caption, data=_data(own))


def _shown(own: Sequence[Compared]) -> pd.DataFrame:
    rows: dict[str, dict[str, object]] = {}
    for each in own:
        row = rows.setdefault(each.published.label, {"class": each.published.label})
        row[_column(each)] = Cell(
            f"{each.ours.mean_std()} | {mean_text(each.published.mean, each.published.std)}",
            each.ours.mean,
            each.tone,
            each.note,
        )
    return pd.DataFrame(list(rows.values())).fillna("")


def _column(each: Compared) -> str:
    """The method, and the baseline where its name does not say the same."""
    method = each.published.method
    same = each.baseline in (method.name, method.detector)
    return method.name if same else f"{method.name} ({each.baseline})"


def _data(own: Sequence[Compared]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "task": each.published.task,
                "method": each.published.method.name,
                "baseline": each.baseline,
                "ours": each.ours.mean,
                "ours std": each.ours.std,
                "ours n": each.ours.n,
                "published": each.published.mean,
                "published std": each.published.std,
                "read": each.published.read,
                "difference": each.difference,
                "test": each.test,
                "p": each.p,
                "p (Holm)": each.adjusted,
                "TOST p": each.equivalence,
                "TOST p (Holm)": each.equivalence_adjusted,
                "verdict": each.tone,
                "note": each.note,
            }
            for each in own
        ]
    )
