"""AUPR and FPR at 95 % TPR, which stand beside the AUROC in every table that quotes results."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis import frame
from analysis.document.blocks import Cell
from analysis.document.format import PERCENT
from analysis.questions.alarms.images import is_sample, pairs, part_of, share
from analysis.quoted import Result
from analysis.stats.estimates import Estimate, estimate
from analysis.stats.rank_curves import false_positive_rate
from tune_ad.storage.metric import Metric

MEAN = ""
"""The name of the mean over tasks in `operating_points`."""
COLUMNS = ("AUPR", "anomalies", "FPR95")
"""The columns of `beside`."""
ABOUT_COLUMNS = (
    "AUPR: area under the precision-recall curve (average precision) with anomalies as positives, "
    "in per cent; larger is better. By chance it equals the share of anomalies among the test "
    "images, so compare it only between tasks of the same share. FPR95: the share of normal "
    "images that raise an alarm if the threshold finds 95 % of the anomalies, in per cent; "
    "smaller is better, chance is 95. Their intervals cover the seeds alone."
)
OF_SAMPLE = "FPR95 is of an evenly spaced sample of the test images, whose ranks are stored."


class OperatingPoint(NamedTuple):
    """Two numbers that the field reports beside the AUROC, of one task or of the mean over tasks.

    Attributes:
        aupr: average precision with anomalies as positives, one value per seed, in (0, 1].
        share: the share of anomalies among the test images, which is the AUPR of chance; NaN if
            it is unknown.
        fpr: the share of normal images that raise an alarm at the highest threshold at which
            95 % of the anomalies do, one value per seed, in [0, 1], smaller = better.
        is_sample: whether `fpr` is computed from a sample of the test images.
    """

    aupr: Estimate
    share: float
    fpr: Estimate
    is_sample: bool


def operating_points(result: Result, outsider: str | None = None) -> dict[str, OperatingPoint]:
    """AUPR and FPR at 95 % TPR of each task, by its name, and their mean under `MEAN`.

    The seeds are those of `result.auroc`; a number that is not recorded, as in studies of earlier
    versions, has no value.

    Args:
        result: the result.
        outsider: the name of the set of anomalies; None = the first.
    """
    table = frame.replicas(result.tested)
    seeds = list(frame.by_seed(table).index)
    measured = outsider or next(iter(result.outsiders), "")
    precision = str(Metric("test", "ap", measured))
    table = table[table["seed"].isin(seeds)]
    shares = {task: share(part_of(result, task), outsider) for task in result.classes}
    rates = _rates(result, outsider, seeds)
    points = {
        task: OperatingPoint(
            _of_seeds(table[table["task"] == task], precision),
            shares[task],
            estimate(rates.get(task, [])),
            is_sample(part_of(result, task), outsider),
        )
        for task in result.classes
    }
    complete = len(rates) == len(result.classes)
    means = np.mean(list(rates.values()), axis=0).tolist() if rates and complete else []
    points[MEAN] = OperatingPoint(
        _of_seeds(table, precision),
        float(np.mean(list(shares.values()))) if shares else math.nan,
        estimate(means),
        any(point.is_sample for point in points.values()),
    )
    return points


def _of_seeds(table: pd.DataFrame, metric: str) -> Estimate:
    return estimate(list(frame.by_seed(table.assign(task=table["task"].astype(str)), metric)))


def _rates(result: Result, outsider: str | None, seeds: Sequence[int]) -> dict[str, list[float]]:
    """The FPR at 95 % TPR of each seed, by task; without tasks of which ranks are missing."""
    rates = {
        task: [false_positive_rate(*pair) for pair in pairs(part, outsider, seeds)]
        for task in result.classes
        if (part := part_of(result, task)) is not None
    }
    return {task: values for task, values in rates.items() if len(values) == len(seeds) > 0}


def beside(point: OperatingPoint) -> dict[str, object]:
    """The cells of a row: AUPR, the share of anomalies on which it depends, FPR at 95 % TPR."""
    known = not math.isnan(point.share) and (point.aupr.n or point.fpr.n)
    share = Cell(f"{PERCENT.text(point.share)} %", point.share) if known else Cell("")
    return dict(zip(COLUMNS, (_cell(point.aupr), share, _cell(point.fpr)), strict=True))


def _cell(value: Estimate) -> Cell:
    return Cell(value.mean_std_interval(), value.mean)


def without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """The table without those of the columns of `beside` that are empty in all rows."""
    shown = [name for name in COLUMNS if name in table]
    return table.drop(columns=[n for n in shown if all(str(cell) == "" for cell in table[n])])


def about(table: pd.DataFrame, points: Sequence[OperatingPoint]) -> str:
    """What a caption says of the columns of `beside`, after a blank; empty without them.

    Args:
        table: the table, after `without_empty`.
        points: what is in its rows.
    """
    if not {*COLUMNS} & {*table.columns}:
        return ""
    sampled = any(point.fpr.n and point.is_sample for point in points)
    return " ".join(["", ABOUT_COLUMNS, *[OF_SAMPLE] * sampled])
