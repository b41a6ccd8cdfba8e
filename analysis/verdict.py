"""What a study says of a claim, by a rule that is fixed before the study is run.

A table has one row per trained model with the columns factor (a width, or the name of a training
objective), seed, auroc (of one outsider set in one direction), bits_per_dim (of in-distribution
normals, lower = better model) and stratum (what is held fixed, in words).
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from analysis.document import count
from analysis.statistics import LEAST_PAIRS, MARGIN, Equivalence, Estimate, equivalence, estimate

Claim = Literal["capacity", "forward_kl"]
Outcome = Literal["fixes", "improves, does not fix", "no effect", "worsens", "inconclusive"]
CHANCE, FIXED = 0.5, 0.9
WITHOUT_BOUNDS = (-math.inf, math.inf)
SIGNED = (-1.0, 1.0)
RULES: dict[Claim, str] = {
    "capacity": (
        "Claim: more channels make the model give outsiders a lower likelihood. Declared before; "
        "the first line that holds decides, for each stratum and outsider set alone:\n\n"
        f"- inconclusive, if fewer than {LEAST_PAIRS} seeds have every width;\n"
        "- inconclusive, if capacity did not bind: the 95 % interval of the slope of bits per "
        "dimension of normals on log2 width does not lie below 0;\n"
        "- no effect, if AUROC at the largest width less that at the smallest is within "
        f"± {MARGIN} (two one-sided tests at 0.05);\n"
        "- fixes, if the 95 % interval of the slope of AUROC on log2 width lies above 0, that of "
        f"AUROC at the largest width above {FIXED}, and that at the smallest width does not;\n"
        "- improves, does not fix, if the slope's interval lies above 0 otherwise;\n"
        "- worsens, if it lies below 0;\n"
        "- inconclusive otherwise."
    ),
    "forward_kl": (
        "Claim: training the encoder by the forward KL divergence makes the model tell outsiders. "
        "Declared before; the first line that holds decides, for each stratum and outsider set "
        "alone:\n\n"
        f"- inconclusive, if fewer than {LEAST_PAIRS} seeds have both levels;\n"
        f"- no effect, if the paired difference in AUROC is within ± {MARGIN} (two one-sided "
        "tests at 0.05);\n"
        "- fixes, if the 95 % interval of the difference lies above 0, that of AUROC with the "
        f"treatment above {FIXED}, and that without does not;\n"
        "- improves, does not fix, if the difference's interval lies above 0 otherwise;\n"
        "- worsens, if it lies below 0;\n"
        "- inconclusive otherwise.\n\n"
        "Bits per dimension and the control, an encoder alone refitted on a fixed decoder, are "
        "reported beside it: a gain that the control has, too, is another bound on the same "
        "model, not another model."
    ),
}


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
        alike: whether that change is so small that it counts as none.
        bits: effect on bits per dimension; below 0 = a better model of the normals.
        control: control less baseline in AUROC, paired; n = 0 where there is none.
        auroc: of the paired seeds (rows) at the levels (columns).
        bits_per_dim: the same.
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
    alike: Equivalence
    bits: Estimate
    control: Estimate
    auroc: pd.DataFrame
    bits_per_dim: pd.DataFrame


class _Paired(NamedTuple):
    """AUROC and bits per dimension, seeds down, levels across, and how many seeds are left out."""

    auroc: pd.DataFrame
    bits: pd.DataFrame
    left_out: int


def capacity(table: pd.DataFrame) -> list[Verdict]:
    """Does width move AUROC? One verdict per stratum, by `RULES["capacity"]`.

    Slopes are least-squares slopes on log2 width within each seed, so that one is a change per
    doubling; intervals are Student's over seeds, at 95 %. The line of no effect stands before the
    others, so that a slope that is certain but too small to count is no improvement; and what lay
    above 0.9 at the smallest width had nothing to be fixed.

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
    paired = _Paired(wide.auroc[whole], wide.bits[whole], int((~whole).sum()))
    effect = estimate(_slopes(paired.auroc), WITHOUT_BOUNDS)
    bits = estimate(_slopes(paired.bits), WITHOUT_BOUNDS)
    stopped = _too_few(paired, "width")
    if len(widths) < 2:
        stopped = f"there is one width only, {widths[0]:g}"
    elif wide.bits.isna().all(axis=None):
        stopped = (
            "no bits per dimension are recorded, so that nothing shows whether capacity bound"
        )
    elif not stopped and not bits.high < 0:
        stopped = "capacity did not bind: bits per dimension of normals do not fall with width"
    return _verdict("capacity", stratum, paired, (effect, bits, estimate([])), stopped)


def _forward_kl(stratum: str, table: pd.DataFrame, levels: Sequence[str]) -> Verdict:
    wide = _wide(table, levels)
    whole = wide.auroc.iloc[:, :2].notna().all(axis=1)
    paired = _Paired(wide.auroc[whole], wide.bits[whole], int((~whole).sum()))
    effect = estimate(_less_first(paired.auroc, 1), SIGNED)
    bits = estimate(_less_first(paired.bits, 1), WITHOUT_BOUNDS)
    control = estimate(_less_first(paired.auroc, 2) if len(levels) > 2 else [], SIGNED)
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
    return _Paired(auroc, bits, 0)


def _slopes(paired: pd.DataFrame) -> list[float]:
    """Least-squares slope of each seed on log2 of the columns; none for a single column."""
    if paired.shape[1] < 2 or paired.empty:
        return []
    across = np.log2(paired.columns.to_numpy(float))
    slopes: list[float] = np.polyfit(across, paired.to_numpy(float).T, 1)[0].tolist()
    return slopes


def _less_first(paired: pd.DataFrame, level: int) -> list[float]:
    """One level less the first, for the seeds that have both."""
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
    change = _less_first(paired.auroc, last)
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
        change=estimate(change, SIGNED),
        alike=equivalence(change),
        bits=bits,
        control=control,
        auroc=paired.auroc,
        bits_per_dim=paired.bits,
    )
    if stopped:
        return found
    outcome, reason = _decide(found)
    return found._replace(outcome=outcome, reason=reason)


def _decide(found: Verdict) -> tuple[Outcome, str]:
    """The lines of the rule that follow once there is enough to judge."""
    if found.alike.equivalent:
        return "no effect", f"the change in AUROC is shown to lie within ± {MARGIN}"
    if found.effect.high < 0:
        return "worsens", "AUROC falls"
    if not found.effect.low > 0:
        return "inconclusive", f"neither an effect nor its absence (within ± {MARGIN}) is shown"
    if not found.last.low > FIXED:
        return "improves, does not fix", f"AUROC rises, but is not shown to exceed {FIXED}"
    if found.first.low > FIXED:
        return "improves, does not fix", f"AUROC was above {FIXED} before, so nothing was to fix"
    return "fixes", f"AUROC rises, and to more than {FIXED}"
