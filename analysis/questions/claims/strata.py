"""What is estimated in each stratum of a claim: effects on AUROC and on the models' likelihood.

A table of models has one row per trained model with the columns factor (a width, or the name of a
training objective), seed, auroc (against one outsider set), bits_per_dim (of normal images;
lower = better model), stratum (what is held fixed, in words), and whether the model received the
treatment that the claim is about (1 = yes, 0 = no, NaN = not recorded): plateau (training ended
because the validation loss had stopped improving) or spread (importance weights on several
codes, see `effective`). The optional column unit names the unit of bits_per_dim if it is another
one, such as nats per image.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.image_sampling import ImageRanks, error_of_mean
from analysis.stats.estimates import Coverage, Estimate, estimate
from analysis.stats.paired import Equivalence, equivalence
from tune_ad.search.claim import Claim
from tune_ad.storage.score_ranks import PartRanks

UNBOUNDED = (-math.inf, math.inf)
SIGNED = (-1.0, 1.0)
BITS_PER_DIMENSION = "bits per dimension"


class ClaimDesign(NamedTuple):
    """How the levels of one kind of claim are compared.

    Attributes:
        axis: the quantity whose values are the levels, such as "width"; empty = the levels are
            names.
        needed: the levels that a seed needs to be paired, in words.
        first: the level from which differences are taken, as a phrase after "AUROC".
        last: the level at which the claim must hold, in the same form.
        effect: the effect on AUROC, in words.
        paired_by: how the effect is taken, as a phrase after a number.
        last_level: the position of that level; -1 = the largest.
        realised: the column that says whether a model received the treatment.
        treated: the levels at which models must have received it, as a slice of positions.
        needs_bits: whether a seed also needs the likelihood of normal images to be paired.
        bounds: the range of the effect on AUROC.
        effects: the effect in each seed, from a table of seeds (rows) by levels (columns).
        weights: the weight of the AUROC of each level in the effect.
        comparisons: the levels of each comparison in order, from the claim and all levels.
    """

    axis: str
    needed: str
    first: str
    last: str
    effect: str
    paired_by: str
    last_level: int
    realised: str
    treated: slice
    needs_bits: bool
    bounds: tuple[float, float]
    effects: Callable[[pd.DataFrame], list[float]]
    weights: Callable[[Sequence[Any]], list[float]]
    comparisons: Callable[[Claim, list[Any]], list[list[Any]]]

    def level_text(self, level: float | str) -> str:
        """A level in words, such as "width 16"."""
        return f"{self.axis} {level:g}" if self.axis else str(level)


def _slopes(paired: pd.DataFrame) -> list[float]:
    """The least-squares slope on log2 of the columns in each row; empty for a single column."""
    if paired.shape[1] < 2 or paired.empty:
        return []
    log_widths = np.log2(paired.columns.to_numpy(float))
    slopes: list[float] = np.polyfit(log_widths, paired.to_numpy(float).T, 1)[0].tolist()
    return slopes


def _slope_weights(levels: Sequence[Any]) -> list[float]:
    """The weights of values at the levels in their least-squares slope on log2 of the levels."""
    if len(levels) < 2:
        return [0.0] * len(levels)
    centred = np.log2(np.array(levels, dtype=float))
    centred -= centred.mean()
    weights: list[float] = (centred / (centred**2).sum()).tolist()
    return weights


def _difference_weights(levels: Sequence[Any]) -> list[float]:
    """The weights of the second level minus the first."""
    return [-1.0, 1.0, *[0.0] * (len(levels) - 2)]


def _minus_first(paired: pd.DataFrame, level: int = 1) -> list[float]:
    """A column minus the first one, for the seeds that have both."""
    difference: list[float] = (paired.iloc[:, level] - paired.iloc[:, 0]).dropna().tolist()
    return difference


def _all_levels(_: Claim, levels: Sequence[Any]) -> list[list[Any]]:
    """One comparison of all levels, the smallest first."""
    return [sorted(levels)]


def _each_treatment(claim: Claim, levels: Sequence[Any]) -> list[list[Any]]:
    """One comparison per treatment: the baseline, the treatment, and the control if it was run.

    Every level that is neither the baseline nor the control is a treatment.
    """
    baseline, control = claim.baseline_level, claim.control_level
    controls = [control] if control in levels else []
    treatments = [level for level in levels if level not in (baseline, control)]
    return [[baseline, treatment, *controls] for treatment in treatments]


SWEEP = ClaimDesign(
    axis="width",
    needed="every width",
    first="at the smallest width",
    last="at the largest width",
    effect="slope of AUROC on log2 width",
    paired_by="per doubling of the width",
    last_level=-1,
    realised="plateau",
    treated=slice(None),
    needs_bits=True,
    bounds=UNBOUNDED,
    effects=_slopes,
    weights=_slope_weights,
    comparisons=_all_levels,
)
TREATMENT = ClaimDesign(
    axis="",
    needed="both levels",
    first="of the baseline",
    last="of the treatment",
    effect="paired difference in AUROC (treatment minus baseline)",
    paired_by="paired",
    last_level=1,
    realised="spread",
    treated=slice(1, 2),
    needs_bits=False,
    bounds=SIGNED,
    effects=_minus_first,
    weights=_difference_weights,
    comparisons=_each_treatment,
)


class RankedImages(NamedTuple):
    """The test images of a task against one outsider set, with their ranks by some models.

    Attributes:
        task: the name of the task.
        outsider: the name of the outsider set in stored ranks.
        ranks: the ranks of the images by the number of the trial; empty if none are stored.
    """

    task: str
    outsider: str
    ranks: Mapping[int, PartRanks]

    def ranks_of(self, numbers: Collection[int]) -> ImageRanks:
        """The ranks of the images by the models of a trial; empty if they are not stored.

        Args:
            numbers: the number of the trial; empty ranks if there are several trials, or none.
        """
        stored = [self.ranks[number] for number in numbers if number in self.ranks]
        return ImageRanks({self.task: stored[0]} if len(numbers) == len(stored) == 1 else {})


@dataclass(frozen=True, eq=False)
class Stratum:
    """The models of one stratum, and what is estimated from the seeds that can be paired.

    Intervals are Student's 95 % intervals over seeds; those of AUROC also cover the sampling of
    test images where ranks of the scores are stored.

    Attributes:
        design: how the levels are compared.
        name: what was held fixed, in words.
        levels: the levels of the comparison, in the order of the design.
        table: the models at these levels.
        images: the test images; None if their ranks are unknown.
    """

    design: ClaimDesign
    name: str
    levels: tuple[Any, ...]
    table: pd.DataFrame
    images: RankedImages | None = None

    @property
    def title(self) -> str:
        """The name, with the levels that are compared if one treatment is compared at a time."""
        if self.design.axis or len(self.levels) < 2:
            return self.name
        treatment, baseline = self.levels[self.last_level], self.levels[0]
        return f"{self.name}, {treatment} minus {baseline}"

    def image_error(self, weights: Sequence[float]) -> float:
        """The standard error of a weighted sum of AUROCs that is due to the sampling of images.

        It is that of the models of the paired seeds that have an AUROC at these levels. NaN if
        ranks of one of them are missing, as in studies of earlier versions, or if there is none.

        Args:
            weights: the weight of each level.
        """
        weighted = {k: weight for k, weight in enumerate(weights) if weight}
        if not weighted:
            return 0.0
        seeds = self.auroc.iloc[:, list(weighted)].dropna().index
        if self.images is None or not self.images.ranks or seeds.empty:
            return math.nan
        contrast = [
            (self.images.ranks_of(self._trials_at(self.levels[k])), weight)
            for k, weight in weighted.items()
        ]
        task, outsider = self.images.task, self.images.outsider
        return error_of_mean(contrast, [task], [*map(int, seeds)], outsider)

    @property
    def coverage(self) -> Coverage:
        """What the interval of the effect covers."""
        error = self.image_error(self.design.weights(self.levels))
        return Coverage.IMAGES if math.isfinite(error) else Coverage.SEEDS

    def _trials_at(self, level: object) -> list[int]:
        """The numbers of the trials at a level."""
        numbers: list[int] = (
            self.table.loc[self.table["factor"] == level, "number"].unique().tolist()
        )
        return numbers

    def _difference_error(self, level: int) -> float:
        """The image error of AUROC at a level minus that at the first."""
        return self.image_error(
            [float(k == level) - float(k == 0) for k in range(len(self.levels))]
        )

    @cached_property
    def unit(self) -> str:
        """The unit of `bits_per_dim` and `bits`."""
        return str(self.table["unit"].iloc[0]) if "unit" in self.table else BITS_PER_DIMENSION

    @cached_property
    def every_auroc(self) -> pd.DataFrame:
        """AUROC of every seed (rows) at every level (columns); NaN if it is missing."""
        return self._by_seed("auroc")

    @cached_property
    def every_bits(self) -> pd.DataFrame:
        """Bits per dimension in the same form."""
        return self._by_seed("bits_per_dim")

    @cached_property
    def every_treatment(self) -> pd.DataFrame:
        """Whether models received the treatment, by seed (rows) and level that needs it."""
        return self._by_seed(self.design.realised).iloc[:, self.design.treated]

    @cached_property
    def complete(self) -> pd.Series:
        """Which seeds have all numbers that the design needs; a control may be missing."""
        has_auroc = self.every_auroc.iloc[:, : self.last_level + 1].notna().all(axis=1)
        has_bits = self.every_bits.notna().all(axis=1)
        return has_auroc & has_bits if self.design.needs_bits else has_auroc

    @cached_property
    def paired(self) -> pd.Series:
        """Which complete seeds received the treatment at every level that needs it."""
        return self.complete & self.every_treatment.eq(1).all(axis=1)

    @property
    def n(self) -> int:
        """Number of paired seeds."""
        return int(self.paired.sum())

    @property
    def left_out(self) -> int:
        """Number of seeds that cannot be paired: a number or the treatment is missing."""
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
        """The design's effect on AUROC."""
        error = self.image_error(self.design.weights(self.levels))
        plain = estimate(self.design.effects(self.auroc), self.design.bounds)
        return plain.with_error(error, self.design.bounds)

    @cached_property
    def bits(self) -> Estimate:
        """The same effect on bits per dimension; below 0 = a better model of normal images."""
        return estimate(self.design.effects(self.bits_per_dim), UNBOUNDED)

    @cached_property
    def control(self) -> Estimate:
        """AUROC of the control minus that of the baseline, paired; n = 0 without a control."""
        has_control = len(self.levels) > self.last_level + 1
        if not has_control:
            return estimate([], SIGNED)
        return self._minus_first(len(self.levels) - 1)

    @property
    def last_level(self) -> int:
        """The position of the largest width, or of the treatment."""
        return self.design.last_level % len(self.levels)

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
        return self._minus_first(self.last_level)

    def _minus_first(self, level: int) -> Estimate:
        """AUROC at a level minus that at the first, paired."""
        plain = estimate(_minus_first(self.auroc, level), SIGNED)
        return plain.with_error(self._difference_error(level), SIGNED)

    @cached_property
    def equivalences(self) -> tuple[Equivalence, ...]:
        """Equivalence tests of every later level, up to the last, against the first."""
        return tuple(
            equivalence(_minus_first(self.auroc, level), error=self._difference_error(level))
            for level in range(1, self.last_level + 1)
        )

    def gap(self, level: int, other: int) -> Estimate:
        """AUROC at a level minus that at another one, given by their positions, paired."""
        plain = estimate((self.auroc.iloc[:, level] - self.auroc.iloc[:, other]).tolist(), SIGNED)
        weights = [float(k == level) - float(k == other) for k in range(len(self.levels))]
        return plain.with_error(self.image_error(weights), SIGNED)

    @property
    def equivalent(self) -> bool:
        """Whether every level counts as equal to the first: all tests hold (an intersection)."""
        return bool(self.equivalences) and all(test.equivalent for test in self.equivalences)

    def auroc_at(self, level: int) -> Estimate:
        """AUROC at a level, given by its position, over the paired seeds that have it."""
        plain = estimate(self.auroc.iloc[:, level].dropna().tolist())
        return plain.with_error(self.image_error([k == level for k in range(len(self.levels))]))

    def change_at(self, level: int) -> Estimate:
        """AUROC at a level minus that at the first, paired; n = 0 at the first."""
        return self._minus_first(level) if level else estimate([], SIGNED)

    def equivalence_at(self, level: int) -> Equivalence | None:
        """The test of no difference from the first level; None if no test is needed."""
        return self.equivalences[level - 1] if 0 < level <= self.last_level else None

    def _by_seed(self, column: str) -> pd.DataFrame:
        """A column of the table by seed (rows) and level (columns); NaN if not finite."""
        wide = self.table.pivot(index="seed", columns="factor", values=column)
        by_level = wide.reindex(columns=list(self.levels)).astype(float)
        return by_level.replace([math.inf, -math.inf], math.nan)


