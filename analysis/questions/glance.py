"""A study at a glance: its result beside the default, a random choice and published numbers."""

import math
import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from matplotlib.figure import Figure

from analysis.document import theme
from analysis.image_sampling import error_of_mean
from analysis.questions.claims.published.best import BestPublished, best_published
from analysis.questions.selection.pool import TrialPool
from analysis.questions.sensitivity.observations import startup
from analysis.quoted import Result, of_trial
from analysis.stats.estimates import Estimate, unpaired_difference
from analysis.study import StudyRecords
from analysis.trials import unchanged_trials
from tune_ad.wording import count

Kind = Literal["result", "default", "random", "published"]
MOST = 12  # reported results in the picture
LEAST_DRAWS = 2  # random trials that stand for a random choice
STYLES: dict[Kind, dict[str, Any]] = {
    "result": {"marker": "o", "color": theme.colour(0)},
    "default": {"marker": "s", "color": theme.INK},
    "random": {"marker": "D", "color": theme.INK},
    "published": {"marker": "^", "color": theme.colour(1)},
}
LONGEST = 22  # letters of a label in the picture


class Row(NamedTuple):
    """A row of the picture.

    Attributes:
        kind: what it is.
        label: its name.
        auroc: test AUROC.
        about: how it was obtained, for readers who point at it.
    """

    kind: Kind
    label: str
    auroc: Estimate
    about: str


class Glance(NamedTuple):
    """What the first picture shows.

    Attributes:
        rows: the rows from the top.
        left_out: the number of results that are not shown.
        over_default: the result minus the default of its baseline; None without a default, or if
            the default itself was selected.
        over_random: the result minus the mean of the trials in `drawn`; None unless a trial was
            selected.
        drawn: what a choice without any result is compared with, in words.
        is_default: whether the selected configuration is the default.
        published: the best published number; None if there is none.
    """

    rows: Sequence[Row]
    left_out: int
    over_default: Estimate | None
    over_random: Estimate | None
    drawn: str
    is_default: bool
    published: BestPublished | None


def glance(
    study: StudyRecords, results: Sequence[Result], pool: TrialPool | None
) -> Glance | None:
    """The results beside what they compare with; None without a result that has a value.

    Args:
        study: the records.
        results: the reported results.
        pool: the trials from which one was selected; None if there are too few.
    """
    valued = [result for result in results if result.auroc.n]
    if not valued:
        return None
    valued.sort(key=lambda result: -result.auroc.mean)
    best = valued[0]
    rows = [_of_result(study, result) for result in valued[:MOST]]
    over_default = over_random = None
    is_default, drawn = False, ""
    if study.chooses:
        default = _default(study, best.baseline)
        is_default = default is not None and default.identity == best.identity
        if default is not None and default.auroc.n:
            name = f"default of {best.baseline}" if len(study.baselines) > 1 else "default"
            rows.append(_row(study, "default", name, default.auroc, "models of the search"))
            over_default = None if is_default else _difference(best, default)
        if pool is not None and len(pool.records) > 1:
            at, label, drawn = _without_results(study, pool)
            chance = pool.mean_auroc(at)
            rows.append(_row(study, "random", label, chance, f"{drawn}, models of the search"))
            contrast = [(best.ranks, 1.0), *pool.contrast(at, -1.0)]
            error = error_of_mean(contrast, list(best.classes))
            over_random = unpaired_difference(best.auroc, chance, error)
    published = best_published(study, best)
    if published is not None:
        about = f"{published.title}; {published.read}"
        label = f"published: {published.method}"
        rows.append(Row("published", label, published.auroc, about))
    return Glance(
        rows, max(0, len(valued) - MOST), over_default, over_random, drawn, is_default, published
    )


