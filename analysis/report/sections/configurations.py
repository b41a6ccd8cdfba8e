"""Distribution of the response over configurations: the cost of poor hyperparameters.

Ding, Zhao and Akoglu, Hyperparameter sensitivity in deep outlier detection (ROBOD), NeurIPS 2022.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from analysis.document.blocks import Cell, Figure, Section, Table, Text
from analysis.document.format import mean_text
from analysis.document.theme import FAINT, INK, canvas, colour
from analysis.questions.sensitivity.observations import (
    Observations,
    chosen_trial,
    default_trial,
    observations,
)
from analysis.questions.sensitivity.response import TEST, Response, is_measured, response_of
from analysis.quoted import Result
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.selection import RULES
from tune_ad.storage.records import TrialRecord

PLACE = 30
SUMMARY = ("mean", "std", "min", "quartile 1", "median", "quartile 3", "max")
LINES = ("-", "--", "-.", ":")


class Spread(NamedTuple):
    """The responses of the configurations of a baseline.

    Attributes:
        observations: the responses of all complete trials.
        default: the response of the default parameters; NaN if they were not run.
        chosen: the response of the trial that the selection rule ranks first; NaN if no trial was
            selected.
    """

    observations: Observations
    default: float
    chosen: float

    def summary(self) -> dict[str, float]:
        """Mean, sample standard deviation (NaN for one) and quartiles over configurations."""
        values = self.observations.values
        std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        quartiles = map(float, np.percentile(values, [0, 25, 50, 75, 100]))
        return dict(zip(SUMMARY, (float(values.mean()), std, *quartiles), strict=True))

    def point(self, value: float) -> tuple[float, float]:
        """The position of a response on the distribution function (x, y)."""
        share = float((self.observations.values <= value).mean())
        return self.observations.response.scale * value, share


def section(findings: Findings) -> Section | None:
    """The distributions; None if no baseline has two configurations."""
    study = findings.study
    per_baseline = spreads(study)
    if not any(spread.observations.n > 1 for spread in per_baseline):
        return None
    star = f"; star: selected by the rule {study.rule}" * study.chooses
    warning = "Do not pick parameters from this figure"
    figure = Figure(
        "configurations",
        partial(draw_spreads, per_baseline),
        f"Cumulative distribution of {_response(study).name} over configurations (mean over "
        f"{study.averaged_over}). Circle: default parameters{star}. "
        + (f"{warning}; it uses test data." if _response(study) is TEST else f"{warning}."),
    )
    table = _table(study, per_baseline)
    return Section("All configurations", [figure, table, *_winner_again(findings, per_baseline)])


def _winner_again(findings: Findings, per_baseline: Sequence[Spread]) -> list[Text]:
    """The winner's test AUROC on the seeds of the search and on fresh ones, if both are known."""
    study = findings.study
    if not study.retrains or _response(study) is not TEST:
        return []
    chosen = {spread.observations.baseline: spread.chosen for spread in per_baseline}
    return [
        Text(
            f"{_winner(study, result)} has a test AUROC of "
            f"{TEST.text(chosen[result.baseline])} % on the seeds of the search, and of "
            f"{result.auroc} on fresh seeds. The configuration is the same, but these are other "
            f"models. {_why_optimistic(study)}; only the second number is free of selection.",
        )
        for result in findings.results
        if result.auroc.n and math.isfinite(chosen.get(result.baseline, math.nan))
    ]


def _why_optimistic(study: StudyRecords) -> str:
    if RULES[study.rule].looks_at == "test images":
        return "The first number itself selected the configuration"
    return (
        "The first is of the models by which the configuration was chosen, so it tends to be too "
        "high"
    )


def _winner(study: StudyRecords, result: Result) -> str:
    return "The winner" if study.quotes == "winner" else f"The best trial of {result.label}"


def spreads(study: StudyRecords) -> list[Spread]:
    """The spread of each baseline that has a complete trial with a response."""
    response = _response(study)
    per_baseline = [observations(study, name, response) for name in study.baselines]
    return [
        Spread(
            trials,
            _value(trials, default_trial(study, trials.baseline)),
            _value(trials, chosen_trial(study, trials.baseline) if study.chooses else None),
        )
        for trials in per_baseline
        if trials.n
    ]


def draw_spreads(per_baseline: Sequence[Spread]) -> Drawing:
    """Empirical distribution functions per baseline, with default and selected trial marked."""
    drawing = canvas(height=3.4)
    axes, response = drawing.one, per_baseline[0].observations.response
    for k, spread in enumerate(per_baseline):
        values = response.scale * spread.observations.values
        name, line = spread.observations.baseline, LINES[k % len(LINES)]
        axes.ecdf(values, color=colour(k), linestyle=line, label=name)
        for value, marker, size in ((spread.default, "o", 8), (spread.chosen, "*", 13)):
            if math.isfinite(value):
                axes.plot(*spread.point(value), marker, color=INK, ms=size, mfc=colour(k))
    axes.set_xlabel(response.axis)
    axes.set_ylabel("share of configurations")
    axes.set_ylim(0, 1.05)
    axes.grid(color=FAINT, alpha=0.25)
    if len(per_baseline) > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return drawing.figure


def _response(study: StudyRecords) -> Response:
    """Test AUROC if recorded, otherwise the metric of the selection rule."""
    return TEST if is_measured(study, TEST) else response_of(study)


def _value(trials: Observations, record: TrialRecord | None) -> float:
    return math.nan if record is None else trials.value_of(record.number)


def _table(study: StudyRecords, per_baseline: Sequence[Spread]) -> Table:
    response = _response(study)
    data = pd.DataFrame(
        [
            {
                "baseline": spread.observations.baseline,
                "n": spread.observations.n,
                **spread.summary(),
                "default": spread.default,
                "chosen": spread.chosen,
            }
            for spread in per_baseline
        ]
    )
    means = [
        Cell(mean_text(mean, std, unit=response.unit), mean)
        for mean, std in zip(data["mean"], data["std"], strict=True)
    ]
    columns = {
        column: [
            Cell("" if math.isnan(value) else response.text(value), value)
            for value in data[column]
        ]
        for column in (*SUMMARY[2:], "default", "chosen")
        if column != "chosen" or study.chooses
    }
    shown = pd.DataFrame(
        {
            "baseline": data["baseline"],
            "n": data["n"],
            "mean ± std over configurations": means,
            **columns,
        }
    )
    return Table("configurations", shown, _caption(study, per_baseline), data)


def _caption(study: StudyRecords, per_baseline: Sequence[Spread]) -> str:
    left_out = ", ".join(
        f"{spread.observations.baseline}: {n} {reason}"
        for spread in per_baseline
        for reason, n in spread.observations.excluded.items()
    )
    fresh = "; the main result comes from fresh seeds" * study.retrains
    return (
        f"Distribution of {_response(study).axis} over all configurations "
        f"({study.plan.title}); the value of a configuration is its mean over "
        f"{study.averaged_over}. Baseline: a method with its default parameters; n: number of "
        "configurations; std: over configurations, not over seeds. Hyperparameters may matter "
        "more than the choice of method (Ding et al., NeurIPS 2022): compare this spread with "
        "the difference between methods. Do not pick parameters from it."
        + (
            f" Chosen: by the selection rule {study.rule}, on the seeds of the search{fresh}."
            * study.chooses
        )
        + (f" Left out: {left_out}." if left_out else "")
    )
