"""The tables of a verdict: the rule's numbers, AUROC at each level, what the models are."""

from collections.abc import Sequence

import pandas as pd

from analysis.document.blocks import Cell, Table, Tone
from analysis.document.format import (
    PERCENT,
    POINTS,
    Unit,
    count,
    file_name,
    interval_text,
    short,
)
from analysis.questions.claims.evidence import Evidence
from analysis.questions.claims.levels import Level, Models, levels
from analysis.questions.claims.rules import CHANCE, FIXED
from analysis.questions.claims.spec import Asked
from analysis.questions.claims.verdict import BITS, Verdict
from analysis.questions.claims.verdict_figures import BITS_CHANGE, place, spread
from analysis.stats.estimates import MARGIN, Estimate
from analysis.stats.paired import Equivalence

TONES: dict[str, Tone] = {
    "fixes": "better",
    "improves, does not fix": "better",
    "no effect": "alike",
    "worsens": "worse",
    "inconclusive": "unsure",
}
TOST = f"TOST, ± {100 * MARGIN:.0f} points"
AGAINST = f"last against {100 * CHANCE:.0f} % and {100 * FIXED:.0f} %"


def verdict_table(claim: Asked, found: Evidence, own: Sequence[Verdict]) -> Table:
    """The numbers that decide, a row per stratum.

    Args:
        claim: that is tested.
        found: what was judged.
        own: the verdicts on it.
    """
    effect = "slope per doubling of the width"
    first, last = "smallest", "largest"
    if claim.claim == "forward_kl":
        effect, first, last = "treatment less baseline", "baseline", "treatment"
    bits = f"metric {found.bits}" if found.bits else "not recorded"
    lost = f" {count(found.failed, 'model')} failed." if found.failed else ""
    caption = (
        f"Test AUROC of {found.title}, in per cent and points; n paired seeds, mean [95 % "
        f"interval of Student's t over seeds]. Effect: {effect}; first and last: at the {first} "
        f"and the {last}. TOST: is every level less the first within ± {100 * MARGIN:.0f} points? "
        "The largest p decides, and its 90 % interval is shown. Bits per dimension of normals: "
        f"{bits}; below 0 = a better model.{lost}"
    )
    shown = pd.DataFrame([_row(each) for each in own])
    return Table(_name("verdict", found), shown, caption, pd.DataFrame([_data(e) for e in own]))


def levels_table(claim: Asked, found: Evidence, own: Sequence[Verdict]) -> Table:
    """AUROC at each level of each stratum.

    Args:
        claim: that is tested.
        found: what was judged.
        own: the verdicts on it.
    """
    known = [level for each in own for level in levels(each)]
    caption = (
        f"Test AUROC of {found.title} at each level of {claim.factor}: mean [95 % interval of "
        "Student's t over n paired seeds], each for itself. Less first: paired difference in "
        "points; TOST: its 90 % interval and p of two one-sided tests."
    )
    shown = pd.DataFrame([_level_row(claim, each) for each in known])
    data = pd.DataFrame([_level_data(claim, each) for each in known])
    return Table(_name("levels", found), shown, caption, data)


def models_table(claim: Asked, found: Evidence, known: Sequence[Models]) -> Table:
    """What the models are at each level, for every outsider set and response.

    Args:
        claim: that is tested.
        found: of the panel.
        known: as `analysis.questions.claims.levels.models` tells them.
    """
    gap = f"metric {found.gap}" if found.gap else "not recorded"
    bits = f"metric {found.bits}" if found.bits else "not recorded"
    caption = (
        f"The models of {found.panel} at each level of {claim.factor}, mean [95 % interval of "
        "Student's t over models]. FLOPs: of a forward pass of one image. Bits per dimension of "
        f"normals: {bits}. Train-test gap, above 0 = overfitted: {gap}. Plateau: models whose "
        "held-out loss stopped falling before their epochs were over, of those that were watched."
    )
    shown = pd.DataFrame([_models_row(claim, each) for each in known])
    data = pd.DataFrame([_models_data(claim, each) for each in known])
    return Table(file_name("models", found.panel), shown, caption, data)


def _name(kind: str, found: Evidence) -> str:
    return file_name(kind, found.task, found.response)


