"""No choice at all: the mean rank of the scores of many trials, on test images.

After Ding, Zhao and Akoglu, "Hyperparameter sensitivity in deep outlier detection: analysis and a
scalable hyper-ensemble solution" (ROBOD, NeurIPS 2022). Ranks need no common scale, so trials of
different detectors can be averaged. Nothing is selected by test images, so the result may be
reported; its models are those of the search.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from analysis.image_sampling import ImageRanks, error_of_mean
from analysis.questions.selection.pool import ORACLE, TrialPool
from analysis.questions.selection.regret import RANDOM
from analysis.stats.estimates import Estimate, estimate
from analysis.stats.rank_aurocs import auroc, main_outsider
from tune_ad.selection import RULES, ranked
from tune_ad.storage.records import TrialRecord
from tune_ad.storage.score_ranks import PartRanks, ScoreRanks

BEST = 5
"""The number of trials in an ensemble of the best trials by a rule."""


class EnsembleResult(NamedTuple):
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


def ensembles(pool: TrialPool) -> list[EnsembleResult]:
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
    pool: TrialPool, rule: str, records: Sequence[TrialRecord], stored: dict[int, ScoreRanks]
) -> EnsembleResult:
    together = {
        task: _mean_ranks([stored[r.number]["test", task] for r in records]) for task in pool.tasks
    }
    aurocs = np.mean([_aurocs(part) for part in together.values()], axis=0)
    error = error_of_mean([(ImageRanks(together), 1.0)], pool.tasks)
    positions = [pool.records.index(record) for record in records]
    single = pool.mean_auroc(positions[:1] if rule else positions)
    return EnsembleResult(rule, len(records), estimate(list(aurocs)).with_error(error), single)


def _mean_ranks(parts: Sequence[PartRanks]) -> PartRanks:
    """The mean ranks of several trials for one task, with a row per seed."""
    first = parts[0]
    return replace(
        first,
        normal=np.mean([part.normal for part in parts], axis=0),
        outsiders={
            name: np.mean([part.outsiders[name] for part in parts], axis=0)
            for name in first.outsiders
        },
        variants={},
    )


def _aurocs(part: PartRanks) -> list[float]:
    """The AUROC of each seed."""
    anomalous = part.outsiders[main_outsider(part.outsiders)]
    return [auroc(n, a) for n, a in zip(part.normal, anomalous, strict=True)]
