"""What each selection rule selects, its regret, and how well it ranks the trials."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy

from analysis.questions.selection.pool import ORACLE, TrialPool
from analysis.stats.estimates import Estimate, estimate
from tune_ad.selection import RULES
from tune_ad.storage.records import TrialRecord

RANDOM = "random"
LEAST_RANKED = 3
"""The least number of trials for a rank correlation."""
OfTask = Callable[[np.ndarray, int], float]
"""The regret of what is selected for a task, from all regrets (trials, tasks)."""


class RuleChoice(NamedTuple):
    """The trial that a selection rule selects among the complete trials that were tested.

    Attributes:
        rule: the name of the rule.
        number: the number of the selected trial; None for "random" (mean over all trials).
        ranked: the number of trials that the rule can rank.
        auroc: test AUROC of the selected trial (for "random" the mean over trials), averaged over
            tasks, one value per seed.
        regret: the cross-fitted regret of that trial, one value per task; with a
            single task one value per seed, if the regret is cross-fitted over seeds.
        regret_by_task: the same if the rule selects a trial for each task alone.
        correlation: Spearman's rank correlation of the value of the rule with test AUROC over the
            trials, in [-1, 1], one value per task; no value for "random" and "oracle".
    """

    rule: str
    number: int | None
    ranked: int
    auroc: Estimate
    regret: Estimate
    regret_by_task: Estimate
    correlation: Estimate


def choices(pool: TrialPool) -> list[RuleChoice]:
    """The trial that each rule selects: the oracle first, then by regret, "random" last."""
    usable = applicable_rules(pool.records)
    chosen = [choice for rule in usable if (choice := _choice(pool, rule)) is not None]
    oracle = [choice for choice in chosen if choice.rule == ORACLE]
    others = [choice for choice in chosen if choice.rule != ORACLE]
    return [*oracle, *sorted(others, key=lambda c: c.regret_by_task.mean), _at_random(pool)]


def left_out(pool: TrialPool) -> dict[str, str]:
    """Why a rule cannot rank the trials, by its name; rules without their data are not named."""
    return {
        name: f"its {rule.quantity} does not mean the same in all trials"
        for name, rule in RULES.items()
        if not rule.compares(pool.records) and pool.chosen(name) is not None
    }


def applicable_rules(records: Sequence[TrialRecord]) -> list[str]:
    """The rules that can rank these trials; `random` is not one of them."""
    return [name for name, rule in RULES.items() if name != RANDOM and rule.compares(records)]


def _choice(pool: TrialPool, rule: str) -> RuleChoice | None:
    """What a rule selects; None if it can rank no trial."""
    position, values = pool.chosen(rule), pool.values(rule)
    if position is None:
        return None
    by_task = _for_task(pool, rule)
    return RuleChoice(
        rule=rule,
        number=pool.records[position].number,
        ranked=int(np.isfinite(values).all(axis=1).sum()),
        auroc=pool.mean_auroc([position]),
        regret=_regret(pool, lambda regrets, t: regrets[position, t], by_task=False),
        regret_by_task=_regret(pool, by_task, by_task=True),
        correlation=_correlation(pool, values) if rule != ORACLE else estimate([]),
    )


def _best(values: np.ndarray) -> int:
    """The position of the largest value; of equal ones the first."""
    return int(np.nanargmax(values))


def _at_random(pool: TrialPool) -> RuleChoice:
    """The mean over all trials, which is what to expect of a trial that is drawn at random."""
    average = _for_task(pool, RANDOM)
    return RuleChoice(
        rule=RANDOM,
        number=None,
        ranked=len(pool.records),
        auroc=pool.mean_auroc(range(len(pool.records))),
        regret=_regret(pool, average, by_task=False),
        regret_by_task=_regret(pool, average, by_task=True),
        correlation=estimate([]),
    )


def regrets_by_task(pool: TrialPool, rule: str) -> list[float] | None:
    """The regret of the trial that a rule selects for each task alone; None if it ranks none.

    For "random" it is the mean over all trials. Single values can be negative.
    """
    if rule != RANDOM and pool.chosen(rule) is None:
        return None
    of_task = _for_task(pool, rule)
    return [of_task(pool.regrets, t) for t in range(len(pool.tasks))]


def _for_task(pool: TrialPool, rule: str) -> OfTask:
    """The regret of what a rule selects for a task alone; for "random" the mean over trials."""
    if rule == RANDOM:
        return lambda regrets, t: float(regrets[:, t].mean())
    values = pool.values(rule)
    best = [_best(values[:, t]) for t in range(len(pool.tasks))]
    return lambda regrets, t: float(regrets[best[t], t])


def _regret(pool: TrialPool, of_task: OfTask, by_task: bool) -> Estimate:
    """The mean regret over tasks, or over the seeds of a single task; by luck it can be negative.

    Args:
        pool: the trials.
        of_task: the regret of the selected trial for a task, from all regrets (trials, tasks).
        by_task: whether a trial is selected for each task alone.
    """
    of_folds = pool.regrets_of_folds(by_task)
    if len(pool.tasks) == 1 and pool.cross_fitted == "seeds":
        return mean_regret([float(of_task(regrets, 0)) for regrets in of_folds])
    regrets = of_folds.mean(axis=0)
    return mean_regret([float(of_task(regrets, t)) for t in range(len(pool.tasks))])


def mean_regret(values: Sequence[float]) -> Estimate:
    """The mean of cross-fitted regrets, which can lie below 0.

    The trial that is best on some seeds is compared on another seed, and with few seeds it need
    not be the best one. So the estimate lies below the regret against the truly best trial, and a
    rule that has seen all seeds of the tested models can beat it.

    Args:
        values: the regrets, in [-1, 1].
    """
    return estimate(values, bounds=(-1.0, 1.0))


def _correlation(pool: TrialPool, values: np.ndarray) -> Estimate:
    """The rank correlations of a rule's values with test AUROC, one for each task."""
    known = [value for value in correlations_by_task(pool, values) if not math.isnan(value)]
    return estimate(known, bounds=(-1.0, 1.0))


def correlations_by_task(pool: TrialPool, values: np.ndarray) -> list[float]:
    """The rank correlation of a rule's values with test AUROC for each task.

    Args:
        pool: the trials.
        values: the values of the rule, (trials, tasks), as of `Pool.values`.

    Returns:
        Numbers in [-1, 1]; NaN for a task with fewer than `LEAST_RANKED` values.
    """
    tested = pool.tested.mean(axis=2)
    correlations = []
    for t in range(len(pool.tasks)):
        known = np.isfinite(values[:, t])
        ranked = known.sum() >= LEAST_RANKED
        correlations.append(
            rank_correlation(values[known, t], tested[known, t]) if ranked else math.nan
        )
    return correlations


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, in [-1, 1]; 0 if all values of one side are equal."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(scipy.stats.spearmanr(a, b).statistic)
