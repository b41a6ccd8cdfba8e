"""Tests of the printed numbers of the PGN paper, as blocks of a report and as a page of its own.

`python -m analysis.report.printed` writes `docs/published_tables.md`, for readers who have run
nothing.
"""

import re
from functools import cache
from pathlib import Path

import pandas as pd

from analysis.document.blocks import Block, Cell, Document, Section, Table, Text
from analysis.document.format import PERCENTAGE_POINTS, mean_text, p_text
from analysis.questions.claims.published import MEAN, PublishedTable, tables
from analysis.questions.claims.published.retest import Opponent, Retest, retest
from analysis.report.render.markdown import markdown

PGN_TABLES = ("pgn_table1", "pgn_table2")
METHOD = "PGN"
FILES = re.compile(r"^Full precision: .*\n*", re.MULTILINE)  # the page has no files of tables
PAGE = Path(__file__).parents[2] / "docs" / "published_tables.md"
TITLE = "The PGN paper's tables, tested again"
NOT_INDEPENDENT = (
    "Ten classes of a data set are not ten independent data sets: their results share training "
    "images and architecture and are correlated, so the tests over tasks (Friedman, Wilcoxon) "
    "find differences too often. Welch's tests are over seeds, which are independent, and hold "
    "for one class each."
)


def pgn_tables() -> list[PublishedTable]:
    """The tables of the PGN paper."""
    return [table for table in tables() if table.name in PGN_TABLES]


@cache
def pgn_retest() -> Retest:
    """The tests of the printed numbers of the PGN paper, which are the same in every report."""
    return retest(pgn_tables(), METHOD)


def retest_blocks() -> list[Block]:
    """The tests of the printed numbers of the PGN paper."""
    results = pgn_retest()
    return [Text(_sentences(results)), _opponents_table(results), Text(NOT_INDEPENDENT, "warning")]


def page() -> str:
    """The printed numbers and their tests, as Markdown."""
    about = (
        "All 180 printed results of Park, Adosoglou and Pardalos (arXiv 2005.01889, Tables 1 and "
        "2), and tests that use nothing else. No study was run for this page."
    )
    printed = Section("The printed numbers", [_printed(table) for table in pgn_tables()])
    tested = Section("Tests of the printed numbers", retest_blocks())
    text = markdown(Document(TITLE, about, [tested, printed]))
    return FILES.sub("", text).rstrip() + "\n"


def _sentences(found: Retest) -> str:
    ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in found.ranks.items())
    return (
        f"Only the printed means, standard deviations and numbers of seeds are used. Mean rank "
        f"over {found.tasks} tasks (1 = best): {ranks}. Friedman's test that all methods rank "
        f"alike: chi2 = {found.chi2:.2f}, p = {p_text(found.p)}."
    )


def _opponents_table(found: Retest) -> Table:
    caption = (
        f"{found.method} against every other method, by printed numbers. Difference: mean of "
        f"{found.method} minus the other over tasks, in points. Wilcoxon: two-sided signed-rank "
        "test over tasks; Holm over the other methods on the same tasks. Welch: number of cells "
        f"in which {found.method} is better, and in which it is worse, at 0.05, from means and "
        "standard deviations of 10 seeds; Holm over these cells."
    )
    rows = [_row(opponent) for opponent in found.opponents]
    data = pd.DataFrame([opponent._asdict() for opponent in found.opponents])
    return Table("printed_tests", pd.DataFrame(rows), caption, data)


def _row(opponent: Opponent) -> dict[str, object]:
    return {
        "tasks": f"{opponent.data_set or 'all'} (n = {opponent.n})",
        "against": opponent.name,
        "difference": Cell(
            PERCENTAGE_POINTS._replace(form="+.2f").text(opponent.difference), opponent.difference
        ),
        "Wilcoxon p": Cell(p_text(opponent.p), opponent.p),
        "p after Holm": Cell(p_text(opponent.adjusted), opponent.adjusted),
        "Welch: better, worse": _counted(opponent.better, opponent.worse),
        "after Holm": _counted(opponent.better_holm, opponent.worse_holm),
    }


def _counted(better: int, worse: int) -> Cell:
    """Two counts, sorted by the first and then by the second, the fewer the better."""
    return Cell(f"{better}, {worse}", better - worse / 1000)


def _printed(table: PublishedTable) -> Table:
    """The printed cells, one row per class."""
    rows: dict[str, dict[str, object]] = {}
    for cell in table.cells:
        row = rows.setdefault(cell.label, {"class": cell.label})
        row[cell.method.name] = mean_text(cell.mean, cell.std)
    means = [row for name, row in rows.items() if name.endswith(f", {MEAN}")]
    classes = [row for row in rows.values() if row not in means]
    caption = (
        f"{table.source}. Test AUROC in per cent, mean ± standard deviation, n = {table.seeds}."
    )
    return Table(f"printed_{table.name}", pd.DataFrame([*classes, *means]), caption)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
