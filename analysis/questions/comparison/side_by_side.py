"""Tables of contenders: their results with mean ranks, and their pairs with tests."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from analysis.document.blocks import Cell, Table
from analysis.document.format import PERCENTAGE_POINTS, p_text
from analysis.image_sampling import covered_by_all, covers
from analysis.questions.comparison.contenders import (
    ClassContrast,
    Contender,
    Contrast,
    Pair,
    by_mean,
    class_contrasts,
    class_means,
)
from analysis.stats.aggregates import iqm, mean_ranks
from analysis.stats.estimates import Coverage, Estimate
from analysis.stats.paired import ABOUT_SIGN_FLIPS, made
from analysis.study import unique_titles
from tune_ad.sample_sizes import LEAST_PAIRS
from tune_ad.wording import count

LEAST_RANKED = 3  # minimum number of methods, and of shared classes, for mean ranks
MOST_PAIRS = 6  # maximum number of pairs that are all shown class by class
ABOUT_BOOTSTRAP = (
    "95 % bootstrap interval, seeds resampled within classes; shown for at least "
    f"{LEAST_PAIRS} seeds; too narrow for few seeds"
)


def comparison_tables(
    contenders: Sequence[Contender],
    pairs: Sequence[Pair],
    contrasts: Sequence[Contrast],
    name: str,
    to_come: int = 0,
) -> list[Table]:
    """The contenders class by class, then the pairs that share a class.

    Args:
        contenders: the contenders.
        pairs: the pairs that are tested.
        contrasts: the comparisons of these pairs.
        name: what is compared, in the plural.
        to_come: the number of further pairs that Holm's correction counts.
    """
    tables = [results_table(contenders, name)]
    if pairs:
        best = pairs[0][0].label
        tables += [
            pairs_table(contrasts, name, to_come),
            class_pairs_table(class_contrasts(pairs, to_come), best, name, to_come),
        ]
    return [_titled(table, task_titles(contenders)) for table in tables]


def task_titles(contenders: Sequence[Contender]) -> dict[str, str]:
    """The titles of the tasks by their names, without those that several tasks have."""
    titles: dict[str, str] = {}
    for contender in reversed(contenders):
        titles |= contender.result.titles
    return unique_titles(titles)


def _titled(table: Table, titles: Mapping[str, str]) -> Table:
    """The table with tasks, in its columns and in the column "class", by their titles."""
    shown, data = (frame.rename(columns=titles) for frame in (table.shown, table.stored))
    for frame in (shown, data):
        if "class" in frame:
            frame["class"] = [titles.get(task, task) for task in frame["class"]]
    return replace(table, shown=shown, data=data)


def results_table(contenders: Sequence[Contender], name: str) -> Table:
    """Test AUROC per class as mean ± std; nothing is marked as best without a test.

    Args:
        contenders: the contenders, one row each.
        name: what is compared, in the plural: the name of the table and, in the singular, the head
            of its first column.
    """
    title = name.removesuffix("s")
    classes = list(
        dict.fromkeys(task for contender in contenders for task in contender.result.classes)
    )
    ranks = _ranks(contenders)
    caption = (
        "Test AUROC in per cent, mean ± standard deviation over n seeds, of each class and of the "
        "mean over classes. IQM: interquartile mean over classes and seeds "
        f"[{ABOUT_BOOTSTRAP}]. A deterministic detector gives the same result for every seed and "
        "counts as one seed. No result is marked as best; see the pairwise tests."
    )
    if ranks:
        caption += (
            " Mean rank: rank of the mean over seeds, averaged over the shared classes; 1 = the "
            "best in every class. It describes these classes and is not tested: classes of one "
            "data set tend to favour the same methods, so ten classes are not ten independent "
            "data sets."
        )
    caption += "".join(f" {note}." for contender in contenders for note in _faults(contender))
    shown = pd.DataFrame([_row(contender, classes, title, ranks) for contender in contenders])
    return Table(name, shown, caption, pd.DataFrame(_data(contenders, title)))


def pairs_table(contrasts: Sequence[Contrast], name: str, to_come: int = 0) -> Table:
    """Each pair over all shared classes.

    Args:
        contrasts: the comparisons, one row each.
        name: what is compared, in the plural.
        to_come: the number of further pairs that Holm's correction counts.
    """
    caption = (
        "P(first > second): probability that a seed of the first has a higher AUROC than a seed "
        f"of the second, mean over shared classes [{ABOUT_BOOTSTRAP}]; 50 %: no difference. "
        "Difference of test AUROC in points, first minus second, paired by seed [95 % interval "
        f"over n seeds, for its row alone]. {_about_p(contrasts, to_come)}"
        f"{covers(_covered(contrasts))} "
        f"Pairs of deterministic methods are not tested.{_refusals(contrasts)}"
    )
    shown = pd.DataFrame([_pair_row(contrast) for contrast in contrasts])
    data = pd.DataFrame([_pair_data(contrast) for contrast in contrasts])
    return Table(f"pairs_{name}", shown, caption, data)


def _about_p(contrasts: Sequence[Contrast], to_come: int) -> str:
    """By which test pairs differ, if one was made, in sentences that end with a space."""
    if not made(contrast.paired for contrast in contrasts):
        return ""
    return (
        "p: two-sided sign-flip test over class x seed, corrected by Holm over "
        f"{_tests(contrasts, to_come)}; it is valid for these classes only and assumes that the "
        f"models of one seed are independent across classes. {ABOUT_SIGN_FLIPS} "
    )


def class_pairs_table(
    contrasts: Sequence[ClassContrast], best: str, name: str, to_come: int = 0
) -> Table:
    """Each pair class by class; of many pairs only those with the best are shown.

    Args:
        contrasts: the comparisons of every pair in every class.
        best: the label of the contender with the largest mean.
        name: what is compared, in the plural.
        to_come: the number of further pairs that Holm's correction counts, in each class.
    """
    pairs = {(contrast.first, contrast.second) for contrast in contrasts}
    shown = {pair for pair in pairs if len(pairs) <= MOST_PAIRS or best in pair}
    rows: dict[str, dict[str, object]] = {}
    for contrast in contrasts:
        if (contrast.first, contrast.second) in shown:
            row = rows.setdefault(contrast.task, {"class": contrast.task})
            row[f"{contrast.first} - {contrast.second}"] = _difference(contrast)
    only = "" if shown == pairs else f" Only pairs with {best} are shown; all are in the file."
    tested = (
        f"Marked if a two-sided sign-flip test over seeds, corrected by Holm over "
        f"{_tests(contrasts, to_come * len({c.task for c in contrasts}))} of pairs and classes, "
        f"shows a difference. {ABOUT_SIGN_FLIPS} "
    )
    caption = (
        "Differences of test AUROC in points, paired by seed [95 % interval, for its cell "
        f"alone]. {tested * bool(made(contrast.paired for contrast in contrasts))}"
        f"{covers(_covered(contrasts))}{only}{_refusals(contrasts)}"
    )
    data = pd.DataFrame([_class_data(contrast) for contrast in contrasts])
    return Table(f"pairs_{name}_by_class", pd.DataFrame(list(rows.values())), caption, data)


def _ranks(contenders: Sequence[Contender]) -> dict[str, float]:
    """Mean rank of each contender with values; empty for too few methods or shared classes."""
    means = class_means(by_mean(contenders))
    if min(means.shape) < LEAST_RANKED:
        return {}
    return {str(label): float(rank) for label, rank in mean_ranks(means).items()}


def _faults(contender: Contender) -> Iterable[str]:
    """Failures and progress of a contender, which the caption must state."""
    for fault in filter(None, (contender.result.failures, contender.result.so_far)):
        yield f"{contender.label}: {fault}"


def _row(
    contender: Contender, classes: Sequence[str], title: str, ranks: Mapping[str, float]
) -> dict[str, object]:
    by_class = contender.result.classes
    middle = iqm(contender.values) if contender.values.size else None
    return {
        title: contender.label,
        **{task: _auroc(by_class[task]) if task in by_class else "" for task in classes},
        "mean": _auroc(contender.result.auroc),
        **({"mean rank": _rank(ranks.get(contender.label, math.nan))} if ranks else {}),
        "IQM": "" if middle is None else middle.interval_cell(),
        "n": contender.result.auroc.n,
    }


def _rank(rank: float) -> Cell:
    return Cell("" if math.isnan(rank) else f"{rank:.2f}", rank)


def _auroc(estimate: Estimate) -> Cell:
    return Cell(estimate.mean_std(), estimate.mean)


def _data(contenders: Sequence[Contender], title: str) -> list[dict[str, object]]:
    return [
        {title: contender.label, "class": task, **auroc._asdict()}
        for contender in contenders
        for result in [contender.result]
        for task, auroc in {**result.classes, "mean over classes": result.auroc}.items()
    ]


def _difference(contrast: Contrast | ClassContrast) -> Cell:
    """The difference between two contenders, and the decision of its test."""
    difference, decision = contrast.paired.difference, contrast.decision
    text = difference.mean_interval(PERCENTAGE_POINTS) or "not paired"
    return Cell(text, difference.mean, decision.tone, decision.reason)


def _pair_row(contrast: Contrast) -> dict[str, object]:
    improvement, p = contrast.improvement, contrast.decision.p
    return {
        "first": contrast.first,
        "second": contrast.second,
        "P(first > second)": Cell(f"{improvement.mean_interval()} %", improvement.mean),
        "difference": _difference(contrast),
        "p (Holm)": Cell(p_text(p), p),
        "classes": contrast.classes,
        "n": contrast.paired.difference.n,
    }


def _pair_data(contrast: Contrast) -> dict[str, object]:
    return {
        "first": contrast.first,
        "second": contrast.second,
        "classes": contrast.classes,
        **contrast.improvement.columns("probability"),
        **contrast.paired.difference._asdict(),
        "cells": contrast.paired.n,
        "p": contrast.paired.p,
        "p Holm": contrast.decision.p,
        "verdict": contrast.decision.tone,
        "reason": contrast.decision.reason,
    }


def _class_data(contrast: ClassContrast) -> dict[str, object]:
    return {
        "first": contrast.first,
        "second": contrast.second,
        "class": contrast.task,
        **contrast.paired.difference._asdict(),
        "p": contrast.paired.p,
        "p Holm": contrast.decision.p,
        "verdict": contrast.decision.tone,
    }


def _tests(contrasts: Sequence[Contrast | ClassContrast], to_come: int) -> str:
    """The number of tests that Holm's correction counts, in words."""
    number = made(contrast.paired for contrast in contrasts)
    later = f", {to_come} of them of results that are still to run," if to_come else ""
    return f"{count(number + to_come, 'test')}{later}"


def _covered(contrasts: Sequence[Contrast | ClassContrast]) -> dict[str, Coverage]:
    """What all intervals of a pair cover, by the pair."""
    return covered_by_all(
        (f"{contrast.first} - {contrast.second}", contrast.paired.coverage)
        for contrast in contrasts
        if contrast.paired.difference.n > 1
    )


def _refusals(contrasts: Sequence[Contrast | ClassContrast]) -> str:
    """The end of a caption: why some pairs have no verdict."""
    decisions = [contrast.decision for contrast in contrasts]
    reasons = sorted({decision.reason for decision in decisions if math.isnan(decision.p)})
    return f" No verdict: {'; '.join(reasons)}." if reasons else ""
