"""A report over several studies: which selection rule deserves trust?"""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Document, Figure, Section, Table, Text
from analysis.document.format import CORRELATION, PERCENTAGE_POINTS, in_words, p_text
from analysis.questions.selection.across import (
    Across,
    RuleAcross,
    across,
    is_without_labels,
)
from analysis.questions.selection.across_figure import draw_across
from analysis.questions.selection.regret import RANDOM
from analysis.stats.estimates import Estimate
from analysis.study import StudyRecords, so_far
from tune_ad.selection import PREFERRED
from tune_ad.wording import count

TITLE = "Which selection rule deserves trust?"
CAPTION = (
    "Regret in points: how much more test AUROC the best configuration of a detector has than the "
    "one that the rule selects for a single task, such as a normal class. The best one is found "
    "on other seeds; in hindsight: on all seeds of the test. Mean over tasks, of each the mean "
    "over detectors [95 % interval of Student's t over n tasks]; worst: the worst task. Rank "
    "correlation (Spearman) of the rule with test AUROC, 1 = it orders the configurations as the "
    "test does. random: the average configuration; p: whether regrets differ from its, by a "
    "sign-flip test paired by task, after Holm over the rules. oracle selects by the test itself."
)
DETAILS = (
    "Regrets are cross-fitted: the best configuration is found on one part of the seeds and "
    "compared on another, so that luck is not counted as regret. With few seeds what is best on "
    "one part need not be the best, so this regret is too small; a rule that has seen the models "
    "that are tested profits from their luck, too, and its regret can lie below 0. The regret in "
    "hindsight is too large for a choice that has not seen these models, since the largest of "
    "many noisy results is partly luck, which a rule that has seen them shares. Classes of one "
    "data set share their images and are not independent, so that intervals and p over them are "
    "too small rather than too large; other data sets may differ by more."
)


def rules_document(studies: Sequence[StudyRecords]) -> Document:
    """What each selection rule loses over the detectors and tasks of several studies.

    Args:
        studies: the records of the studies, of one data set each.

    Raises:
        UserError: if two studies have the same data set.
    """
    found = across(studies)
    pools = [
        f"- {data_set}, {detector}: {count(len(pool.records), 'configuration')}, "
        f"{count(len(pool.tasks), 'task')}, {count(len(pool.seeds), 'seed')}"
        for (data_set, detector), pool in found.pools.items()
    ]
    blocks: list[Block] = []
    if found.rules:
        blocks = [
            Text("\n".join(["Each rule selects from the same configurations:", *pools])),
            Figure("regret_across", partial(draw_across, found), _about_figure(found)),
            _table(found),
        ]
    if notes := _left_out(found):
        blocks.append(Text("\n".join(["Left out:", *notes]), "note"))
    summary = so_far(studies) + _summary(found)
    return Document(TITLE, summary, [Section("What each rule loses", blocks)], headline=summary)


def _summary(found: Across) -> str:
    """The rule of `--selection auto` beside labels, chance and a rule chosen by other tasks."""
    if not found.rules:
        return "No detector has three complete configurations on every data set yet."
    by_rule = {one.rule: one.regret for one in found.rules}
    automatic = next((rule for rule in PREFERRED if is_without_labels(rule)), "")
    named = [
        (f"the rule that --selection auto takes without labels, {automatic}", automatic),
        ("with labelled anomalies (validation)", "validation"),
        ("a random choice", RANDOM),
    ]
    parts = [f"{words} {_said(by_rule[rule])}" for words, rule in named if rule in by_rule]
    if found.chosen.n:
        rivals = sum(is_without_labels(rule) for rule in by_rule)
        words = f"of the {count(rivals, 'rule')} without labels the best one of the other tasks"
        parts.append(f"{words} {_said(found.chosen)}")
    detectors = in_words(list(dict.fromkeys(name for _, name in found.pools)))
    return (
        "Test AUROC that is lost by selecting one configuration for each task, averaged over "
        f"{detectors} (n = {count(len(found.tasks), 'task')}): {'; '.join(parts)}."
    )


def _said(regret: Estimate) -> str:
    return f"{regret.mean_interval(PERCENTAGE_POINTS)} points"


def _about_figure(found: Across) -> str:
    detectors = in_words(list(dict.fromkeys(detector for _, detector in found.pools)))
    return (
        f"Regret of each rule: mean over {count(len(found.tasks), 'task')} with its 95 % interval "
        f"(dot and line), and the mean of each detector alone (small marks): {detectors}. 0 = the "
        "configuration that is best on other seeds."
    )


def _table(found: Across) -> Table:
    return Table("regret_across", pd.DataFrame(map(_row, found.rules)), CAPTION, details=DETAILS)


def _row(one: RuleAcross) -> dict[str, object]:
    by_detector = {
        name: regret.interval_cell(PERCENTAGE_POINTS) for name, regret in one.by_detector.items()
    }
    test = one.against_random
    return {
        "rule": one.rule,
        "regret": one.regret.interval_cell(PERCENTAGE_POINTS),
        "in hindsight": one.hindsight.interval_cell(PERCENTAGE_POINTS),
        **by_detector,
        "worst": Cell(PERCENTAGE_POINTS.text(one.worst), one.worst),
        "rank correlation": one.correlation.interval_cell(CORRELATION),
        "p against random": Cell(p_text(test.p), test.p, test.tone, test.reason) if test else "",
        "n": one.regret.n,
    }


def _left_out(found: Across) -> list[str]:
    """What has no part in the comparison, as items of a list."""
    return [
        *(f"- {name}: {reason}" for name, reason in found.left.detectors.items()),
        *(
            f"- the rule {rule}, which lacks values or compares different quantities on "
            f"{in_words(places)}"
            for rule, places in found.left.rules.items()
        ),
        *(
            f"- {place}: {count(number, 'configuration')} that failed or were not tested"
            for place, number in found.left.failed.items()
        ),
    ]
