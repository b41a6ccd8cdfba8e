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
from analysis.study import StudyRecords
from tune_ad.wording import count

PLACE = 32
LARGE = 0.02  # change of an AUROC by a choice after training that is worth a sentence


def section(findings: Findings) -> Section | None:
    """The curves of the best result; None if none are stored."""
    results = sorted(findings.results, key=_merit)
    for result in results:
        curves = learning_curves(findings.study, result)
        if curves is not None:
            texts = [_sentences(curves, len(results)), *_chosen_afterwards(findings.study, curves)]
            blocks: list[Block] = [*map(Text, texts), _figure(curves)]
            return Section("Learning curves", blocks)
    return None


def _merit(result: Result) -> float:
    """The sort key of a result: the best first, those without a value last."""
    return -result.auroc.mean if math.isfinite(result.auroc.mean) else math.inf


def _sentences(curves: LearningCurves, results: int) -> str:
    which = f"Of {count(results, 'reported result')}, the best: {curves.label}. " * (results > 1)
    return f"{which}{verdict(curves)}"


def _chosen_afterwards(study: StudyRecords, curves: LearningCurves) -> list[str]:
    """How much score-time parameters that were chosen after training changed, if it was much."""
    if curves.response is None or not curves.response.percent:
        return []
    trials = {record.number: record for record in study.trials if record.chosen}
    changes = [
        (float(curve.values[-1]), record.objective, record)
        for curve in curves.other_metric
        if (record := trials.get(curve.trial)) is not None and record.objective is not None
    ]
    large = [change for change in changes if change[1] - change[0] > LARGE]
    if not large:
        return []
    before, after, record = max(large, key=lambda change: change[1] - change[0])
    names = in_words([*dict.fromkeys(name for *_, one in large for name in one.chosen)])
    return [
        f"Choosing {names} after training raised the {curves.response.name} of {len(large)} of "
        f"{count(len(curves.other_metric), 'trial')} by more than {100 * LARGE:g} points, most "
        f"that of trial {record.number}: from {100 * before:.1f} to "
        f"{100 * after:.1f} %. The figure shows the scores before this choice."
    ]


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
