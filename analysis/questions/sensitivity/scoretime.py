"""AUROC against parameters that matter only when scoring, all from the same trained models."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import frame
from analysis.document.theme import FAINT, INK, canvas, colour
from analysis.quoted import Result
from analysis.stats.estimates import Estimate, estimate
from tune_ad.storage.records import TrialRecord

METRIC = "test_auroc"
WIDE = 20  # from this largest value on, an axis is linear to 1 and logarithmic beyond


class Point(NamedTuple):
    """The AUROC at one value of a score-time parameter.

    Attributes:
        label: the value, as in the variant's name.
        value: as a number, infinity included; NaN if it is a word.
        auroc: on test images, mean over classes; one value per seed.
        classes: AUROC of each class, mean over the same seeds.
        declared: whether it is the value that the configuration has.
    """

    label: str
    value: float
    auroc: Estimate
    classes: dict[str, float]
    declared: bool


class Curve(NamedTuple):
    """AUROC against one score-time parameter.

    Attributes:
        baseline: of the configuration.
        source: which models were scored, in words.
        parameter: its name.
        points: by value, infinity last; words in their order.
        failed: seeds that are left out because a replica has no such number.
    """

    baseline: str
    source: str
    parameter: str
    points: Sequence[Point]
    failed: int

    @property
    def numeric(self) -> bool:
        """Whether every value is a number."""
        return not any(math.isnan(point.value) for point in self.points)


def score_time_curves(results: Sequence[Result]) -> list[Curve]:
    """One curve per score-time parameter of each configuration that the study quotes.

    A variant "name=value" is a value of a score-time parameter; one without "=" is a part of the
    score and left out. The configuration's own value is a point, too.

    Args:
        results: that the study quotes.
    """
    return [
        curve
        for result in results
        for parameter in _parameters(result.tested)
        if (curve := _curve(result, parameter)).points
    ]


def draw_curve(curve: Curve) -> Figure:
    """Mean and interval over seeds, classes as faint lines, infinity as a dashed asymptote."""
    drawing = canvas()
    axes = drawing.one
    finite = [point for point in curve.points if not math.isinf(point.value)]
    x = [point.value for point in finite] if curve.numeric else [*map(float, range(len(finite)))]
    for task in finite[0].classes if finite else ():
        own = [100 * point.classes[task] for point in finite]
        axes.plot(x, own, color=FAINT, alpha=0.6, linewidth=0.8)
    _draw_mean(axes, x, finite, curve.numeric)
    _draw_asymptote(axes, [point for point in curve.points if math.isinf(point.value)])
    _draw_declared(axes, x, finite)
    if curve.numeric and max(x, default=0.0) >= WIDE:
        axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(x, [point.label for point in finite])
    axes.minorticks_off()
    axes.set_xlabel(curve.parameter)
    axes.set_ylabel("test AUROC (%)")
    return drawing.figure


def _draw_mean(axes: Axes, x: Sequence[float], points: Sequence[Point], numeric: bool) -> None:
    """Seeds' interval as a band, or as bars where values are words."""
    mean = [100 * point.auroc.mean for point in points]
    low = [100 * point.auroc.low for point in points]
    high = [100 * point.auroc.high for point in points]
    if numeric:
        axes.fill_between(x, low, high, color=colour(0), alpha=0.25, linewidth=0)
    else:
        axes.vlines(x, low, high, color=colour(0), linewidth=3, alpha=0.5)
    axes.plot(x, mean, "o-" if numeric else "o", color=colour(0))


def _draw_asymptote(axes: Axes, infinite: Sequence[Point]) -> None:
    for point in infinite:
        level = 100 * point.auroc.mean
        axes.axhline(level, color=INK, linestyle="--", linewidth=1.2)
        text = f"∞ (declared): {level:.1f}" if point.declared else f"∞: {level:.1f}"
        axes.annotate(
            text,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            color=INK,
            fontsize=9,
        )


def _draw_declared(axes: Axes, x: Sequence[float], points: Sequence[Point]) -> None:
    for at, point in zip(x, points, strict=True):
        if point.declared:
            level = 100 * point.auroc.mean
            axes.plot(at, level, "D", color=INK, markersize=8, fillstyle="none")
            axes.annotate(
                "declared",
                (at, level),
                xytext=(0, -15),
                textcoords="offset points",
                ha="center",
                color=INK,
                fontsize=9,
            )


def _parameters(records: Sequence[TrialRecord]) -> list[str]:
    """The score-time parameters of which a variant has a test AUROC."""
    names = (
        name.partition("=")[0]
        for record in records
        for name, metrics in record.variants.items()
        if "=" in name and METRIC in metrics
    )
    return list(dict.fromkeys(names))


def _curve(result: Result, parameter: str) -> Curve:
    """The points of the seeds that have a number for every value."""
    own = str(result.tested[0].params.get(parameter, ""))
    prefix = f"{parameter}="
    names = dict.fromkeys(
        name for record in result.tested for name in record.variants if name.startswith(prefix)
    )
    variants: dict[str, str | None] = {name.removeprefix(prefix): name for name in names}
    declared = next((label for label in variants if _alike(label, own)), own)
    variants.setdefault(declared, None)
    table = _replicas(result.tested, variants)
    by_seed = frame.by_trial_and_seed(table, METRIC)
    whole = by_seed.loc[:, by_seed.notna().all()].T
    cells = frame.cells(table, METRIC).T
    points = [_point(label, whole[label], cells[label], label == declared) for label in variants]
    return Curve(
        result.label,
        result.source,
        parameter,
        sorted(points, key=_order) if len(whole) else [],
        table["seed"].nunique() - len(whole),
    )


def _replicas(records: Sequence[TrialRecord], variants: Mapping[str, str | None]) -> pd.DataFrame:
    """The replicas' test AUROC under each label of a variant, which stands in for the number.

    Args:
        records: of the same models.
        variants: by label, the variant's name; None = the score itself.
    """
    tables = []
    for label, name in variants.items():
        scored = [
            record if name is None else replace(record, metrics=record.variants.get(name, {}))
            for record in records
        ]
        tables.append(frame.replicas(scored).assign(number=label))
    columns = ["number", "task", "seed", "state", METRIC]
    return pd.concat([each.reindex(columns=columns) for each in tables], ignore_index=True)


def _point(label: str, by_seed: pd.Series, cells: pd.Series, declared: bool) -> Point:
    kept = cells[cells.index.get_level_values("seed").isin(by_seed.index)]
    classes = {str(task): float(each) for task, each in kept.groupby("task").mean().items()}
    return Point(label, _number(label), estimate(list(by_seed)), classes, declared)


def _order(point: Point) -> tuple[bool, float]:
    """Numbers by their size, words after them as they come."""
    word = math.isnan(point.value)
    return word, 0.0 if word else point.value


def _number(label: str) -> float:
    """The number that a label is, "inf" among them; NaN for a word."""
    try:
        return float(label)
    except ValueError:
        return math.nan


def _alike(label: str, other: str) -> bool:
    """Whether two labels are the same value: 0.50 is 0.5."""
    return label == other or _number(label) == _number(other)
