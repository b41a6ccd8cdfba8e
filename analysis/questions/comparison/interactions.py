r"""How far the effect of one changed parameter depends on the value of another one.

Of four results of one detector that differ in two parameters alone, with two values of each, let
$A_{ab}$ be the test AUROC with value a of the first and b of the second parameter. The effect of
the first parameter where the second has its value 0 is $A_{10} - A_{00}$, elsewhere
$A_{11} - A_{01}$, and the interaction is the difference of the two,
$(A_{10} - A_{00}) - (A_{11} - A_{01})$, for every shared class and seed. Two effects of which one
is significant and the other is not need not differ; this tests whether they do.
"""

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import NamedTuple

import pandas as pd

from analysis.document.blocks import Cell, Table
from analysis.document.format import PERCENTAGE_POINTS, p_text, short
from analysis.image_sampling import covered_by_all, covers, image_error
from analysis.questions.ablation import change_text
from analysis.questions.comparison.contenders import Contender
from analysis.stats.estimates import seeds_alike
from analysis.stats.paired import (
    ABOUT_SIGN_FLIPS,
    HolmDecision,
    Paired,
    holm,
    made,
    sign_flip,
    untested,
)
from analysis.trials import changed_parameters
from tune_ad.wording import count

DETERMINISTIC = "not tested (all four deterministic)"
Square = tuple[Contender, Contender, Contender, Contender]
"""Contenders with $A_{00}$, $A_{10}$, $A_{01}$ and $A_{11}$."""
SIGNS = (-1.0, 1.0, 1.0, -1.0)
"""The sign of each contender of a square in its interaction."""


class Interaction(NamedTuple):
    """Four contenders that differ in two parameters.

    Attributes:
        change: the change of the first parameter, in words.
        where: the value of the second parameter, in words.
        elsewhere: its other value.
        effect: the effect of the change where the second parameter has the first of these values.
        other: its effect elsewhere.
        classes: the number of shared class tasks.
        paired: the test of the differences of the two effects over shared classes and seeds.
        decision: the decision of that test, after Holm's correction over all interactions.
    """

    change: str
    where: str
    elsewhere: str
    effect: float
    other: float
    classes: int
    paired: Paired
    decision: HolmDecision


def interactions(contenders: Sequence[Contender]) -> list[Interaction]:
    """The interactions of every four contenders of one detector that differ in two parameters.

    The contender of four that comes first has $A_{00}$, the next one that differs from it in one
    parameter $A_{10}$.

    Args:
        contenders: the contenders; those without values are left out.
    """
    by_detector: dict[str, list[Contender]] = {}
    for one in contenders:
        if one.values.size:
            by_detector.setdefault(one.result.tested[0].detector, []).append(one)
    squares = [square for alike in by_detector.values() for square in _squares(alike)]
    tests = [_test(square) for square in squares]
    return [
        _interaction(square, test, decision)
        for square, test, decision in zip(squares, tests, holm(tests), strict=True)
    ]


def _squares(contenders: Sequence[Contender]) -> list[Square]:
    """Every four contenders that differ in two parameters and share a class and a seed."""
    found: dict[frozenset[str], Square] = {}
    for corner in contenders:
        neighbours = [(c, names[0]) for c in contenders if len(names := _changed(corner, c)) == 1]
        for (one, first), (other, second) in combinations(neighbours, 2):
            for opposite in contenders:
                ends = _changed(one, opposite), _changed(other, opposite)
                if first != second and ends == ([second], [first]):
                    square = (corner, one, other, opposite)
                    found.setdefault(frozenset(c.label for c in square), square)
    return [square for square in found.values() if _differences(square).size]


def _changed(first: Contender, second: Contender) -> list[str]:
    """The names of the parameters in which two contenders of a detector differ."""
    return changed_parameters(*(one.result.tested[0].params for one in (first, second)))


