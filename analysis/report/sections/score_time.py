"""The effect of score-time parameters on test AUROC, with the same trained models."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table
from analysis.document.format import PERCENTAGE_POINTS, file_name
from analysis.image_sampling import covers
from analysis.questions.sensitivity.score_time import (
    ScoreTimeCurve,
    ScoreTimePoint,
    draw_score_time,
    score_time_curves,
)
from analysis.report.findings import Findings
from analysis.report.meanings import explained
from analysis.study import StudyRecords
from tune_ad.wording import count

PLACE = 50


def section(findings: Findings) -> Section | None:
    """A figure per score-time parameter and one table; None without such a parameter."""
    curves = score_time_curves(findings.results)
    if not curves:
        return None
    study, parameters = findings.study, {curve.parameter for curve in curves}
    blocks: list[Block] = [*explained(study, findings.results, parameters)]
    blocks += [_figure(curve) for curve in curves]
    return Section("Score-time parameters", [*blocks, _table(study, curves)])


def _figure(curve: ScoreTimeCurve) -> Figure:
    seeds = curve.points[0].auroc.n
    band = "band: 95 % interval" if seeds > 1 else "no interval"
    left_out = ""
    if curve.failed:
        left_out = f" Left out: {count(curve.failed, 'seed')} with missing results."
    asymptote = " Dashed: the limit of infinitely many." * any(
        point.label == "inf" for point in curve.points
    )
    return Figure(
        file_name("score_time", curve.label, curve.parameter),
        partial(draw_score_time, curve),
        f"{curve.label}: test AUROC against {curve.parameter}, from scoring the same models again "
        f"({curve.source}). Mean over classes, {band}, n = {seeds}; thin lines: each class, mean "
        f"over seeds. {_covers([curve])}{asymptote}"
        f"{left_out} Do not pick a value from this figure; it uses test "
        "data.",
    )


def _table(study: StudyRecords, curves: Sequence[ScoreTimeCurve]) -> Table:
    shown, data = [], []
    for curve in curves:
        for point in curve.points:
            setting = {
                "baseline": curve.label,
                "parameter": curve.parameter,
                "value": point.short_label,
                "reported": _reported(curve, point),
            }
            classes = {study.task_title(task): value for task, value in point.classes.items()}
            cells = {
                "test AUROC": Cell(str(point.auroc), point.auroc.mean),
                "difference": point.difference.interval_cell(PERCENTAGE_POINTS),
                **{title: Cell(f"{100 * v:.1f}", v) for title, v in classes.items()},
            }
            shown.append({**setting, **cells})
            numbers = {**point.auroc._asdict(), **point.difference.columns("difference")}
            data.append({**setting, "value": point.label, **numbers, **classes})
    several = any(point.chosen_by for curve in curves for point in curve.points)
    by_seed = ", or the number of seeds for which it was chosen (by held-out images)" * several
    return Table(
        "score_time",
        pd.DataFrame(shown),
        "Test AUROC in per cent for every value of the score-time parameters (which only affect "
        "scoring): mean ± standard deviation over seeds [95 % interval], and the mean of each "
        "class. Each row is another score of the same trained models; reported: the value of the "
        f"main result{by_seed}; difference: in points from that value, paired by seed. "
        f"{_covers(curves)} To pick "
        "another value by this table would be to select on test data, even if the intervals do "
        "not overlap.",
        pd.DataFrame(data),
    )


def _reported(curve: ScoreTimeCurve, point: ScoreTimePoint) -> str:
    """Whether a value gives the reported score: of all seeds, or of how many."""
    if point.chosen_by:
        return f"{point.chosen_by} of {curve.seeds} seeds"
    return "yes" if point.reported else ""


def _covers(curves: Sequence[ScoreTimeCurve]) -> str:
    return covers({c.label: c.coverage for c in curves if c.points[0].auroc.n > 1})
