"""What contradicts the papers: sentences of findings, and printed numbers that differ."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from analysis.document.format import PERCENTAGE_POINTS, in_words, p_text
from analysis.evidence.entries import Entry
from analysis.questions.claims.published import MEAN, tables
from analysis.questions.claims.published.cells import NOT_COMPARABLE
from analysis.report.render.markdown import escaped
from analysis.study import so_far
from tune_ad.wording import count

PUBLISHED = "published_"
VERDICTS = {
    "better": "higher",
    "worse": "lower",
    "alike": "alike",
    "unsure": "without a verdict",
    "": "not tested",
}
DIFFERS = ("better", "worse")
ABOUT_CELLS = (
    "Our results of published settings beside the printed ones, class by class; averages are left "
    "out. Higher and lower: by a test over seeds at 0.05, after Holm over the cells of a table "
    "that its study has run; alike: shown to lie within two points. Of a cell that several "
    "studies have, the one with the most seeds counts."
)


class Printed(NamedTuple):
    """How the results of a baseline compare with a printed table.

    Attributes:
        entry: the question whose study they are of.
        table: the name of the table of the report.
        paper: the title of the printed table.
        data_set: the name of the data set.
        baseline: the name of the baseline.
        cells: the compared cells, with the columns of the table's file.
    """

    entry: Entry
    table: str
    paper: str
    data_set: str
    baseline: str
    cells: pd.DataFrame

    @property
    def differs(self) -> bool:
        """Whether a cell is higher or lower than printed."""
        return bool(self.cells["verdict"].isin(DIFFERS).any())


def contradictions(shown: Sequence[Entry]) -> list[str]:
    """The sections of the page, as blocks of Markdown; none if nothing is compared with a paper.

    Args:
        shown: the questions, answered.
    """
    said = [
        f"- {escaped(entry.asked.against)} (Finding {number}.)"
        for number, entry in enumerate(shown, start=1)
        if entry.asked.against
    ]
    compared = list(_printed(shown))
    differing = [_item(printed) for printed in compared if printed.differs]
    others = [_item(printed) for printed in compared if not printed.differs]
    blocks: list[str] = []
    if said or differing:
        blocks += ["## What contradicts the papers", *_lists(said, differing)]
    if others:
        blocks += ["## Printed numbers that are not contradicted", *_lists([], others)]
    return blocks


def _lists(said: Sequence[str], items: Sequence[str]) -> list[str]:
    cells = [ABOUT_CELLS, "\n".join(items)] if items else []
    return [*(["\n".join(said)] if said else []), *cells]


def _printed(shown: Sequence[Entry]) -> Iterator[Printed]:
    """The comparable results of all reports by printed table, data set and baseline."""
    papers = {f"{PUBLISHED}{table.name}": table.title for table in tables()}
    compared = [
        cells.assign(entry=entry.place, table=table.name)
        for entry in shown
        for table in entry.report.all_tables()
        if table.name in papers and len(cells := _comparable(table.stored))
    ]
    if not compared:
        return
    by_place = {entry.place: entry for entry in shown}
    groups = _with_most_seeds(pd.concat(compared)).groupby(
        ["entry", "table", "data set", "baseline"], sort=False
    )
    for names, cells in groups:
        place, table_name, data_set, baseline = map(str, names)
        paper = papers[table_name]
        yield Printed(by_place[place], table_name, paper, data_set, baseline, cells)


def _comparable(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of a table that are compared, without averages."""
    compared = (cells["verdict"] != NOT_COMPARABLE) & cells["difference"].notna()
    return cells[compared & (cells["class"] != MEAN)]


def _with_most_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    """Of each cell of a printed table the result with the most seeds, of several the first."""
    cell = ["table", "data set", "class", "outsider", "baseline"]
    best = cells.reset_index(drop=True).sort_values("ours n", ascending=False, kind="stable")
    return best.drop_duplicates(cell).sort_index()


def _item(printed: Printed) -> str:
    """A line of a list: how the cells of a baseline compare, and the one that differs most."""
    cells = printed.cells
    numbers = cells["verdict"].value_counts()
    verdicts = [
        f"{numbers[verdict]} {words}" for verdict, words in VERDICTS.items() if verdict in numbers
    ]
    most = cells.iloc[int(cells["difference"].abs().argmax())]
    adjusted = float(most["p (Holm)"])
    tested = f"p = {p_text(adjusted)} after Holm, " if adjusted == adjusted else ""
    where = f"class {most['class']}" if most["class"] else f"against {most['outsider']}"
    studies = [study for study in printed.entry.studies if study.is_open_for([printed.baseline])]
    text = (
        f"{so_far(studies) if studies else ''}{printed.baseline} on {printed.data_set}, "
        f"{printed.paper}, {count(len(cells), 'cell')}: {in_words(verdicts)}. Largest difference: "
        f"{where}, {PERCENTAGE_POINTS.text(float(most['difference']))} points from the printed "
        f"{100 * float(most['published']):.1f} ({tested}n = {count(int(most['ours n']), 'seed')})."
    )
    source = f"{printed.entry.place}/tables/{printed.table}.csv"
    return f"- {escaped(text)} ([table]({source}))"
