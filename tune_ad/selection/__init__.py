"""The selection rules by name; each ranks configurations from records alone.

The values used for selection are never reported as results: the winner is trained again on fresh
seeds. Every complete trial is also tested, so that the regret of each rule can be shown; only
`oracle` uses test results. Each module of `rules/` declares its `RULES`; the command line, the
search, the report and the sensitivities know a rule from there.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence

from tune_ad.selection import rules
from tune_ad.selection.rule import SelectionRule, mean
from tune_ad.storage.records import TrialRecord

__all__ = ["AUTO", "RULES", "SelectionRule", "mean", "rule_value", "ranked", "winners"]


def _declared() -> dict[str, SelectionRule]:
    """The rules of every module of `rules/`, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(rules.__path__))
    modules = [importlib.import_module(f"{rules.__name__}.{name}") for name in names]
    return {rule.name: rule for module in modules for rule in module.RULES}


RULES: dict[str, SelectionRule] = _declared()
AUTO = "auto"
PREFERRED = ("validation", "pseudo_outliers")
"""The rules of `--selection auto`, in this order.

Validation needs labelled anomalies. Of the rules without labels the other one lost nothing
measurable over ten classes of two data sets (`docs/results/README.md`). Rotated images alone did
as well there, but say nothing where normal images have no upright position; the median over
several kinds of pseudo-outliers does not hang on one kind.
"""


def automatic(has_data: Callable[[str], bool]) -> str:
    """The name of the rule that `--selection auto` stands for: the first that has its data.

    Args:
        has_data: whether a study has the data that a rule needs, by the name of the rule.
    """
    return next(filter(has_data, PREFERRED), PREFERRED[0])


def rule_value(record: TrialRecord, rule: str) -> float | None:
    """The value of a rule for a trial; None if it has none or the trial is not complete."""
    if record.state != "complete":
        return None
    return RULES[rule].value(record.metrics, record.identity)


def ranked(records: Iterable[TrialRecord], rule: str) -> list[TrialRecord]:
    """The complete trials that have a value of the rule, best first.

    Of equal trials the earlier one comes first.
    """
    values = [(rule_value(record, rule), record) for record in records]
    present = [(value, record) for value, record in values if value is not None]
    return [record for value, record in sorted(present, key=lambda p: (-p[0], p[1].number))]


def winners(
    records: Iterable[TrialRecord], rule: str, groups: Sequence[Sequence[str]]
) -> Iterator[tuple[int, TrialRecord]]:
    """The best trial of each group of baselines that has one, with the place of the group.

    Args:
        records: the trials.
        rule: the name of the rule that ranks them.
        groups: the names of the baselines of each group.
    """
    order = ranked(records, rule)
    for place, names in enumerate(groups):
        for winner in [record for record in order if record.baseline in names][:1]:
            yield place, winner
