"""The verdicts on one task and response as tables and figures."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from analysis.document import theme
from analysis.document.blocks import Cell, Figure, Table, Tone
from analysis.document.format import PERCENT, PERCENTAGE_POINTS, count, file_name, interval_text
from analysis.questions.claims.conclusion import BITS_CHANGE, place
from analysis.questions.claims.evidence import Evidence
from analysis.questions.claims.models import ends, metric_text, unit_text
from analysis.questions.claims.rules import CHANCE_AUROC, FIXED_AUROC, Verdict
from analysis.questions.claims.strata import UNBOUNDED, Stratum
from analysis.stats.estimates import MARGIN, Estimate, estimate
from analysis.stats.paired import Equivalence
from tune_ad.search.claim import Claim

OUTCOME_TONES: dict[str, Tone] = {
    "fixes": "better",
    "improves, does not fix": "better",
    "no effect": "alike",
    "worsens": "worse",
    "inconclusive": "unsure",
}
TOST = f"TOST, ± {100 * MARGIN:.0f} points"
PLACE_OF_LAST = f"last against {100 * CHANCE_AUROC:.0f} % and {100 * FIXED_AUROC:.0f} %"


def verdict_table(claim: Claim, evidence: Evidence, verdicts: Sequence[Verdict]) -> Table:
    """The numbers that decide, a row per stratum.

    Args:
        claim: that is tested.
        evidence: that was judged.
        verdicts: on it.
    """
    effect = "slope of AUROC per doubling of the width"
    first, last = "smallest width", "largest width"
    if claim.kind == "forward_kl":
        effect, first, last = "AUROC of treatment minus baseline", "baseline", "treatment"
    failed = f" {count(evidence.failed, 'model')} failed." if evidence.failed else ""
    caption = (
        f"Test AUROC in per cent, and differences in points ({evidence.title}): mean [95 % "
        "interval of Student's t over n paired seeds]. Left out: seeds without all numbers. "
        f"Effect: {effect}. First and last: AUROC of the {first} and of the {last}. TOST: two "
        "one-sided tests that AUROC at every level differs from the first by less than "
        f"{100 * MARGIN:.0f} points; of the level with the largest p, which decides, the 90 % "
        "interval and p. bits/dim: the same effect on bits per dimension of normals, below 0 = a "
        f"better model; {metric_text(evidence.bits)}.{failed}"
    )
    shown = pd.DataFrame([_row(verdict) for verdict in verdicts])
    data = pd.DataFrame([_data(verdict) for verdict in verdicts])
    return Table(_name("verdict", evidence), shown, caption, data)


def levels_table(claim: Claim, evidence: Evidence, verdicts: Sequence[Verdict]) -> Table:
    """AUROC at each level of each stratum.

    Args:
        claim: that is tested.
        evidence: that was judged.
        verdicts: on it.
    """
    caption = (
        f"Test AUROC in per cent at each level of {claim.factor} ({evidence.title}): mean [95 % "
        "interval of Student's t over n paired seeds, for its row alone]. Minus first: paired "
        "difference from the first level, in points. TOST: two one-sided tests that this "
        f"difference is less than {100 * MARGIN:.0f} points; its 90 % interval and p."
    )
    rows = [
        (verdict.stratum, level)
        for verdict in verdicts
        for level in range(len(verdict.stratum.levels))
    ]
    shown = pd.DataFrame([_level_row(claim, *row) for row in rows])
    data = pd.DataFrame([_level_data(claim, *row) for row in rows])
    return Table(_name("levels", evidence), shown, caption, data)


def verdict_figure(claim: Claim, evidence: Evidence, verdict: Verdict) -> Figure:
    """AUROC and bits per dimension at each level of one stratum.

    Args:
        claim: that is tested.
        evidence: that was judged.
        verdict: on the stratum.
    """
    stratum = verdict.stratum
    caption = (
        f"{evidence.title}, {stratum.name}: test AUROC (left) and {stratum.unit} of normals "
        f"(right) at each level of {claim.factor}. Thin: one line per seed; thick: mean of "
        f"n = {stratum.n} paired seeds with its 95 % interval. Verdict: {verdict.outcome}."
    )
    treatment = [] if claim.kind == "capacity" else [str(stratum.levels[1])]
    name = file_name("verdict", evidence.task, evidence.response, stratum.name, *treatment)
    return Figure(name, partial(draw_levels, stratum), caption)


def draw_levels(stratum: Stratum) -> Drawing:
    """AUROC and bits per dimension against the levels: seeds thin, mean with its interval."""
    levels = stratum.levels
    capacity = stratum.claim == "capacity"
    positions = [float(level) for level in (levels if capacity else range(len(levels)))]
    canvas = theme.canvas(3.0, columns=2)
    left, right = canvas.axes
    _draw_seeds(left, positions, 100 * stratum.auroc, (0.0, 100.0))
    _draw_references(left)
    left.set_ylim(0, 103)
    left.set_ylabel("test AUROC, %")
    if stratum.bits_per_dim.notna().any(axis=None):
        _draw_seeds(right, positions, stratum.bits_per_dim, UNBOUNDED)
    right.set_ylabel(f"{stratum.unit}, normals")
    for axes in canvas.axes:
        if capacity:
            axes.set_xlabel("width")
            axes.set_xscale("log", base=2)
            axes.set_xticks(positions, [f"{level:g}" for level in levels])
            axes.minorticks_off()
        else:
            axes.set_xticks(positions, [str(level).replace("_", " ") for level in levels])
            axes.margins(x=0.15)
    return canvas.figure


def _draw_seeds(
    axes: Axes, positions: Sequence[float], values: pd.DataFrame, bounds: tuple[float, float]
) -> None:
    """Seeds as thin lines, their mean with the band of its interval; gaps where one is missing."""
    axes.plot(positions, values.to_numpy().T, color=theme.FAINT, linewidth=0.7, alpha=0.7)
    means = [estimate(values[level].dropna().tolist(), bounds) for level in values]
    colour = theme.colour(0)
    low, high = [mean.low for mean in means], [mean.high for mean in means]
    axes.fill_between(positions, low, high, color=colour, alpha=0.25, linewidth=0)
    style: dict[str, Any] = {"color": colour, "linewidth": 2.0, "marker": "o", "markersize": 5}
    axes.plot(positions, [mean.mean for mean in means], **style)


def _draw_references(axes: Axes) -> None:
    """Dashed lines at the AUROC of chance and at that which counts as fixed."""
    for height, name in ((CHANCE_AUROC, "chance"), (FIXED_AUROC, f"{100 * FIXED_AUROC:.0f} %")):
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
    return file_name(kind, evidence.task, evidence.response)


def _row(verdict: Verdict) -> dict[str, object]:
    stratum = verdict.stratum
    bits = stratum.bits.mean_interval(BITS_CHANGE) + unit_text(stratum.unit)
    return {
        "stratum": stratum.name,
        "verdict": Cell(verdict.outcome, tone=OUTCOME_TONES[verdict.outcome], note=verdict.reason),
        "n": stratum.n,
        "left out": stratum.left_out,
        "effect, points": _points(stratum.effect),
        "first, %": _per_cent(stratum.first),
        "last, %": _per_cent(stratum.last),
        PLACE_OF_LAST: place(stratum.last) if stratum.last.n > 1 else "",
        TOST: _deciding_test(stratum),
        "bits/dim": Cell(bits, stratum.bits.mean),
    }


def _per_cent(auroc: Estimate) -> Cell:
    return Cell(auroc.mean_interval(PERCENT), auroc.mean)


def _points(difference: Estimate) -> Cell:
    return Cell(difference.mean_interval(PERCENTAGE_POINTS), difference.mean)


def _deciding_test(stratum: Stratum) -> Cell | str:
    """The test with the largest p of those that must all hold."""
    if not stratum.equivalences:
        return ""
    deciding = max(stratum.equivalences, key=lambda test: test.p)
    return _test(deciding, stratum.equivalent)


def _test(test: Equivalence, equivalent: bool) -> Cell:
    if test.refusal:
        return Cell("refused", note=test.refusal)
    text = f"{interval_text(test.low, test.high, PERCENTAGE_POINTS)}, p = {test.p:.2g}"
    return Cell(text, test.p, "alike" if equivalent else "")


def _data(verdict: Verdict) -> dict[str, object]:
    stratum = verdict.stratum
    row: dict[str, object] = {
        "stratum": stratum.name,
        "unit of bits": stratum.unit,
        "verdict": verdict.outcome,
        "reason": verdict.reason,
        "n": stratum.n,
        "left out": stratum.left_out,
        "TOST p": max((test.p for test in stratum.equivalences), default=float("nan")),
        "margin": MARGIN,
        "chance": CHANCE_AUROC,
        "fixed": FIXED_AUROC,
    }
    for name in ("effect", "first", "last", "change", "bits", "control"):
        row |= ends(name, getattr(stratum, name))
    return row


def _level_row(claim: Claim, stratum: Stratum, level: int) -> dict[str, object]:
    auroc, test = stratum.auroc_at(level), stratum.equivalence_at(level)
    return {
        "stratum": stratum.name,
        claim.factor: stratum.levels[level],
        "n": auroc.n,
        "AUROC, %": _per_cent(auroc),
        "minus first, points": _points(stratum.change_at(level)),
        TOST: _test(test, test.equivalent) if test else "",
    }


def _level_data(claim: Claim, stratum: Stratum, level: int) -> dict[str, object]:
    auroc, test = stratum.auroc_at(level), stratum.equivalence_at(level)
    return {
        "stratum": stratum.name,
        claim.factor: stratum.levels[level],
        "n": auroc.n,
        **ends("auroc", auroc),
        **ends("less first", stratum.change_at(level)),
        "TOST p": test.p if test else float("nan"),
    }