def _differences(square: Square) -> pd.DataFrame:
    """The differences of the effects: a row per shared class, a column per shared seed.

    Of four deterministic results only the first seed, since all are the same.
    """
    tasks = _shared([contender.values.index for contender in square])
    seeds = _shared([contender.values.columns for contender in square])
    tables = [contender.values.loc[tasks, seeds] for contender in square]
    without, one, other, both = tables
    total: pd.DataFrame = (one - without) - (both - other)
    return total.iloc[:, :1] if all(map(seeds_alike, tables)) else total


def _shared(axes: Sequence[pd.Index]) -> list[Hashable]:
    """What all have, in the order of the first."""
    return [name for name in axes[0] if all(name in axis for axis in axes)]


def _test(square: Square) -> Paired:
    table = _differences(square)
    if all(seeds_alike(contender.values) for contender in square):
        return untested(list(table.mean()), DETERMINISTIC)
    contrast = [(c.result.ranks, sign) for c, sign in zip(square, SIGNS, strict=True)]
    error = image_error(contrast, [*map(str, table.index)], [*map(int, table.columns)])
    return sign_flip(list(table.to_numpy().ravel()), list(table.mean()), error)


def _interaction(square: Square, test: Paired, decision: HolmDecision) -> Interaction:
    corner, one, other, _ = square
    table = _differences(square)
    means = [c.values.loc[table.index, table.columns].to_numpy().mean() for c in square]
    (first,), (second,) = _changed(corner, one), _changed(corner, other)
    before, after, there = (c.result.tested[0].params for c in (corner, one, other))
    return Interaction(
        change=change_text(first, after[first], before[first]),
        where=f"{second} = {short(before[second])}",
        elsewhere=f"{second} = {short(there[second])}",
        effect=float(means[1] - means[0]),
        other=float(means[3] - means[2]),
        classes=len(table),
        paired=test,
        decision=decision,
    )


def interactions_table(found: Sequence[Interaction]) -> Table:
    """Each interaction with the two effects that it compares.

    Args:
        found: the interactions, one row each.
    """
    tests = count(made(one.paired for one in found), "test")
    tested = (
        f"p: two-sided sign-flip test over class x seed, corrected by Holm over {tests}; it is "
        f"valid for these classes only. {ABOUT_SIGN_FLIPS} "
    )
    caption = (
        "What a change does to the test AUROC where another parameter has one value, and "
        "elsewhere, in points. Interaction: the first of these effects minus the second, paired "
        f"by seed [95 % interval over n seeds, for its row alone]. "
        f"{tested * bool(made(one.paired for one in found))}"
        f"{covers(covered_by_all((one.change, one.paired.coverage) for one in found))}"
    )
    shown = pd.DataFrame([_row(one) for one in found])
    return Table("interactions", shown, caption, pd.DataFrame([_data(one) for one in found]))


def _row(one: Interaction) -> dict[str, object]:
    difference, decision = one.paired.difference, one.decision
    text = difference.mean_interval(PERCENTAGE_POINTS)
    return {
        "change": one.change,
        "where": one.where,
        "effect": Cell(PERCENTAGE_POINTS.text(one.effect), one.effect),
        "elsewhere": one.elsewhere,
        "effect there": Cell(PERCENTAGE_POINTS.text(one.other), one.other),
        "interaction": Cell(text, difference.mean, note=decision.reason),
        "p (Holm)": Cell(p_text(decision.p), decision.p),
        "classes": one.classes,
        "n": difference.n,
    }


def _data(one: Interaction) -> dict[str, object]:
    return {
        "change": one.change,
        "where": one.where,
        "effect": one.effect,
        "elsewhere": one.elsewhere,
        "effect there": one.other,
        **one.paired.difference._asdict(),
        "classes": one.classes,
        "cells": one.paired.n,
        "p": one.paired.p,
        "p Holm": one.decision.p,
        "verdict": one.decision.tone,
        "reason": one.decision.reason,
    }
