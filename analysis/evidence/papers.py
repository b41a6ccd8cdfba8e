"""What contradicts the papers: sentences of findings, and printed numbers that differ."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from analysis.document.format import PERCENTAGE_POINTS, in_words, p_text
from analysis.evidence.entries import Entry
from analysis.report.render.markdown import escaped
from tune_ad.wording import count

PUBLISHED = "published_"
VERDICTS = {"better": "higher", "worse": "lower", "alike": "alike", "unsure": "without a verdict"}
ABOUT_CELLS = (
    "Printed results beside ours of the same method, class by class; higher and lower = better "
    "and worse by a test over seeds at 0.05 after Holm, alike = shown to lie within two points."
)


class Printed(NamedTuple):
    """How the results of a method compare with a printed table.

    Attributes:
        table: the name of the table of the report.
        data_set: the name of the data set.
        method: the name of the method.
        cells: the compared cells, with the columns of the table's file.
    """

    table: str
    data_set: str
    method: str
    cells: pd.DataFrame


def contradictions(shown: Sequence[Entry]) -> list[str]:
    """The section of the page, as blocks of Markdown; none if nothing is compared with a paper.

    Args:
        shown: the questions, answered.
    """
    said = [
        f"- {escaped(entry.asked.against)} {escaped(entry.state + entry.finding)}"
        for entry in shown
        if entry.asked.against
    ]
    lines = [
        f"- {escaped(_sentence(printed))} ([table]({entry.place}/tables/{printed.table}.csv))"
        for entry in shown
        for printed in _printed(entry)
    ]
    if not said and not lines:
        return []
    blocks = ["## What contradicts the papers"]
    if said:
        blocks.append("\n".join(said))
    if lines:
        blocks += [ABOUT_CELLS, "\n".join(lines)]
    return blocks


def _printed(entry: Entry) -> Iterator[Printed]:
    """The comparable results of a report, by table, data set and method."""
    for table in entry.report.all_tables():
        if not table.name.startswith(PUBLISHED):
            continue
        cells = table.stored
        cells = cells[(cells["differences"] == "") & cells["difference"].notna()]
        for (data_set, method), of_method in cells.groupby(["data set", "method"], sort=False):
            yield Printed(table.name, str(data_set), str(method), of_method)


def _sentence(printed: Printed) -> str:
    """The numbers of cells by verdict, and the cell that differs most."""
    cells = printed.cells
    numbers = cells["verdict"].value_counts()
    verdicts = [
        f"{numbers[verdict]} {words}" for verdict, words in VERDICTS.items() if verdict in numbers
    ]
    most = cells.iloc[int(cells["difference"].abs().argmax())]
    adjusted = p_text(float(most["p (Holm)"]))
    return (
        f"{printed.method} on {printed.data_set}, {count(len(cells), 'cell')}: "
        f"{in_words(verdicts)}. Largest difference: {most['class'] or most['outsider']}, "
        f"{PERCENTAGE_POINTS.text(float(most['difference']))} points from the printed "
        f"{100 * float(most['published']):.1f} (p = {adjusted}, n = {int(most['ours n'])} seeds)."
    )
