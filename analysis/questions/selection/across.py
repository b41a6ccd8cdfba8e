"""How much each selection rule loses over several detectors and data sets.

Every detector of every study has a pool of its own, from which a rule selects a configuration for
each task alone. The regrets of a task are averaged over the detectors, since they share its
images; a mean over tasks has the interval of Student's t over these tasks.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from analysis.document.format import in_words
from analysis.questions.selection.pool import ORACLE, TrialPool
from analysis.questions.selection.regret import (
    LEAST_RANKED,
    RANDOM,
    applicable_rules,
    correlations_by_task,
    mean_regret,
    regrets_by_task,
)
from analysis.stats.estimates import Estimate, estimate
from analysis.stats.paired import HolmDecision, holm, sign_flip
from analysis.study import StudyRecords
from tune_ad.errors import UserError
from tune_ad.selection import RULES

Task = tuple[str, str]
"""The name of a data set and that of a task."""
Pools = Mapping[tuple[str, str], TrialPool]
"""Configurations by data set and detector."""
ByDetector = Mapping[str, Mapping[Task, float]]
"""A number by detector and task."""


class RuleAcross(NamedTuple):
    """What a rule loses over several detectors and tasks.

    Attributes:
        rule: the name of the rule.
        regret: the mean regret over tasks; by luck it can be negative.
        hindsight: the same against the configuration that is best on the test itself, which is the
            regret minus that of the oracle; too large by its luck for a choice that has not seen
            the tested models.
        by_detector: the same for each detector alone, by its name.
        worst: the largest regret of a task, averaged over the detectors.
        correlation: the rank correlation of the rule with test AUROC, mean over tasks; no value
            for "random" and "oracle".
        against_random: whether its regrets differ from those of a random choice, paired by task;
            "better" = smaller regrets. None for "random" and "oracle".
    """

    rule: str
    regret: Estimate
    hindsight: Estimate
    by_detector: Mapping[str, Estimate]
    worst: float
    correlation: Estimate
    against_random: HolmDecision | None


class LeftOut(NamedTuple):
    """What has no part in the comparison.

    Attributes:
        rules: the rules that lack the value of some configuration, with the pools concerned.
        detectors: the detectors that have no pool on every data set, with the reason.
        failed: the number of configurations that failed or were not tested, by pool.
    """

    rules: Mapping[str, Sequence[str]]
    detectors: Mapping[str, str]
    failed: Mapping[str, int]


class Across(NamedTuple):
    """All rules that rank every configuration of every pool, by their regret; the oracle first.

    Attributes:
        rules: the rules.
        pools: the configurations by data set and detector.
        tasks: the tasks.
        left: what has no part in it.
        chosen: the regret of choosing, for each task, the rule without labels that loses least
            on the other tasks; no value with fewer than two tasks or such rules.
    """

    rules: Sequence[RuleAcross]
    pools: Pools
    tasks: Sequence[Task]
    left: LeftOut
    chosen: Estimate


def across(studies: Sequence[StudyRecords]) -> Across:
    """The rules over the detectors and tasks of studies; no rule if there is no pool.

    A detector takes part if it has at least three complete configurations on every data set, all
    tested on the same tasks with the same seeds. A rule takes part if it has a value for every
    model of them.

    Args:
        studies: the records of the studies.

    Raises:
        UserError: if two studies have the same data set.
    """
    by_set = {str(study.search["data_set"]): study for study in studies}
    if len(by_set) < len(studies):
        names = ", ".join(study.name for study in studies)
        raise UserError(f"{names} share a data set; compare one study of each data set")
    detectors = list(dict.fromkeys(name for study in studies for name in study.baselines))
    found = {
        (data_set, n): _pool_of(by_set[data_set], n) for data_set in by_set for n in detectors
    }
    lacking = {name: [s for s in by_set if found[s, name] is None] for name in detectors}
    pools = {place: p for place, p in found.items() if p is not None and not lacking[place[1]]}
    ranking = {place: _ranking(pool) for place, pool in pools.items()}
    everywhere = set.intersection(*ranking.values()) if ranking else set()
    missing = {
        rule: [" ".join(place) for place, known in ranking.items() if rule not in known]
        for rule in sorted(set().union(*ranking.values()) - everywhere)
    }
    regrets = {rule: _regrets(pools, rule) for rule in sorted(everywhere)}
    return Across(
        _compared(pools, regrets),
        pools,
        _tasks(pools),
        LeftOut(missing, _reasons(lacking), _failed(by_set, pools)),
        _chosen(regrets),
    )


def _pool_of(study: StudyRecords, baseline: str) -> TrialPool | None:
    """The configurations of one detector; None if they are too few or cannot be compared."""
    own = [record for record in study.trials if record.baseline == baseline]
    pool = TrialPool.of(replace(study, trials=own))
    return pool if pool is not None and len(pool.records) >= LEAST_RANKED else None


def _reasons(lacking: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Why detectors have no part in it: the data sets on which they have no pool, in words."""
    few = f"fewer than {LEAST_RANKED} comparable configurations on"
    return {name: f"{few} {in_words(sets)}" for name, sets in lacking.items() if sets}


