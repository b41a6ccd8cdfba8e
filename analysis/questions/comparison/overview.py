"""The results of a study in one table: how well each detects, and what it costs."""

from collections.abc import Sequence

import pandas as pd

from analysis import frame
from analysis.document.blocks import Cell, Table
from analysis.questions.alarms.points import MEAN, operating_points, without_empty
from analysis.quoted import Result
from tune_ad.wording import duration

OVERVIEW = "overview"
"""The name of the table."""
CAPTION = (
    "Test AUROC and FPR95, the share of normal images that raise an alarm where 95 % of the "
    "anomalies are found, in per cent: mean over classes ± standard deviation over n seeds [95 % "
    "interval]; the largest AUROC first. Weights: trained parameters of a model; none = it is no "
    "network. Time: wall time of a model, training and scoring, on the machine of the study."
)


def overview(results: Sequence[Result]) -> Table:
    """A row for each result that has a value, the largest test AUROC first.

    Args:
        results: the results of a study.
    """
    rows = [_row(result) for result in results if result.auroc.n]
    rows.sort(key=lambda row: -row["test AUROC"].value)
    return Table(OVERVIEW, without_empty(pd.DataFrame(rows)), CAPTION)


def _row(result: Result) -> dict[str, Cell]:
    of_trials = frame.trials(result.tested)
    models = int(of_trials["replicas"].sum())
    seconds = float(of_trials["seconds"].sum()) / models
    weights = of_trials["parameters"].dropna()
    false_alarms = operating_points(result)[MEAN].fpr
    return {
        "result": Cell(result.label),
        "test AUROC": Cell(result.auroc.mean_std_interval(), result.auroc.mean),
        "FPR95": Cell(false_alarms.mean_std_interval(), false_alarms.mean),
        "weights": _weights(int(weights.max()) if len(weights) else 0),
        "time": Cell(duration(seconds), seconds),
        "n": Cell(str(result.auroc.n), result.auroc.n),
    }


def _weights(number: int) -> Cell:
    return Cell(f"{number:,}" if number else "none", number)
