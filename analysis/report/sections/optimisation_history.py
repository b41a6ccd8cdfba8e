"""The optimisation history: what each trial reached, and what the search learned from."""

from functools import partial

from analysis.document.blocks import Block, Figure, Section, Text
from analysis.questions.progress.history import OptimisationHistory, draw_history, history
from analysis.report.findings import Findings
from tune_ad.selection import RULES
from tune_ad.wording import count

PLACE = 30


def section(findings: Findings) -> Section | None:
    """The history; None if the trials have no comparable objective."""
    course = history(findings.study)
    if course is None:
        return None
    figure = Figure("history", partial(draw_history, course), _caption(findings, course))
    described = course.described()
    blocks: list[Block] = [*([Text(described)] if described else []), figure]
    return Section("Optimisation history", blocks)


def _caption(findings: Findings, course: OptimisationHistory) -> str:
    rule = RULES[findings.study.rule]
    parts = [
        f"Each mark is one trial, that is, one configuration: its {course.response.name}, by "
        "which trials are ranked; larger is better. Line: the best so far."
    ]
    if findings.study.plan.adapts:
        parts.append(
            "Circles: start-up trials (defaults, then random draws), which look at no result. "
            "Triangles: adaptive trials, proposed from the results of earlier ones; if they lie "
            "higher, the search has learned something."
        )
    if pruned := len(course.of("pruned")):
        parts.append(
            f"Dashes: {count(pruned, 'pruned trial')}, stopped early, at the last value reported."
        )
    if failed := len(course.of("failed")):
        parts.append(f"Crosses at the bottom: {count(failed, 'failed trial')}, without a value.")
    if course.is_cut:
        parts.append("Trials far below the others stand at the lower edge.")
    if rule.name == "oracle":
        parts.append("The rule oracle looks at the test set: these values are optimistic.")
    return " ".join(parts)
