"""What the parameters that matter only when scoring do to the AUROC of one and the same model."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Figure, Section, Table
from analysis.document.format import file_name
from analysis.questions.sensitivity.scoretime import Curve, draw_curve, score_time_curves
from analysis.report.findings import Findings

PLACE = 50


def section(findings: Findings) -> Section | None:
    """A figure per score-time parameter and one table; None where nothing was scored so."""
    found = score_time_curves(findings.results)
    if not found:
        return None
    figures: list[Block] = [_figure(curve) for curve in found]
    return Section("Score-time parameters", [*figures, _table(found)])


def _figure(curve: Curve) -> Figure:
    seeds = curve.points[0].auroc.n
    band = "band: 95 % interval over seeds" if seeds > 1 else "one seed, so no interval"
    left = f" {curve.failed} seeds without every number are left out." if curve.failed else ""
    asymptote = " Dashed: the limit of infinitely many." * any(
        point.label == "inf" for point in curve.points
    )
    return Figure(
        file_name("score_time", curve.baseline, curve.parameter),
        partial(draw_curve, curve),
        f"{curve.baseline}: test AUROC against {curve.parameter}, of the same models scored again "
        f"({curve.source}). Mean over classes, {band}, n = {seeds}; thin: each class, mean over "
        f"seeds.{asymptote}{left} Nothing was chosen here: the declared value is what is quoted.",
    )


def _table(found: Sequence[Curve]) -> Table:
    rows, data = [], []
    for curve in found:
        for point in curve.points:
            own = {
                "baseline": curve.baseline,
                "parameter": curve.parameter,
                "value": point.label,
                "declared": "yes" if point.declared else "",
            }
            classes = point.classes.items()
            cells = {task: Cell(f"{100 * value:.1f}", value) for task, value in classes}
            rows.append({**own, "test AUROC": Cell(str(point.auroc), point.auroc.mean), **cells})
            data.append({**own, **point.auroc._asdict(), **point.classes})
    return Table(
        "score_time",
        pd.DataFrame(rows),
        "Test AUROC under each value of the parameters that matter only when scoring, all of the "
        "same models: mean ± standard deviation over seeds [95 % interval], and the mean of each "
        "class, in per cent.",
        pd.DataFrame(data),
    )
