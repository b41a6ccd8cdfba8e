"""Failures, early stops, collapses, ties, dead parameters, and what the trials cost."""

from collections.abc import Iterator, Sequence

from analysis.document.blocks import Block, Section, Table, Text
from analysis.document.format import count, short
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

PLACE = 90
WORDS = (
    "A replica is one model: a configuration, a task and a seed. A model has collapsed if all its "
    "scores differ by rounding alone. Scores are tied if several images have the same one."
)
NAMED = 12  # trials that are named before "and n more"


def section(findings: Findings) -> Section:
    """What may make the numbers of the report less reliable than they look."""
    study = findings.study
    warnings = [line for part in health(study) for line in _warnings(part)]
    warnings += list(_dead_parameters(study))
    healthy = "No trial failed, was stopped early, collapsed or tied."
    text = "\n".join(f"- {line}" for line in warnings) or healthy
    blocks: list[Block] = [Text(text, "warning" if warnings else "plain"), Text(WORDS, "note")]
    if study.trials:
        caption = (
            "Wall time of trials; core-hours and GPU-hours are the wall time multiplied by the "
            "cores and GPUs that a trial had."
        )
        blocks.append(Table("costs", costs(study), caption))
    measured = diagnostics(study)
    if not measured.empty:
        shown = measured.map(short)
        caption = (
            "What detectors report about their trained models beside the score: mean, sample "
            "standard deviation and range over models. Likelihoods are in nats per image, or in "
            "bits per dimension where the name says so."
        )
        blocks.append(Table("diagnostics", shown, caption, measured))
    return Section("Health", blocks)


def _warnings(part: Health) -> Iterator[str]:
    for reason, times in part.reasons.items():
        yield f"{part.title}: {times} failed: {reason}"
    if pruned := part.states.get("pruned"):
        yield f"{part.title}: {pruned} stopped early; only the table of trials shows them"
    if part.collapsed:
        models = count(sum(part.collapsed.values()), "model")
        yield (
            f"{part.title}: {models} gave every image one score, but for rounding, in "
            f"{_numbers(list(part.collapsed))}"
        )
    if part.tied:
        share = max(part.tied.values())
        yield (
            f"{part.title}: up to {100 * share:.1f} % of the images have the same score as "
            f"another one in {_numbers(list(part.tied))}"
        )
    for text, warned in part.warnings.items():
        models = count(sum(warned.values()), "model")
        yield f"{part.title}: {models} in {_numbers(list(warned))}: {text}"
    if part.unfinished:
        models = count(sum(part.unfinished.values()), "model")
        yield (
            f"{part.title}: {models} ran out of epochs before the held-out loss reached its "
            f"plateau in {_numbers(list(part.unfinished))}"
        )


def _dead_parameters(study: StudyRecords) -> Iterator[str]:
    for dead in dead_parameters(study)[:NAMED]:
        yield (
            f"{', '.join(dead.parameters)} made no difference to any number of trials "
            f"{_numbers(dead.trials)}"
        )
    for name in dead_at_scoring(study):
        yield f"{name}, a score-time parameter, changed no model's test AUROC"


def _numbers(numbers: Sequence[int]) -> str:
    """The numbers of trials, at most `NAMED` of them."""
    first = ", ".join(map(str, numbers[:NAMED]))
    more = len(numbers) - NAMED
    return f"[{first}]" if more <= 0 else f"[{first}] and {more} more"
