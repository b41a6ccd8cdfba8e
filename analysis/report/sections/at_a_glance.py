"""The first section: the result in a picture, all results in a table, and what to do next."""

import math
from functools import partial

from analysis.document.blocks import Block, Figure, Section, Text
from analysis.image_sampling import covered_by_all, covers
from analysis.questions.ablation import draw_effects, foremost
from analysis.questions.claims.verdict_blocks import conclusions
from analysis.questions.comparison.overview import overview
from analysis.questions.glance import Glance, draw_glance
from analysis.report.findings import Findings
from analysis.report.next_steps import next_steps
from tune_ad.wording import count

PLACE = 0
MOST_EFFECTS = 8  # in the first picture; all are in the section of effects


def section(findings: Findings) -> Section:
    """The picture, if there is a result, the table, if there are several, and the commands."""
    blocks: list[Block] = [*_effects(findings)]
    if findings.glance is not None:
        caption = _caption(findings, findings.glance)
        blocks.append(Figure("glance", partial(draw_glance, findings.glance), caption))
    measured = [result for result in findings.results if result.auroc.n]
    if len(measured) > 1:
        blocks.append(overview(measured))
    steps = [f"{step.purpose}:\n$ {step.command}" for step in next_steps(findings)]
    blocks.append(Text("\n\n".join(steps)))
    return Section("At a glance", blocks)


def _effects(findings: Findings) -> list[Block]:
    """The picture of the single changes, if the headline counts them."""
    study = findings.study
    measured = [effect for effect in findings.effects if effect.difference.n]
    if study.chooses or not measured or conclusions(findings.claim, findings.main_judgements):
        return []
    shown = foremost(measured, MOST_EFFECTS)
    which = "" if len(shown) == len(measured) else "the significant or largest of "
    covered = covered_by_all(
        (e.parameter, e.test.coverage) for e in shown if not math.isnan(e.difference.low)
    )
    caption = (
        "What changing one parameter does to the test AUROC, in points, with 95 % intervals: "
        f"{which}{count(len(measured), 'single change')}. Right of 0, the change helps. Coloured "
        "triangles: significant after Holm's correction over all changes of a baseline; upwards "
        f"= better, downwards = worse. {covers(covered)}"
    )
    return [Figure("glance_effects", partial(draw_effects, shown), caption)]


def _caption(findings: Findings, glance: Glance) -> str:
    """What each mark is, and what its interval covers."""
    study = findings.study
    kinds = {row.kind for row in glance.rows}
    parts = [
        "Test AUROC in per cent: how well a model ranks anomalies above normal images, all "
        "of them new to it; 50 is chance, 100 perfect. Lines: 95 % intervals."
    ]
    if study.retrains:
        parts.append(
            "Circle: the winner of the search, trained again on fresh seeds, so that the choice "
            "does not flatter it."
        )
    elif "result" in kinds:
        parts.append("Circle: the reported result.")
    if "default" in kinds:
        parts.append("Square: the default parameters.")
    if "random" in kinds:
        parts.append(f"Diamond: {glance.drawn}.")
    if (published := glance.published) is not None:
        n = published.auroc.n
        seeds = count(n, "seed") if n else "an unknown number of seeds"
        parts.append(
            "Triangle: the best published number for the same classes, by whatever method and "
            f"protocol: {published.method} ({published.title}; {seeds}; number {published.read}). "
            'Whether it may be compared is said under "Comparison with published numbers".'
        )
    if glance.left_out:
        parts.append(f"{count(glance.left_out, 'result')} with smaller means are not shown.")
    of_results = {r.label: r.coverage for r in findings.results if r.auroc.n > 1}
    parts.append(covers(of_results, "The intervals of reported results"))
    return " ".join(parts)
