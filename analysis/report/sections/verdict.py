"""What the study says of the claim that it tests, by a rule that was fixed before the run."""

from collections.abc import Iterator, Sequence

from analysis.document.blocks import Block, Section, Table, Text
from analysis.document.format import count
from analysis.questions.claims.conclusion import verdict_sentence
from analysis.questions.claims.evidence import Evidence, unmatched_trials
from analysis.questions.claims.judgements import Judgement
from analysis.questions.claims.models import models_by_level, models_table, without_plateau
from analysis.questions.claims.rules import CLAIM_RULES
from analysis.questions.claims.verdict_blocks import levels_table, verdict_figure, verdict_table
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.search.claim import Claim

PLACE = 10


def section(findings: Findings) -> Section | None:
    """The verdict per stratum, outsider set and response; None where no claim is tested."""
    claim, evidence = findings.claim, findings.evidence
    if fault := findings.study.claim_fault:
        return Section("Verdict", [Text(f"No verdict: {fault}.", "warning")])
    if claim is None:
        return None
    rules = Text(CLAIM_RULES[claim.kind].text, "note")
    if not evidence:
        why = f"no trial with the parameter {claim.factor} was tested against an outsider set"
        return Section("Verdict", [Text(f"No verdict: {why}.", "warning"), rules])
    total = sum(len(judgement.verdicts) for judgement in findings.judgements)
    warnings, tables = _about_models(claim, evidence)
    blocks: list[Block] = [rules, *_about_trials(findings.study, claim, total), *warnings]
    for judgement in findings.judgements:
        blocks += _blocks(claim, judgement)
    return Section("Verdict", [*blocks, *tables])


def _about_trials(study: StudyRecords, claim: Claim, total: int) -> Iterator[Text]:
    """What a reader must know of the verdicts and of the trials that they rest on."""
    if total > 1:
        yield Text(
            f"The {total} verdicts are judged one by one: their intervals are not corrected for "
            "the number of verdicts.",
            "note",
        )
    if unmatched := unmatched_trials(study, claim):
        yield Text(f"{count(unmatched, 'trial')} left out: at no level of the claim.", "note")
    planned = sum((study.stored.get("planned") or {}).values())
    if len(study.trials) < planned:
        so_far = f"{len(study.trials)} of {planned} planned trials have ended so far"
        yield Text(f"{so_far}: verdicts may change.", "warning")


def _blocks(claim: Claim, judgement: Judgement) -> list[Block]:
    """The verdicts on some evidence, or why there are none."""
    evidence, judged, fault = judgement
    if fault:
        return [Text(f"No verdict on {evidence.title}: {fault}.", "warning")]
    sentences = [Text(verdict_sentence(verdict, evidence.title), "verdict") for verdict in judged]
    tables = [verdict_table(claim, evidence, judged), levels_table(claim, evidence, judged)]
    drawn = [verdict for verdict in judged if verdict.stratum.n and evidence.main]
    return [*sentences, *tables, *(verdict_figure(claim, evidence, verdict) for verdict in drawn)]


def _about_models(
    claim: Claim, evidence: Sequence[Evidence]
) -> tuple[Sequence[Text], Sequence[Table]]:
    """Warnings and tables on the models of each suite, once for all its sets and responses."""
    firsts: dict[str, Evidence] = {}
    for item in evidence:
        firsts.setdefault(item.suite, item)
    by_level = {suite: models_by_level(item) for suite, item in firsts.items()}
    warnings = [
        Text(warning, "warning")
        for suite, models in by_level.items()
        for warning in without_plateau(claim, suite, models)
    ]
    tables = [models_table(claim, firsts[suite], models) for suite, models in by_level.items()]
    return warnings, tables
