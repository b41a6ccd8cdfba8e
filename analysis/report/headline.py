"""The answer of a study in a sentence, at the top of its report."""

import math
from collections.abc import Sequence

from analysis.document.format import in_words, p_text, short
from analysis.questions.claims.verdict_blocks import conclusions
from analysis.questions.glance import Glance, gain_text
from analysis.quoted import Result, why_nothing
from analysis.report.findings import Findings
from analysis.stats.estimates import Estimate
from tune_ad.selection import RULES
from tune_ad.wording import count


def headline(findings: Findings) -> str:
    """The answer: a verdict, an effect, a result with what it gained, or why there is none."""
    so_far = findings.study.so_far if findings.study.trials else ""
    return so_far + _answer(findings)


def _answer(findings: Findings) -> str:
    study = findings.study
    if verdicts := conclusions(findings.claim, findings.main_judgements):
        more = f" ({count(len(verdicts) - 1, 'further sentence')} below.)" * (len(verdicts) > 1)
        return verdicts[0] + more
    if study.whole:
        return f"{study.name}: no image is known to be anomalous, so there is no AUROC."
    best = _best(findings)
    if best is None or findings.glance is None:
        return f"{study.name} has no result yet: {why_nothing(study)}."
    if findings.effects and not study.chooses:
        return _effects(findings, best)
    if not study.chooses:
        return _listed(findings, best)
    return _chosen(findings, best, findings.glance)


def _best(findings: Findings) -> Result | None:
    valued = [result for result in findings.results if result.auroc.n]
    return max(valued, key=lambda result: result.auroc.mean, default=None)


def _auroc(result: Result) -> str:
    where = f", {result.against}" if result.against else ""
    seeds = count(result.auroc.n, "seed")
    return f"a test AUROC of {result.auroc.mean_interval()} % (n = {seeds}){where}"


def _chosen(findings: Findings, best: Result, glance: Glance) -> str:
    """The winner, what selected it, and what it gained."""
    study = findings.study
    again = ", trained again on fresh seeds" * study.retrains
    text = (
        f"{best.label}, the best of {count(len(study.trials), 'trial')} by the selection rule "
        f"{study.rule}{again}: {_auroc(best)}"
    )
    if RULES[study.rule].looks_at == "test images":
        text += ", which is optimistic: it was selected on the test set"
    if glance.is_default:
        text += "; it is the default configuration"
    gains = [
        (gain, against)
        for gain, against in (
            (glance.over_default, "its default parameters"),
            (glance.over_random, glance.drawn),
        )
        if gain is not None
    ]
    if not gains:
        return f"{text}."
    listed = in_words([f"{gain_text(gain)} against {against}" for gain, against in gains])
    return f"{text}. That is {listed}{_doubt([gain for gain, _ in gains])}."


def _doubt(gains: Sequence[Estimate]) -> str:
    """Whether the differences may be chance, in a clause; empty if none of them may be."""
    if any(math.isnan(gain.low) for gain in gains):
        return "; too few seeds to say whether that is more than chance"
    unclear = [gain for gain in gains if gain.low <= 0 <= gain.high]
    if not unclear:
        return ""
    if len(gains) == 1:
        which = "its interval contains"
    elif len(unclear) == len(gains):
        which = "both intervals contain"
    else:
        which = f"the {'first' if gains[0] in unclear else 'second'} interval contains"
    return f"; {which} 0, so it may be chance"


def _listed(findings: Findings, best: Result) -> str:
    """The best of the configurations that were fixed before the run."""
    valued = sum(result.auroc.n > 0 for result in findings.results)
    if valued == 1:
        return f"{best.label} has {_auroc(best)}."
    return (
        f"Of {count(valued, 'configuration')} that were fixed before the run, {best.label} has "
        f"the largest test AUROC, {best.auroc.mean_interval()} %{_before_second(findings, best)}."
    )


def _before_second(findings: Findings, best: Result) -> str:
    """Whether the best configuration is shown to be better than the second one, in a clause."""
    first = next(iter(findings.contrasts), None)
    if first is None or first.first != best.label:
        return ""  # it shares no class with another one
    shown = "shown to be" if first.decision.tone == "better" else "not shown to be"
    return (
        f"; it is {shown} better than {first.second}, the second "
        f"({gain_text(first.paired.difference)})"
    )


def _effects(findings: Findings, best: Result) -> str:
    """How many single changes help and harm, and the largest change."""
    tones = [effect.verdict.tone for effect in findings.effects]
    better, worse = tones.count("better"), tones.count("worse")
    measured = [effect for effect in findings.effects if effect.difference.n]
    detector = best.tested[0].detector
    name = best.label if best.label == detector else f"the baseline {best.label} ({detector})"
    text = (
        f"Of {count(len(tones), 'single change')} of {name}, which has {_auroc(best)}, "
        f"{better} {'is' if better == 1 else 'are'} better, {worse} worse, and "
        f"{len(tones) - better - worse} without a significant difference"
    )
    if not measured:
        return f"{text}."
    largest = max(measured, key=lambda effect: abs(effect.difference.mean))
    return (
        f"{text}; the largest difference: {gain_text(largest.difference)} with "
        f"{largest.parameter} = {short(largest.value)} (p = {p_text(largest.verdict.p)})."
    )
