"""Properties of the models of a claim: size, likelihood, train-test gap, and converged training.

They are the same for every outsider set and score, so a suite has one table of them.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.document.blocks import Cell, Table
from analysis.document.format import Unit, file_name, short
from analysis.questions.claims.evidence import Evidence
from analysis.questions.claims.strata import BITS_PER_DIMENSION, UNBOUNDED
from analysis.stats.estimates import Estimate, estimate
from tune_ad.search.claim import Claim
from tune_ad.storage.metric import Metric
from tune_ad.wording import count

BITS_UNIT = Unit(1, ".3f")
GAP_UNIT = Unit(1, "+.3g")


def without_plateau(claim: Claim, evidence: Evidence) -> Iterator[str]:
    """A warning about models that were still improving at their last epoch; none without such."""
    improving: Counter[Any] = Counter()
    for _, level, models in _by_level(evidence.table):
        improving[level] += int((models["plateau"] == 0).sum())
    if improving := +improving:
        levels = ", ".join(f"{number} at {short(level)}" for level, number in improving.items())
        yield (
            f"{evidence.suite}: {count(improving.total(), 'model')} ran out of epochs before the "
            f"validation loss stopped improving ({levels}), so models of different {claim.factor} "
            "may not be equally converged."
        )


def models_table(claim: Claim, evidence: Evidence) -> Table:
    """The properties of the models at each level; the same for all evidence of a suite."""
    caption = (
        f"The models of {evidence.suite} at each level of {claim.factor}: mean [95 % interval of "
        "Student's t over models]. FLOPs: floating-point operations of a forward pass of one "
        "image. Bits per dimension of normal images, lower = better models: "
        f"{metric_text(evidence.bits)}. Train-test gap, above 0 = overfitted: "
        f"{metric_text(evidence.gap)}. Plateau: number of models whose validation loss stopped "
        "improving before the last epoch, of those for which that was recorded."
    )
    rows = [_rows(claim.factor, *group) for group in _by_level(evidence.table)]
    return table_of(file_name("models", evidence.suite), rows, caption)


def table_of(
    name: str, rows: Sequence[tuple[dict[str, Any], dict[str, Any]]], caption: str
) -> Table:
    """A table of rows, each as it is shown and as it is stored."""
    shown, data = (pd.DataFrame([row[k] for row in rows]) for k in (0, 1))
    return Table(name, shown, caption, data)


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


def _by_level(table: pd.DataFrame) -> list[tuple[str, Any, pd.DataFrame]]:
    """Stratum, level and models of each group, in the order of the strata and levels."""
    strata = list(table["stratum"].unique())
    grouped = table.groupby(["stratum", "factor"], sort=False)
    groups = [(str(stratum), level, models) for (stratum, level), models in grouped]
    are_numbers = all(isinstance(level, int | float) for _, level, _ in groups)
    return sorted(groups, key=lambda g: (strata.index(g[0]), g[1] if are_numbers else 0))


def _rows(
    factor: str, stratum: str, level: object, models: pd.DataFrame
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row of a group of models, failed ones included: as it is shown and as it is stored."""
    parameters, flops = (float(models[name].max()) for name in ("parameters", "flops"))
    bits, gap = (_over_models(models[name]) for name in ("bits_per_dim", "gap"))
    unit = str(models["unit"].iloc[0])
    converged, monitored = int((models["plateau"] == 1).sum()), int(models["plateau"].count())
    head = {"stratum": stratum, factor: level, "models": len(models)}
    shown = {
        "parameters": Cell("" if math.isnan(parameters) else f"{parameters:,.0f}", parameters),
        "FLOPs": Cell(short(flops), flops),
        "bits/dim": bits_cell(bits, unit, BITS_UNIT),
        "train-test gap": gap.interval_cell(GAP_UNIT),
        "plateau": f"{converged} of {monitored}" if monitored else "",
    }
    data = {
        "parameters": parameters,
        "flops": flops,
        **bits.columns("bits per dimension"),
        "unit of bits": unit,
        **gap.columns("gap"),
        "converged": converged,
        "monitored": monitored,
    }
    return head | shown, head | data


def _over_models(values: pd.Series) -> Estimate:
    """The estimate over the models that have a finite number."""
    return estimate(values[np.isfinite(values)].tolist(), UNBOUNDED)
