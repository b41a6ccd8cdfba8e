"""The records of a study as data frames: one row per trial, per replica, per score variant."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tune_ad.selection import RULES, mean
from tune_ad.storage.metric import (
    TEST_AUROC,
    VALIDATION_AUROC,
    Metric,
    Metrics,
    ScoreVariant,
)
from tune_ad.storage.records import TrialRecord

AUROC = str(TEST_AUROC)
"""The column of test AUROC."""
PARAMS, CHOSEN = "params.", "chosen."
"""How the columns of hyperparameters, and of those that were chosen after training, begin."""
BY_METRIC = {"validation": str(VALIDATION_AUROC), "oracle": AUROC}
"""The rules whose value is a metric, by whose name their columns are called."""
FIRST = ("number", "baseline", "state", "reason", "objective", *BY_METRIC.values(), "seconds")
"""The columns of `trials` that a first look needs."""


def trials(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per trial, in the order of their numbers.

    Columns: number; identity; baseline; detector; state ("complete", "pruned" or "failed");
    reason of a failure; objective (the value of the study's selection rule, larger = better);
    validation_auroc and test_auroc (means over the models of the trial, in [0, 1]; test AUROC
    never selects, except under `oracle`); the value of each other selection rule, by its name;
    collapsed (models); failed_replicas; replicas; parameters (their count); seconds; then every
    hyperparameter as "params.<name>", which is empty for detectors without it, and as
    "chosen.<name>" every score-time parameter that was chosen on held-out images. Only complete
    trials have values of rules.
    """
    rows = [_trial(record) for record in sorted(records, key=lambda record: record.number)]
    return pd.DataFrame(rows)


def _trial(record: TrialRecord) -> dict[str, Any]:
    complete = record.state == "complete"
    values = {
        name: rule.value(record.metrics, record.identity) if complete else None
        for name, rule in RULES.items()
    }
    return {
        "number": record.number,
        "identity": record.identity,
        "baseline": record.baseline,
        "detector": record.detector,
        "state": record.state,
        "reason": record.reason,
        "objective": record.objective,
        **{BY_METRIC.get(name, name): values[name] for name in [*BY_METRIC, *values]},
        "collapsed": models_collapsed(record),
        "failed_replicas": sum(replica.state == "failed" for replica in record.replicas),
        "replicas": len(record.replicas),
        "parameters": record.models.get("parameters"),
        "seconds": record.seconds,
        **columns(PARAMS, record.params),
        **columns(CHOSEN, record.chosen),
    }


def columns(start: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as columns whose names begin with `PARAMS` or `CHOSEN`.

    >>> columns(PARAMS, {"width": 2})
    {'params.width': 2}
    """
    return {f"{start}{name}": value for name, value in values.items()}


def models_collapsed(record: TrialRecord) -> int:
    """The number of collapsed models: all validation or all test scores equal up to rounding.

    Args:
        record: the record of a trial or of the evaluation.
    """
    metrics = [Metric(part, "collapsed") for part in ("validation", "test")]
    parts = [record.metrics.get(metric, []) for metric in metrics]
    return sum(1 in flags for flags in itertools.zip_longest(*parts))


def replicas(
    records: Sequence[TrialRecord], variants: Iterable[ScoreVariant] = ()
) -> pd.DataFrame:
    """One row per replica with its task, seed, state, reason and every metric.

    A metric that a replica lacks is NaN.

    Args:
        records: the records of trials.
        variants: score variants whose metrics are added, in columns named by `score_column`.
    """
    if not records:
        return pd.DataFrame()
    sizes = [len(record.replicas) for record in records]
    all_replicas = [replica for record in records for replica in record.replicas]
    columns: dict[str, Any] = {
        "number": np.repeat([record.number for record in records], sizes),
        "baseline": pd.Categorical(np.repeat([r.baseline for r in records], sizes)),
        "task": pd.Categorical([replica.task for replica in all_replicas]),
        "seed": [replica.seed for replica in all_replicas],
        "state": pd.Categorical([replica.state for replica in all_replicas]),
        "reason": pd.Categorical([replica.reason for replica in all_replicas]),
    }
    columns |= _metrics([record.metrics for record in records], sizes)
    for variant in variants:
        by_variant = [record.variants.get(variant, {}) for record in records]
        columns |= {score_column(variant, m): v for m, v in _metrics(by_variant, sizes).items()}
    return pd.DataFrame(columns)


def score_column(variant: ScoreVariant, metric: Metric | str) -> str:
    """The column of a metric by a score variant."""
    return f"{variant} {metric}"


def _metrics(records: Sequence[Metrics], sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """The columns of all metrics, for the replicas of all records in their order."""
    metrics = dict.fromkeys(metric for record in records for metric in record)
    columns = {metric: np.full(sum(sizes), np.nan) for metric in metrics}
    starts = np.cumsum([0, *sizes])
    for record, start, size in zip(records, starts, sizes, strict=False):
        for metric, values in record.items():
            columns[metric][start : start + size] = np.asarray(values, dtype=float)
    return {str(metric): column for metric, column in columns.items()}


def by_seed(table: pd.DataFrame, metric: str = AUROC) -> pd.Series:
    """A metric of each seed for which every class is complete: the mean over classes.

    Args:
        table: the replicas of one configuration, with the columns task, seed and state; the
            result is empty if the metric is no column.
        metric: the name of the column.
    """
    if metric not in table:
        return pd.Series(dtype=float)
    by_trial = by_trial_and_seed(table.assign(number=0), metric)
    return by_trial.sum(axis=0, min_count=1).dropna()


def by_trial_and_seed(table: pd.DataFrame, metric: str = AUROC) -> pd.DataFrame:
    """A metric of each trial (rows) and seed (columns): the mean over classes.

    NaN if a class of that seed is missing, has failed or lacks the metric.

    Args:
        table: replicas, with the columns number, task, seed, state and the metric.
        metric: the name of the column.
    """
    values = table[metric].where(table["state"] == "complete")
    groups = values.groupby([table["number"], table["seed"]])
    means = groups.mean().where(groups.count() == table["task"].nunique())
    wide: pd.DataFrame = means.unstack("seed")
    return wide


def cells(table: pd.DataFrame, metric: str = AUROC) -> pd.DataFrame:
    """A metric of each trial (rows) for each task and seed (columns); NaN if it failed.

    Args:
        table: replicas as in `by_trial_and_seed`.
        metric: the name of the column.
    """
    values = table[metric].where(table["state"] == "complete")
    keys = [table["number"], table["task"].astype(str), table["seed"]]
    wide: pd.DataFrame = values.groupby(keys).first().unstack(["task", "seed"])
    return wide


def variants(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per trial, score variant and metric: the mean over replicas, and their number.

    The mean is empty if a replica has failed.
    """
    rows = [
        {
            "number": record.number,
            "baseline": record.baseline,
            "seeds": ",".join(map(str, sorted({replica.seed for replica in record.replicas}))),
            "variant": str(variant),
            "metric": str(metric),
            "mean": mean(values),
            "replicas": len(values),
        }
        for record in records
        for variant, metrics in record.variants.items()
        for metric, values in metrics.items()
    ]
    return pd.DataFrame(rows)
