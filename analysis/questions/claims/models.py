"""Properties of the models of a claim: size, likelihood, train-test gap, and converged training.

They are the same for every outsider set and score, so a suite has one table of them.
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
from tune_ad.storage.metric import Metric

BITS_UNIT = Unit(1, ".3f")
GAP_UNIT = Unit(1, "+.3g")


class LevelModels(NamedTuple):
    """All models of one stratum at one level of the factor.

    Attributes:
        stratum: what is held fixed, in words.
        level: the level of the factor.
        models: number of models, failed ones included.
        parameters: number of parameters of a model; NaN if not recorded.
        flops: floating-point operations of a forward pass of one image; NaN if not recorded.
        bits: bits per dimension of normal images; lower = better models.
        gap: that of test images minus that of training images, in the unit of its metric;
            above 0 = overfitted.
        unit: the unit of `bits`.
        plateaued: number of models whose validation loss stopped improving before the last epoch.
        monitored: number of models of which that is recorded.
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


class SuiteModels(NamedTuple):
    """The models of one suite, which all its evidence shares.

    Attributes:
        suite: name of the task as recorded, with all its outsider sets.
        bits: metrics of their likelihood.
        gap: metrics of their train-test gap.
        by_level: the models at every level of every stratum, in the order of the levels.
    """

    suite: str
    bits: tuple[Metric, ...]
    gap: tuple[Metric, ...]
    by_level: Sequence[LevelModels]


def suite_models(evidence: Evidence) -> SuiteModels:
    """The models of the suite of any evidence."""
    table = evidence.table
    groups = table.groupby(["stratum", "factor"], sort=False)
    by_level = [_level_models(str(name), level, models) for (name, level), models in groups]
    strata = list(table["stratum"].unique())
    are_numbers = all(isinstance(models.level, int | float) for models in by_level)
    by_level.sort(key=lambda m: (strata.index(m.stratum), m.level if are_numbers else 0))
    return SuiteModels(evidence.suite, evidence.bits, evidence.gap, by_level)


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
    """The estimate over the models that have a finite number."""
    return estimate(values[np.isfinite(values)].tolist(), UNBOUNDED)


def without_plateau(claim: Claim, models: SuiteModels) -> Iterator[str]:
    """A warning about models that were still improving at their last epoch; none without such."""
    improving: Counter[Any] = Counter()
    for group in models.by_level:
        improving[group.level] += group.monitored - group.plateaued
    if improving := +improving:
        where = ", ".join(f"{number} at {short(level)}" for level, number in improving.items())
        yield (
            f"{models.suite}: {count(improving.total(), 'model')} ran out of epochs before the "
            f"validation loss stopped improving ({where}), so models of different {claim.factor} "
            "may not be equally converged."
        )


def models_table(claim: Claim, models: SuiteModels) -> Table:
    """The properties of the models at each level; the same for every outsider set and score."""
    caption = (
        f"The models of {models.suite} at each level of {claim.factor}: mean [95 % interval of "
        "Student's t over models]. FLOPs: floating-point operations of a forward pass of one "
        "image. Bits per dimension of normal images, lower = better models: "
        f"{metric_text(models.bits)}. Train-test gap, above 0 = overfitted: "
        f"{metric_text(models.gap)}. Plateau: number of models whose validation loss stopped "
        "improving before the last epoch, of those for which that was recorded."
    )
    shown = pd.DataFrame([_row(claim, group) for group in models.by_level])
    data = pd.DataFrame([_data(claim, group) for group in models.by_level])
    return Table(file_name("models", models.suite), shown, caption, data)


def metric_text(metrics: Sequence[Metric]) -> str:
    """The recorded metrics that a column shows, in words.

    >>> metric_text([Metric("gap", "negative_elbo")]), metric_text([])
    ('metric gap_negative_elbo', 'not recorded')
    """
    return f"metric {' or '.join(map(str, metrics))}" if metrics else "not recorded"


def bits_cell(bits: Estimate, unit: str, written: Unit) -> Cell:
    """A cell of a column of bits per dimension, which names its unit if it is another one."""
    suffix = "" if unit == BITS_PER_DIMENSION else f" {unit}"
    return Cell(bits.mean_interval(written) + suffix, bits.mean)


def _row(claim: Claim, models: LevelModels) -> dict[str, object]:
    parameters = "" if math.isnan(models.parameters) else f"{models.parameters:,.0f}"
    return {
        "stratum": models.stratum,
        claim.factor: models.level,
        "models": models.models,
        "parameters": Cell(parameters, models.parameters),
        "FLOPs": Cell(short(models.flops), models.flops),
        "bits/dim": bits_cell(models.bits, models.unit, BITS_UNIT),
        "train-test gap": models.gap.interval_cell(GAP_UNIT),
        "plateau": f"{models.plateaued} of {models.monitored}" if models.monitored else "",
    }


def _data(claim: Claim, models: LevelModels) -> dict[str, object]:
    return {
        "stratum": models.stratum,
        claim.factor: models.level,
        "models": models.models,
        "parameters": models.parameters,
        "flops": models.flops,
        **models.bits.columns("bits per dimension"),
        "unit of bits": models.unit,
        **models.gap.columns("gap"),
        "converged": models.plateaued,
        "monitored": models.monitored,
    }
