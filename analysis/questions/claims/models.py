"""The models that a claim is judged by: size, likelihood, overfitting, and whether they plateaued.

They are the same for every outsider set and response, so a suite has one table of them.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.document.blocks import Cell, Table
from analysis.document.format import Unit, count, file_name, short
from analysis.questions.claims.evidence import Evidence
from analysis.questions.claims.strata import BITS_PER_DIMENSION, UNBOUNDED
from analysis.stats.estimates import Estimate, estimate
from tune_ad.search.claim import Claim

BITS = Unit(1, ".3f")
GAP = Unit(1, "+.3g")


class LevelModels(NamedTuple):
    """All models of one stratum at one level of the factor.

    Attributes:
        stratum: what is held fixed, in words.
        level: of the factor.
        models: how many, failed ones included.
        parameters: of each model; NaN where not recorded.
        flops: floating-point operations of a forward pass of one image; NaN where not recorded.
        bits: bits per dimension of normals; lower = better models.
        gap: of test images minus that of training images, in the unit of its metric; above 0 =
            overfitted.
        unit: of `bits`.
        plateaued: models whose held-out loss stopped falling before their epochs were over.
        monitored: models of which that is recorded.
    """

    stratum: str
    level: Any
    models: int
    parameters: float
    flops: float
    bits: Estimate
    gap: Estimate
    unit: str
    plateaued: int
    monitored: int


def models_by_level(evidence: Evidence) -> list[LevelModels]:
    """The models at every level of every stratum, in the order of the levels."""
    return [
        _level_models(str(stratum), level, group[group["factor"] == level])
        for stratum, group in evidence.table.groupby("stratum", sort=False)
        for level in _ordered(list(group["factor"].unique()))
    ]


def _ordered(levels: list[Any]) -> list[Any]:
    are_numbers = all(isinstance(level, int | float) for level in levels)
    return sorted(levels) if are_numbers else levels


def _level_models(stratum: str, level: object, models: pd.DataFrame) -> LevelModels:
    return LevelModels(
        stratum=stratum,
        level=level,
        models=len(models),
        parameters=float(models["parameters"].max()),
        flops=float(models["flops"].max()),
        bits=_over_models(models["bits_per_dim"]),
        gap=_over_models(models["gap"]),
        unit=str(models["unit"].iloc[0]),
        plateaued=int((models["plateau"] == 1).sum()),
        monitored=int(models["plateau"].notna().sum()),
    )


def _over_models(values: pd.Series) -> Estimate:
    """Over the models that have a finite number; n says how many."""
    return estimate(values[np.isfinite(values)].tolist(), UNBOUNDED)


def without_plateau(claim: Claim, suite: str, by_level: Sequence[LevelModels]) -> Iterator[str]:
    """A warning about models that were not trained to their plateau; none where all were.

    Args:
        claim: that is tested.
        suite: name of the models' task, with all its outsider sets.
        by_level: the models at each level.
    """
    missed: Counter[Any] = Counter()
    for models in by_level:
        missed[models.level] += models.monitored - models.plateaued
    if missed := +missed:
        where = ", ".join(f"{models} at {short(level)}" for level, models in missed.items())
        yield (
            f"{suite}: {count(missed.total(), 'model')} ran out of epochs before the held-out "
            f"loss stopped falling ({where}), so the levels of {claim.factor} were not trained to "
            "the same criterion."
        )


def models_table(claim: Claim, evidence: Evidence, by_level: Sequence[LevelModels]) -> Table:
    """What the models are at each level; the same for every outsider set and response.

    Args:
        claim: that is tested.
        evidence: any that is about these models.
        by_level: the models at each level.
    """
    caption = (
        f"The models of {evidence.suite} at each level of {claim.factor}: mean [95 % interval of "
        "Student's t over models]. FLOPs: floating-point operations of a forward pass of one "
        "image. Bits per dimension of normals, lower = better models: "
        f"{metric_text(evidence.bits)}. Train-test gap, above 0 = overfitted: "
        f"{metric_text(evidence.gap)}. Plateau: models whose held-out loss stopped falling before "
        "their epochs were over, of those for which that was recorded."
    )
    shown = pd.DataFrame([_row(claim, models) for models in by_level])
    data = pd.DataFrame([_data(claim, models) for models in by_level])
    return Table(file_name("models", evidence.suite), shown, caption, data)


def metric_text(names: str) -> str:
    """Which recorded metric a number is, in words.

    >>> metric_text("gap_negative_elbo"), metric_text("")
    ('metric gap_negative_elbo', 'not recorded')
    """
    return f"metric {names}" if names else "not recorded"


def unit_text(unit: str) -> str:
    """What follows a number in a column of bits per dimension: its unit, where that is another."""
    return "" if unit == BITS_PER_DIMENSION else f" {unit}"


def ends(name: str, value: Estimate) -> dict[str, object]:
    """An estimate as three columns of a file: mean, lower and upper end of its interval."""
    return {name: value.mean, f"{name} low": value.low, f"{name} high": value.high}


def _row(claim: Claim, models: LevelModels) -> dict[str, object]:
    parameters = "" if math.isnan(models.parameters) else f"{models.parameters:,.0f}"
    return {
        "stratum": models.stratum,
        claim.factor: models.level,
        "models": models.models,
        "parameters": Cell(parameters, models.parameters),
        "FLOPs": Cell(short(models.flops), models.flops),
        "bits/dim": Cell(
            models.bits.mean_interval(BITS) + unit_text(models.unit), models.bits.mean
        ),
        "train-test gap": Cell(models.gap.mean_interval(GAP), models.gap.mean),
        "plateau": f"{models.plateaued} of {models.monitored}" if models.monitored else "",
    }


def _data(claim: Claim, models: LevelModels) -> dict[str, object]:
    return {
        "stratum": models.stratum,
        claim.factor: models.level,
        "models": models.models,
        "parameters": models.parameters,
        "flops": models.flops,
        **ends("bits per dimension", models.bits),
        "unit of bits": models.unit,
        **ends("gap", models.gap),
        "plateaus": models.plateaued,
        "watched": models.monitored,
    }
