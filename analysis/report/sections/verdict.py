"""What the study says of the claim that it tests, by the rule that was fixed before."""

from collections.abc import Sequence
from functools import partial

from analysis.document.blocks import Block, Figure, Section, Table, Text
from analysis.document.format import count, file_name
from analysis.questions.claims.conclusion import without_plateau
from analysis.questions.claims.evidence import Evidence, evidence, nowhere, verdicts
from analysis.questions.claims.levels import models, unfinished
from analysis.questions.claims.rules import RULES
from analysis.questions.claims.spec import Asked, asked
from analysis.questions.claims.verdict import Verdict
from analysis.questions.claims.verdict_figures import draw_capacity, draw_forward_kl, sentence
from analysis.questions.claims.verdict_tables import levels_table, models_table, verdict_table
from analysis.report.findings import Findings

PLACE = 10
DRAW = {"capacity": draw_capacity, "forward_kl": draw_forward_kl}


def section(findings: Findings) -> Section | None:
    """The verdict per stratum, outsider set and response; None where no claim is tested."""
    study = findings.study
    claim = asked(study)
    if claim is None:
        return None
    if claim.fault:
        return Section("Verdict", [Text(f"No verdict: {claim.fault}.", "warning")])
    found = evidence(study, claim)
    blocks: list[Block] = [Text(RULES[claim.claim], "note")]
    if not found:
        why = f"no trial with the parameter {claim.factor} has met an outsider set"
        return Section("Verdict", [Text(f"No verdict: {why}.", "warning"), *blocks])
    judged = [(each, _judged(claim, each)) for each in found]
    total = sum(len(own) for _, own in judged if isinstance(own, list))
    if total > 1:
        said = f"{total} verdicts, each for itself: their intervals are not corrected for {total}."
        blocks.append(Text(said, "note"))
    if lost := nowhere(study, claim):
        blocks.append(Text(f"{count(lost, 'trial')} left out: at no level of the claim.", "note"))
    planned = sum((study.stored.get("planned") or {}).values())
    if len(study.trials) < planned:
        so_far = f"So far {len(study.trials)} of {planned} planned trials; verdicts may change."
        blocks.append(Text(so_far, "warning"))
    warnings, tables = _about_models(claim, found)
    blocks += warnings
    for each, own in judged:
        blocks += [own] if isinstance(own, Text) else _blocks(claim, each, own)
    return Section("Verdict", [*blocks, *tables])


def _judged(claim: Asked, found: Evidence) -> list[Verdict] | Text:
    """The verdicts, or why there are none."""
    try:
        made = verdicts(claim, found)
    except ValueError as error:
        more = "; what else the trials vary belongs in the claim's strata"
        return Text(f"No verdict on {found.title}: {error}{more}.", "warning")
    if made:
        return made
    why = f"only one level of {claim.factor} was run"
    return Text(f"No verdict on {found.title}: {why}.", "warning")


def _blocks(claim: Asked, found: Evidence, own: Sequence[Verdict]) -> list[Block]:
    texts = [Text(sentence(each, found.title), "verdict") for each in own]
    tables = [verdict_table(claim, found, own), levels_table(claim, found, own)]
    drawn = [each for each in own if each.n and found.main]
    return [*texts, *tables, *(_figure(claim, found, each) for each in drawn)]


def _figure(claim: Asked, found: Evidence, own: Verdict) -> Figure:
    caption = (
        f"{found.title}, {own.stratum}: test AUROC (left) and bits per dimension of normals "
        f"(right) at each level of {claim.factor}. Thin: one line a seed; thick: mean of "
        f"n = {own.n} paired seeds with its 95 % interval. Verdict: {own.outcome}."
    )
    treatment = [] if claim.claim == "capacity" else [str(own.levels[1])]
    name = file_name("verdict", found.task, found.response, own.stratum, *treatment)
    return Figure(name, partial(DRAW[claim.claim], own), caption)


def _about_models(
    claim: Asked, found: Sequence[Evidence]
) -> tuple[Sequence[Text], Sequence[Table]]:
    """Warnings and tables on the models of each panel, once for all its sets and responses."""
    panels = {each.panel: each for each in reversed(found)}
    known = {panel: models(each) for panel, each in reversed(panels.items())}
    warnings = [
        Text(without_plateau(claim, panel, missed), "warning")
        for panel, own in known.items()
        if (missed := unfinished(own))
    ]
    return warnings, [models_table(claim, panels[panel], own) for panel, own in known.items()]
