"""Contenders as tables: their numbers with mean ranks, and their pairs with tests."""

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Table
from analysis.document.format import PERCENTAGE_POINTS, count
from analysis.questions.comparison.contenders import (
    ClassContrast,
    Contender,
    Contrast,
    Pair,
    class_contrasts,
    class_means,
    contrasts,
    present,
)
from analysis.quoted import Result
from analysis.stats.aggregates import iqm, mean_ranks
from analysis.stats.estimates import LEAST_PAIRS, Estimate
from analysis.stats.paired import HolmDecision

LEAST_RANKED = 3  # methods, and classes that all of them have, from which mean ranks are shown
SHOWN_PAIRS = 6  # of which the differences are shown class by class
NARROW = (
    f"shown from {LEAST_PAIRS} seeds on, and still too narrow for few; seeds that change nothing "
    "count as one"
)


def results_table(contenders: Sequence[Contender], name: str, title: str) -> Table:
    """Class by class in the papers' form; nothing is marked best, as that would need a test."""
    classes = list(dict.fromkeys(task for each in contenders for task in each.result.classes))
    ranks = _ranks(contenders)
    shown = pd.DataFrame([_row(each, classes, title, ranks) for each in contenders])
    lost = [each for each in contenders if each.result.failed]
    caption = (
        "Test AUROC in per cent, mean ± standard deviation over n seeds; mean: over classes. IQM: "
        "interquartile mean over classes and seeds [95 % bootstrap interval, seeds resampled "
        f"within each class: {NARROW}]. Nothing is marked as best: the pairs below are tested."
    )
    if ranks:
        caption += (
            " Mean rank: over the classes that all have, by the means over seeds; 1 = the best in "
            "every class. It describes these classes and is not tested: all classes of one data "
            "set favour a method together, so ten classes are not ten independent data sets."
        )
    for each in lost:
        caption += f" {each.label}: {each.result.failed} of {each.result.seeds} seeds failed."
    for each in contenders:
        caption += f" {each.label}: {soon}." if (soon := so_far(each.result)) else ""
    return Table(name, shown, caption, pd.DataFrame(_stored(contenders, title)))


def so_far(result: Result) -> str:
    """How far the evaluation of a result is that has not ended; empty where it has."""
    if result.seeds >= result.planned:
        return ""
    return f"so far {result.seeds} of {count(result.planned, 'fresh seed')}"


def pair_blocks(pairs: Sequence[Pair], name: str) -> list[Block]:
    """Each pair over all classes, then class by class; nothing without a pair."""
    if not pairs:
        return []
    found = contrasts(pairs)
    shown = pd.DataFrame([_pair_row(each) for each in found])
    caption = (
        "Probability that a seed of the first beats a seed of the second, mean over shared "
        "classes [95 % bootstrap interval, seeds resampled within each class: "
        f"{NARROW}]; 50 % = neither. Difference "
        "of test AUROC in points, first minus second, paired by seed [95 % interval of Student's "
        "t over n seeds, for its row alone]. p: sign flip over class x seed, two-sided, then "
        f"Holm over {count(len(found), 'pair')}; it speaks of these classes and takes models of "
        "one seed as independent across classes. Two that no seed changes are not tested."
        f"{_refusals(each.verdict for each in found)}"
    )
    table = Table(f"pairs_{name}", shown, caption, pd.DataFrame([_pair_data(e) for e in found]))
    return [table, _by_class(pairs, name)]


def _ranks(contenders: Sequence[Contender]) -> dict[str, float]:
    """Mean rank of each contender that has values; empty for too few methods or shared classes."""
    means = class_means(present(contenders))
    if min(means.shape) < LEAST_RANKED:
        return {}
    return {str(label): float(rank) for label, rank in mean_ranks(means).items()}


def _row(
    each: Contender, classes: Sequence[str], title: str, ranks: Mapping[str, float]
) -> dict[str, object]:
    own = each.result.classes
    middle = iqm(each.values) if each.values.size else None
    return {
        title: each.label,
        **{task: _auroc(own[task]) if task in own else "" for task in classes},
        "mean": _auroc(each.result.auroc),
        **({"mean rank": _rank(ranks.get(each.label, math.nan))} if ranks else {}),
        "IQM": "" if middle is None else Cell(middle.mean_interval(), middle.mean),
        "n": each.result.auroc.n,
    }


def _rank(rank: float) -> Cell:
    return Cell("" if math.isnan(rank) else f"{rank:.2f}", rank)


def _auroc(estimate: Estimate) -> Cell:
    return Cell(estimate.mean_std(), estimate.mean)


def _stored(contenders: Sequence[Contender], title: str) -> list[dict[str, object]]:
    return [
        {title: each.label, "class": task, **value._asdict()}
        for each in contenders
        for task, value in {**each.result.classes, "mean over classes": each.result.auroc}.items()
    ]


def _pair_row(each: Contrast) -> dict[str, object]:
    known = each.verdict.p == each.verdict.p
    return {
        "first": each.first,
        "second": each.second,
        "P(first > second)": Cell(f"{each.improvement.mean_interval()} %", each.improvement.mean),
        "difference": Cell(
            each.paired.difference.mean_interval(PERCENTAGE_POINTS) or "not paired",
            each.paired.difference.mean,
            each.verdict.tone,
            each.verdict.reason,
        ),
        "p (Holm)": Cell(f"{each.verdict.p:.2g}", each.verdict.p) if known else "none",
        "classes": each.classes,
        "n": each.paired.difference.n,
    }


def _pair_data(each: Contrast) -> dict[str, object]:
    return {
        "first": each.first,
        "second": each.second,
        "classes": each.classes,
        "probability": each.improvement.mean,
        "probability low": each.improvement.low,
        "probability high": each.improvement.high,
        **each.paired.difference._asdict(),
        "cells": each.paired.n,
        "p": each.paired.p,
        "p Holm": each.verdict.p,
        "verdict": each.verdict.tone,
        "reason": each.verdict.reason,
    }


def _by_class(pairs: Sequence[Pair], name: str) -> Table:
    found = class_contrasts(pairs)
    best = pairs[0][0].label
    few = len(pairs) <= SHOWN_PAIRS
    shown = [each for each in found if few or best in (each.first, each.second)]
    rows: dict[str, dict[str, object]] = {}
    for each in shown:
        rows.setdefault(each.task, {"class": each.task})[f"{each.first} - {each.second}"] = Cell(
            each.paired.difference.mean_interval(PERCENTAGE_POINTS) or "not paired",
            each.paired.difference.mean,
            each.verdict.tone,
            each.verdict.reason,
        )
    which = "" if few else f" Only pairs with {best} are shown, all are in the file."
    caption = (
        "Differences of test AUROC in points, paired by seed [95 % interval of Student's t, for "
        f"its cell alone]. Marked where a sign flip over seeds, Holm over {len(found)} pairs and "
        f"classes, tells them apart.{which}{_refusals(each.verdict for each in found)}"
    )
    data = pd.DataFrame([_class_data(each) for each in found])
    return Table(f"pairs_{name}_by_class", pd.DataFrame(list(rows.values())), caption, data)


def _class_data(each: ClassContrast) -> dict[str, object]:
    return {
        "first": each.first,
        "second": each.second,
        "class": each.task,
        **each.paired.difference._asdict(),
        "p": each.paired.p,
        "p Holm": each.verdict.p,
        "verdict": each.verdict.tone,
    }


def _refusals(verdicts: Iterable[HolmDecision]) -> str:
    reasons = sorted({each.reason for each in verdicts if each.p != each.p})
    return f" Without a verdict: {'; '.join(reasons)}." if reasons else ""
