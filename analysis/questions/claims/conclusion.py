"""What a study concludes of the claim that it tests, in sentences."""

from collections.abc import Sequence

from analysis.document.format import PERCENT, PERCENTAGE_POINTS, Unit
from analysis.questions.claims.judgements import Judgement
from analysis.questions.claims.models import models_by_level, without_plateau
from analysis.questions.claims.rules import CHANCE_AUROC, FIXED_AUROC, Verdict
from analysis.stats.estimates import Estimate
from tune_ad.search.claim import Claim

BITS_CHANGE = Unit(1, "+.3f")


def conclusions(claim: Claim | None, judgements: Sequence[Judgement]) -> list[str]:
    """The verdicts by the main score against the first outsider set, and what casts doubt on them.

    None where no claim is tested or nothing can be judged yet; the report's section on the
    verdict says why, and has the other scores and sets.

    Args:
        claim: that the study tests.
        judgements: on it, as `analysis.questions.claims.judgements.judge` returns them.
    """
    if claim is None:
        return []
    firsts: dict[str, Judgement] = {}
    for judgement in judgements:
        if judgement.evidence.main:
            firsts.setdefault(judgement.evidence.suite, judgement)
    sentences = [
        verdict_sentence(verdict, judgement.evidence.title)
        for judgement in firsts.values()
        for verdict in judgement.verdicts
    ]
    if not sentences:
        return []
    for suite, judgement in firsts.items():
        sentences += without_plateau(claim, suite, models_by_level(judgement.evidence))
    return sentences


def verdict_sentence(verdict: Verdict, title: str) -> str:
    """The verdict, and the numbers that it rests on.

    Args:
        verdict: on one stratum.
        title: what was judged.
    """
    stratum = verdict.stratum
    outcome = f"{title}, {stratum.name}: {verdict.outcome} ({verdict.reason})."
    if stratum.n < 2 or len(stratum.levels) < 2:
        return outcome
    capacity = stratum.claim == "capacity"
    level = stratum.levels[stratum.last_level]
    where = f"width {level:g}" if capacity else str(level)
    how = "per doubling of the width" if capacity else "paired"
    numbers = (
        f"AUROC {_interval(stratum.effect, PERCENTAGE_POINTS)} points {how}; "
        f"{_interval(stratum.last, PERCENT)} % at {where}, {place(stratum.last)}; "
        f"{stratum.unit} of normals {_interval(stratum.bits, BITS_CHANGE)} {how} "
        f"(n = {stratum.n} paired seeds, 95 % intervals)."
    )
    return " ".join(filter(None, (outcome, numbers, "" if capacity else _control(verdict))))


def _control(verdict: Verdict) -> str:
    stratum = verdict.stratum
    if not stratum.control.n:
        return "There is no control: a gain may come from another bound on the same model."
    moved = _interval(stratum.control, PERCENTAGE_POINTS)
    return f"The control, {stratum.levels[-1]}, moves AUROC by {moved} points."


def _interval(estimate: Estimate, unit: Unit) -> str:
    return estimate.mean_interval(unit) or "unknown"


def place(auroc: Estimate) -> str:
    """Where an interval lies: against 50 %, and against the 90 % above which outsiders are told.

    >>> place(Estimate(0.2, 0.01, 0.19, 0.21, 6))
    'still inverted (below chance)'
    """
    fixed = f"{100 * FIXED_AUROC:.0f} %"
    if auroc.high < CHANCE_AUROC:
        return "still inverted (below chance)"
    if auroc.low > FIXED_AUROC:
        return f"above {fixed}"
    if auroc.low > CHANCE_AUROC:
        return f"above chance, not shown to exceed {fixed}"
    return "not told from chance"
