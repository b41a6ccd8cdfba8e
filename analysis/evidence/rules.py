"""A report over several studies: which selection rule deserves trust?"""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.document.blocks import Block, Cell, Document, Figure, Section, Table, Text
from analysis.document.format import PERCENTAGE_POINTS, Unit, in_words, p_text
from analysis.questions.selection.across import Across, RuleAcross, across, draw_across
from analysis.questions.selection.pool import ORACLE
from analysis.questions.selection.regret import RANDOM
from analysis.study import StudyRecords
from tune_ad.selection import RULES
from tune_ad.wording import count

NAME = "selection_rules"
TITLE = "Which selection rule deserves trust?"
CORRELATION = Unit(1, "+.2f")
CAPTION = (
    "Regret in points: how much more test AUROC the best configuration of a detector has than the "
    "one that the rule selects for a single task; 0 is best. Mean over tasks, of each the mean "
    "over detectors [95 % interval of Student's t over n tasks]; worst: the worst task. "
    "Rank correlation (Spearman) of the rule with test AUROC, 1 = it orders the configurations as "
    "the test does. random: the average configuration; p: whether regrets differ from its, paired "
    "by task, after Holm over the rules. oracle selects by the test itself."
)
DETAILS = (
    "Regrets are cross-fitted: the best configuration is found on one seed and compared on "
    "another, so that luck is not counted as regret; a mean below 0 is shown as 0. Classes of one "
    "data set share their images and are not independent, so that intervals and p over them are "
    "too small rather than too large; other data sets may differ by more."
)


def rules_document(studies: Sequence[StudyRecords]) -> Document:
    """What each selection rule loses over the detectors and tasks of several studies.

    Args:
        studies: the records of the studies, of one data set each.
    """
    found = across(studies)
    if not found.rules:
        text = "No detector has two complete configurations yet."
        return Document(TITLE, text, [Section("Rules", [Text(text)])])
    pools = [
        f"- {data_set}, {detector}: {count(len(pool.records), 'configuration')}, "
        f"{count(len(pool.tasks), 'class')}, {count(len(pool.seeds), 'seed')}"
        for (data_set, detector), pool in found.pools.items()
    ]
    blocks: list[Block] = [
        Text("\n".join(["Each rule selects from the same configurations:", *pools])),
        Figure("regret_across", partial(draw_across, found), _about_figure(found)),
        _table(found),
    ]
    if found.left_out:
        blocks.append(Text(_left_out(found), "note"))
    return Document(TITLE, _summary(found), [Section("What each rule loses", blocks)])


def _summary(found: Across) -> str:
    """The best rule that needs no labels, beside labels and chance."""
    chance = next(one for one in found.rules if one.rule == RANDOM)
    without = [one for one in found.rules if not _looks_at_anomalies(one.rule)]
    best = next((one for one in without if one.rule != RANDOM), None)
    labelled = next((one for one in found.rules if one.rule == "validation"), None)
    parts = [_said(one) for one in (best, labelled, chance) if one is not None]
    return (
        "Regret of one choice for each class, averaged over "
        f"{in_words(list(dict.fromkeys(name for _, name in found.pools)))}: {'; '.join(parts)}."
    )


def _looks_at_anomalies(rule: str) -> bool:
    return rule == ORACLE or RULES[rule].looks_at == "held-out anomalies"


def _said(one: RuleAcross) -> str:
    if one.rule == RANDOM:
        kind = "a random choice"
    elif _looks_at_anomalies(one.rule):
        kind = "with labelled anomalies (validation)"
    else:
        kind = f"without labels, the best rule is {one.rule}"
    n = count(one.regret.n, "class")
    return f"{kind}: {one.regret.mean_interval(PERCENTAGE_POINTS)} points (n = {n})"


def _about_figure(found: Across) -> str:
    detectors = in_words(list(dict.fromkeys(detector for _, detector in found.pools)))
    return (
        "Regret of each rule: mean over "
        f"{count(len(found.tasks), 'class')} with its 95 % interval (dot and line), and the mean "
        f"of each detector alone (small marks): {detectors}. 0 = the best configuration."
    )


def _table(found: Across) -> Table:
    rows = [
        {
            "rule": one.rule,
            "regret": one.regret.interval_cell(PERCENTAGE_POINTS),
            **{
                name: regret.interval_cell(PERCENTAGE_POINTS)
                for name, regret in one.by_detector.items()
            },
            "worst": Cell(PERCENTAGE_POINTS.text(one.worst), one.worst),
            "rank correlation": one.correlation.interval_cell(CORRELATION),
            "p against random": Cell(
                p_text(one.against_random.p),
                one.against_random.p,
                one.against_random.tone if one.rule not in (ORACLE, RANDOM) else "",
                one.against_random.reason,
            ),
            "n": one.regret.n,
        }
        for one in found.rules
    ]
    return Table("regret_across", pd.DataFrame(rows), CAPTION, details=DETAILS)


def _left_out(found: Across) -> str:
    lines = [f"- {rule}: {in_words(places)}" for rule, places in found.left_out.items()]
    return "\n".join(["Not shown, since the rule cannot rank some configurations:", *lines])
