"""The records of a study as data frames: one row per trial, per replica, per score variant."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tune_ad.search.selection import RULES, mean
from tune_ad.storage.records import TrialRecord


def trials(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per trial, in the order of their numbers.

    Columns: number, identity, baseline, detector, state, reason, objective, each rule's value,
    parameters (their count), seconds, then every hyperparameter as "param/<name>"; one that a
    detector lacks is empty.
    """
    rows = [_trial(record) for record in sorted(records, key=lambda record: record.number)]
    return pd.DataFrame(rows)


def _trial(record: TrialRecord) -> dict[str, Any]:
    complete = record.state == "complete"
    return {
        "number": record.number,
        "identity": record.identity,
        "baseline": record.baseline,
        "detector": record.detector,
        "state": record.state,
        "reason": record.reason,
        "objective": record.objective,
        **{
            rule: value(record.metrics, record.identity) if complete else None
            for rule, value in RULES.items()
        },
        "collapsed": models_collapsed(record),
        "failed replicas": sum(each.state == "failed" for each in record.replicas),
        "replicas": len(record.replicas),
        "parameters": record.models.get("parameters"),
        "seconds": record.seconds,
        **{f"param/{name}": value for name, value in record.params.items()},
    }


def models_collapsed(record: TrialRecord) -> int:
    """How many replicas gave all held-out, or all test, images one score, but for rounding."""
    parts = [record.metrics.get(f"{part}_collapsed", []) for part in ("validation", "test")]
    return sum(1 in each for each in itertools.zip_longest(*parts))


def replicas(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per replica with its task, seed, state, reason and every metric.

    A metric that a replica lacks is NaN.
    """
    if not records:
        return pd.DataFrame()
    sizes = [len(record.replicas) for record in records]
    everyone = [replica for record in records for replica in record.replicas]
    columns: dict[str, Any] = {
        "number": np.repeat([record.number for record in records], sizes),
        "baseline": pd.Categorical(np.repeat([r.baseline for r in records], sizes)),
        "task": pd.Categorical([replica.task for replica in everyone]),
        "seed": [replica.seed for replica in everyone],
        "state": pd.Categorical([replica.state for replica in everyone]),
        "reason": pd.Categorical([replica.reason for replica in everyone]),
    }
    return pd.DataFrame(columns | _metrics(records, sizes))


def _metrics(records: Sequence[TrialRecord], sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """Every metric of all replicas, in the order of the records."""
    names = dict.fromkeys(name for record in records for name in record.metrics)
    columns = {name: np.full(sum(sizes), np.nan) for name in names}
    start = 0
    for record, size in zip(records, sizes, strict=True):
        for name, values in record.metrics.items():
            columns[name][start : start + size] = np.asarray(values, dtype=float)
        start += size
    return columns


def by_seed(table: pd.DataFrame) -> pd.Series:
    """Test AUROC of each seed of which every class is complete: the mean over classes.

    Args:
        table: of the replicas of one configuration, with the columns task, seed, state and
            test_auroc.
    """
    return by_trial_and_seed(table.assign(number=0)).sum(axis=0, min_count=1).dropna()


def by_trial_and_seed(table: pd.DataFrame, metric: str = "test_auroc") -> pd.DataFrame:
    """A metric of each trial (rows) and seed (columns): the mean over classes.

    NaN where a class of that seed is missing, has failed or has no such number.

    Args:
        table: of replicas, with the columns number, task, seed, state and the metric.
        metric: name of the column.
    """
    values = table[metric].where(table["state"] == "complete")
    groups = values.groupby([table["number"], table["seed"]])
    means = groups.mean().where(groups.count() == table["task"].nunique())
    wide: pd.DataFrame = means.unstack("seed")
    return wide


def cells(table: pd.DataFrame, metric: str = "test_auroc") -> pd.DataFrame:
    """A metric of each trial (rows) in each cell (columns: task, seed); NaN where it failed.

    Args:
        table: as in `by_trial_and_seed`.
        metric: name of the column.
    """
    values = table[metric].where(table["state"] == "complete")
    keys = [table["number"], table["task"].astype(str), table["seed"]]
    wide: pd.DataFrame = values.groupby(keys).first().unstack(["task", "seed"])
    return wide


def variants(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per trial, score variant and metric: the mean over replicas, and how many there are.

    The mean is empty where a replica has failed.
    """
    rows = [
        {
            "number": record.number,
            "baseline": record.baseline,
            "seeds": ",".join(map(str, sorted({each.seed for each in record.replicas}))),
            "variant": variant,
            "metric": metric,
            "mean": mean(values),
            "replicas": len(values),
        }
        for record in records
        for variant, metrics in record.variants.items()
        for metric, values in metrics.items()
    ]
    return pd.DataFrame(rows)