def strata(
    claim: Claim,
    design: ClaimDesign,
    table: pd.DataFrame,
    images: RankedImages | None = None,
) -> list[Stratum]:
    """The strata of a table of models, one per comparison of the design.

    Args:
        claim: the claim that is tested.
        design: how the levels of such a claim are compared.
        table: the models, as described at the head of this module.
        images: the test images, as in `Stratum`.

    Raises:
        ValueError: if a level of an axis is not a number above 0, or two models of a stratum have
            the same level and seed.
    """
    if axis := design.axis:
        levels = pd.to_numeric(table["factor"], errors="coerce")
        if not (levels > 0).all():
            raise ValueError(f"{axis}s must be numbers above 0, got {[*table['factor'].unique()]}")
        table = table.assign(factor=levels)
    return [
        replace(_stratum(design, str(name), levels, models), images=images)
        for name, models in table.groupby("stratum", sort=False)
        for levels in design.comparisons(claim, list(models["factor"].unique()))
    ]


def _stratum(design: ClaimDesign, name: str, levels: list[Any], table: pd.DataFrame) -> Stratum:
    models = table[table["factor"].isin(levels)]
    if models.duplicated(["factor", "seed"]).any():
        raise ValueError("two models have the same level and seed")
    return Stratum(design, name, tuple(levels), models)
