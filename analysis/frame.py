"""The records of a study as data frames: one row per trial, per replica, per score variant."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tune_ad.records import TrialRecord
from tune_ad.selection import RULES, mean


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
        **{rule: value(record.metrics) if complete else None for rule, value in RULES.items()},
        "collapsed": sum(value or 0 for value in collapses(record)),
        "failed replicas": sum(each.state == "failed" for each in record.replicas),
        "replicas": len(record.replicas),
        "parameters": record.models.get("parameters"),
        "seconds": record.seconds,
        **{f"param/{name}": value for name, value in record.params.items()},
    }


def collapses(record: TrialRecord) -> list[float | None]:
    """Per replica 1 where all held-out, or test, images had one score, but for rounding."""
    for part in ("validation", "test"):
        if f"{part}_collapsed" in record.metrics:
            return record.metrics[f"{part}_collapsed"]
    return []


def replicas(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """One row per replica with its task, seed, state and every metric."""
    rows = [
        {
            "number": record.number,
            "baseline": record.baseline,
            "task": replica.task,
            "seed": replica.seed,
            "state": replica.state,
            "reason": replica.reason,
            **{name: values[k] for name, values in record.metrics.items()},
        }
        for record in records
        for k, replica in enumerate(record.replicas)
    ]
    return pd.DataFrame(rows)


def by_seed(table: pd.DataFrame) -> pd.Series:
    """Test AUROC of each seed of which every class is complete: the mean over classes.

    Args:
        table: of replicas, with the columns task, seed, state and test_auroc.
    """
    complete = table[(table["state"] == "complete") & table["test_auroc"].notna()]
    groups = complete.groupby("seed")["test_auroc"]
    means: pd.Series = groups.mean()[groups.size() == table["task"].nunique()]
    return means


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
