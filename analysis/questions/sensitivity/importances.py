"""How much each parameter matters: fANOVA and PED-ANOVA, beside what the seeds alone do."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import optuna
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.distributions import FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import create_trial
from scipy import stats

from analysis.document.blocks import Text
from analysis.document.format import count
from analysis.document.theme import FAINT, INK, canvas, colour
from analysis.questions.sensitivity.responses import Responses
from tune_ad.errors import DegenerateInputError

MOST = 300
"""Trials that are looked at, at most: one fANOVA of 1,000 takes half a minute."""
FEWEST = 10
RESAMPLES = 20
TREES = 16
EVALUATORS = ("fANOVA", "PED-ANOVA")
ABOVE, BELOW, BETWEEN = "above noise", "not distinguishable from noise", "undecided"
CHANCE = "(a random number)"  # no parameter has such a name
SEEDS = "seeds only"


class Importances(NamedTuple):
    """How much each parameter matters.

    Attributes:
        tables: by evaluator, parameter x (value, low, high), in [0, 1]. fANOVA: the share of the
            variance of a forest's prediction over the uniform space that the parameter explains
            alone; what is missing from 1 is of interactions and of noise that the forest learnt.
            PED-ANOVA: the parameter's share, of sum 1, in what sets the best `quantile` of the
            trials apart. `low` and `high` are the 2.5th and 97.5th percentiles of bootstrap
            resamples, moved by their bias (their mean minus `value`): a resample holds fewer
            different trials, of which fANOVA makes less of weak parameters.
        n: trials that were used.
        drawn: from how many they were drawn at random; 0 = all were used.
        adaptive: how many of the used may have been proposed in the light of earlier ones.
        quantile: of PED-ANOVA.
        agreement: Spearman's rank correlation of the two evaluators, in [-1, 1]; NaN for fewer
            than three parameters, or where one evaluator puts all of them level.
        noise: share of the variance between the used configurations that is only seeds, in
            [0, 1]; NaN where none of them has two seeds.
        chance: what fANOVA gives a parameter that is a random number: the 97.5th percentile.
    """

    tables: dict[str, pd.DataFrame]
    n: int
    drawn: int
    adaptive: int
    quantile: float
    agreement: float
    noise: float
    chance: float

    @property
    def floor(self) -> float:
        """Below it fANOVA's value is noise: the larger of the seeds' share and of chance."""
        return self.chance if math.isnan(self.noise) else max(self.noise, self.chance)

    def verdicts(self) -> dict[str, str]:
        """What may be said of each parameter, by name, from fANOVA's interval and the floor.

        Wholly below the floor: "not distinguishable from noise"; wholly above: "above noise", but
        only where no trial was adaptive, which biases fANOVA; otherwise "undecided".

        The floor is a yardstick: fANOVA's value is a share of the variance of a forest's smoothed
        prediction over the uniform space, the seeds' of the observed variance of the means of the
        trials. Chance is needed beside it, since with few trials fANOVA gives something to a
        parameter that does nothing, however small the seeds' share. The rule is about size (does
        the parameter move the response by more than the choice of seeds does?), not a test of
        whether there is an effect at all. PED-ANOVA's values are no shares of variance and have no
        part in it.
        """
        table = self.tables["fANOVA"]
        ends = zip(table.index, table["low"], table["high"], strict=True)
        found = {str(name): _verdict(low, high, self.floor) for name, low, high in ends}
        if not self.adaptive:
            return found
        return {name: BETWEEN if each == ABOVE else each for name, each in found.items()}


def refusal(responses: Responses) -> str:
    """Why nothing can be said of the importance of parameters; empty if something can."""
    if not responses.n:
        return "no complete trial can be used"
    if responses.n < FEWEST:
        return f"importances need at least {FEWEST} complete trials, got {responses.n}"
    if not responses.names:
        return "no searched parameter took two values"
    if np.ptp(responses.values) <= 1e-12 * np.abs(responses.values).max():
        return "every configuration has the same response"
    return ""


def suited(responses: Responses) -> Responses:
    """The trials of which importances are computed: those that are not adaptive if they suffice.

    Otherwise all: the importances then count the adaptive ones, which crowd where the response is
    good and so bias them, and say of no parameter that it is above noise.
    """
    block = responses.block()
    return responses if refusal(block) else block


def trials_used(own: Responses) -> Text:
    """Which trials the importances are of; a warning where adaptive ones are among them."""
    used = suited(own)
    if used is not own:
        only = f" {', '.join(used.constant)} took one value there." if used.constant else ""
        return Text(
            f"Importances of {own.baseline} are of the {count(used.n, 'trial')} that no earlier "
            f"result had a say in, since adaptive trials bias them.{only} The surrogate, and with "
            f"it curves, pair, permutation importances and path, is of all {own.n:,}."
        )
    if not own.adaptive.any():
        return Text(
            f"No result had a say in which trials there are: importances and the surrogate of "
            f"{own.baseline} are of all {own.n:,}."
        )
    return Text(
        f"Importances of {own.baseline} are of all {count(own.n, 'trial')}, of which "
        f"{int(own.adaptive.sum()):,} may have been proposed in the light of earlier ones: such "
        "trials crowd where the response is good, which biases importances. The others alone will "
        f"not do: {refusal(own.block())}. So no parameter is called above noise. --ablate sobol "
        "spreads trials evenly over the space.",
        "warning",
    )


def importances(responses: Responses, seed: int = 0) -> Importances:
    """The importances by fANOVA and PED-ANOVA of at most `MOST` trials, with intervals.

    PED-ANOVA's quantile is a tenth, or what holds five trials if that is more, at most a half.
    Resamples are drawn with replacement.

    References:
        Hutter, Hoos and Leyton-Brown, An efficient approach for assessing hyperparameter
        importance, ICML 2014. Watanabe, Bansal and Hutter, PED-ANOVA, IJCAI 2023.

    Raises:
        DegenerateInputError: with the reason in `refusal`.
    """
    if why := refusal(responses):
        raise DegenerateInputError(why)
    used, rng = responses.subsample(MOST, seed), np.random.default_rng(seed)
    quantile = max(0.1, min(0.5, 5 / used.n))
    rows = [np.arange(used.n), *(_resample(used.values, rng) for _ in range(RESAMPLES))]
    studies = [_study(used, each, rng.random(used.n)) for each in rows]
    alone = np.array([_fanova(each, used.names, k) for k, each in enumerate(studies)])
    apart = np.array([_ped_anova(each, used.names, quantile) for each in studies])
    return Importances(
        tables={
            name: _table(shares, used.names)
            for name, shares in zip(EVALUATORS, (alone[:, :-1], apart), strict=True)
        },
        n=used.n,
        drawn=used.drawn,
        adaptive=int(used.adaptive.sum()),
        quantile=quantile,
        agreement=_agreement(alone[0, :-1], apart[0]),
        noise=seeds_share(used.seeds),
        chance=float(np.percentile(alone[1:, -1], 97.5)),
    )


def seeds_share(seeds: pd.DataFrame) -> float:
    """Share of the variance between configurations that is only seeds, in [0, 1].

    The one-way random-effects model: a configuration's mean over its n seeds has the variance
    s2_w / n from the seeds, s2_w being the variance within configurations, pooled; that is divided
    by the sample variance of the means. For equal n it is 1 / F, one minus the reliability
    ICC(1, n) of Shrout and Fleiss (1979). Where a seed moves all configurations alike, which
    leaves their differences as they are, it is too large, so on the careful side.

    Args:
        seeds: response, trial x seed; NaN where a trial lacks a seed.

    Returns:
        The share; NaN if no trial has two seeds or fewer than two have any; 1 if the means are
        all alike.
    """
    rows = seeds[seeds.notna().any(axis=1)]
    counts, means = rows.notna().sum(axis=1), rows.mean(axis=1)
    freedom = int((counts - 1).sum())
    if len(rows) < 2 or not freedom:
        return math.nan
    within = float(rows.sub(means, axis=0).pow(2).sum().sum()) / freedom
    between = float(means.var(ddof=1))
    return min(1.0, within * float((1 / counts).mean()) / between) if between > 0 else 1.0


def draw_importances(found: Importances) -> Figure:
    """Horizontal bars with intervals, one panel an evaluator; below them, what is only noise."""
    names = list(found.tables["fANOVA"].index)
    drawing = canvas(height=0.9 + 0.32 * (len(names) + 2), columns=len(EVALUATORS))
    for k, (axes, name) in enumerate(zip(drawing.axes, EVALUATORS, strict=True)):
        table = 100 * found.tables[name].iloc[::-1]
        axes.barh(range(len(names)), table["value"], color=colour(k), height=0.6, alpha=0.8)
        axes.hlines(range(len(names)), table["low"], table["high"], color=INK, linewidth=1.6)
        axes.set_xlabel(f"{name} (%)")
        axes.set_ylim(-2.6, len(names) - 0.4)
        axes.set_yticks(range(len(names)), table.index if k == 0 else [""] * len(names))
    _draw_noise(drawing.one, found, names)
    return drawing.figure


def _draw_noise(axes: Axes, found: Importances, names: Sequence[str]) -> None:
    """What the seeds alone do, and what fANOVA gives a random number."""
    bars = [(SEEDS, found.noise), ("chance", found.chance)]
    for y, (_, share) in zip((-1, -2), bars, strict=True):
        if math.isnan(share):
            axes.text(0, y, " unknown: one seed", va="center", fontsize=9, color=INK)
        else:
            axes.barh(y, 100 * share, color="none", edgecolor=FAINT, hatch="////", height=0.6)
    axes.axvline(100 * found.floor, color=INK, linestyle="--", linewidth=1)
    ticks = [*range(len(names)), -1, -2]
    axes.set_yticks(ticks, [*reversed(names), *(label for label, _ in bars)])


def _verdict(low: float, high: float, floor: float) -> str:
    if high < floor:
        return BELOW
    return ABOVE if low > floor else BETWEEN


def _resample(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of as many trials, with replacement, not all of one value."""
    while True:
        rows = rng.integers(0, len(values), len(values))
        if np.ptp(values[rows]) > 0:
            return rows


