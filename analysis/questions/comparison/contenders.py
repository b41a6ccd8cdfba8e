"""Pairwise comparison of results over shared classes and seeds.

Each pair is tested by a two-sided sign-flip test over class x seed (at least 3 seeds), with Holm's
correction over the pairs that are tested and those of results that are still to run. Per class it
is a sign-flip test over seeds, with Holm's correction over such pairs and classes. Both were fixed
in advance. Pairs of deterministic methods are not tested: such a method gives the same result for
every seed. The tests hold for these test images; where ranks of the scores of the same images are
stored, intervals cover the sampling of images as well, and a difference is called better or worse
only if it is also significant with the error of this sampling (`Paired.p_images`).
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

import pandas as pd

from analysis import frame
from analysis.image_sampling import image_error
from analysis.quoted import Result
from analysis.stats.aggregates import probability_of_improvement
from analysis.stats.estimates import Estimate, ImageError, seeds_alike
from analysis.stats.paired import HolmDecision, Paired, holm, made, sign_flip, untested

DETERMINISTIC = "not tested (both deterministic)"


class Contender(NamedTuple):
    """A reported result and the values behind it.

    Attributes:
        label: the unique label.
        result: the result as the study reports it.
        values: test AUROC with a row per class task and a column per seed of which all classes
            are complete; empty if every seed failed.
        study: the label of its study if several are compared.
    """

    label: str
    result: Result
    values: pd.DataFrame
    study: str = ""


Pair = tuple[Contender, Contender]
Term = tuple[Contender, float]
"""A contender and the weight of its AUROC in a sum."""


class Contrast(NamedTuple):
    """Two contenders over their shared classes and seeds.

    Attributes:
        first: the label of one.
        second: the label of the other.
        classes: the number of shared class tasks.
        improvement: P(first > second) over all pairs of seeds, paired or not.
        paired: the test of the differences, first minus second, over shared classes and seeds.
        decision: the decision of that test, after Holm's correction over the pairs tested, and
            those of results that are still to run.
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
        first: the label of one.
        second: the label of the other.
        task: the name of the class task.
        paired: the test of the differences, first minus second, over shared seeds.
        decision: the decision of that test, after Holm's correction over those that are made, and
            those of results that are still to run.
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
    """The contenders with values, the largest mean over classes first."""
    tested = [contender for contender in contenders if contender.values.size]
    return sorted(tested, key=lambda contender: -contender.result.auroc.mean)


def class_means(contenders: Sequence[Contender]) -> pd.DataFrame:
    """Mean over seeds: a row per shared class task, a column per contender."""
    means = {contender.label: contender.values.mean(axis="columns") for contender in contenders}
    return pd.DataFrame(means).dropna()


def every_pair(contenders: Sequence[Contender]) -> list[Pair]:
    """All pairs that share a class task, the one with the larger mean first."""
    pairs = combinations(by_mean(contenders), 2)
    return [(first, second) for first, second in pairs if shared_tasks(first, second)]


def pairs_to_come(contenders: Sequence[Contender], results: int) -> int:
    """The number of pairs that further results will make, with each other and with those here.

    Args:
        contenders: the contenders of a study.
        results: the number of results that it is still to run.

    >>> pairs_to_come([], 4)
    6
    """
    return results * len(by_mean(contenders)) + comb(results, 2)


def contrasts(pairs: Sequence[Pair], to_come: int = 0) -> list[Contrast]:
    """The comparison of every pair over all shared classes.

    Args:
        pairs: the pairs.
        to_come: the number of further pairs that Holm's correction counts.
    """
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
        for (first, second), test, decision in zip(
            pairs, tests, holm(tests, made(tests) + to_come), strict=True
        )
    ]


