"""What a study concludes of the claim that it tests, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.document.format import count, short
from analysis.questions.claims.evidence import Evidence, evidence, verdicts
from analysis.questions.claims.levels import models, unfinished
from analysis.questions.claims.spec import Asked, asked
from analysis.questions.claims.verdict_figures import sentence
from analysis.study import StudyRecords


def conclusions(study: StudyRecords) -> list[str]:
    """The verdicts by the main score against the first outsider set, and what casts doubt on them.

    None where no claim is tested or nothing can be judged yet; the report's section on the
    verdict says why, and has the other scores and sets.
    """
    claim = asked(study)
    if claim is None or claim.fault:
        return []
    firsts: dict[str, Evidence] = {}
    for each in evidence(study, claim):
        if each.main:
            firsts.setdefault(each.panel, each)
    said = [each for found in firsts.values() for each in _said(claim, found)]
    if not said:
        return []
    missed = {panel: unfinished(models(found)) for panel, found in firsts.items()}
    return [*said, *(without_plateau(claim, *each) for each in missed.items() if each[1])]


def without_plateau(claim: Asked, panel: str, missed: Mapping[Any, int]) -> str:
    """That models were not trained to their plateau.

    Args:
        claim: that is tested.
        panel: of the models.
        missed: models by level of the factor, as `unfinished` counts them.
    """
    where = ", ".join(f"{models} at {short(level)}" for level, models in missed.items())
    return (
        f"{panel}: {count(sum(missed.values()), 'model')} ran out of epochs before the plateau "
        f"({where}), so the levels of {claim.factor} were not trained to one criterion."
    )


def _said(claim: Asked, found: Evidence) -> Iterator[str]:
    try:
        own = verdicts(claim, found)
    except ValueError:  # trials that differ in more than the claim names; the section tells it
        return
    for each in own:
        yield sentence(each, found.title)
