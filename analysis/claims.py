"""Published numbers beside a study's own, cell by cell, each pair with a test."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.document import Tone, count
from analysis.published import PublishedCell, PublishedTable
from analysis.results import Result, results
from analysis.statistics import ALIKE, SIGNIFICANCE, Estimate
from analysis.study import StudyRecords

LEAST_SEEDS = 3
AVERAGE = "/mean"
AGAINST = "-vs-"  # between a data set and its outsiders
TestName = Literal["Welch's t-test", "one-sample t-test", ""]


class Compared(NamedTuple):
    """One cell of a published table beside this study's number.

    Attributes:
        published: the cell.
        baseline: of this study, whose detector is the cell's.
        ours: test AUROC in [0, 1] over seeds.
        difference: ours minus the published mean, in [-1, 1]; above 0 = ours is better.
        test: its name; empty where none was made.
        p: of the two-sided test; NaN where none was made.
        adjusted: p by Holm over the cells of the table that were tested.
        tone: "better" and "worse" = a difference after Holm; "alike" = tested, none found;
            "unsure" = not tested.
        note: what was tested, and what the reader must know.
    """

    published: PublishedCell
    baseline: str
    ours: Estimate
    difference: float
    test: TestName
    p: float
    adjusted: float
    tone: Tone
    note: str


def cells(study: StudyRecords, table: PublishedTable) -> list[Compared]:
    """The cells of a published table for which the study has a number, in the table's order.

    A cell is compared with each quoted result whose detector is the cell's method and whose
    parameters are the ones that the method needs. An average over classes is compared only where
    the result has all classes of the data set.

    Welch's t-test from means, standard deviations and numbers of seeds where the paper prints a
    standard deviation; otherwise a one-sample t-test of ours against the printed mean, which
    ignores the paper's own spread and rounding. At least 3 seeds of ours. Holm over the table.
    """
    quoted = results(study)
    found = [
        _compared(cell, table.seeds, result, ours)
        for cell in table.cells
        for result in quoted
        if _is_method(cell, result) and (ours := _own(cell, table, result)) is not None
    ]
    return _adjusted(found)


def _is_method(cell: PublishedCell, result: Result) -> bool:
    record = result.tested[0]
    wanted = cell.method.where.items()
    return record.detector == cell.method.detector and all(
        record.params.get(name) == value for name, value in wanted
    )


def _own(cell: PublishedCell, table: PublishedTable, result: Result) -> Estimate | None:
    """The result's estimate for a cell; None where it has none that compares."""
    if AGAINST in cell.task:
        source, _, outsiders = cell.task.partition(AGAINST)
        if not result.tested[0].replicas[0].task.startswith(source + AGAINST):
            return None
        return result.outsiders.get(outsiders, {}).get(cell.method.score or "score")
    if not cell.task.endswith(AVERAGE):
        return result.classes.get(cell.task)
    data_set = cell.task.removesuffix(AVERAGE)
    own = [task for task in result.classes if task.rpartition("/")[0] == data_set]
    return result.panel if len(own) == len(result.classes) == table.classes else None


def _compared(cell: PublishedCell, seeds: int, result: Result, ours: Estimate) -> Compared:
    test, p, note = _tested(cell, seeds, ours)
    notes = [note, cell.method.differs, f"published number: {cell.read}"]
    if result.failed:
        notes.append(f"{result.failed} of {count(result.seeds, 'seed')} of ours failed")
    if result.collapsed:
        notes.append(f"{count(result.collapsed, 'model')} of ours collapsed")
    return Compared(
        published=cell,
        baseline=result.baseline,
        ours=ours,
        difference=ours.mean - cell.mean,
        test=test,
        p=p,
        adjusted=math.nan,
        tone="unsure",
        note="; ".join(filter(None, notes)),
    )


def _tested(cell: PublishedCell, seeds: int, ours: Estimate) -> tuple[TestName, float, str]:
    """Name and p of the test of a cell, and a note; no test where it would mean nothing."""
    if ours.n < LEAST_SEEDS:
        return "", math.nan, f"not tested: {count(ours.n, 'seed')} of ours, {LEAST_SEEDS} needed"
    if not math.isnan(cell.std) and seeds > 1 and cell.std + ours.std > ALIKE:
        first, second = (ours.mean, ours.std, ours.n), (cell.mean, cell.std, seeds)
        p = float(stats.ttest_ind_from_stats(*first, *second, equal_var=False).pvalue)
        return "Welch's t-test", p, f"Welch's t-test, {ours.n} and {seeds} seeds"
    if ours.std < ALIKE:
        return "", math.nan, "not tested: ours is the same for all seeds, so it has no spread"
    t = (ours.mean - cell.mean) / (ours.std / math.sqrt(ours.n))
    p = 2 * float(stats.t.sf(abs(t), ours.n - 1))
    said = "no published spread at hand: one-sample t-test against the printed number"
    return "one-sample t-test", p, f"{said}, {ours.n} seeds of ours"


def _adjusted(found: Sequence[Compared]) -> list[Compared]:
    """The cells with Holm's p over those that were tested, and their tones."""
    tested = [each for each in found if each.test]
    if not tested:
        return list(found)
    adjusted = multipletests([each.p for each in tested], alpha=SIGNIFICANCE, method="holm")[1]
    remaining = iter(adjusted)
    return [
        _judged(each, float(next(remaining)), len(tested)) if each.test else each for each in found
    ]


def _judged(cell: Compared, adjusted: float, family: int) -> Compared:
    tone: Tone = "alike"
    if adjusted <= SIGNIFICANCE:
        tone = "better" if cell.difference > 0 else "worse"
    after = f"p = {adjusted:.2g}" + (f" after Holm over {family} cells" if family > 1 else "")
    note = f"{cell.note}; {after}"
    if tone == "alike":
        note += "; no difference found, which is no proof that there is none"
    return cell._replace(adjusted=adjusted, tone=tone, note=note)
