"""Comparison of a study's results with published numbers, cell by cell, with a test of each."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import scipy

from analysis.document.blocks import Tone
from analysis.document.format import p_text
from analysis.questions.claims.published import MEAN, PublishedCell, PublishedTable
from analysis.questions.claims.published.protocol import Departure, departure
from analysis.quoted import SCORE, Result
from analysis.stats.estimates import ALIKE, MARGIN, Estimate
from analysis.stats.paired import holm_adjusted
from analysis.study import StudyRecords
from tune_ad.sample_sizes import LEAST_SEEDS, SIGNIFICANCE
from tune_ad.wording import count

Moments = tuple[float, float, int]
"""Mean, sample standard deviation and number of seeds."""
Tasks = Mapping[str, Mapping[str, Any]]
"""Tasks by name, as in `StudyRecords.tasks`."""
NOT_COMPARABLE = "not comparable"
TestName = Literal["Welch's t-test", "t-test with our spread", ""]


class CellComparison(NamedTuple):
    """One cell of a published table compared with this study's result.

    Attributes:
        published: the cell.
        baseline: the label of this study's result with the same detector.
        ours: this study's test AUROC in [0, 1] over seeds.
        difference: our mean minus the published mean, in [-1, 1]; above 0 = ours is better.
        test: the name of the test; empty if none was made.
        p: the p of the two-sided test; NaN if none was made.
        adjusted: p after Holm's correction over the tested cells of the table.
        equivalence: p of the test that the difference is within ± 0.02; NaN if none was made.
        equivalence_adjusted: that p after Holm's correction over the cells that have one.
        tone: "better" and "worse" = a difference after Holm; "alike" = shown to be within ± 0.02
            after Holm; "unsure" = neither, or not tested.
        note: what was tested, and what limits the comparison.
        departure: how the result was obtained differently; a cell with a difference is not tested.
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
    departure: Departure

    @property
    def verdict(self) -> str:
        """The tone, or "not comparable"."""
        return self.tone if self.departure.comparable else NOT_COMPARABLE


def compare_cells(
    study: StudyRecords, results: Sequence[Result], table: PublishedTable
) -> list[CellComparison]:
    """The cells of a published table for which the study has a result, in the table's order.

    A cell is compared with each reported result whose detector is the cell's method and whose
    parameters are the ones that the method needs. An average over classes is compared only if the
    result has all classes of the data set. A result that was obtained in another way than the
    published number, as in `departure`, is listed without a test and does not count for Holm.

    If the paper prints a standard deviation: Welch's t-test from means, standard deviations and
    numbers of seeds, and the two one-sided ones of `welch_equivalence`. Otherwise the test of
    `shared_spread_p`, which assumes that the paper's standard deviation equals ours. No test
    below 3 seeds of this study or if the paper's number of seeds is not known. Holm's correction
    over the table, separately for differences and equivalences.

    Args:
        study: the study.
        results: its reported results.
        table: the table of the paper.
    """
    comparisons = [
        _compare(cell, table.seeds, result, ours, departure(study, result, cell.method))
        for cell in table.cells
        for result in results
        if _is_method(cell, result)
        and (ours := _our_estimate(cell, table.classes, result, study.tasks)) is not None
    ]
    return _correct(comparisons)


def welch_equivalence(first: Moments, second: Moments, margin: float = MARGIN) -> float:
    r"""Two one-sided Welch tests (TOST) of |mean_1 - mean_2| < margin: the larger p.

    $p = \max\{P(T > (d + m) / e), P(T < (d - m) / e)\}$ with $d = \bar x_1 - \bar x_2$, the margin
    $m$, $e^2 = s_1^2 / n_1 + s_2^2 / n_2$ and $T$ of Student's t with
    $e^4 / (s_1^4 / (n_1^2 (n_1 - 1)) + s_2^4 / (n_2^2 (n_2 - 1)))$ degrees of freedom.
    Schuirmann, 1987; Welch, 1947.

    Args:
        first: the mean, sample standard deviation and number of seeds of one.
        second: the same numbers of the other.
        margin: the equivalence margin, above 0, in the unit of the means.
    """
    mean, std, n = first
    above = scipy.stats.ttest_ind_from_stats(
        mean + margin, std, n, *second, equal_var=False, alternative="greater"
    )
    below = scipy.stats.ttest_ind_from_stats(
        mean - margin, std, n, *second, equal_var=False, alternative="less"
    )
    return float(max(above.pvalue, below.pvalue))


def shared_spread_p(ours: Moments, mean: float, seeds: int) -> float:
    r"""Two-sided p of a difference from a mean over seeds whose spread is assumed to equal ours.

    $t = d / (s \sqrt{1 / n + 1 / m})$ with $n - 1$ degrees of freedom, where $m$ is the other's
    number of seeds. Exact if both spreads are the same.

    Args:
        ours: our mean, sample standard deviation (above 0) and number of seeds n.
        mean: the other mean.
        seeds: the number of seeds of that mean, m.
    """
    our_mean, std, n = ours
    t = (our_mean - mean) / (std * math.sqrt(1 / n + 1 / seeds))
    return 2 * float(scipy.stats.t.sf(abs(t), n - 1))


