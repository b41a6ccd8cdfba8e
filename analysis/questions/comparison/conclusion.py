"""The conclusions of a comparison of studies: what was tested, what was not, and why."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from analysis.document.format import PERCENTAGE_POINTS
from analysis.questions.comparison.contenders import (
    DETERMINISTIC,
    Contender,
    Contrast,
    shared_tasks,
)
from tune_ad.wording import count

MOST_NAMED = 6  # number of pairs that are listed individually, and half that of classes
REASON_OF_MANY = {DETERMINISTIC: "pairs of deterministic methods are not tested"}
ByStudy = Mapping[str, Sequence[Contender]]
"""The reported results of each study, by its label; empty if it has none."""


def tested(contrasts: Sequence[Contrast]) -> Iterator[str]:
    """The outcome of the tests, a sentence per pair; the rest of many pairs is counted."""
    decided = [contrast for contrast in contrasts if not math.isnan(contrast.decision.p)]
    for contrast in decided[:MOST_NAMED]:
        where = f"{_pair(contrast)}, over {count(contrast.classes, 'class')}"
        difference = contrast.paired.difference.mean_interval(PERCENTAGE_POINTS)
        yield f"{where}: {difference} points; {contrast.decision.reason}."
    if len(decided) > MOST_NAMED:
        yield f"{count(len(decided) - MOST_NAMED, 'more pair')}: see the table of pairs."


def not_tested(contrasts: Sequence[Contrast]) -> Iterator[str]:
    """The pairs that were not tested, by reason."""
    by_reason: dict[str, list[Contrast]] = {}
    for contrast in contrasts:
        if math.isnan(contrast.decision.p):
            reason = REASON_OF_MANY.get(contrast.decision.reason, contrast.decision.reason)
            by_reason.setdefault(reason, []).append(contrast)
    for reason, pairs in by_reason.items():
        if len(pairs) > MOST_NAMED:
            every = "all " if len(pairs) == len(contrasts) else f"{len(pairs)} of "
            yield f"{every}{len(contrasts)} pairs: {reason}."
        else:
            yield f"{'; '.join(map(_pair, pairs))}: {reason}."


def not_comparable(by_study: ByStudy) -> Iterator[str]:
    """The pairs of studies that share no class, and why."""
    for (name, first), (other, second) in combinations(by_study.items(), 2):
        if first and second and (why := _nothing_shared(first, second)):
            yield f"{name} and {other}: {why}."


def _pair(contrast: Contrast) -> str:
    return f"{contrast.first} against {contrast.second}"


def _nothing_shared(first: Sequence[Contender], second: Sequence[Contender]) -> str:
    """Why no result of one study can be compared with one of another; empty if one can."""
    if any(shared_tasks(one, other) for one in first for other in second):
        return ""
    classes = [_classes(group) for group in (first, second)]
    if not all(classes):
        return "every seed of one of them failed"
    if set(classes[0]) & set(classes[1]):
        return (
            "the classes have the same names, but the tasks differ (images, classes or outsider "
            "sets)"
        )
    return f"they share no class ({_some(classes[0])}; {_some(classes[1])})"


def _classes(contenders: Iterable[Contender]) -> dict[str, str]:
    """The titles of all class tasks that have a result, by their names."""
    results = [contender.result for contender in contenders]
    return {task: result.titles.get(task, task) for result in results for task in result.classes}


def _some(classes: Mapping[str, str]) -> str:
    titles = list(classes.values())
    shown = ", ".join(titles[: MOST_NAMED // 2])
    more = len(titles) - MOST_NAMED // 2
    return f"{shown} and {more} more" if more > 0 else shown
