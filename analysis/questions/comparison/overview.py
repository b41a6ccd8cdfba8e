"""The results of a study in one table: how well each detects, and what it costs."""

from collections.abc import Sequence

import pandas as pd

from analysis import frame
from analysis.document.blocks import Cell, Table
from analysis.image_sampling import covers
from analysis.questions.alarms.points import (
    MEAN,
    OF_SAMPLE,
    OperatingPoint,
    operating_points,
    without_empty,
)
from analysis.quoted import Result
from tune_ad.wording import duration

OVERVIEW = "overview"
"""The name of the table."""
CAPTION = (
    "The results, the largest test AUROC first: mean over classes in per cent ± standard "
    "deviation over n seeds [95 % interval]. Weights: trained parameters of a model; none = it is "
    "no network. Time: wall time of a model, training and scoring, on the machines of the study."
)
ABOUT_FPR = (
    "FPR95: the share of normal images that raise an alarm if the threshold finds 95 % of the "
    "anomalies, in per cent; smaller is better. Its intervals cover the seeds alone."
)


def overview(results: Sequence[Result]) -> Table:
    """A row for each result that has a value, the largest test AUROC first.

    Args:
        results: the results of a study.
    """
    measured = sorted((r for r in results if r.auroc.n), key=lambda r: -r.auroc.mean)
    points = [operating_points(result)[MEAN] for result in measured]
    pairs = list(zip(measured, points, strict=True))
    shown = without_empty(pd.DataFrame([_row(*pair) for pair in pairs]))
    data = pd.DataFrame([_data(*pair) for pair in pairs])
    return Table(OVERVIEW, shown, CAPTION, data, details=_details(shown, pairs))


def _details(shown: pd.DataFrame, pairs: Sequence[tuple[Result, OperatingPoint]]) -> str:
    """What the intervals cover, and what the false positive rate is."""
    parts = [covers({r.label: r.coverage for r, _ in pairs if r.auroc.n > 1}, "Those of AUROC")]
    if "FPR95" in shown:
        parts.append(ABOUT_FPR)
    if any(point.fpr.n and point.is_sample for _, point in pairs):
        parts.append(OF_SAMPLE)
    return " ".join(parts)


def _row(result: Result, point: OperatingPoint) -> dict[str, Cell]:
    seconds, weights = _seconds(result), _weights(result)
    return {
        "result": Cell(result.label),
        "test AUROC": Cell(result.auroc.mean_std_interval(), result.auroc.mean),
        "FPR95": Cell(point.fpr.mean_std_interval(), point.fpr.mean),
        "weights": Cell("" if weights is None else f"{weights:,}" if weights else "none"),
        "time": Cell(duration(seconds), seconds),
        "n": Cell(str(result.auroc.n), result.auroc.n),
    }


def _data(result: Result, point: OperatingPoint) -> dict[str, object]:
    return {
        "result": result.label,
        **result.auroc.columns("test AUROC"),
        **point.fpr.columns("FPR95"),
        "weights": _weights(result),
        "seconds": _seconds(result),
        "n": result.auroc.n,
    }


def _seconds(result: Result) -> float:
    """The wall time of a model."""
    trials = frame.trials(result.tested)
    return float(trials["seconds"].sum()) / int(trials["replicas"].sum())


def _weights(result: Result) -> int | None:
    """The trained parameters of a model, 0 if it is no network; None if they are not recorded."""
    weights = frame.trials(result.tested)["parameters"].dropna()
    return int(weights.max()) if len(weights) else None
