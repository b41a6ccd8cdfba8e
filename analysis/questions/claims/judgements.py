"""The evidence on a claim with the verdicts on it, or with the reason why there are none."""

from collections.abc import Sequence
from typing import NamedTuple

from analysis.questions.claims.evidence import Evidence
from analysis.questions.claims.rules import Verdict, verdicts
from tune_ad.search.claim import Claim


class Judgement(NamedTuple):
    """What one task, outsider set and response say of a claim.

    Attributes:
        evidence: the models that were judged.
        verdicts: one per stratum; empty where they cannot be judged.
        fault: why not, without a full stop; empty where there are verdicts.
    """

    evidence: Evidence
    verdicts: Sequence[Verdict]
    fault: str = ""


def judge(claim: Claim, evidence: Sequence[Evidence]) -> list[Judgement]:
    """The verdicts on all evidence, in its order."""
    return [_judgement(claim, item) for item in evidence]


def _judgement(claim: Claim, evidence: Evidence) -> Judgement:
    try:
        judged = verdicts(claim, evidence.table)
    except ValueError as error:
        more = "what else differs between the trials belongs in the claim's strata"
        return Judgement(evidence, [], f"{error}; {more}")
    return Judgement(
        evidence, judged, "" if judged else f"only one level of {claim.factor} was run"
    )