def _failed(by_set: Mapping[str, StudyRecords], pools: Pools) -> dict[str, int]:
    """The configurations of each pool that have no part in it, where there are any."""
    lost = {
        f"{data_set} {name}": sum(r.baseline == name for r in by_set[data_set].trials)
        - len(pool.records)
        for (data_set, name), pool in pools.items()
    }
    return {place: number for place, number in lost.items() if number}


def _ranking(pool: TrialPool) -> set[str]:
    """The rules that have a value for every configuration and task of a pool."""
    usable = [rule for rule in applicable_rules(pool.records) if rule != RANDOM]
    return {RANDOM, *(rule for rule in usable if np.isfinite(pool.values(rule)).all())}


def _tasks(pools: Pools) -> list[Task]:
    found = [(data_set, task) for (data_set, _), pool in pools.items() for task in pool.tasks]
    return list(dict.fromkeys(found))


def is_without_labels(rule: str) -> bool:
    """Whether a rule looks at neither labelled anomalies nor test images, and is not chance."""
    return RULES[rule].looks_at == "held-out normals"


def _compared(pools: Pools, regrets: Mapping[str, ByDetector]) -> list[RuleAcross]:
    """The rules with their tests against a random choice."""
    tested = [rule for rule in regrets if rule not in (ORACLE, RANDOM)]
    chance = _means(regrets[RANDOM]) if regrets else {}
    tests = [
        sign_flip([chance[t] - r for t, r in _means(regrets[rule]).items()], unit="task")
        for rule in tested
    ]
    decisions = dict(zip(tested, holm(tests), strict=True))
    found = [_of_rule(pools, rule, regrets, decisions.get(rule)) for rule in regrets]
    return sorted(found, key=lambda one: (one.rule != ORACLE, one.regret.mean))


def _chosen(regrets: Mapping[str, ByDetector]) -> Estimate:
    """The regret of the rule without labels that is best on the other tasks."""
    means = {r: _means(regrets[r]) for r in regrets if is_without_labels(r)}
    tasks = list(next(iter(means.values()), {}))
    if len(means) < 2 or len(tasks) < 2:
        return estimate([])
    values = []
    for left_out in tasks:
        rest = {r: sum(v for t, v in of.items() if t != left_out) for r, of in means.items()}
        values.append(means[min(rest, key=lambda rule: rest[rule])][left_out])
    return mean_regret(values)


def _regrets(pools: Pools, rule: str) -> ByDetector:
    return _by_detector(pools, lambda pool: regrets_by_task(pool, rule) or [])


def _by_detector(pools: Pools, values: Callable[[TrialPool], Sequence[float]]) -> ByDetector:
    """A number of each task of each pool, by detector and task."""
    found: dict[str, dict[Task, float]] = defaultdict(dict)
    for (data_set, detector), pool in pools.items():
        for task, value in zip(pool.tasks, values(pool), strict=True):
            found[detector][data_set, task] = value
    return found


def _means(by_detector: ByDetector) -> dict[Task, float]:
    """The mean over the detectors of each task; all have the same tasks."""
    tasks = next(iter(by_detector.values()), {})
    return {t: float(np.mean([of[t] for of in by_detector.values()])) for t in tasks}


def _of_rule(
    pools: Pools, rule: str, regrets: Mapping[str, ByDetector], decision: HolmDecision | None
) -> RuleAcross:
    by_detector, best = regrets[rule], _means(regrets[ORACLE])
    means = _means(by_detector)
    correlations: ByDetector = {}
    if rule not in (ORACLE, RANDOM):
        correlations = _by_detector(pools, lambda p: correlations_by_task(p, p.values(rule)))
    return RuleAcross(
        rule=rule,
        regret=mean_regret(list(means.values())),
        hindsight=estimate([means[t] - best[t] for t in means], bounds=(-1.0, 1.0)),
        by_detector={n: mean_regret(list(of.values())) for n, of in by_detector.items()},
        worst=max(means.values()),
        correlation=estimate(list(_means(correlations).values()), bounds=(-1.0, 1.0)),
        against_random=decision,
    )
