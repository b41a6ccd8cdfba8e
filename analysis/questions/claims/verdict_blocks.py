"""The verdicts on one task and score as sentences, tables and figures."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from analysis.document import theme
from analysis.document.blocks import Cell, Figure, Table, Tone
from analysis.document.format import (
    PERCENT,
    PERCENTAGE_POINTS,
    Unit,
    file_name,
    interval_text,
    p_text,
)
from analysis.image_sampling import covered_by_all, covers
from analysis.questions.claims.evidence import Evidence
from analysis.questions.claims.models import bits_cell, metric_text, table_of, without_plateau
from analysis.questions.claims.rules import (
    CLAIM_RULES,
    FIXED_AUROC,
    Judgement,
    Verdict,
)
from analysis.questions.claims.strata import UNBOUNDED, Stratum
from analysis.stats.estimates import MARGIN, Estimate, estimate
from analysis.stats.paired import Equivalence
from tune_ad.search.claim import Claim
from tune_ad.storage.metric import CHANCE_AUROC
from tune_ad.wording import count

OUTCOME_TONES: dict[str, Tone] = {
    "fixes": "better",
    "improves, does not fix": "better",
    "no effect": "alike",
    "worsens": "worse",
    "inconclusive": "unsure",
}
BITS_CHANGE = Unit(1, "+.3f")
FIXED = f"{100 * FIXED_AUROC:.0f} %"
TOST = f"TOST, ± {100 * MARGIN:.0f} points"
PLACE_OF_LAST = f"last, compared with {100 * CHANCE_AUROC:.0f} % and {FIXED}"


def conclusions(claim: Claim | None, judgements: Sequence[Judgement]) -> list[str]:
    """The verdicts of the main judgement on every suite, and warnings about them, in sentences.

    Empty if no claim is tested or nothing can be tested yet; the report's section on the verdict
    says why, and has the other scores and sets.
    """
    sentences = [
        verdict_sentence(verdict, judgement.evidence.title)
        for judgement in judgements
        for verdict in judgement.verdicts
    ]
    if claim is None or not sentences:
        return []
    return sentences + [w for j in judgements for w in without_plateau(claim, j.evidence)]


def verdict_sentence(verdict: Verdict, title: str) -> str:
    """A verdict in words, and the numbers that it rests on.

    Args:
        verdict: the verdict on one stratum.
        title: the task, the outsider set and the score in words.
    """
    stratum = verdict.stratum
    outcome = f"{title}, {stratum.title}: {verdict.outcome} ({verdict.reason})."
    if stratum.n < 2 or len(stratum.levels) < 2:
        return outcome
    design = stratum.design
    numbers = (
        f"AUROC {_interval(stratum.effect, PERCENTAGE_POINTS)} points {design.paired_by}; "
        f"{_interval(stratum.last, PERCENT)} % at "
        f"{design.level_text(stratum.levels[stratum.last_level])}, {place(stratum.last)}; "
        f"change of {stratum.unit} of normal images: {_interval(stratum.bits, BITS_CHANGE)} "
        f"{design.paired_by} (n = {stratum.n} paired seeds, 95 % intervals)."
    )
    return " ".join(filter(None, (outcome, numbers, "" if design.axis else _control(stratum))))


def _control(stratum: Stratum) -> str:
    if not stratum.control.n:
        return "There is no control, so a gain may be due to another bound on the same model."
    change = _interval(stratum.control, PERCENTAGE_POINTS)
    return f"The control ({stratum.levels[-1]}) changes AUROC by {change} points."


def _interval(estimate: Estimate, unit: Unit) -> str:
    return estimate.mean_interval(unit) or "unknown"


def place(auroc: Estimate) -> str:
    """Where an interval lies: compared with 50 %, and with 90 %, above which a set is detected.

    >>> place(Estimate(0.2, 0.01, 0.19, 0.21, 6))
    'still inverted (below chance)'
    """
    if auroc.high < CHANCE_AUROC:
        return "still inverted (below chance)"
    if auroc.low > FIXED_AUROC:
        return f"above {FIXED}"
    if auroc.low > CHANCE_AUROC:
        return f"above chance, not shown to exceed {FIXED}"
    return "not distinguishable from chance"


def verdict_table(claim: Claim, judgement: Judgement) -> Table:
    """The numbers that decide, a row per stratum."""
    evidence, design = judgement.evidence, CLAIM_RULES[claim.kind].design
    failed = f" {count(evidence.failed, 'model')} failed." if evidence.failed else ""
    caption = (
        f"Test AUROC in per cent, and differences in points ({evidence.title}): mean [95 % "
        f"interval over n paired seeds]. {_covers(judgement)} Left out: seeds with missing "
        "numbers, or with a model that did not receive the treatment, as in the rules. "
        f"Effect: {design.effect}. First and last: AUROC {design.first} and {design.last}. TOST: "
        "two one-sided tests that AUROC at every level differs from the first by less than "
        f"{100 * MARGIN:.0f} points; 90 % interval and p of the level with the largest p, which "
        "decides. bits/dim: the same effect on bits per dimension of normal images, below 0 = a "
        f"better model; {metric_text(evidence.bits)}.{failed}"
    )
    return table_of(_name("verdict", evidence), list(map(_rows, judgement.verdicts)), caption)


def _covers(judgement: Judgement) -> str:
    """What the intervals and equivalence tests of AUROC cover."""
    strata = [verdict.stratum for verdict in judgement.verdicts]
    return covers(covered_by_all((s.name, s.coverage) for s in strata if s.n > 1))


def levels_table(claim: Claim, judgement: Judgement) -> Table:
    """AUROC at each level of each stratum."""
    caption = (
        f"Test AUROC in per cent at each level of {claim.factor} ({judgement.evidence.title}): "
        f"mean [95 % interval over n paired seeds, for its row alone]. {_covers(judgement)} "
        "Minus first: paired difference from the first level, in points. TOST: two one-sided "
        f"tests that this difference is less than {100 * MARGIN:.0f} points; its 90 % interval "
        "and p."
    )
    rows = [
        _level_rows(claim.factor, verdict.stratum, level)
        for verdict in judgement.verdicts
        for level in range(len(verdict.stratum.levels))
    ]
    return table_of(_name("levels", judgement.evidence), rows, caption)


def verdict_figure(claim: Claim, evidence: Evidence, verdict: Verdict) -> Figure:
    """AUROC and bits per dimension at each level of one stratum.

    Args:
        claim: the claim that is tested.
        evidence: the models.
        verdict: the verdict on the stratum.
    """
    stratum = verdict.stratum
    caption = (
        f"{evidence.title}, {stratum.title}: test AUROC (above) and {stratum.unit} of "
        f"normal images (below) at each level of {claim.factor}. Thin: one line per seed; thick: "
        f"mean of n = {stratum.n} paired seeds with its 95 % interval. Verdict: {verdict.outcome}."
    )
    treatment = [] if stratum.design.axis else [str(stratum.levels[1])]
    name = file_name("verdict", evidence.task, evidence.score, stratum.title, *treatment)
    return Figure(name, partial(draw_levels, stratum), caption)


def draw_levels(stratum: Stratum) -> Drawing:
    """AUROC and bits per dimension against the levels: seeds thin, mean with its interval."""
    levels, axis = stratum.levels, stratum.design.axis
    positions = [float(level) for level in (levels if axis else range(len(levels)))]
    canvas = theme.canvas(4.6, rows=2)
    above, below = canvas.axes
    aurocs = [stratum.auroc_at(level) for level in range(len(levels))]
    _draw_seeds(above, positions, 100 * stratum.auroc, aurocs, 100.0)
    _draw_references(above)
    above.set_ylim(0, 103)
    above.set_ylabel("test AUROC, %")
    if stratum.bits_per_dim.notna().any(axis=None):
        bits = stratum.bits_per_dim
        of_bits = [estimate(bits[level].dropna().tolist(), UNBOUNDED) for level in bits]
        _draw_seeds(below, positions, bits, of_bits)
    below.set_ylabel(f"{stratum.unit}, normal images")
    for axes in canvas.axes:
        if axis:
            axes.set_xlabel(axis)
            axes.set_xscale("log", base=2)
            axes.set_xticks(positions, [f"{level:g}" for level in levels])
            axes.minorticks_off()
        else:
            axes.set_xticks(positions, [str(level).replace("_", " ") for level in levels])
            axes.margins(x=0.15)
    return canvas.figure


def _draw_seeds(
    axes: Axes,
    positions: Sequence[float],
    values: pd.DataFrame,
    means: Sequence[Estimate],
    scale: float = 1.0,
) -> None:
    """Seeds as thin lines, their mean with the band of its interval; gaps where one is missing."""
    axes.plot(positions, values.to_numpy().T, **theme.THIN)
    colour = theme.colour(0)
    low, high = [scale * mean.low for mean in means], [scale * mean.high for mean in means]
    theme.band(axes, positions, low, high)
    style: dict[str, Any] = {"color": colour, "linewidth": 2.0, "marker": "o", "markersize": 5}
    axes.plot(positions, [scale * mean.mean for mean in means], **style)


def _draw_references(axes: Axes) -> None:
    """Dashed lines at the AUROC of chance and at that which counts as fixed."""
    for height, name in ((CHANCE_AUROC, "chance"), (FIXED_AUROC, FIXED)):
        axes.axhline(100 * height, color=theme.FAINT, linewidth=1.0, linestyle=(0, (5, 3)))
        axes.annotate(
            name,
            (1.0, 100 * height),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=9,
            color=theme.INK,
        )


def _name(kind: str, evidence: Evidence) -> str:
    return file_name(kind, evidence.task, evidence.score)


def _rows(verdict: Verdict) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row of a stratum, as it is shown and as it is stored."""
    stratum = verdict.stratum
    counts = {"n": stratum.n, "left out": stratum.left_out}
    shown = {
        "stratum": stratum.title,
        "verdict": Cell(verdict.outcome, tone=OUTCOME_TONES[verdict.outcome], note=verdict.reason),
        **counts,
        "effect (points)": stratum.effect.interval_cell(PERCENTAGE_POINTS),
        "AUROC first (%)": stratum.first.interval_cell(),
        "AUROC last (%)": stratum.last.interval_cell(),
        PLACE_OF_LAST: place(stratum.last) if stratum.last.n > 1 else "",
        TOST: _deciding_test(stratum),
        "bits/dim": bits_cell(stratum.bits, stratum.unit, BITS_CHANGE),
    }
    data = {
        "stratum": stratum.title,
        "unit of bits": stratum.unit,
        "verdict": verdict.outcome,
        "reason": verdict.reason,
        **counts,
        "TOST p": max((test.p for test in stratum.equivalences), default=math.nan),
        "margin": MARGIN,
        "chance": CHANCE_AUROC,
        "fixed": FIXED_AUROC,
    }
    for name in ("effect", "first", "last", "change", "bits", "control"):
        data |= getattr(stratum, name).columns(name)
    return shown, data


def _level_rows(
    factor: str, stratum: Stratum, level: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row of a level, as it is shown and as it is stored."""
    auroc, change = stratum.auroc_at(level), stratum.change_at(level)
    test = stratum.equivalence_at(level)
    head = {"stratum": stratum.title, factor: stratum.levels[level], "n": auroc.n}
    shown = {
        "AUROC (%)": auroc.interval_cell(),
        "minus first (points)": change.interval_cell(PERCENTAGE_POINTS),
        TOST: _test(test, test.equivalent) if test else "",
    }
    data = auroc.columns("auroc") | change.columns("less first")
    return head | shown, head | data | {"TOST p": test.p if test else math.nan}


def _deciding_test(stratum: Stratum) -> Cell | str:
    """The test with the largest p of those that must all hold."""
    if not stratum.equivalences:
        return ""
    deciding = max(stratum.equivalences, key=lambda test: test.p)
    return _test(deciding, stratum.equivalent)


def _test(test: Equivalence, equivalent: bool) -> Cell:
    if test.refusal:
        return Cell("refused", note=test.refusal)
    text = f"{interval_text(test.low, test.high, PERCENTAGE_POINTS)}, p = {p_text(test.p)}"
    return Cell(text, test.p, "alike" if equivalent else "")