def _is_method(cell: PublishedCell, result: Result) -> bool:
    record = result.tested[0]
    needed = cell.method.where.items()
    return record.detector == cell.method.detector and all(
        record.params.get(name) == value for name, value in needed
    )


def _our_estimate(
    cell: PublishedCell, classes: int, result: Result, tasks: Tasks
) -> Estimate | None:
    """The result's estimate for a cell; None if it has no comparable one.

    Args:
        cell: a cell of a published table.
        classes: the number of classes in an average of the table.
        result: a result of this study.
        tasks: the tasks of this study, by name.
    """
    if cell.outsider:
        normal = tasks.get(result.tested[0].replicas[0].task, {})
        compares = _is_whole(normal) and normal["source"] == cell.data_set
        score = cell.method.score or SCORE
        return result.outsiders.get(cell.outsider, {}).get(score) if compares else None
    of_class = {
        str(tasks[name]["normal_class"]): estimate
        for name, estimate in result.classes.items()
        if _is_class(tasks.get(name, {})) and tasks[name]["source"] == cell.data_set
    }
    if cell.class_name != MEAN:
        return of_class.get(cell.class_name)
    return result.auroc if len(of_class) == len(result.classes) == classes else None


def _is_whole(task: Mapping[str, Any]) -> bool:
    """Whether every class of a data set is normal, and other data sets are anomalous."""
    return bool(task.get("outsiders")) and task.get("normal_class") is None


def _is_class(task: Mapping[str, Any]) -> bool:
    """Whether one class of a data set is normal, and its other classes are anomalous."""
    return not task.get("outsiders") and task.get("normal_class") is not None


def _compare(
    cell: PublishedCell, seeds: int, result: Result, ours: Estimate, departure: Departure
) -> CellComparison:
    """The comparison of a cell with its test, if there is one, before the correction."""
    first = (ours.mean, ours.std, ours.n)
    test: TestName = ""
    p = equivalence = math.nan
    if not departure.comparable:
        note = departure.sentence
    elif refusal := _refusal(cell, seeds, ours):
        note = f"not tested: {refusal}"
    elif not math.isnan(cell.std) and seeds > 1:
        second = (cell.mean, cell.std, seeds)
        test, note = "Welch's t-test", f"Welch's t-test, {ours.n} and {seeds} seeds"
        p = float(scipy.stats.ttest_ind_from_stats(*first, *second, equal_var=False).pvalue)
        equivalence = welch_equivalence(first, second)
    else:
        test, p = "t-test with our spread", shared_spread_p(first, cell.mean, seeds)
        note = (
            "the paper gives no standard deviation: t-test assuming that it equals ours, "
            f"{ours.n} and {count(seeds, 'seed')}"
        )
    notes = [note, departure.remark, f"published number: {cell.read}", *_faults(result)]
    return CellComparison(
        published=cell,
        baseline=result.label,
        ours=ours,
        difference=ours.mean - cell.mean,
        test=test,
        p=p,
        adjusted=math.nan,
        equivalence=equivalence,
        equivalence_adjusted=math.nan,
        tone="unsure",
        note="; ".join(filter(None, notes)),
        departure=departure,
    )


def _faults(result: Result) -> Iterator[str]:
    if result.failed:
        yield f"{result.failed} of our {count(result.seeds, 'seed')} failed"
    if result.collapsed:
        yield f"{count(result.collapsed, 'model')} of this study collapsed"


def _refusal(cell: PublishedCell, seeds: int, ours: Estimate) -> str:
    """Why a cell has no test; empty if it has one."""
    if ours.n < LEAST_SEEDS:
        return f"this study has {count(ours.n, 'seed')}; {LEAST_SEEDS} are needed"
    if not seeds:
        return "the paper's number of seeds is not known"
    if ours.std < ALIKE and not (cell.std > ALIKE and seeds > 1):
        return "our result is the same for all seeds, and the paper gives no standard deviation"
    return ""


def _correct(comparisons: Sequence[CellComparison]) -> list[CellComparison]:
    """The comparisons with p after Holm's correction over the tested ones, and their tones."""
    tested = [comparison for comparison in comparisons if comparison.test]
    different = holm_adjusted([comparison.p for comparison in tested])
    alike = holm_adjusted([comparison.equivalence for comparison in tested])
    remaining = iter(zip(different, alike, strict=True))
    return [
        _decide(comparison, *next(remaining), len(tested)) if comparison.test else comparison
        for comparison in comparisons
    ]


def _decide(comparison: CellComparison, p: float, alike: float, family: int) -> CellComparison:
    """The comparison with its p after Holm over a family of tests, and the decision."""
    tone: Tone = "unsure"
    decision = "not significant"
    if p <= SIGNIFICANCE:
        tone = "better" if comparison.difference > 0 else "worse"
        decision = tone
    elif alike <= SIGNIFICANCE:
        tone = "alike"
        decision = f"within ± {100 * MARGIN:.0f} points (two one-sided tests, p = {p_text(alike)})"
    after = f"p = {p_text(p)}" + (f" after Holm over {family} cells" if family > 1 else "")
    return comparison._replace(
        adjusted=p,
        equivalence_adjusted=alike,
        tone=tone,
        note=f"{comparison.note}; {after}; {decision}",
    )
