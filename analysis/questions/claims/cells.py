"""Published numbers beside a study's own, cell by cell, each pair with a test."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.document.blocks import Tone
from analysis.document.format import count
from analysis.questions.claims.published import PublishedCell, PublishedTable
from analysis.quoted import Result, results
from analysis.stats.estimates import ALIKE, LEAST_SEEDS, MARGIN, SIGNIFICANCE, Estimate
from analysis.study import StudyRecords

AVERAGE = "/mean"
AGAINST = "-vs-"  # between a data set and its outsiders
Moments = tuple[float, float, int]
"""Mean, sample standard deviation and number of seeds."""
TestName = Literal["Welch's t-test", "t-test with our spread", ""]


class Compared(NamedTuple):
    """One cell of a published table beside this study's number.

    Attributes:
        published: the cell.
        baseline: label of the result of this study, whose detector is the cell's.
        ours: test AUROC in [0, 1] over seeds.
        difference: ours minus the published mean, in [-1, 1]; above 0 = ours is better.
        test: its name; empty where none was made.
        p: of the two-sided test; NaN where none was made.
        adjusted: p by Holm over the cells of the table that were tested.
        equivalence: p of the test that the difference is within ± 0.02; NaN where none was made.
        equivalence_adjusted: that by Holm over the cells of the table that have one.
        tone: "better" and "worse" = a difference after Holm; "alike" = shown to be within ± 0.02
            after Holm; "unsure" = neither, or not tested.
        note: what was tested, and what the reader must know.
    """

    published: PublishedCell
    baseline: str
    ours: Estimate
    difference: float
    test: TestName
    p: float
    adjusted: float
    equivalence: float
    equivalence_adjusted: float
    tone: Tone
    note: str


def cells(study: StudyRecords, table: PublishedTable) -> list[Compared]:
    """The cells of a published table for which the study has a number, in the table's order.

    A cell is compared with each quoted result whose detector is the cell's method and whose
    parameters are the ones that the method needs. An average over classes is compared only where
    the result has all classes of the data set.

    Welch's t-test from means, standard deviations and numbers of seeds where the paper prints a
    standard deviation, and the two one-sided ones of `welch_equivalence`; otherwise
    `one_spread`'s test, which takes our standard deviation for the paper's. No test below 3 seeds
    of ours or where the paper's seeds are not known. Holm over the table, for differences and for
    their absence alone.
    """
    quoted = results(study)
    found = [
        _compared(cell, table.seeds, result, ours)
        for cell in table.cells
        for result in quoted
        if _is_method(cell, result) and (ours := _own(cell, table, result)) is not None
    ]
    return _adjusted(found)


def welch_equivalence(first: Moments, second: Moments, margin: float = MARGIN) -> float:
    r"""Two one-sided Welch tests (TOST) of |mean_1 - mean_2| < margin: the larger p.

    $p = \max\{P(T > (d + m) / e), P(T < (d - m) / e)\}$ with $d = \bar x_1 - \bar x_2$, the margin
    $m$, $e^2 = s_1^2 / n_1 + s_2^2 / n_2$ and $T$ of Student's t with
    $e^4 / (s_1^4 / (n_1^2 (n_1 - 1)) + s_2^4 / (n_2^2 (n_2 - 1)))$ degrees of freedom.
    Schuirmann, 1987; Welch, 1947.

    Args:
        first: mean, sample standard deviation and number of seeds.
        second: the same of the other.
        margin: above 0, in the unit of the means.
    """
    mean, std, n = first
    above = stats.ttest_ind_from_stats(
        mean + margin, std, n, *second, equal_var=False, alternative="greater"
    )
    below = stats.ttest_ind_from_stats(
        mean - margin, std, n, *second, equal_var=False, alternative="less"
    )
    return float(max(above.pvalue, below.pvalue))


def one_spread(ours: Moments, mean: float, seeds: int) -> float:
    r"""Two-sided p of no difference from a mean over seeds whose spread is taken to be ours.

    $t = d / (s \sqrt{1 / n + 1 / m})$ with $n - 1$ degrees of freedom, where $m$ is the other's
    number of seeds. Exact where both spreads are the same.

    Args:
        ours: mean, sample standard deviation (above 0) and number of seeds n.
        mean: the other.
        seeds: over which that is the mean, m.
    """
    own, std, n = ours
    t = (own - mean) / (std * math.sqrt(1 / n + 1 / seeds))
    return 2 * float(stats.t.sf(abs(t), n - 1))


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
    test, p, alike, note = _tested(cell, seeds, ours)
    notes = [note, cell.method.differs, f"published number: {cell.read}"]
    if result.failed:
        notes.append(f"{result.failed} of {count(result.seeds, 'seed')} of ours failed")
    if result.collapsed:
        notes.append(f"{count(result.collapsed, 'model')} of ours collapsed")
    return Compared(
        published=cell,
        baseline=result.label,
        ours=ours,
        difference=ours.mean - cell.mean,
        test=test,
        p=p,
        adjusted=math.nan,
        equivalence=alike,
        equivalence_adjusted=math.nan,
        tone="unsure",
        note="; ".join(filter(None, notes)),
    )


def _tested(cell: PublishedCell, seeds: int, ours: Estimate) -> tuple[TestName, float, float, str]:
    """Test of a cell, its p, that of equivalence, and a note; no test where it means nothing."""
    first = (ours.mean, ours.std, ours.n)
    if refusal := _refusal(cell, seeds, ours):
        return "", math.nan, math.nan, f"not tested: {refusal}"
    if not math.isnan(cell.std) and seeds > 1:
        second = (cell.mean, cell.std, seeds)
        p = float(stats.ttest_ind_from_stats(*first, *second, equal_var=False).pvalue)
        alike = welch_equivalence(first, second)
        return "Welch's t-test", p, alike, f"Welch's t-test, {ours.n} and {seeds} seeds"
    note = (
        "no published spread at hand: t-test that takes our standard deviation for the paper's, "
        f"{ours.n} and {count(seeds, 'seed')}"
    )
    return "t-test with our spread", one_spread(first, cell.mean, seeds), math.nan, note


def _refusal(cell: PublishedCell, seeds: int, ours: Estimate) -> str:
    """Why a cell has no test; empty where it has one."""
    if ours.n < LEAST_SEEDS:
        return f"{count(ours.n, 'seed')} of ours, {LEAST_SEEDS} needed"
    if not seeds:
        return "the paper's number of seeds is not known"
    if ours.std < ALIKE and not (cell.std > ALIKE and seeds > 1):
        return "ours is the same for all seeds, and no published spread is at hand"
    return ""


def _adjusted(found: Sequence[Compared]) -> list[Compared]:
    """The cells with Holm's p over those that were tested, and their tones."""
    tested = [each for each in found if each.test]
    different = _holm([each.p for each in tested])
    alike = _holm([each.equivalence for each in tested])
    remaining = iter(zip(different, alike, strict=True))
    return [_judged(each, *next(remaining), len(tested)) if each.test else each for each in found]


def _holm(ps: Sequence[float]) -> list[float]:
    """Holm's p over those that are known; NaN stays NaN."""
    known = [p for p in ps if not math.isnan(p)]
    if not known:
        return list(ps)
    adjusted = iter(multipletests(known, alpha=SIGNIFICANCE, method="holm")[1])
    return [p if math.isnan(p) else float(next(adjusted)) for p in ps]


def _judged(cell: Compared, p: float, alike: float, family: int) -> Compared:
    tone: Tone = "unsure"
    said = "no difference shown"
    if p <= SIGNIFICANCE:
        tone = "better" if cell.difference > 0 else "worse"
        said = tone
    elif alike <= SIGNIFICANCE:
        tone = "alike"
        said = f"within ± {100 * MARGIN:.0f} points (two one-sided tests, p = {alike:.2g})"
    after = f"p = {p:.2g}" + (f" after Holm over {family} cells" if family > 1 else "")
    return cell._replace(
        adjusted=p, equivalence_adjusted=alike, tone=tone, note=f"{cell.note}; {after}; {said}"
    )
