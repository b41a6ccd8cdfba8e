"""What a study says of a claim, by a rule that is fixed before the study is run.

A table has one row per trained model with the columns factor (a width, or the name of a training
objective), seed, auroc (of one outsider set in one direction), bits_per_dim (of in-distribution
normals, lower = better model) and stratum (what is held fixed, in words). A column unit says where
the numbers of bits_per_dim are others, such as nats per image of a likelihood that has no bits.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.document.format import count
from analysis.questions.claims.rules import FIXED, Claim, Outcome
from analysis.stats.estimates import LEAST_PAIRS, MARGIN, Estimate, estimate
from analysis.stats.paired import Equivalence, equivalence

WITHOUT_BOUNDS = (-math.inf, math.inf)
SIGNED = (-1.0, 1.0)
BITS = "bits per dimension"


class Verdict(NamedTuple):
    """What one stratum says of a claim.

    Attributes:
        claim: "capacity" or "forward_kl".
        stratum: what was held fixed.
        outcome: one of five.
        reason: what decided, without a full stop.
        levels: of the factor: the widths, smallest first; or baseline, treatment, control.
        n: paired seeds.
        left_out: seeds with a level or a number missing.
        effect: on AUROC: slope per doubling of the width; or treatment less baseline, paired.
        first: AUROC at the smallest width, or of the baseline.
        last: AUROC at the largest width, or of the treatment.
        change: last less first, paired.
        alike: whether AUROC at each later width, or of the treatment, less the first is so small
            that it counts as none.
        bits: effect on bits per dimension; below 0 = a better model of the normals.
        control: control less baseline in AUROC, paired; n = 0 where there is none.
        auroc: of the paired seeds (rows) at the levels (columns).
        bits_per_dim: the same.
        unit: of `bits` and `bits_per_dim`.
    """

    claim: Claim
    stratum: str
    outcome: Outcome
    reason: str
    levels: tuple[Any, ...]
    n: int
    left_out: int
    effect: Estimate
    first: Estimate
    last: Estimate
    change: Estimate
    alike: tuple[Equivalence, ...]
    bits: Estimate
    control: Estimate
    auroc: pd.DataFrame
    bits_per_dim: pd.DataFrame
    unit: str = BITS

    @property
    def equivalent(self) -> bool:
        """Whether every level counts as the first: the intersection of all tests."""
        return bool(self.alike) and all(each.equivalent for each in self.alike)


class _Paired(NamedTuple):
    """AUROC and bits per dimension, seeds down, levels across, and how many seeds are left out."""

    auroc: pd.DataFrame
    bits: pd.DataFrame
    left_out: int
    unit: str


def capacity(table: pd.DataFrame) -> list[Verdict]:
    """Does width move AUROC? One verdict per stratum, by `RULES["capacity"]`.

    Slopes are least-squares slopes on log2 width within each seed, so that one is a change per
    doubling; intervals are Student's over seeds, at 95 %. The line of no effect stands before the
    others, so that a slope that is certain but too small to count is no improvement; and what lay
    above 0.9 at the smallest width had nothing to be fixed. A slope that hides a shown turn of
    more than 0.02 is no answer; the pairs of widths are not corrected for their number, as the
    margin makes a false turn of a monotone curve rarer than 0.025 each.

    Raises:
        ValueError: if a width is no number above 0, or a stratum has two models of one width and
            seed.
    """
    widths = pd.to_numeric(table["factor"], errors="coerce")
    if not (widths > 0).all():
        raise ValueError(f"widths must be numbers above 0, got {list(table['factor'].unique())}")
    numbered = table.assign(factor=widths)
    return [_capacity(str(name), own) for name, own in numbered.groupby("stratum", sort=False)]


def forward_kl(table: pd.DataFrame, baseline: str, control: str = "") -> list[Verdict]:
    """Does another objective move AUROC? One verdict per stratum and treatment.

    By `RULES["forward_kl"]`; every level that is neither the baseline nor the control is a
    treatment. Seeds are paired between baseline and treatment; bits and the control are reported
    over those of them that have these numbers.

    Args:
        table: of models.
        baseline: level of the factor, such as "elbo".
        control: level of the encoder-only refit; empty = none.

    Raises:
        ValueError: if a stratum has two models of one level and seed.
    """
    return [
        _forward_kl(str(name), own, [baseline, treatment, *({control} & set(own["factor"]))])
        for name, own in table.groupby("stratum", sort=False)
        for treatment in own["factor"].unique()
        if treatment not in (baseline, control)
    ]


def _capacity(stratum: str, table: pd.DataFrame) -> Verdict:
    widths = sorted(table["factor"].unique())
    wide = _wide(table, widths)
    whole = wide.auroc.notna().all(axis=1) & wide.bits.notna().all(axis=1)
    paired = _Paired(wide.auroc[whole], wide.bits[whole], int((~whole).sum()), wide.unit)
    effect = estimate(_slopes(paired.auroc), WITHOUT_BOUNDS)
    bits = estimate(_slopes(paired.bits), WITHOUT_BOUNDS)
    stopped = _too_few(paired, "width")
    if len(widths) < 2:
        stopped = f"there is one width only, {widths[0]:g}"
    elif wide.bits.isna().all(axis=None):
        stopped = f"no {wide.unit} are recorded, so that nothing shows whether capacity bound"
    elif not stopped and not bits.high < 0:
        stopped = f"capacity did not bind: {wide.unit} of normals do not fall with width"
    return _verdict("capacity", stratum, paired, (effect, bits, estimate([])), stopped)


def _forward_kl(stratum: str, table: pd.DataFrame, levels: Sequence[str]) -> Verdict:
    wide = _wide(table, levels)
    whole = wide.auroc.iloc[:, :2].notna().all(axis=1)
    paired = _Paired(wide.auroc[whole], wide.bits[whole], int((~whole).sum()), wide.unit)
    effect = estimate(less_first(paired.auroc, 1), SIGNED)
    bits = estimate(less_first(paired.bits, 1), WITHOUT_BOUNDS)
    control = estimate(less_first(paired.auroc, 2) if len(levels) > 2 else [], SIGNED)
    stopped = _too_few(paired, "level")
    if wide.auroc.iloc[:, 0].isna().all():
        stopped = f"no model of the baseline, {levels[0]}, was tested"
    return _verdict("forward_kl", stratum, paired, (effect, bits, control), stopped)


def _wide(table: pd.DataFrame, levels: Sequence[Any]) -> _Paired:
    """All seeds, with NaN where one has no finite number.

    Raises:
        ValueError: if there are two models of one level and seed.
    """
    own = table[table["factor"].isin(levels)]
    if own.duplicated(["factor", "seed"]).any():
        raise ValueError("there are two models of one level and seed")
    auroc, bits = (
        own.pivot(index="seed", columns="factor", values=name)
        .reindex(columns=list(levels))
        .astype(float)
        .replace([math.inf, -math.inf], math.nan)
        for name in ("auroc", "bits_per_dim")
    )
    unit = str(own["unit"].iloc[0]) if "unit" in own and len(own) else BITS
    return _Paired(auroc, bits, 0, unit)


def _slopes(paired: pd.DataFrame) -> list[float]:
    """Least-squares slope of each seed on log2 of the columns; none for a single column."""
    if paired.shape[1] < 2 or paired.empty:
        return []
    across = np.log2(paired.columns.to_numpy(float))
    slopes: list[float] = np.polyfit(across, paired.to_numpy(float).T, 1)[0].tolist()
    return slopes


def less_first(paired: pd.DataFrame, level: int) -> list[float]:
    """One level less the first, for the seeds that have both.

    Args:
        paired: AUROC or bits per dimension, seeds down, levels across.
        level: its column.
    """
    difference: list[float] = (paired.iloc[:, level] - paired.iloc[:, 0]).dropna().tolist()
    return difference


def _too_few(paired: _Paired, noun: str) -> str:
    n, lost = len(paired.auroc), paired.left_out
    if n >= LEAST_PAIRS:
        return ""
    left = f" ({count(lost, 'seed')} left out for a missing number)" if lost else ""
    return f"{count(n, 'seed')} with every {noun}{left}, {LEAST_PAIRS} needed"


def _verdict(
    claim: Claim,
    stratum: str,
    paired: _Paired,
    estimates: tuple[Estimate, Estimate, Estimate],
    stopped: str,
) -> Verdict:
    """The verdict from effect, bits and control; `stopped` = why none is possible."""
    effect, bits, control = estimates
    last = 1 if claim == "forward_kl" else paired.auroc.shape[1] - 1
    changes = [less_first(paired.auroc, level) for level in range(1, last + 1)]
    found = Verdict(
        claim=claim,
        stratum=stratum,
        outcome="inconclusive",
        reason=stopped,
        levels=tuple(paired.auroc.columns),
        n=len(paired.auroc),
        left_out=paired.left_out,
        effect=effect,
        first=estimate(paired.auroc.iloc[:, 0].tolist()),
        last=estimate(paired.auroc.iloc[:, last].tolist()),
        change=estimate(less_first(paired.auroc, last), SIGNED),
        alike=tuple(map(equivalence, changes)),
        bits=bits,
        control=control,
        auroc=paired.auroc,
        bits_per_dim=paired.bits,
        unit=paired.unit,
    )
    if stopped:
        return found
    outcome, reason = _decide(found)
    return found._replace(outcome=outcome, reason=reason)


def _decide(found: Verdict) -> tuple[Outcome, str]:
    """The lines of the rule that follow once there is enough to judge."""
    if found.equivalent:
        where = " at every width" if found.claim == "capacity" else ""
        return "no effect", f"the change in AUROC is shown to lie within ± {MARGIN}{where}"
    up, down = _turn(found, 1), _turn(found, -1)
    rises, falls = found.effect.low > 0, found.effect.high < 0
    if (rises and down) or (falls and up):
        turned = f"AUROC rises, but {down}" if rises else f"AUROC falls, but {up}"
        return "inconclusive", f"not monotone: {turned}"
    if rises:
        return _rise(found)
    return ("worsens", "AUROC falls") if falls else ("inconclusive", _unshown(up, down))


def _unshown(up: str, down: str) -> str:
    """Why nothing follows where the slope is not told from 0."""
    if up and down:
        return f"not monotone: {up}, but {down}"
    if up or down:
        return f"no slope is shown, but {up or down}"
    return f"neither an effect nor its absence (within ± {MARGIN}) is shown"


def _turn(found: Verdict, sign: int) -> str:
    """The widest gap between two widths, the larger above (1) or below (-1) by more than 0.02."""
    if found.claim != "capacity":
        return ""
    gaps = [
        (sign * each.mean, f"width {wide:g} lies {_points(each, sign)} width {narrow:g}")
        for narrow, wide in combinations(found.levels, 2)
        for each in [estimate((found.auroc[wide] - found.auroc[narrow]).tolist(), SIGNED)]
        if (each.low if sign > 0 else -each.high) > MARGIN
    ]
    return max(gaps, default=(0.0, ""))[1]


def _points(gap: Estimate, sign: int) -> str:
    return f"{abs(100 * gap.mean):.1f} points {'above' if sign > 0 else 'below'}"


def _rise(found: Verdict) -> tuple[Outcome, str]:
    if not found.last.low > FIXED:
        return "improves, does not fix", f"AUROC rises, but is not shown to exceed {FIXED}"
    if found.first.low > FIXED:
        return "improves, does not fix", f"AUROC was above {FIXED} before, so nothing was to fix"
    return "fixes", f"AUROC rises, and to more than {FIXED}"