def _row(each: Verdict) -> dict[str, object]:
    return {
        "stratum": each.stratum,
        "verdict": Cell(each.outcome, tone=TONES[each.outcome], note=each.reason),
        "n": each.n,
        "left out": each.left_out,
        "effect, points": Cell(spread(each.effect, POINTS), each.effect.mean),
        "first, %": Cell(spread(each.first, PERCENT), each.first.mean),
        "last, %": Cell(spread(each.last, PERCENT), each.last.mean),
        AGAINST: place(each.last) if each.last.n > 1 else "",
        TOST: _intersection(each),
        "bits/dim": Cell(spread(each.bits, BITS_CHANGE) + _other(each.unit), each.bits.mean),
    }


def _intersection(found: Verdict) -> Cell:
    """The test that decides: the one with the largest p."""
    if not found.alike:
        return Cell("")
    worst = max(found.alike, key=lambda each: each.p)
    return _tost(worst, found.equivalent)


def _tost(alike: Equivalence, equivalent: bool) -> Cell:
    if alike.refusal:
        return Cell("refused", note=alike.refusal)
    text = f"{interval_text(alike.low, alike.high, POINTS)}, p = {alike.p:.2g}"
    return Cell(text, alike.p, "alike" if equivalent else "")


def _data(each: Verdict) -> dict[str, object]:
    row: dict[str, object] = {
        "stratum": each.stratum,
        "unit of bits": each.unit,
        "verdict": each.outcome,
        "reason": each.reason,
        "n": each.n,
        "left out": each.left_out,
        "TOST p": max((test.p for test in each.alike), default=float("nan")),
        "margin": MARGIN,
        "chance": CHANCE,
        "fixed": FIXED,
    }
    for name in ("effect", "first", "last", "change", "bits", "control"):
        row |= _ends(name, getattr(each, name))
    return row


def _ends(name: str, found: Estimate) -> dict[str, object]:
    return {name: found.mean, f"{name} low": found.low, f"{name} high": found.high}


def _level_row(claim: Asked, each: Level) -> dict[str, object]:
    return {
        "stratum": each.stratum,
        claim.factor: each.level,
        "n": each.auroc.n,
        "AUROC, %": Cell(spread(each.auroc, PERCENT), each.auroc.mean),
        "less first, points": Cell(
            spread(each.less, POINTS) if each.less.n else "", each.less.mean
        ),
        TOST: _tost(each.alike, each.alike.equivalent) if each.alike else "",
    }


def _level_data(claim: Asked, each: Level) -> dict[str, object]:
    return {
        "stratum": each.stratum,
        claim.factor: each.level,
        "n": each.auroc.n,
        **_ends("auroc", each.auroc),
        **_ends("less first", each.less),
        "TOST p": each.alike.p if each.alike else float("nan"),
    }


def _models_row(claim: Asked, each: Models) -> dict[str, object]:
    return {
        "stratum": each.stratum,
        claim.factor: each.level,
        "models": each.models,
        "parameters": _whole(each.parameters),
        "FLOPs": Cell(short(each.flops), each.flops),
        "bits/dim": Cell(_spread(each.bits, Unit(1, ".3f")) + _other(each.unit), each.bits.mean),
        "train-test gap": Cell(_spread(each.gap, Unit(1, "+.3g")), each.gap.mean),
        "plateau": f"{each.plateaus} of {each.watched}" if each.watched else "",
    }


def _models_data(claim: Asked, each: Models) -> dict[str, object]:
    return {
        "stratum": each.stratum,
        claim.factor: each.level,
        "models": each.models,
        "parameters": each.parameters,
        "flops": each.flops,
        **_ends("bits per dimension", each.bits),
        "unit of bits": each.unit,
        **_ends("gap", each.gap),
        "plateaus": each.plateaus,
        "watched": each.watched,
    }


def _other(unit: str) -> str:
    """What follows a number that is not in bits per dimension."""
    return "" if unit == BITS else f" {unit}"


def _whole(number: float) -> Cell:
    return Cell("" if number != number else f"{number:,.0f}", number)


def _spread(found: Estimate, unit: Unit) -> str:
    return spread(found, unit) if found.n else ""
