"""Test AUROC against score-time parameters: those that only affect scoring, not training.

All values of such a parameter are used with the same trained models.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import frame
from analysis.document.format import short
from analysis.document.theme import (
    INK,
    ON_PAPER,
    THIN,
    band,
    canvas,
    colour,
    separate_labels,
)
from analysis.image_sampling import image_error
from analysis.quoted import Result
from analysis.stats.estimates import Coverage, Estimate, estimate
from tune_ad.storage.metric import TEST_AUROC, ScoreVariant
from tune_ad.storage.records import TrialRecord

LONGEST_LABEL = 6  # characters of a value that is written as it is
WIDE = 20  # largest value above which an axis is linear up to 1 and logarithmic beyond


class ScoreTimePoint(NamedTuple):
    """The test AUROC at one value of a score-time parameter.

    Attributes:
        label: the value as text.
        value: the value as a number, infinity included; NaN if it is a word.
        auroc: test AUROC, mean over classes; one value per seed. Its interval also covers the
            sampling of test images if ranks of such scores are stored.
        classes: test AUROC of each class by the name of its task, mean over the same seeds.
        reported: whether it is the value that gives the reported score of all seeds.
        chosen_by: the number of seeds for which it was chosen, if seeds have different values.
        difference: the test AUROC minus that of the reported value, paired by seed, with an
            interval as that of `auroc`; empty of that value itself, and if seeds report several.
    """

    label: str
    value: float
    auroc: Estimate
    classes: dict[str, float]
    reported: bool
    chosen_by: int = 0
    difference: Estimate = estimate([])

    @property
    def short_label(self) -> str:
        """The value as text, with four significant digits."""
        is_short = len(self.label) <= LONGEST_LABEL
        return self.label if is_short else short(self.value) or self.label


class ScoreTimeCurve(NamedTuple):
    """The test AUROC against one score-time parameter.

    Attributes:
        label: the label of the result whose models were scored.
        source: which models were scored, in words.
        parameter: the name of the parameter.
        points: the points by value, infinity last; words in their order.
        seeds: the number of seeds.
        failed: the number of seeds that are left out because a model lacks some AUROC.
        coverage: what all intervals cover, those of differences included.
    """

    label: str
    source: str
    parameter: str
    points: Sequence[ScoreTimePoint]
    seeds: int
    failed: int
    coverage: Coverage

    @property
    def numeric(self) -> bool:
        """Whether every value is a number."""
        return not any(math.isnan(point.value) for point in self.points)


def score_time_curves(results: Sequence[Result]) -> list[ScoreTimeCurve]:
    """One curve per score-time parameter of each reported configuration.

    The value of the configuration itself is one of the points.

    Args:
        results: the reported results of the study.
    """
    return [
        curve
        for result in results
        for parameter in _parameters(result.tested)
        if (curve := _curve(result, parameter)).points
    ]


def draw_score_time(curve: ScoreTimeCurve) -> Figure:
    """Mean and interval over seeds, classes as faint lines, infinity as a dashed asymptote."""
    drawing = canvas()
    axes = drawing.one
    finite = [point for point in curve.points if not math.isinf(point.value)]
    x = [point.value for point in finite] if curve.numeric else [*map(float, range(len(finite)))]
    for task in finite[0].classes if finite else ():
        aurocs = [100 * point.classes[task] for point in finite]
        axes.plot(x, aurocs, label=task, **THIN)
    _draw_mean(axes, x, finite, curve.numeric)
    _draw_asymptote(axes, [point for point in curve.points if math.isinf(point.value)])
    _draw_reported(axes, x, finite)
    if curve.numeric and max(x, default=0.0) >= WIDE:
        axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(x, [point.short_label for point in finite])
    axes.minorticks_off()
    axes.set_xlabel(curve.parameter)
    axes.set_ylabel("test AUROC (%)")
    separate_labels(axes, [at for at, point in zip(x, finite, strict=True) if point.reported])
    return drawing.figure


def _draw_mean(
    axes: Axes, x: Sequence[float], points: Sequence[ScoreTimePoint], numeric: bool
) -> None:
    """The interval over seeds as a band, or as bars if values are words."""
    mean = [100 * point.auroc.mean for point in points]
    low = [100 * point.auroc.low for point in points]
    high = [100 * point.auroc.high for point in points]
    if numeric:
        band(axes, x, low, high)
    else:
        axes.vlines(x, low, high, color=colour(0), linewidth=3, alpha=0.5)
    axes.plot(x, mean, "o-" if numeric else "o", color=colour(0))


def _draw_asymptote(axes: Axes, infinite: Sequence[ScoreTimePoint]) -> None:
    for point in infinite:
        level = 100 * point.auroc.mean
        axes.axhline(level, color=INK, linestyle="--", linewidth=1.2)
        text = f"∞: {level:.1f}" + "\n(reported)" * point.reported
        axes.annotate(
            text,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            ha="left",
            va="center",
            color=INK,
            fontsize=9,
        )


def _draw_reported(axes: Axes, x: Sequence[float], points: Sequence[ScoreTimePoint]) -> None:
    for at, point in zip(x, points, strict=True):
        if point.reported:
            level = 100 * point.auroc.mean
            axes.plot(at, level, "D", color=INK, markersize=8, fillstyle="none")
            axes.annotate(
                "reported",
                (at, level),
                xytext=(0, -15),
                textcoords="offset points",
                ha="center",
                color=INK,
                fontsize=9,
                bbox=ON_PAPER,
            )


def _parameters(records: Sequence[TrialRecord]) -> list[str]:
    """The score-time parameters of which the records have a test AUROC."""
    names = (
        variant.parameter
        for record in records
        for variant, metrics in record.variants.items()
        if variant.parameter and TEST_AUROC in metrics
    )
    return list(dict.fromkeys(names))


def _variants_of(parameter: str, records: Sequence[TrialRecord]) -> dict[str, ScoreVariant | None]:
    """The score variants of a parameter, by its value as text."""
    return {
        str(variant.value): variant
        for record in records
        for variant in record.variants
        if variant.parameter == parameter
    }


def _curve(result: Result, parameter: str) -> ScoreTimeCurve:
    """The points of the seeds that have a result for every value."""
    variants = _variants_of(parameter, result.tested)
    used = _label(variants, result.tested[0].scored_with.get(parameter, ""))
    if not any(record.changed_at_scoring for record in result.tested):
        variants.setdefault(used, None)
    chosen = Counter(
        _label(variants, record.scored_with.get(parameter, "")) for record in result.tested
    )
    reported = used if len(chosen) == 1 else ""
    table = _replicas(result.tested, variants)
    by_seed = frame.by_trial_and_seed(table, frame.AUROC)
    whole = by_seed.loc[:, by_seed.notna().all()].T
    cells = frame.cells(table, frame.AUROC).T
    tasks, seeds = list(result.classes), list(whole.index)
    ranks = {
        label: result.ranks if variant is None else result.ranks.by_variant(str(variant))
        for label, variant in variants.items()
    }
    errors = {label: image_error([(r, 1.0)], tasks, seeds) for label, r in ranks.items()}
    of_differences = {
        label: image_error([(r, 1.0), (ranks[reported], -1.0)], tasks, seeds)
        for label, r in ranks.items()
        if reported in whole and label != reported
    }

    def difference(label: str) -> Estimate:
        if label not in of_differences:
            return estimate([])
        paired = estimate(list(whole[label] - whole[reported]), (-1.0, 1.0))
        return paired.with_error(of_differences[label].value, (-1.0, 1.0))

    points = [
        _point(label, whole[label], cells[label], errors[label].value)._replace(
            reported=label == reported,
            chosen_by=0 if reported else chosen[label],
            difference=difference(label),
        )
        for label in variants
    ]
    return ScoreTimeCurve(
        label=result.label,
        source=result.source,
        parameter=parameter,
        points=sorted(points, key=_order) if len(whole) else [],
        seeds=table["seed"].nunique(),
        failed=table["seed"].nunique() - len(whole),
        coverage=Coverage.of_all(
            error.coverage for error in [*errors.values(), *of_differences.values()]
        ),
    )


def _label(variants: Mapping[str, ScoreVariant | None], value: object) -> str:
    """The label of a value among those of the variants, or its own."""
    return next((label for label in variants if _same_value(label, str(value))), str(value))


def _replicas(
    records: Sequence[TrialRecord], variants: Mapping[str, ScoreVariant | None]
) -> pd.DataFrame:
    """The replicas' test AUROC at each value; the column "number" holds the value as text.

    Args:
        records: the records of the same models.
        variants: the score variant by value as text; None = the score itself.
    """
    tables = []
    for label, variant in variants.items():
        scored = [
            record
            if variant is None or record.scored_by(variant)
            else replace(record, metrics=record.variants.get(variant, {}))
            for record in records
        ]
        tables.append(frame.replicas(scored).assign(number=label))
    columns = ["number", "task", "seed", "state", frame.AUROC]
    return pd.concat([table.reindex(columns=columns) for table in tables], ignore_index=True)


def _point(label: str, by_seed: pd.Series, cells: pd.Series, error: float) -> ScoreTimePoint:
    kept = cells[cells.index.get_level_values("seed").isin(by_seed.index)]
    classes = {str(task): float(auroc) for task, auroc in kept.groupby("task").mean().items()}
    return ScoreTimePoint(
        label=label,
        value=_number(label),
        auroc=estimate(list(by_seed)).with_error(error),
        classes=classes,
        reported=False,
    )


def _order(point: ScoreTimePoint) -> tuple[bool, float]:
    """The sort key of a point: numbers by size, then words in their order."""
    word = math.isnan(point.value)
    return word, 0.0 if word else point.value


def _number(label: str) -> float:
    """A label as a number, including "inf"; NaN for a word."""
    try:
        return float(label)
    except ValueError:
        return math.nan


def _same_value(label: str, other: str) -> bool:
    """Whether two texts are the same value: 0.50 is 0.5."""
    return label == other or _number(label) == _number(other)
