"""The records of a study as data frames: one row per trial, per replica, per score variant."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tune_ad.search.selection import RULES, mean
from tune_ad.storage.records import TrialRecord

TEST_AUROC = "test_auroc"


class ScoreTimeValue(NamedTuple):
    """A value of a parameter that matters only when a trained model scores images.

    Attributes:
        parameter: its name.
        value: as text.
    """

    parameter: str
    value: str


def score_time_value(variant: str) -> ScoreTimeValue | None:
    """The parameter and value that the name of a score variant holds.

    None for a variant that is another score, such as one term of it.

    >>> score_time_value("mc_samples=inf"), score_time_value("negative_elbo")
    (ScoreTimeValue(parameter='mc_samples', value='inf'), None)
    """
    parameter, equals, value = variant.partition("=")
    return ScoreTimeValue(parameter, value) if equals else None


def outsider_of(metric: str) -> str:
    """The outsider set that a test AUROC is against; empty for any other metric.

    >>> outsider_of("test_auroc/svhn"), outsider_of("test_auroc"), outsider_of("test_loss/a")
    ('svhn', '', '')
    """
    name, _, outsider = metric.partition("/")
    return outsider if name == TEST_AUROC else ""


def trials(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per trial, in the order of their numbers.

    Columns: number, identity, baseline, detector, state, reason, objective, each rule's value,
    collapsed (models), failed replicas, replicas, parameters (their count), seconds, then every
    hyperparameter as "param/<name>"; one that a detector lacks is empty.
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
        "failed replicas": sum(replica.state == "failed" for replica in record.replicas),
        "replicas": len(record.replicas),
        "parameters": record.models.get("parameters"),
        "seconds": record.seconds,
        **{f"param/{name}": value for name, value in record.params.items()},
    }


def models_collapsed(record: TrialRecord) -> int:
    """The number of models that gave all held-out, or all test, images one score but for rounding.

    Args:
        record: of a trial or of the evaluation.
    """
    parts = [record.metrics.get(f"{part}_collapsed", []) for part in ("validation", "test")]
    return sum(1 in flags for flags in itertools.zip_longest(*parts))


def replicas(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per replica with its task, seed, state, reason and every metric.

    A metric that a replica lacks is NaN.
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
    """Test AUROC of each seed for which every class is complete: the mean over classes.

    Args:
        table: of the replicas of one configuration, with the columns task, seed, state and
            test_auroc.
    """
    return by_trial_and_seed(table.assign(number=0)).sum(axis=0, min_count=1).dropna()


def by_trial_and_seed(table: pd.DataFrame, metric: str = TEST_AUROC) -> pd.DataFrame:
    """A metric of each trial (rows) and seed (columns): the mean over classes.

    NaN where a class of that seed is missing, has failed or lacks the metric.

    Args:
        table: of replicas, with the columns number, task, seed, state and the metric.
        metric: name of the column.
    """
    values = table[metric].where(table["state"] == "complete")
    groups = values.groupby([table["number"], table["seed"]])
    means = groups.mean().where(groups.count() == table["task"].nunique())
    wide: pd.DataFrame = means.unstack("seed")
    return wide


def cells(table: pd.DataFrame, metric: str = TEST_AUROC) -> pd.DataFrame:
    """A metric of each trial (rows) for each task and seed (columns); NaN where it failed.

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
            "seeds": ",".join(map(str, sorted({replica.seed for replica in record.replicas}))),
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