def _without_results(study: StudyRecords, pool: TrialPool) -> tuple[list[int], str, str]:
    """The trials that stand for a choice without results: positions, label, in words.

    Adaptive proposals have used results: of an adaptive search these are the random draws at its
    start, or all trials if there are fewer than two.
    """
    every = list(range(len(pool.records)))
    if not study.plan.adapts:
        return every, "random choice", f"the mean of all {len(every)} trials"
    defaults = {record.identity for record in unchanged_trials(study.defaults, pool.records)}
    first = startup(study)
    at = [
        k
        for k, record in enumerate(pool.records)
        if record.number < first and record.identity not in defaults
    ]
    if len(at) < LEAST_DRAWS:
        adaptive = f"the mean of all {len(every)} trials, adaptive ones included"
        return every, "average trial", adaptive
    return at, "random choice", f"the mean of the {len(at)} random draws"


def _of_result(study: StudyRecords, result: Result) -> Row:
    label = f"{result.label}, tuned" if study.chooses else result.label
    return _row(study, "result", label, result.auroc, result.source)


def _row(study: StudyRecords, kind: Kind, label: str, auroc: Estimate, about: str) -> Row:
    return Row(kind, label, auroc, f"{about}, n = {count(auroc.n, 'seed')}")


def _default(study: StudyRecords, baseline: str) -> Result | None:
    """The test of a baseline's default on the seeds of the search."""
    of_baseline = [record for record in study.trials if record.baseline == baseline]
    records = unchanged_trials(study.defaults, of_baseline)
    return of_trial(study, records[0]) if records else None


def _difference(first: Result, second: Result) -> Estimate:
    """The difference of two results on other seeds and the same test images."""
    contrast = [(first.ranks, 1.0), (second.ranks, -1.0)]
    error = error_of_mean(contrast, list(first.classes))
    return unpaired_difference(first.auroc, second.auroc, error)


def draw_glance(glance: Glance) -> Figure:
    """A row for each result: its mean, its 95 % interval, and both as text at the right."""
    rows = glance.rows
    canvas = theme.canvas(height=0.7 + 0.32 * len(rows))
    axes = canvas.one
    for k, row in enumerate(rows):
        at = len(rows) - 1 - k
        style = STYLES[row.kind]
        mean = 100 * row.auroc.mean
        text = f"{row.label}: {row.auroc.mean_interval()} % ({row.about})"
        if not math.isnan(row.auroc.low):
            bounds = [100 * row.auroc.low, 100 * row.auroc.high]
            (line,) = axes.plot(bounds, [at, at], color=style["color"], lw=2.5, alpha=0.7)
            theme.describe(line, [text])
        theme.points(axes, [mean], [at], [text], s=44, zorder=3, **style)
        axes.annotate(
            row.auroc.mean_interval(),
            (1.02, at),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            color=theme.INK,
            fontweight="bold" if row.kind == "result" else "normal",
        )
    name, labels = _labels(rows)
    axes.set_yticks(range(len(rows)), labels[::-1])
    axes.set_ylabel(name)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("test AUROC (%)")
    axes.grid(axis="x", color=theme.FAINT, alpha=0.25)
    axes.tick_params(axis="y", length=0)
    return canvas.figure


def _labels(rows: Sequence[Row]) -> tuple[str, list[str]]:
    """What all results have in common before their values, and the labels without it.

    Long labels are cut.
    """
    results = [row.label for row in rows if row.kind == "result"]
    head, equals, _ = os.path.commonprefix(results).rpartition(" = ")
    shared = head + equals if len(results) > 1 else ""
    labels = [
        row.label.removeprefix(shared) if row.kind == "result" else row.label for row in rows
    ]
    short = [f"{label[:LONGEST]}…" if len(label) > LONGEST else label for label in labels]
    return shared.removesuffix(" = "), short


def gain_text(gain: Estimate) -> str:
    """A difference in points, with its 95 % interval if there is one."""
    points = f"{100 * gain.mean:+.1f} points"
    if math.isnan(gain.low):
        return points
    return f"{points} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
