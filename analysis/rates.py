"""Rates and distortions of the trials of a study: what a code costs, and what it loses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tune_ad.records import TrialRecord, Values

PARTS = ("test", "validation")


class Quantity(NamedTuple):
    """A quantity in nats per image over the replicas of a trial.

    Attributes:
        mean: over replicas, in nats per image.
        std: sample standard deviation over replicas (n - 1); NaN for one.
        bits_per_dim: the mean in bits per dimension; NaN where the quantity is known up to a
            constant only.
        n: replicas.
    """

    mean: float
    std: float
    bits_per_dim: float
    n: int


def quantity(nats: Values, bits: Values) -> Quantity | None:
    """A quantity from its values in nats and in bits per dimension; None if a replica failed."""
    values = [value for value in nats if value is not None]
    if not values or len(values) < len(nats):
        return None
    std = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    converted = [value for value in bits if value is not None]
    per_dim = float(np.mean(converted)) if converted else float("nan")
    return Quantity(float(np.mean(values)), std, per_dim, len(values))


def rates(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per complete trial with a rate and a distortion, on test or else held-out normals.

    Columns: number, baseline, "param/<name>" of what was searched, part, n, and for "rate" and
    "distortion" the mean in nats per image, its standard deviation over replicas ("... std") and
    "... bits/dim". Ordered by baseline and rate.
    """
    rows = [row for r in records if r.state == "complete" and (row := _row(r)) is not None]
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    return table.sort_values(["baseline", "rate"], kind="stable", ignore_index=True)


def _row(record: TrialRecord) -> dict[str, object] | None:
    metrics = record.metrics
    part = next((each for each in PARTS if f"{each}_rate" in metrics), None)
    if part is None:
        return None
    row: dict[str, object] = {"number": record.number, "baseline": record.baseline}
    row |= {f"param/{name}": record.params[name] for name in record.searched}
    row["part"] = part
    for name in ("rate", "distortion"):
        metric = f"{part}_{name}"
        if metric not in metrics:
            return None
        found = quantity(metrics[metric], metrics.get(f"{metric}_bits_per_dim", []))
        if found is None:
            return None
        row |= {"n": found.n, name: found.mean, f"{name} std": found.std}
        row[f"{name} bits/dim"] = found.bits_per_dim
    return row
