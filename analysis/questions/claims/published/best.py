"""The best published number for the classes, or the outsider set, of a result."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import scipy

from analysis.questions.claims.published import MEAN, PublishedCell, PublishedTable, tables
from analysis.quoted import Result
from analysis.stats.estimates import LEVEL, Estimate
from analysis.study import StudyRecords


class BestPublished(NamedTuple):
    """The largest published mean for the tasks of a result, by any method.

    Attributes:
        method: the method, as printed.
        title: the title of its table.
        auroc: mean over the classes; its interval is that of Student's t over seeds, with classes
            taken as independent, or NaN if the paper gives no standard deviation or seeds.
        read: how the number was read, as in `published.READ`.
    """

    method: str
    title: str
    auroc: Estimate
    read: str


def best_published(study: StudyRecords, result: Result) -> BestPublished | None:
    """The best published number for exactly the tasks of a result; None if there is none.

    It need not have been obtained in the same way: `published.cells` says how settings differ.
    """
    found = [best for table in tables() for best in _by_method(study, result, table)]
    return max(found, key=lambda best: best.auroc.mean, default=None)


def _by_method(
    study: StudyRecords, result: Result, table: PublishedTable
) -> Iterator[BestPublished]:
    """The number of each method of a table that has all cells."""
    wanted = _wanted(study, result)
    for method in dict.fromkeys(cell.method.name for cell in table.cells):
        of_method = {
            (cell.data_set, cell.class_name, cell.outsider): cell
            for cell in table.cells
            if cell.method.name == method
        }
        cells = [of_method[key] for key in wanted if key in of_method]
        sources = {source for source, _, _ in wanted}
        average = [of_method[s, MEAN, ""] for s in sources if (s, MEAN, "") in of_method]
        if wanted and len(cells) == len(wanted):
            yield _mean(cells, table, method)
        elif len(wanted) == table.classes and len(sources) == 1 and average:
            yield _mean(average, table, method)


def _wanted(study: StudyRecords, result: Result) -> list[tuple[str, str, str]]:
    """Data set, class and outsider set of every cell that the result covers."""
    first = next(iter(result.outsiders), "")
    tasks = [study.tasks.get(name, {}) for name in result.classes]
    if any(bool(task.get("outsiders")) != bool(first) for task in tasks):
        return []
    return [
        (
            str(task.get("source", "")),
            "" if task.get("normal_class") is None else str(task["normal_class"]),
            first,
        )
        for task in tasks
    ]


def _mean(cells: Sequence[PublishedCell], table: PublishedTable, method: str) -> BestPublished:
    """The mean over cells, with the interval that the standard deviations imply."""
    k, n = len(cells), table.seeds
    mean = math.fsum(cell.mean for cell in cells) / k
    std = math.sqrt(math.fsum(cell.std**2 for cell in cells)) / k
    low = high = math.nan
    if n > 1 and not math.isnan(std):
        half = float(scipy.special.stdtrit(n - 1, 0.5 + LEVEL / 2)) * std / math.sqrt(n)
        low, high = max(0.0, mean - half), min(1.0, mean + half)
    reads = ", ".join(dict.fromkeys(cell.read for cell in cells))
    return BestPublished(method, table.title, Estimate(mean, std, low, high, n), reads)
