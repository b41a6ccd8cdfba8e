"""Quoted results beside each other: class by class, and each pair over what the two share.

Declared before anything runs: the test of a pair is a sign flip over class x seed (under no
difference, either sign of each is as likely), two-sided, of at least 3 seeds, with Holm's
correction over all pairs. Class by class, a sign flip over seeds, with Holm's correction over all
pairs and classes. Two that no seed changes are not tested.
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

FIXED = "no test: neither depends on a seed"


class Contender(NamedTuple):
    """A quoted result and the numbers behind it.

    Attributes:
        label: by which it is told from the others.
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
        paired: differences, first minus second, over shared classes and seeds.
        verdict: of that, after Holm over all pairs of the family.
    """

    first: str
    second: str
    classes: int
    improvement: Estimate
    paired: Paired
    verdict: HolmDecision


class ClassContrast(NamedTuple):
    """Two contenders in one class.

    Attributes:
        first: label of one.
        second: label of the other.
        task: the class task.
        paired: differences, first minus second, over shared seeds.
        verdict: of that, after Holm over all pairs and classes.
    """

    first: str
    second: str
    task: str
    paired: Paired
    verdict: HolmDecision


def contender(label: str, result: Result, study: str = "") -> Contender:
    """A result with its values per class and seed."""
    cells = frame.replicas(result.tested)
    if "test_auroc" not in cells:
        return Contender(label, result, pd.DataFrame(), study)
    tasks = cells["task"].astype(str)
    kept = cells["test_auroc"].where(cells["state"] == "complete")
    wide = kept.groupby([tasks, cells["seed"]]).first().unstack("seed")
    return Contender(label, result, wide.loc[tasks.unique()].dropna(axis="columns"), study)


def present(contenders: Sequence[Contender]) -> list[Contender]:
    """Those with a value, the largest mean over classes first."""
    having = [each for each in contenders if each.values.size]
    return sorted(having, key=lambda each: -each.result.auroc.mean)


def class_means(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Mean over seeds: a row per class task that all have, a column per contender."""
    means = {each.label: each.values.mean(axis="columns") for each in contenders}
    return pd.DataFrame(means).dropna()


def every_pair(contenders: Sequence[Contender]) -> list[Pair]:
    """All pairs that share a class task, the one with the larger mean first."""
    return [(a, b) for a, b in combinations(present(contenders), 2) if shared(a, b)]


def contrasts(pairs: Sequence[Pair]) -> list[Contrast]:
    """Each of a family of pairs, over all classes that both have."""
    tests = [_over_cells(a, b) for a, b in pairs]
    return [
        Contrast(a.label, b.label, len(shared(a, b)), _improvement(a, b), test, verdict)
        for (a, b), test, verdict in zip(pairs, tests, holm(tests), strict=True)
    ]


def class_contrasts(pairs: Sequence[Pair]) -> list[ClassContrast]:
    """Each of a family of pairs in every class task that both have."""
    rows = [
        (a.label, b.label, str(task), _in_class(a, b, list(own)))
        for a, b in pairs
        for task, own in differences(a, b).iterrows()
    ]
    verdicts = holm([test for *_, test in rows])
    return [ClassContrast(*row, verdict) for row, verdict in zip(rows, verdicts, strict=True)]


def shared(a: Contender, b: Contender) -> list[str]:
    """Class tasks that both have, in the order of the first."""
    return [task for task in a.values.index if task in b.values.index]


def differences(a: Contender, b: Contender) -> pd.DataFrame:
    """AUROC of a minus that of b: a row per shared class task, a column per shared seed.

    Of two that no seed changes (KDE against OCSVM), only the first seed: copies are no evidence.
    """
    tasks = shared(a, b)
    seeds = [seed for seed in a.values.columns if seed in b.values.columns]
    first, second = a.values.loc[tasks, seeds], b.values.loc[tasks, seeds]
    table: pd.DataFrame = first - second
    return table.iloc[:, :1] if fixed(a, b) else table


def fixed(a: Contender, b: Contender) -> bool:
    """Whether several seeds change neither in the shared classes, but for rounding."""
    tasks = shared(a, b)
    return all(each.values.shape[1] > 1 and seeds_alike(each.values.loc[tasks]) for each in (a, b))


def _over_cells(a: Contender, b: Contender) -> Paired:
    table = differences(a, b)
    per_seed = list(table.mean()) if len(table) else []
    if per_seed and fixed(a, b):
        return untested(per_seed[0], FIXED)
    return sign_flip(list(table.to_numpy().ravel()), per_seed)


def _in_class(a: Contender, b: Contender, own: list[float]) -> Paired:
    return untested(own[0], FIXED) if own and fixed(a, b) else sign_flip(own)


def _improvement(a: Contender, b: Contender) -> Estimate:
    tasks = shared(a, b)
    return probability_of_improvement(a.values.loc[tasks], b.values.loc[tasks])
