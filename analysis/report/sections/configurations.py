"""Distribution of the response over configurations: the cost of poor hyperparameters.

Ding, Zhao and Akoglu, Hyperparameter sensitivity in deep outlier detection (ROBOD), NeurIPS 2022.
"""

import math
from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Cell, Figure, Section, Table, Text
from analysis.document.format import mean_text
from analysis.questions.sensitivity.response import TEST
from analysis.questions.sensitivity.spreads import (
    SUMMARY,
    Spread,
    draw_spreads,
    response_shown,
    spreads,
)
from analysis.quoted import Result
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.selection import RULES

PLACE = 29


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
        f"Cumulative distribution of {response_shown(study).name} over configurations (mean over "
        f"{study.averaged_over}). Circle: default parameters{star}. "
        + (f"{warning}; it uses test data." if response_shown(study) is TEST else f"{warning}."),
    )
    table = _table(study, per_baseline)
    return Section("All configurations", [figure, table, *_winner_again(findings, per_baseline)])


def _winner_again(findings: Findings, per_baseline: Sequence[Spread]) -> list[Text]:
    """The winner's test AUROC on the seeds of the search and on fresh ones, if both are known."""
    study = findings.study
    if not study.retrains or response_shown(study) is not TEST:
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


def _table(study: StudyRecords, per_baseline: Sequence[Spread]) -> Table:
    response = response_shown(study)
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
        f"Distribution of {response_shown(study).axis} over all configurations "
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
