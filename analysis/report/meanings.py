"""What the names of scores and score-time parameters mean, as the detectors declared it."""

from collections.abc import Collection, Sequence

from analysis.document.blocks import Text
from analysis.quoted import Result
from analysis.study import StudyRecords


def explained(
    study: StudyRecords, results: Sequence[Result], names: Collection[str]
) -> list[Text]:
    """A list of the names with their meanings; empty if none was stored.

    Args:
        study: the records.
        results: the results whose scores are shown.
        names: the names that need an explanation.
    """
    meanings = {
        name: meaning
        for result in results
        for name, meaning in study.score_meanings(result.baseline).items()
        if name in names
    }
    lines = "\n".join(f"- {name}: {meaning}" for name, meaning in meanings.items())
    return [Text(lines)] if lines else []
