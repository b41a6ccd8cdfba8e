"""The learning curves of the best reported result, and whether its training had ended."""

import math
from functools import partial

from analysis.document.blocks import Block, Figure, Section, Text
from analysis.document.format import in_words, short
from analysis.questions.progress.end_of_training import verdict
from analysis.questions.progress.learning_curve_figure import draw_learning_curves
from analysis.questions.progress.learning_curves import (
    MOST_LOSSES,
    LearningCurves,
    learning_curves,
)
from analysis.quoted import Result
from analysis.report.findings import Findings
from tune_ad.wording import count

PLACE = 32


def section(findings: Findings) -> Section | None:
    """The curves of the best result; None if none are stored."""
    results = sorted(findings.results, key=_merit)
    for result in results:
        curves = learning_curves(findings.study, result)
        if curves is not None:
            blocks: list[Block] = [Text(_sentences(curves, len(results))), _figure(curves)]
            return Section("Learning curves", blocks)
    return None


def _merit(result: Result) -> float:
    """The sort key of a result: the best first, those without a value last."""
    return -result.auroc.mean if math.isfinite(result.auroc.mean) else math.inf


def _sentences(curves: LearningCurves, results: int) -> str:
    which = f"Of {count(results, 'reported result')}, the best: {curves.label}. " * (results > 1)
    return f"{which}{verdict(curves)}"


def _figure(curves: LearningCurves) -> Figure:
    models = max(len(curves.metric), len(curves.loss))
    fresh = " on fresh seeds" if curves.fresh else ""
    what = [
        name
        for name, there in (
            (f"the {curves.loss_name}", curves.loss),
            (curves.response.name if curves.response else "", curves.metric),
        )
        if there
    ]
    parts = [
        f"How {in_words(what)} of {curves.label} changed while it was trained. Each coloured line "
        f"is one of {count(models, 'model')}{fresh}: classes differ in colour and dashes, and a "
        "class has a line for each seed."
    ]
    if curves.other_metric:
        parts.append(
            f"Faint lines: the mean of each of {count(len(curves.other_metric), 'trial')} of the "
            "search, as far as it lies near."
        )
    elif curves.other_loss:
        parts.append("Faint lines: the mean of each of other trials.")
    if len(curves.other_loss) == MOST_LOSSES:
        parts.append(f"Beside the loss, {MOST_LOSSES} of them.")
    parts += [_drops(curves)] if curves.drops else []
    if curves.rescored and curves.metric:
        parts.append(
            "All values are by the declared score, also the last ones: what was chosen after "
            "training is not counted here."
        )
    if curves.missing:
        parts.append(f"{count(curves.missing, 'model')} left out, without readable curves.")
    return Figure("learning_curves", partial(draw_learning_curves, curves), " ".join(parts))


def _drops(curves: LearningCurves) -> str:
    """Where the learning rate drops, in a sentence."""
    drops = [
        f"from {drop.before:.2g} to {drop.after:.2g} "
        f"{'after' if drop.is_exact else 'before'} epoch {short(float(drop.epoch))}"
        for drop in curves.drops
    ]
    return f"Dotted vertical lines: the learning rate drops {in_words(drops)}."