def _study(responses: Responses, rows: np.ndarray, numbers: np.ndarray) -> optuna.Study:
    """Optuna's study of some trials, with a parameter more that is a random number."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces a study in memory, too
    study = optuna.create_study(direction="maximize")
    optuna.logging.set_verbosity(before)
    space = {**responses.space, CHANCE: FloatDistribution(0.0, 1.0)}
    params = responses.params.to_dict("records")
    for k in rows:
        own = {**params[k], CHANCE: float(numbers[k])}
        value = float(responses.values[k])
        study.add_trial(create_trial(params=own, distributions=space, value=value))
    return study


def _fanova(study: optuna.Study, names: Sequence[str], seed: int) -> list[float]:
    """Shares of variance of the parameters and, last, of the random number."""
    found = FanovaImportanceEvaluator(n_trees=TREES, seed=seed).evaluate(study)
    return [found[name] for name in (*names, CHANCE)]


def _ped_anova(study: optuna.Study, names: Sequence[str], quantile: float) -> list[float]:
    """Shares of sum 1; all 0 where, by ties, all trials are among the best."""
    values = sorted((trial.value for trial in study.get_trials(deepcopy=False)), reverse=True)
    if values[math.ceil(quantile * len(values)) - 1] == values[-1]:
        return [0.0] * len(names)
    found = PedAnovaImportanceEvaluator(target_quantile=quantile).evaluate(study)
    whole = math.fsum(found[name] for name in names)
    return [found[name] / whole if whole > 0 else 0.0 for name in names]


def _table(shares: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    value, resampled = shares[0], shares[1:]
    ends = np.percentile(resampled, [2.5, 97.5], axis=0) - (resampled.mean(axis=0) - value)
    low, high = np.clip(ends, 0.0, 1.0)
    return pd.DataFrame({"value": value, "low": low, "high": high}, index=list(names))


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(stats.spearmanr(first, second).statistic)
