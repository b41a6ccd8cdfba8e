"""Which trial each selection rule selects, its regret, and the number of labels needed.

The regret of a rule is the test AUROC of the trial that is best on the test set minus that of the
trial that the rule selects. The best test AUROC is a maximum of noisy values, so regrets are
overestimated.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import frame
from analysis.document import theme
from analysis.stats.estimates import Estimate, estimate
from analysis.study import StudyRecords
from tune_ad.search.selection import RULES, mean, ranked
from tune_ad.storage.metric import TEST_AUROC
from tune_ad.storage.records import TrialRecord

ORACLE, NORMAL_ONLY, ALL, RANDOM = "oracle", "normal_only", "validation", "random"


class RuleChoice(NamedTuple):
    """The trial that a selection rule selects among the complete trials that were tested.

    Attributes:
        rule: the name of the rule.
        number: the number of the selected trial; None for "random" (mean over all trials).
        ranked: the number of trials that the rule can rank.
        auroc: test AUROC of the selected trial (for "random" the mean over trials), one value per
            seed.
        regret: test AUROC of the best trial minus `auroc`, paired by seed, in [-1, 1]; 0 = the
            best trial was selected.
    """

    rule: str
    number: int | None
    ranked: int
    auroc: Estimate
    regret: Estimate


class LabelCurve(NamedTuple):
    """Regret against the number of labelled anomalies by which trials are ranked.

    Attributes:
        labelled: the numbers of labelled anomalies per task; "0" ranks by the loss of normal
            images, "all" by every held-out anomaly.
        regret: the mean over draws of the labelled anomalies, in [0, 1].
        low: the 2.5th percentile over draws.
        high: the 97.5th percentile over draws.
        draws: the number of draws of each point; 1 if nothing is drawn.
        random: the expected regret of a random trial.
        trials: the number of candidate trials.
    """

    labelled: tuple[str, ...]
    regret: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    draws: tuple[int, ...]
    random: float
    trials: int


def candidates(study: StudyRecords) -> list[TrialRecord]:
    """The complete trials of which every replica was tested, best on the test set first."""
    return ranked(study.complete, ORACLE)


def choices(study: StudyRecords) -> list[RuleChoice]:
    """The trial that each rule selects, oracle first; empty with fewer than two candidates."""
    tested = candidates(study)
    if len(tested) < 2:
        return []
    table = study.replicas[study.replicas["number"].isin({record.number for record in tested})]
    aurocs = frame.by_trial_and_seed(table)
    best = _of_trial(aurocs, tested[0])
    chosen = []
    for rule in _applicable_rules(tested):
        order = ranked(tested, rule)
        if order:
            auroc = _of_trial(aurocs, order[0])
            chosen.append(_choice(rule, order[0].number, len(order), auroc, best))
    average = aurocs.mean(axis=0, skipna=False)
    return [*chosen, _choice(RANDOM, None, len(tested), average, best)]


def _of_trial(aurocs: pd.DataFrame, record: TrialRecord) -> pd.Series:
    """The values of one trial by seed."""
    by_seed: pd.Series = aurocs.loc[[record.number]].iloc[0]
    return by_seed


def _applicable_rules(records: Sequence[TrialRecord]) -> list[str]:
    """The rules that can rank these trials; `random` is not one of them."""
    others = {name: rule for name, rule in RULES.items() if name not in (ORACLE, RANDOM)}
    return [ORACLE, *(name for name, rule in others.items() if rule.compares(records))]


def _choice(
    rule: str, number: int | None, ranked: int, auroc: pd.Series, best: pd.Series
) -> RuleChoice:
    regret = estimate(list(best - auroc), bounds=(-1.0, 1.0))
    return RuleChoice(
        rule=rule, number=number, ranked=ranked, auroc=estimate(list(auroc)), regret=regret
    )


def label_curve(study: StudyRecords) -> LabelCurve | None:
    """Regret against the number of labels; None if no trial was scored with few labels."""
    records = [record for record in candidates(study) if record.labelled]
    if len(records) < 2:
        return None
    tested = np.array([mean(record.metrics[TEST_AUROC]) for record in records], dtype=float)
    points = []
    if NORMAL_ONLY in _applicable_rules(records):
        points = [("0", _regret_of_rule(records, NORMAL_ONLY, tested))]
    points += [(k, _regrets(records, k, tested)) for k in records[0].labelled]
    points += [("all", _regret_of_rule(records, ALL, tested))]
    points = [(k, values) for k, values in points if values.size]
    bounds = [np.percentile(values, [2.5, 97.5]) for _, values in points]
    return LabelCurve(
        labelled=tuple(k for k, _ in points),
        regret=tuple(float(values.mean()) for _, values in points),
        low=tuple(float(low) for low, _ in bounds),
        high=tuple(float(high) for _, high in bounds),
        draws=tuple(values.size for _, values in points),
        random=float(tested.max() - tested.mean()),
        trials=len(records),
    )


def _regrets(records: Sequence[TrialRecord], k: str, tested: np.ndarray) -> np.ndarray:
    """The regret under each draw of k labelled anomalies; ties go to the earlier trial."""
    usable = [n for n, r in enumerate(records) if r.labelled.get(k) and None not in r.labelled[k]]
    if not usable:
        return np.empty(0)
    usable.sort(key=lambda n: records[n].number)
    values = np.array([records[n].labelled[k] for n in usable], dtype=float)
    chosen = np.array(usable)[values.argmax(axis=0)]
    regrets: np.ndarray = tested.max() - tested[chosen]
    return regrets


def _regret_of_rule(records: Sequence[TrialRecord], rule: str, tested: np.ndarray) -> np.ndarray:
    """The regret of a rule as an array of one value; empty if it ranks no trial."""
    order = ranked(records, rule)
    if not order:
        return np.empty(0)
    chosen = [record.number for record in records].index(order[0].number)
    return np.array([tested.max() - tested[chosen]])


def draw_label_curve(curve: LabelCurve) -> Figure:
    """Regret in points of AUROC against the number of labelled anomalies."""
    drawing = theme.canvas(2.8)
    axes, places = drawing.one, np.arange(len(curve.labelled))
    regret, low, high = (100 * np.array(line) for line in (curve.regret, curve.low, curve.high))
    axes.fill_between(places, low, high, color=theme.colour(0), alpha=0.2, linewidth=0)
    axes.plot(places, regret, "o-", color=theme.colour(0))
    axes.axhline(100 * curve.random, color=theme.FAINT, linestyle="--")
    axes.annotate(
        "random trial",
        (places[-1], 100 * curve.random),
        ha="right",
        va="bottom",
        fontsize=9,
    )
    axes.set_xticks(
        places, [f"{k}\n(normal images only)" if k == "0" else k for k in curve.labelled]
    )
    axes.set_xlabel("number of labelled anomalies per class used for selection")
    axes.set_ylabel("regret, points of AUROC")
    axes.set_ylim(bottom=0)
    return drawing.figure
