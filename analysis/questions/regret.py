"""What each selection rule chooses, what that is worth, and how many labels a choice needs.

The regret of a rule is the test AUROC of the trial that is best on the test set minus that of the
trial that the rule chooses. The best on the test set is itself the largest of noisy numbers, so
regrets are too large rather than too small.
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
from tune_ad.storage.records import TrialRecord

ORACLE, NORMAL_ONLY, ALL, RANDOM = "oracle", "normal_only", "validation", "random"
LOSSES = {NORMAL_ONLY, "likelihood"}  # rules that rank by numbers of one loss alone


class Choice(NamedTuple):
    """What a rule chooses among the complete trials that were tested.

    Attributes:
        rule: its name.
        number: of the chosen trial; None for "random", which stands for all of them.
        judged: trials that the rule can judge.
        auroc: test AUROC of the choice (for "random" the mean over trials), one value per seed.
        regret: the best trial's minus that, paired by seed, in [-1, 1]; 0 = the best was chosen.
    """

    rule: str
    number: int | None
    judged: int
    auroc: Estimate
    regret: Estimate


class LabelCurve(NamedTuple):
    """Regret against the number of labelled anomalies of each task by which trials are ranked.

    Attributes:
        labelled: numbers of anomalies for each task; "0" ranks by the loss of normals, "all" by
            every one.
        regret: mean over draws of the labelled anomalies, in [0, 1].
        low: 2.5th percentile over draws.
        high: 97.5th percentile.
        draws: of each point; 1 where nothing is drawn.
        random: expected regret of a trial picked at random.
        trials: among which is chosen.
    """

    labelled: tuple[str, ...]
    regret: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    draws: tuple[int, ...]
    random: float
    trials: int


def candidates(study: StudyRecords) -> list[TrialRecord]:
    """The complete trials whose every replica has met the test set."""
    return ranked(study.complete, ORACLE)


def choices(study: StudyRecords) -> list[Choice]:
    """What each rule chooses, oracle first; empty with fewer than two candidates."""
    known = candidates(study)
    if len(known) < 2:
        return []
    table = study.replicas[study.replicas["number"].isin({record.number for record in known})]
    aurocs = frame.by_trial_and_seed(table)
    best = _row(aurocs, known[0])
    made = []
    for rule in _comparable(known):
        order = ranked(known, rule)
        if order:
            own = _row(aurocs, order[0])
            made.append(_choice(rule, order[0].number, len(order), own, best))
    return [*made, _choice(RANDOM, None, len(known), aurocs.mean(axis=0, skipna=False), best)]


def _row(aurocs: pd.DataFrame, record: TrialRecord) -> pd.Series:
    """The values of one trial by seed."""
    found: pd.Series = aurocs.loc[[record.number]].iloc[0]
    return found


def _comparable(known: Sequence[TrialRecord]) -> list[str]:
    rules = [rule for rule in RULES if rule not in (ORACLE, RANDOM) and ranks(rule, known)]
    return [ORACLE, *rules]


def ranks(rule: str, records: Sequence[TrialRecord]) -> bool:
    """Whether a rule can rank these trials; different losses and likelihoods do not compare.

    Args:
        rule: its name.
        records: of the trials.
    """
    if rule not in LOSSES:
        return True
    losses = {
        (record.baseline if rule == NORMAL_ONLY else "", record.params.get("likelihood"))
        for record in records
    }
    return len(losses) == 1


def _choice(rule: str, number: int | None, judged: int, own: pd.Series, best: pd.Series) -> Choice:
    regret = estimate(list(best - own), bounds=(-1.0, 1.0))
    return Choice(rule, number, judged, estimate(list(own)), regret)


def label_curve(study: StudyRecords) -> LabelCurve | None:
    """Regret against the number of labels; None where trials hold no labelled draws."""
    known = candidates(study)
    drawn = [record for record in known if record.labelled]
    if len(drawn) < 2:
        return None
    tested = np.array([mean(record.metrics["test_auroc"]) for record in drawn], dtype=float)
    points = []
    if NORMAL_ONLY in _comparable(drawn):
        points = [("0", _regret_of_rule(drawn, NORMAL_ONLY, tested))]
    points += [(k, _regrets(drawn, k, tested)) for k in drawn[0].labelled]
    points += [("all", _regret_of_rule(drawn, ALL, tested))]
    points = [(k, values) for k, values in points if values.size]
    ends = [np.percentile(values, [2.5, 97.5]) for _, values in points]
    return LabelCurve(
        tuple(k for k, _ in points),
        tuple(float(values.mean()) for _, values in points),
        tuple(float(low) for low, _ in ends),
        tuple(float(high) for _, high in ends),
        tuple(values.size for _, values in points),
        float(tested.max() - tested.mean()),
        len(drawn),
    )


def _regrets(drawn: Sequence[TrialRecord], k: str, tested: np.ndarray) -> np.ndarray:
    """The regret under each draw of k labelled anomalies; ties go to the earlier trial."""
    judged = [n for n, r in enumerate(drawn) if r.labelled.get(k) and None not in r.labelled[k]]
    if not judged:
        return np.empty(0)
    judged.sort(key=lambda n: drawn[n].number)
    values = np.array([drawn[n].labelled[k] for n in judged], dtype=float)
    chosen = np.array(judged)[values.argmax(axis=0)]
    regrets: np.ndarray = tested.max() - tested[chosen]
    return regrets


def _regret_of_rule(drawn: Sequence[TrialRecord], rule: str, tested: np.ndarray) -> np.ndarray:
    order = ranked(drawn, rule)
    if not order:
        return np.empty(0)
    return np.array([tested.max() - tested[[r.number for r in drawn].index(order[0].number)]])


def draw_label_curve(curve: LabelCurve) -> Figure:
    """Regret in points of AUROC against the number of labelled anomalies."""
    made = theme.canvas(2.8)
    axes, places = made.one, np.arange(len(curve.labelled))
    regret, low, high = (100 * np.array(each) for each in (curve.regret, curve.low, curve.high))
    axes.fill_between(places, low, high, color=theme.colour(0), alpha=0.2, linewidth=0)
    axes.plot(places, regret, "o-", color=theme.colour(0))
    axes.axhline(100 * curve.random, color=theme.FAINT, linestyle="--")
    axes.annotate(
        "a trial picked at random",
        (places[-1], 100 * curve.random),
        ha="right",
        va="bottom",
        fontsize=9,
    )
    axes.set_xticks(places, [f"{k}\n(normals only)" if k == "0" else k for k in curve.labelled])
    axes.set_xlabel("labelled anomalies of each class by which trials are ranked")
    axes.set_ylabel("regret, points of AUROC")
    axes.set_ylim(bottom=0)
    return made.figure
