"""Failures, pruned trials, collapsed models, ties, parameters without effect, and costs."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from analysis.document.blocks import Block, Cell, Section, Table, Text
from analysis.document.format import short
from analysis.questions.health import (
    Health,
    costs,
    dead_at_scoring,
    dead_parameters,
    diagnostics,
    health,
)
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.wording import count, duration

PLACE = 90
WORDS = (
    "A replica is one model: a configuration, a task and a seed. A model has collapsed if all its "
    "scores are equal up to rounding. Scores are tied if several images have the same score."
)
NAMED = 12  # maximum number of trials that are listed before "and n more"


def section(findings: Findings) -> Section:
    """Possible reasons why the results are less reliable than they look."""
    study = findings.study
    warnings = [line for part in health(study) for line in _warnings(part)]
    warnings += list(_dead_parameters(study))
    warnings += list(_retried(study))
    warnings += [f"Left out: {line}" for line in findings.left_out]
    healthy = "No failed, pruned or collapsed trials, and no tied scores."
    text = "\n".join(f"- {line}" for line in warnings) or healthy
    blocks: list[Block] = [Text(text, "warning" if warnings else "plain"), Text(WORDS, "note")]
    if study.trials:
        caption = (
            "Wall time of trials; core time and GPU time are the total wall time multiplied by "
            "the cores and GPUs of a trial."
        )
        spent = costs(study)
        blocks.append(Table("costs", _times_as_text(spent), caption, spent))
    measured = diagnostics(study)
    if not measured.empty:
        shown = measured.map(short)
        caption = (
            "Diagnostics of the trained models, as the detectors report them: mean, sample "
            "standard deviation and range over models. Likelihoods are in nats per image, or in "
            "bits per dimension if the name says so."
        )
        blocks.append(Table("diagnostics", shown, caption, measured))
    return Section("Health", blocks)


def _times_as_text(costs: pd.DataFrame) -> pd.DataFrame:
    """The costs with every time in a fitting unit."""
    titles = {
        "median seconds": "median time",
        "longest seconds": "longest time",
        "total seconds": "total time",
        "core-seconds": "core time",
        "GPU-seconds": "GPU time",
    }
    shown = costs.copy()
    for name in titles:
        shown[name] = [Cell(duration(seconds), seconds) for seconds in costs[name]]
    return shown.rename(columns=titles)


def _warnings(part: Health) -> Iterator[str]:
    for reason, times in part.reasons.items():
        yield f"{part.title}: {times} failed: {reason}"
    if pruned := part.states.get("pruned"):
        were = "was" if pruned == 1 else "were"
        yield f"{part.title}: {pruned} {were} pruned; see the table of trials"
    if part.collapsed:
        models = count(sum(part.collapsed.values()), "model")
        yield (
            f"{part.title}: {models} collapsed (same score for every image) in "
            f"{_numbers(list(part.collapsed))}"
        )
    if part.tied:
        share = max(part.tied.values())
        yield (
            f"{part.title}: up to {100 * share:.1f} % of the scores are tied in "
            f"{_numbers(list(part.tied))}"
        )
    for text, warned in part.warnings.items():
        models = count(sum(warned.values()), "model")
        yield f"{part.title}: {models} in {_numbers(list(warned))}: {text}"
    if part.unfinished:
        models = count(sum(part.unfinished.values()), "model")
        yield (
            f"{part.title}: {models} ran out of epochs before the validation loss stopped "
            f"improving in {_numbers(list(part.unfinished))}"
        )


def _retried(study: StudyRecords) -> Iterator[str]:
    reasons = Counter(record.reason for record in study.folder.read_retried())
    for reason, times in reasons.items():
        were = "was" if times == 1 else "were"
        yield f"{times} failed and {were} trained again (--retry-failed): {reason}"


def _dead_parameters(study: StudyRecords) -> Iterator[str]:
    for dead in dead_parameters(study)[:NAMED]:
        yield (
            f"{', '.join(dead.parameters)}: no effect, all results of trials "
            f"{_numbers(dead.trials)} are identical"
        )
    for name in dead_at_scoring(study):
        yield f"{name}, a score-time parameter: no effect on test AUROC of any model"


def _numbers(numbers: Sequence[int]) -> str:
    """The numbers of trials, at most `NAMED` of them."""
    first = ", ".join(map(str, numbers[:NAMED]))
    more = len(numbers) - NAMED
    return f"[{first}]" if more <= 0 else f"[{first}] and {more} more"
