"""What is estimated in each stratum of a claim: effects on AUROC and on the models' likelihood.

A table of models has one row per trained model with the columns factor (a width, or the name of a
training objective), seed, auroc (against one outsider set), bits_per_dim (of normals of the
training distribution; lower = better model) and stratum (what is held fixed, in words). A column
unit is there where bits_per_dim holds numbers in another unit, such as nats per image of a
likelihood that has no bits.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analysis.stats.estimates import Estimate, estimate
from analysis.stats.paired import Equivalence, equivalence
from tune_ad.search.claim import Claim, ClaimKind

UNBOUNDED = (-math.inf, math.inf)
SIGNED = (-1.0, 1.0)
BITS_PER_DIMENSION = "bits per dimension"


@dataclass(frozen=True, eq=False)
class Stratum:
    """The models of one stratum, and what is estimated from the seeds that can be paired.

    Slopes are least-squares slopes on log2 width within each seed, so that a slope is a change per
    doubling; intervals are Student's over seeds, at 95 %.

    Attributes:
        claim: "capacity" or "forward_kl".
        name: what was held fixed, in words.
        levels: the widths, smallest first; or baseline, treatment and control, if there is one.
        table: its models.
    """

    claim: ClaimKind
    name: str
    levels: tuple[Any, ...]
    table: pd.DataFrame

    @cached_property
    def unit(self) -> str:
        """Of `bits_per_dim` and `bits`."""
        return str(self.table["unit"].iloc[0]) if "unit" in self.table else BITS_PER_DIMENSION

    @cached_property
    def every_auroc(self) -> pd.DataFrame:
        """AUROC of every seed (rows) at every level (columns); NaN where it is missing."""
        return self._by_seed("auroc")

    @cached_property
    def every_bits(self) -> pd.DataFrame:
        """Bits per dimension in the same form."""
        return self._by_seed("bits_per_dim")

    @cached_property
    def paired(self) -> pd.Series:
        """Which seeds have AUROC and bits at every width, or AUROC of baseline and treatment."""
        if self.claim == "forward_kl":
            return self.every_auroc.iloc[:, :2].notna().all(axis=1)
        return self.every_auroc.notna().all(axis=1) & self.every_bits.notna().all(axis=1)

    @property
    def n(self) -> int:
        """Number of paired seeds."""
        return int(self.paired.sum())

    @property
    def left_out(self) -> int:
        """Number of seeds that cannot be paired, because a number is missing."""
        return len(self.paired) - self.n

    @property
    def auroc(self) -> pd.DataFrame:
        """AUROC of the paired seeds."""
        return self.every_auroc[self.paired]

    @property
    def bits_per_dim(self) -> pd.DataFrame:
        """Bits per dimension of the paired seeds."""
        return self.every_bits[self.paired]

    @cached_property
    def effect(self) -> Estimate:
        """On AUROC: slope per doubling of the width; or treatment minus baseline, paired."""
        bounds = UNBOUNDED if self.claim == "capacity" else SIGNED
        return estimate(self._effects(self.auroc), bounds)

    @cached_property
    def bits(self) -> Estimate:
        """The same effect on bits per dimension; below 0 = a better model of the normals."""
        return estimate(self._effects(self.bits_per_dim), UNBOUNDED)

    @cached_property
    def control(self) -> Estimate:
        """AUROC of control minus baseline, paired; n = 0 where there is no control."""
        has_control = self.claim == "forward_kl" and len(self.levels) > 2
        return estimate(_minus_first(self.auroc, 2) if has_control else [], SIGNED)

    @property
    def last_level(self) -> int:
        """Column of the largest width, or of the treatment."""
        return 1 if self.claim == "forward_kl" else len(self.levels) - 1

    @property
    def first(self) -> Estimate:
        """AUROC at the smallest width, or of the baseline."""
        return self.auroc_at(0)

    @property
    def last(self) -> Estimate:
        """AUROC at the largest width, or of the treatment."""
        return self.auroc_at(self.last_level)

    @property
    def change(self) -> Estimate:
        """AUROC of `last` minus that of `first`, paired."""
        return estimate(_minus_first(self.auroc, self.last_level), SIGNED)

    @cached_property
    def equivalences(self) -> tuple[Equivalence, ...]:
        """For each later width, or the treatment: whether AUROC counts as that of the first."""
        changes = [_minus_first(self.auroc, level) for level in range(1, self.last_level + 1)]
        return tuple(map(equivalence, changes))

    @property
    def equivalent(self) -> bool:
        """Whether every level counts as equal to the first: all tests hold (an intersection)."""
        return bool(self.equivalences) and all(test.equivalent for test in self.equivalences)

    def auroc_at(self, level: int) -> Estimate:
        """AUROC at a level, given by its column, over the paired seeds that have it."""
        return estimate(self.auroc.iloc[:, level].dropna().tolist())

    def change_at(self, level: int) -> Estimate:
        """AUROC at a level minus that at the first, paired; n = 0 at the first."""
        return estimate(_minus_first(self.auroc, level) if level else [], SIGNED)

    def equivalence_at(self, level: int) -> Equivalence | None:
        """The test of no difference from the first level; None where the rules ask for none."""
        return self.equivalences[level - 1] if 0 < level <= self.last_level else None

    def _by_seed(self, column: str) -> pd.DataFrame:
        """A column of the table by seed (rows) and level (columns); NaN where not finite."""
        wide = self.table.pivot(index="seed", columns="factor", values=column)
        by_level = wide.reindex(columns=list(self.levels)).astype(float)
        return by_level.replace([math.inf, -math.inf], math.nan)

    def _effects(self, paired: pd.DataFrame) -> list[float]:
        """The effect on a quantity, one per seed."""
        return _slopes(paired) if self.claim == "capacity" else _minus_first(paired, 1)


def strata(claim: Claim, table: pd.DataFrame) -> list[Stratum]:
    """The strata of a table of models; for "forward_kl" one per stratum and treatment.

    Every level that is neither the baseline nor the control is a treatment.

    Args:
        claim: that is tested.
        table: of models, as above.

    Raises:
        ValueError: if a width is no number above 0, or a stratum has two models of one level and
            seed.
    """
    if claim.kind == "capacity":
        widths = pd.to_numeric(table["factor"], errors="coerce")
        if not (widths > 0).all():
            raise ValueError(f"widths must be numbers above 0, got {[*table['factor'].unique()]}")
        table = table.assign(factor=widths)
    return [
        _stratum(claim.kind, str(name), levels, models)
        for name, models in table.groupby("stratum", sort=False)
        for levels in _levels(claim, list(models["factor"].unique()))
    ]


def _levels(claim: Claim, present: list[Any]) -> list[list[Any]]:
    """The levels of each comparison, in their order."""
    if claim.kind == "capacity":
        return [sorted(present)]
    baseline, control = claim.baseline_level, claim.control_level
    controls = [control] if control in present else []
    treatments = [level for level in present if level not in (baseline, control)]
    return [[baseline, treatment, *controls] for treatment in treatments]


def _stratum(claim: ClaimKind, name: str, levels: list[Any], table: pd.DataFrame) -> Stratum:
    models = table[table["factor"].isin(levels)]
    if models.duplicated(["factor", "seed"]).any():
        raise ValueError("there are two models of one level and seed")
    return Stratum(claim, name, tuple(levels), models)


def _slopes(paired: pd.DataFrame) -> list[float]:
    """Least-squares slope of each seed on log2 of the columns; none for a single column."""
    if paired.shape[1] < 2 or paired.empty:
        return []
    log_widths = np.log2(paired.columns.to_numpy(float))
    slopes: list[float] = np.polyfit(log_widths, paired.to_numpy(float).T, 1)[0].tolist()
    return slopes


def _minus_first(paired: pd.DataFrame, level: int) -> list[float]:
    """A column minus the first, for the seeds that have both."""
    difference: list[float] = (paired.iloc[:, level] - paired.iloc[:, 0]).dropna().tolist()
    return difference
