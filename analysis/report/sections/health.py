"""Failures, early stops, collapses, ties, dead parameters, and what the trials cost."""

from collections.abc import Iterator

from analysis.document.blocks import Block, Section, Table, Text
from analysis.document.format import count
from analysis.questions.health import Group, costs, dead, dead_at_scoring, groups
from analysis.report.findings import Findings
from analysis.study import StudyRecords

PLACE = 90
WORDS = (
    "A replica is one model: a configuration, a task and a seed. It has collapsed where all its "
    "scores differ by rounding alone, and its scores are tied where images share one."
)
NAMED = 12  # trials of a kind that are named before "and n more"


def section(findings: Findings) -> Section:
    """What may make the numbers above less than they seem."""
    study = findings.study
    lines = [line for group in groups(study) for line in _lines(group)]
    lines += list(_dead_lines(study))
    healthy = "No trial failed, was stopped early, collapsed or tied."
    found = "\n".join(f"- {line}" for line in lines) if lines else healthy
    blocks: list[Block] = [Text(found, "warning" if lines else "plain"), Text(WORDS, "note")]
    if study.trials:
        blocks.append(
            Table(
                "costs",
                costs(study),
                "Wall time of trials; core-hours and GPU-hours are that times what a trial had.",
            )
        )
    return Section("Health", blocks)


def _lines(group: Group) -> Iterator[str]:
    for reason, times in group.reasons.items():
        yield f"{group.title}: {times} failed: {reason}"
    if pruned := group.states.get("pruned"):
        yield f"{group.title}: {pruned} stopped early; only the table of trials shows them"
    if group.collapsed:
        models = count(sum(group.collapsed.values()), "model")
        yield (
            f"{group.title}: {models} gave every image one score, but for rounding, in "
            f"{_named(list(group.collapsed))}"
        )
    if group.tied:
        worst = max(group.tied.values())
        yield (
            f"{group.title}: up to {100 * worst:.1f} % of the images share their score with "
            f"another one in {_named(list(group.tied))}"
        )
    if group.starved:
        least = min(group.starved.values())
        yield (
            f"{group.title}: importance weights rest on one code (effective sample size down to "
            f"{least:.2f}) in {_named(list(group.starved))}; take more samples or temper them"
        )
    if group.unfinished:
        models = count(sum(group.unfinished.values()), "model")
        yield (
            f"{group.title}: {models} ran out of epochs before the plateau of the held-out loss "
            f"in {_named(list(group.unfinished))}"
        )


def _dead_lines(study: StudyRecords) -> Iterator[str]:
    for each in dead(study)[:NAMED]:
        yield (
            f"{', '.join(each.parameters)} changed no number between trials {_named(each.trials)}"
        )
    for name in dead_at_scoring(study):
        yield f"{name}, when scoring, changed no test AUROC of any model"


def _named(numbers: list[int] | tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:NAMED]))
    more = len(numbers) - NAMED
    return f"[{shown}]" if more <= 0 else f"[{shown}] and {more} more"
