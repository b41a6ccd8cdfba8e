"""No choice at all: the mean rank of the scores of many trials, on test images.

After Ding, Zhao and Akoglu, "Hyperparameter sensitivity in deep outlier detection: analysis and a
scalable hyper-ensemble solution" (ROBOD, NeurIPS 2022). Ranks need no common scale, so trials of
different detectors can be averaged. Nothing is selected by test images, so the result may be
reported; its models are those of the search.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from analysis.questions.selection.pool import ORACLE, Pool
from analysis.questions.selection.regret import RANDOM
from analysis.stats.estimates import Estimate, estimate
from analysis.stats.rank_aurocs import auroc, main_outsider
from tune_ad.selection import RULES, ranked
from tune_ad.storage.records import TrialRecord
from tune_ad.storage.score_ranks import ScoreRanks

BEST = 5
"""The number of trials in an ensemble of the best trials by a rule."""


class Ensemble(NamedTuple):
    """The result of an ensemble of trials.

    Attributes:
        rule: the name of the rule that ranked the trials; empty for all trials.
        trials: the number of trials.
        auroc: test AUROC of the mean ranks, averaged over tasks, one value per seed.
        single: the same of the trial that the rule selects; for all trials their mean.
    """

    rule: str
    trials: int
    auroc: Estimate
    single: Estimate


def ensembles(pool: Pool) -> list[Ensemble]:
    """The ensemble of all trials, then of the best `BEST` by each rule that sees no test image.

    Empty if ranks are missing, as in studies of earlier versions.
    """
    if not all(("test", task) in ranks for ranks in pool.ranks for task in pool.tasks):
        return []
    by_number = dict(zip([r.number for r in pool.records], pool.ranks, strict=True))
    everything = _ensemble(pool, "", pool.records, by_number)
    rules = [n for n, rule in RULES.items() if n not in (ORACLE, RANDOM)]
    rules = [name for name in rules if RULES[name].compares(pool.records)]
    best = {name: ranked(pool.records, name)[:BEST] for name in rules}
    few = {name: records for name, records in best.items() if len(records) > 1}
    if len(pool.records) <= BEST:
        return [everything]
    return [everything, *(_ensemble(pool, n, records, by_number) for n, records in few.items())]


def _ensemble(
    pool: Pool, rule: str, records: Sequence[TrialRecord], stored: dict[int, ScoreRanks]
) -> Ensemble:
    aurocs = np.mean(
        [
            [_auroc([stored[r.number] for r in records], task, s) for s in range(len(pool.seeds))]
            for task in pool.tasks
        ],
        axis=0,
    )
    positions = [pool.records.index(record) for record in records]
    of_trials = pool.tested.mean(axis=1)[positions]  # (trials, seeds)
    single = of_trials[0] if rule else of_trials.mean(axis=0)
    return Ensemble(rule, len(records), estimate(list(aurocs)), estimate(list(single)))


def _auroc(stored: Sequence[ScoreRanks], task: str, seed: int) -> float:
    """The AUROC of the mean ranks of several trials for one task and seed (its position)."""
    parts = [ranks["test", task] for ranks in stored]
    outsider = main_outsider(parts[0].outsiders)
    normal = np.mean([part.normal[seed] for part in parts], axis=0)
    anomalous = np.mean([part.outsiders[outsider][seed] for part in parts], axis=0)
    return auroc(normal, anomalous)
