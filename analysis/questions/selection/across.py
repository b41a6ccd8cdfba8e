"""How much each selection rule loses over several detectors and data sets.

Every detector of every study has a pool of its own, from which a rule selects a configuration for
each task alone. The regrets of a task are averaged over the detectors, since they share its
images; a mean over tasks has the interval of Student's t over these tasks.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from analysis.document import theme
from analysis.document.format import PERCENTAGE_POINTS
from analysis.questions.selection.pool import ORACLE, Pool
from analysis.questions.selection.regret import (
    RANDOM,
    applicable_rules,
    correlations_by_task,
    never_negative,
    regrets_by_task,
)
from analysis.stats.estimates import Estimate, estimate
from analysis.stats.paired import HolmDecision, holm, sign_flip
from analysis.study import StudyRecords

Task = tuple[str, str]
"""The name of a data set and that of a task."""


class RuleAcross(NamedTuple):
    """What a rule loses over several detectors and tasks.

    Attributes:
        rule: the name of the rule.
        regret: the mean regret over tasks, at least 0.
        by_detector: the same for each detector alone, by its name.
        worst: the largest regret of a task, averaged over the detectors.
        correlation: the rank correlation of the rule with test AUROC, mean over tasks; no value
            for "random" and "oracle".
        against_random: whether its regrets differ from those of a random choice, paired by task;
            "better" = smaller regrets. No decision for "random" and "oracle".
    """

    rule: str
    regret: Estimate
    by_detector: Mapping[str, Estimate]
    worst: float
    correlation: Estimate
    against_random: HolmDecision


class Across(NamedTuple):
    """All rules that can rank the trials of every pool, by their regret; the oracle comes first.

    Attributes:
        rules: the rules.
        pools: the trials by data set and detector.
        tasks: the tasks.
        left_out: the rules that cannot rank the trials of every pool, with the pools they lack.
    """

    rules: Sequence[RuleAcross]
    pools: Mapping[tuple[str, str], Pool]
    tasks: Sequence[Task]
    left_out: Mapping[str, Sequence[str]]


def across(studies: Sequence[StudyRecords]) -> Across:
    """The rules over the detectors and tasks of studies; no rule if there is no pool.

    Args:
        studies: the records of the studies, of one data set each.
    """
    pools = {
        (str(study.search["data_set"]), baseline): pool
        for study in studies
        for baseline in study.baselines
        if (pool := _pool_of(study, baseline)) is not None
    }
    usable = {place: {*applicable_rules(pool.records), RANDOM} for place, pool in pools.items()}
    ranking = {
        place: {rule for rule in usable[place] if regrets_by_task(pool, rule) is not None}
        for place, pool in pools.items()
    }
    everywhere = set.intersection(*ranking.values()) if ranking else set()
    somewhere = set.union(*ranking.values()) if ranking else set()
    lacking = {
        rule: [" ".join(place) for place, known in ranking.items() if rule not in known]
        for rule in sorted(somewhere - everywhere)
    }
    return Across(_compared(pools, sorted(everywhere)), pools, _tasks(pools), lacking)


def _pool_of(study: StudyRecords, baseline: str) -> Pool | None:
    """The trials of one detector."""
    own = [record for record in study.trials if record.baseline == baseline]
    return Pool.of(replace(study, trials=own))


def _tasks(pools: Mapping[tuple[str, str], Pool]) -> list[Task]:
    found = [(data_set, task) for (data_set, _), pool in pools.items() for task in pool.tasks]
    return list(dict.fromkeys(found))


def _compared(pools: Mapping[tuple[str, str], Pool], rules: Sequence[str]) -> list[RuleAcross]:
    """The rules with their tests against a random choice."""
    regrets = {rule: _regrets(pools, rule) for rule in rules}
    tested = [rule for rule in rules if rule not in (ORACLE, RANDOM)]
    chance = _means(regrets[RANDOM]) if rules else {}
    tests = [
        sign_flip([chance[task] - regret for task, regret in _means(regrets[rule]).items()])
        for rule in tested
    ]
    decisions = dict(zip(tested, holm(tests), strict=True))
    none = HolmDecision(math.nan, "unsure", "not compared with itself")
    found = [_of_rule(pools, r, regrets[r], decisions.get(r, none)) for r in rules]
    return sorted(found, key=lambda one: (one.rule != ORACLE, one.regret.mean))


def _regrets(pools: Mapping[tuple[str, str], Pool], rule: str) -> dict[str, dict[Task, float]]:
    """The regret of a rule by detector and task."""
    found: dict[str, dict[Task, float]] = defaultdict(dict)
    for (data_set, detector), pool in pools.items():
        for task, value in zip(pool.tasks, regrets_by_task(pool, rule) or (), strict=True):
            found[detector][data_set, task] = value
    return found


def _means(by_detector: Mapping[str, Mapping[Task, float]]) -> dict[Task, float]:
    """The mean over the detectors of each task."""
    values: dict[Task, list[float]] = defaultdict(list)
    for of_tasks in by_detector.values():
        for task, value in of_tasks.items():
            values[task].append(value)
    return {task: float(np.mean(several)) for task, several in values.items()}


def _of_rule(
    pools: Mapping[tuple[str, str], Pool],
    rule: str,
    by_detector: Mapping[str, Mapping[Task, float]],
    decision: HolmDecision,
) -> RuleAcross:
    means = _means(by_detector)
    of_detectors = {
        name: never_negative(list(of_tasks.values())) for name, of_tasks in by_detector.items()
    }
    correlations: dict[str, dict[Task, float]] = defaultdict(dict)
    if rule not in (ORACLE, RANDOM):
        for (data_set, detector), pool in pools.items():
            known = correlations_by_task(pool, pool.values(rule))
            for task, value in zip(pool.tasks, known, strict=True):
                correlations[detector][data_set, task] = value
    known_means = [value for value in _means(correlations).values() if not math.isnan(value)]
    return RuleAcross(
        rule=rule,
        regret=never_negative(list(means.values())),
        by_detector=of_detectors,
        worst=max(means.values()),
        correlation=estimate(known_means, bounds=(-1.0, 1.0)),
        against_random=decision,
    )


def draw_across(found: Across) -> Figure:
    """The regret of each rule with its interval; a small mark for each detector."""
    drawing = theme.canvas(1.0 + 0.3 * len(found.rules))
    axes, rows = drawing.one, np.arange(len(found.rules))[::-1]
    detectors = list(dict.fromkeys(name for one in found.rules for name in one.by_detector))
    for row, one in zip(rows, found.rules, strict=True):
        ends = [one.regret.low, one.regret.mean, one.regret.high]
        at = 100 * np.array(ends if not math.isnan(ends[0]) else ends[1:2])
        height = np.full(len(at), row)
        middle = [len(at) // 2]
        (drawn,) = axes.plot(
            at, height, color=theme.INK, linewidth=2, marker="o", markersize=7, markevery=middle
        )
        theme.describe(
            drawn, [f"{one.rule}: {one.regret.mean_interval(PERCENTAGE_POINTS)} points"]
        )
    for k, detector in enumerate(detectors):
        means = [100 * one.by_detector[detector].mean for one in found.rules]
        marks = axes.scatter(
            means, rows + 0.18, s=18, marker="vsDP^"[k % 5], color=theme.colour(k), label=detector
        )
        texts = [
            f"{one.rule}, {detector}: {value:.1f} points"
            for one, value in zip(found.rules, means, strict=True)
        ]
        theme.describe(marks, texts)
    axes.set_yticks(rows, [one.rule for one in found.rules])
    axes.set_xlabel("regret of the selected configuration, points of test AUROC")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(detectors))
    return drawing.figure