def class_contrasts(pairs: Sequence[Pair], to_come: int = 0) -> list[ClassContrast]:
    """The comparison of every pair in every shared class task.

    Args:
        pairs: the pairs.
        to_come: the number of further pairs that Holm's correction counts, in each class.
    """
    rows = [
        (first.label, second.label, str(task), _test_in_class(first, second, str(task), by_seed))
        for first, second in pairs
        for task, by_seed in differences(first, second).iterrows()
    ]
    tests = [test for *_, test in rows]
    classes = len({task for _, _, task, _ in rows})
    decisions = holm(tests, made(tests) + classes * to_come)
    return [ClassContrast(*row, decision) for row, decision in zip(rows, decisions, strict=True)]


def shared_tasks(*contenders: Contender) -> list[str]:
    """The class tasks that all share, in the order of the first."""
    first, *others = (contender.values.index for contender in contenders)
    return [task for task in first if all(task in other for other in others)]


def differences(first: Contender, second: Contender) -> pd.DataFrame:
    """AUROC of the first minus that of the second, as in `weighted`."""
    return weighted(_minus(first, second))


def _minus(first: Contender, second: Contender) -> list[Term]:
    """The terms of a difference."""
    return [(first, 1.0), (second, -1.0)]


def weighted(terms: Sequence[Term]) -> pd.DataFrame:
    """A weighted sum of AUROCs: a row per class and a column per seed that all contenders have.

    Of deterministic methods (KDE against OCSVM) only the first seed, since all are the same.

    Args:
        terms: the contenders with their weights.
    """
    contenders = [contender for contender, _ in terms]
    tasks = shared_tasks(*contenders)
    first, *others = (contender.values.columns for contender in contenders)
    seeds = [seed for seed in first if all(seed in other for other in others)]
    table = pd.DataFrame(0.0, index=tasks, columns=seeds)
    for contender, weight in terms:
        table += weight * contender.values.loc[tasks, seeds]
    return table.iloc[:, :1] if are_deterministic(contenders) else table


def are_deterministic(contenders: Sequence[Contender]) -> bool:
    """Whether all are deterministic in the classes that they share."""
    tasks = shared_tasks(*contenders)
    return all(
        contender.values.shape[1] > 1 and seeds_alike(contender.values.loc[tasks])
        for contender in contenders
    )


def error_by_images(terms: Sequence[Term], table: pd.DataFrame) -> ImageError:
    """The error of the mean of a weighted sum of AUROCs that is due to the test images.

    Args:
        terms: the contenders with their weights.
        table: their sum, as of `weighted`, of which only the tasks and seeds are used.
    """
    contrast = [(contender.result.ranks, weight) for contender, weight in terms]
    return image_error(contrast, [*map(str, table.index)], [*map(int, table.columns)])


def _test_over_classes(first: Contender, second: Contender) -> Paired:
    table = differences(first, second)
    by_seed = list(table.mean()) if len(table) else []
    if why := _untestable(first, second):
        return untested(by_seed[:1], why)
    error = error_by_images(_minus(first, second), table)
    return sign_flip(list(table.to_numpy().ravel()), by_seed, error)


def _test_in_class(first: Contender, second: Contender, task: str, by_seed: pd.Series) -> Paired:
    if why := _untestable(first, second):
        return untested(list(by_seed[:1]), why)
    error = error_by_images(_minus(first, second), by_seed.to_frame(task).T)
    return sign_flip(list(by_seed), error=error)


def _untestable(first: Contender, second: Contender) -> str:
    """Why two contenders that share a class cannot be tested; empty if they can."""
    if not len(differences(first, second).columns):
        return f"they share no seed ({_seeds(first)} against {_seeds(second)})"
    return DETERMINISTIC if are_deterministic([first, second]) else ""


def _seeds(contender: Contender) -> str:
    """The seeds of which all classes are complete, in words."""
    seeds = sorted(map(int, contender.values.columns))
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _improvement(first: Contender, second: Contender) -> Estimate:
    tasks = shared_tasks(first, second)
    return probability_of_improvement(first.values.loc[tasks], second.values.loc[tasks])
