"""Quoted results beside each other: each pair over the classes and seeds that both have.

The tests are fixed before anything runs. The test of a pair is a sign flip over class x seed
(without a difference, either sign of each is as likely), two-sided, from 3 seeds on, corrected by
Holm over all pairs. Class by class it is a sign flip over seeds, corrected by Holm over all pairs
and classes. Pairs of deterministic methods are not tested: such a method gives the same result for
every seed.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import pandas as pd

from analysis import frame
from analysis.quoted import Result
from analysis.stats.aggregates import probability_of_improvement
from analysis.stats.estimates import Estimate, seeds_alike
from analysis.stats.paired import HolmDecision, Paired, holm, sign_flip, untested

DETERMINISTIC = "no test: neither depends on a seed"


class Contender(NamedTuple):
    """A quoted result and the numbers behind it.

    Attributes:
        label: that tells it from the others.
        result: as the study quotes it.
        values: test AUROC, a row per class task, a column per seed of which every class is
            complete; empty where every seed failed.
        study: name of its study where several are compared.
    """

    label: str
    result: Result
    values: pd.DataFrame
    study: str = ""


Pair = tuple[Contender, Contender]


class Contrast(NamedTuple):
    """Two contenders over the classes, and the seeds, that both have.

    Attributes:
        first: label of one.
        second: label of the other.
        classes: number of class tasks that both have.
        improvement: probability that a seed of the first beats one of the second; all seeds of
            each, paired or not.
        paired: test of the differences, first minus second, over shared classes and seeds.
        decision: on that test, after Holm over all pairs.
    """

    first: str
    second: str
    classes: int
    improvement: Estimate
    paired: Paired
    decision: HolmDecision


class ClassContrast(NamedTuple):
    """Two contenders in one class.

    Attributes:
        first: label of one.
        second: label of the other.
        task: the class task.
        paired: test of the differences, first minus second, over shared seeds.
        decision: on that test, after Holm over all pairs and classes.
    """

    first: str
    second: str
    task: str
    paired: Paired
    decision: HolmDecision


def contender(label: str, result: Result, study: str = "") -> Contender:
    """A result with its values per class and seed."""
    replicas = frame.replicas(result.tested)
    if frame.AUROC not in replicas:
        return Contender(label, result, pd.DataFrame(), study)
    by_task: pd.DataFrame = frame.cells(replicas.assign(number=0)).T[0].unstack("seed")
    by_task = by_task.loc[replicas["task"].astype(str).unique()]
    return Contender(label, result, by_task.dropna(axis="columns"), study)


def by_mean(contenders: Sequence[Contender]) -> list[Contender]:
    """The contenders that have a value, the largest mean over classes first."""
    tested = [contender for contender in contenders if contender.values.size]
    return sorted(tested, key=lambda contender: -contender.result.auroc.mean)


def class_means(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Mean over seeds: a row per class task that all have, a column per contender."""
    means = {contender.label: contender.values.mean(axis="columns") for contender in contenders}
    return pd.DataFrame(means).dropna()


def every_pair(contenders: Sequence[Contender]) -> list[Pair]:
    """All pairs that share a class task, the one with the larger mean first."""
    pairs = combinations(by_mean(contenders), 2)
    return [(first, second) for first, second in pairs if shared_tasks(first, second)]


def contrasts(pairs: Sequence[Pair]) -> list[Contrast]:
    """Each of a family of pairs, over all classes that both have."""
    tests = [_test_over_classes(*pair) for pair in pairs]
    return [
        Contrast(
            first=first.label,
            second=second.label,
            classes=len(shared_tasks(first, second)),
            improvement=_improvement(first, second),
            paired=test,
            decision=decision,
        )
        for (first, second), test, decision in zip(pairs, tests, holm(tests), strict=True)
    ]


def class_contrasts(pairs: Sequence[Pair]) -> list[ClassContrast]:
    """Each of a family of pairs in every class task that both have."""
    rows = [
        (first.label, second.label, str(task), _test_in_class(first, second, list(by_seed)))
        for first, second in pairs
        for task, by_seed in differences(first, second).iterrows()
    ]
    decisions = holm([test for *_, test in rows])
    return [ClassContrast(*row, decision) for row, decision in zip(rows, decisions, strict=True)]


def shared_tasks(first: Contender, second: Contender) -> list[str]:
    """Class tasks that both have, in the order of the first."""
    return [task for task in first.values.index if task in second.values.index]


def differences(first: Contender, second: Contender) -> pd.DataFrame:
    """AUROC of the first minus that of the second: a row per shared class, a column per seed.

    Of two deterministic methods (KDE against OCSVM) only the first seed, since all are the same.
    """
    tasks = shared_tasks(first, second)
    seeds = [seed for seed in first.values.columns if seed in second.values.columns]
    table: pd.DataFrame = first.values.loc[tasks, seeds] - second.values.loc[tasks, seeds]
    return table.iloc[:, :1] if both_deterministic(first, second) else table


def both_deterministic(first: Contender, second: Contender) -> bool:
    """Whether neither changes with the seed in the shared classes, but for rounding."""
    tasks = shared_tasks(first, second)
    return all(
        contender.values.shape[1] > 1 and seeds_alike(contender.values.loc[tasks])
        for contender in (first, second)
    )


def _test_over_classes(first: Contender, second: Contender) -> Paired:
    table = differences(first, second)
    by_seed = list(table.mean()) if len(table) else []
    if why := _untestable(first, second):
        return untested(by_seed[:1], why)
    return sign_flip(list(table.to_numpy().ravel()), by_seed)


def _test_in_class(first: Contender, second: Contender, by_seed: list[float]) -> Paired:
    if why := _untestable(first, second):
        return untested(by_seed[:1], why)
    return sign_flip(by_seed)


def _untestable(first: Contender, second: Contender) -> str:
    """Why two contenders that share a class cannot be tested; empty where they can."""
    if not len(differences(first, second).columns):
        return f"they share no seed ({_seeds(first)} against {_seeds(second)})"
    return DETERMINISTIC if both_deterministic(first, second) else ""


def _seeds(contender: Contender) -> str:
    """The seeds of which every class is complete, in words."""
    seeds = sorted(map(int, contender.values.columns))
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _improvement(first: Contender, second: Contender) -> Estimate:
    tasks = shared_tasks(first, second)
    return probability_of_improvement(first.values.loc[tasks], second.values.loc[tasks])
