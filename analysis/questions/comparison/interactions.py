r"""How far the effect of one changed parameter depends on the value of another one.

Of four results of one detector that differ in two parameters alone, with two values of each, let
$A_{ab}$ be the test AUROC with value a of the first and b of the second parameter. The effect of
the first parameter where the second has its value 0 is $A_{10} - A_{00}$, elsewhere
$A_{11} - A_{01}$, and the interaction is the difference of the two,
$(A_{10} - A_{00}) - (A_{11} - A_{01})$, for every shared class and seed. Two effects of which one
is significant and the other is not need not differ; this tests whether they do.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import pandas as pd

from analysis.document.blocks import Cell, Table
from analysis.document.format import PERCENTAGE_POINTS, p_text, short
from analysis.image_sampling import covered_by_all, covers
from analysis.questions.ablation import change_text
from analysis.questions.comparison.contenders import (
    Contender,
    Term,
    are_deterministic,
    error_by_images,
    weighted,
)
from analysis.stats.paired import HolmDecision, Paired, holm, made, sign_flip, untested
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
        decision: the decision of that test, after Holm's correction over all interactions here.
    """

    change: str
    where: str
    elsewhere: str
    effect: float
    other: float
    classes: int
    paired: Paired
    decision: HolmDecision

    @property
    def significant(self) -> str:
        """Whether the two effects are shown to differ, "yes" or "no"; "no test" without one."""
        if self.paired.refusal:
            return "no test"
        return "yes" if self.decision.tone in ("better", "worse") else "no"


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
    by_params = {_key(contender): contender for contender in contenders}
    found: dict[frozenset[str], Square] = {}
    for corner in contenders:
        neighbours = [(c, names[0]) for c in contenders if len(names := _changed(corner, c)) == 1]
        for (one, first), (other, second) in combinations(neighbours, 2):
            opposite = by_params.get(_key(one, {second: _params(other)[second]}))
            if first != second and opposite is not None:
                square = (corner, one, other, opposite)
                found.setdefault(frozenset(c.label for c in square), square)
    return [square for square in found.values() if weighted(_terms(square)).size]


def _params(contender: Contender) -> dict[str, object]:
    return dict(contender.result.tested[0].params)


def _key(contender: Contender, changed: dict[str, object] | None = None) -> str:
    """The parameters of a contender, some of them changed, as a key."""
    return repr(sorted((_params(contender) | (changed or {})).items()))


def _changed(first: Contender, second: Contender) -> list[str]:
    """The names of the parameters in which two contenders of a detector differ."""
    return changed_parameters(_params(first), _params(second))


def _terms(square: Square) -> list[Term]:
    return list(zip(square, SIGNS, strict=True))


def _test(square: Square) -> Paired:
    terms = _terms(square)
    table = weighted(terms)
    if are_deterministic(square):
        return untested(list(table.mean()), DETERMINISTIC)
    error = error_by_images(terms, table)
    return sign_flip(list(table.to_numpy().ravel()), list(table.mean()), error)


def _interaction(square: Square, test: Paired, decision: HolmDecision) -> Interaction:
    corner, one, other, _ = square
    table = weighted(_terms(square))
    means = [c.values.loc[table.index, table.columns].to_numpy().mean() for c in square]
    (first,), (second,) = _changed(corner, one), _changed(corner, other)
    before, after, there = (_params(contender) for contender in (corner, one, other))
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
    tests = made(one.paired for one in found)
    tested = (
        "p: two-sided sign-flip test over class x seed, corrected by Holm over "
        f"{count(tests, 'test')}, without those of results that are still to run; it is valid for "
        "these classes only. "
        "Significant: p is at most 0.05, also with the error that is due to the sampling of test "
        "images where that is known. "
    )
    caption = (
        "What a change does to the test AUROC where another parameter has one value, and "
        "elsewhere, in points. Interaction: the first of these effects minus the second, paired "
        f"by seed [95 % interval over n seeds, for its row alone]. {tested * bool(tests)}"
        f"{covers(covered_by_all((one.change, one.paired.coverage) for one in found))}"
    )
    shown = pd.DataFrame([_row(one) for one in found])
    return Table("interactions", shown, caption, pd.DataFrame([_data(one) for one in found]))


def _row(one: Interaction) -> dict[str, object]:
    difference, p = one.paired.difference, one.decision.p
    return {
        "change": one.change,
        "where": one.where,
        "effect": Cell(PERCENTAGE_POINTS.text(one.effect), one.effect),
        "elsewhere": one.elsewhere,
        "effect there": Cell(PERCENTAGE_POINTS.text(one.other), one.other),
        "interaction": Cell(difference.mean_interval(PERCENTAGE_POINTS), difference.mean),
        "p (Holm)": Cell(p_text(p), p),
        "significant": Cell(one.significant, note=one.paired.refusal),
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
        "significant": one.significant,
    }
