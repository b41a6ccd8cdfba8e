"""The verdicts on the claim that the study tests, by rules that were fixed before the run."""

from collections.abc import Iterator

from analysis.document.blocks import Block, Section, Text
from analysis.questions.claims.evidence import unmatched_trials
from analysis.questions.claims.models import models_table, without_plateau
from analysis.questions.claims.rules import CLAIM_RULES, Judgement
from analysis.questions.claims.verdict_blocks import (
    levels_table,
    verdict_figure,
    verdict_sentence,
    verdict_table,
)
from analysis.report.findings import Findings
from analysis.study import StudyRecords
from tune_ad.search.claim import Claim
from tune_ad.wording import count

PLACE = 10


def section(findings: Findings) -> Section | None:
    """The verdict per stratum, outsider set and score; None if no claim is tested."""
    claim = findings.claim
    if fault := findings.study.claim_fault:
        return Section("Verdict", [Text(f"No verdict: {fault}.", "warning")])
    if claim is None:
        return None
    rules = Text(CLAIM_RULES[claim.kind].text, "note")
    if not findings.judgements:
        why = f"no trial with the parameter {claim.factor} was tested"
        return Section("Verdict", [Text(f"No verdict: {why}.", "warning"), rules])
    total = sum(len(judgement.verdicts) for judgement in findings.judgements)
    blocks: list[Block] = [rules, *_about_trials(findings.study, claim, total)]
    suites = [judgement.evidence for judgement in findings.main_judgements]
    for suite in suites:
        blocks += [Text(warning, "warning") for warning in without_plateau(claim, suite)]
    for judgement in findings.judgements:
        blocks += _blocks(claim, judgement)
    return Section("Verdict", [*blocks, *(models_table(claim, suite) for suite in suites)])


def _about_trials(study: StudyRecords, claim: Claim, total: int) -> Iterator[Text]:
    """Caveats about the verdicts and the trials behind them."""
    if total > 1:
        yield Text(
            f"The {total} verdicts are separate: their intervals are not corrected for multiple "
            "comparisons.",
            "note",
        )
    if unmatched := unmatched_trials(study, claim):
        left_out = f"Left out: {count(unmatched, 'trial')} that match no level of the claim."
        yield Text(left_out, "note")
    if len(study.trials) < study.trials_planned:
        yield Text(
            f"{len(study.trials)} of {study.trials_planned} planned trials have finished so far: "
            "verdicts may change.",
            "warning",
        )


def _blocks(claim: Claim, judgement: Judgement) -> list[Block]:
    """The verdicts on some evidence, or why there are none."""
    evidence, verdicts, fault = judgement
    if fault:
        return [Text(f"No verdict on {evidence.title}: {fault}.", "warning")]
    sentences = [Text(verdict_sentence(v, evidence.title), "verdict") for v in verdicts]
    drawn = [verdict for verdict in verdicts if verdict.stratum.n and evidence.main]
    figures = [verdict_figure(claim, evidence, verdict) for verdict in drawn]
    return [*sentences, verdict_table(claim, judgement), levels_table(claim, judgement), *figures]
