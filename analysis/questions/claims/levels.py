"""What the verdict on a claim rests on, level by level: AUROC, and what the models are."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.questions.claims.evidence import Evidence
from analysis.questions.claims.verdict import SIGNED, WITHOUT_BOUNDS, Verdict, less_first
from analysis.stats.estimates import Estimate, estimate
from analysis.stats.paired import Equivalence


class Level(NamedTuple):
    """AUROC of the paired seeds at one level.

    Attributes:
        stratum: what was held fixed.
        level: of the factor.
        auroc: over seeds.
        less: AUROC less that at the first level, paired; n = 0 at the first.
        alike: whether that counts as none; None where the rule does not ask.
    """

    stratum: str
    level: Any
    auroc: Estimate
    less: Estimate
    alike: Equivalence | None


class Models(NamedTuple):
    """All models of one stratum at one level.

    Attributes:
        stratum: what is held fixed.
        level: of the factor.
        models: how many, failed ones included.
        parameters: of each; NaN where not recorded.
        flops: of a forward pass of one image; NaN where not recorded.
        bits: bits per dimension of normals; below = a better model.
        gap: test less training, in the unit of its metric; above 0 = overfitted.
        unit: of `bits`.
        plateaus: models that stopped improving before their epochs were over.
        watched: models of which that is recorded.
    """

    stratum: str
    level: Any
    models: int
    parameters: float
    flops: float
    bits: Estimate
    gap: Estimate
    unit: str
    plateaus: int
    watched: int


def levels(found: Verdict) -> list[Level]:
    """AUROC at every level of a verdict."""
    return [
        Level(
            found.stratum,
            level,
            estimate(found.auroc.iloc[:, k].dropna().tolist()),
            estimate(less_first(found.auroc, k) if k else [], SIGNED),
            found.alike[k - 1] if 0 < k <= len(found.alike) else None,
        )
        for k, level in enumerate(found.levels)
    ]


def models(found: Evidence) -> list[Models]:
    """What the models are at every level of every stratum, in the order of the levels."""
    return [
        _models(str(stratum), own)
        for stratum, group in found.table.groupby("stratum", sort=False)
        for own in _by_level(group)
    ]


def unfinished(found: list[Models]) -> dict[Any, int]:
    """Models that ran out of epochs before their plateau, by level; none where all reached it."""
    missed: dict[Any, int] = {}
    for each in found:
        if each.plateaus < each.watched:
            missed[each.level] = missed.get(each.level, 0) + each.watched - each.plateaus
    return missed


def _by_level(group: pd.DataFrame) -> Iterator[pd.DataFrame]:
    names = list(group["factor"].unique())
    if all(isinstance(name, int | float) for name in names):
        names = sorted(names)
    return (group[group["factor"] == name] for name in names)


def _models(stratum: str, own: pd.DataFrame) -> Models:
    return Models(
        stratum=stratum,
        level=own["factor"].iloc[0],
        models=len(own),
        parameters=float(own["parameters"].max()),
        flops=float(own["flops"].max()),
        bits=_over_models(own["bits_per_dim"]),
        gap=_over_models(own["gap"]),
        unit=str(own["unit"].iloc[0]),
        plateaus=int((own["plateau"] == 1).sum()),
        watched=int(own["plateau"].notna().sum()),
    )


def _over_models(values: pd.Series) -> Estimate:
    """Of the models that have a finite number; n says how many."""
    return estimate(values[np.isfinite(values)].tolist(), WITHOUT_BOUNDS)
