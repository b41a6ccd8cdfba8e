"""Parameter importances by fANOVA and PED-ANOVA, compared with the variance due to seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import optuna
import pandas as pd
import scipy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from analysis.document.blocks import Text
from analysis.document.theme import FAINT, INK, canvas, colour
from analysis.questions.sensitivity.observations import Observations, proposed_adaptively
from analysis.stats.estimates import resampling_interval
from tune_ad.errors import DegenerateInputError
from tune_ad.wording import count

MOST_TRIALS = 300
"""The largest number of trials that is analysed: one fANOVA of 1,000 takes half a minute."""
FEWEST = 10
"""The smallest number of trials from which importances are computed."""
RESAMPLES = 20
TREES = 256
"""The trees of fANOVA's forest; with 16, its seed alone moves a value by ten points."""
RESAMPLED_TREES = 32  # of each of the forests from which intervals are computed
FEWEST_TREES = 16
FULL_TRIALS = 64  # number of trials from which fewer trees suffice, as each tree sees more
EVALUATORS = ("fANOVA", "PED-ANOVA")
ABOVE, BELOW, BETWEEN = "above noise", "not distinguishable from noise", "undecided"
RANDOM_PARAMETER = "(a random number)"  # no parameter has such a name
SEEDS = "seeds only"


class Importances(NamedTuple):
    """The importance of each parameter.

    Attributes:
        tables: for each evaluator a table of parameter x (value, low, high), in [0, 1]. fANOVA:
            the share of the variance of a forest's prediction over the uniform space that the
            parameter explains alone; the rest to 1 is due to interactions and to noise that the
            forest learnt. PED-ANOVA: the parameter's share, of sum 1, in what distinguishes the
            best `quantile` of the trials from the others. `low` and `high` are its 95 % interval
            from bootstrap resamples (`resampling_interval`), cut at 0 and 1.
        n: the number of trials that were used.
        trees: the number of trees of the forest of fANOVA's values.
        drawn: the number of trials from which they were drawn at random; 0 = all were used.
        adaptive: the number of used trials that may have been proposed from earlier results.
        quantile: the quantile of PED-ANOVA.
        agreement: Spearman's rank correlation of the two evaluators, in [-1, 1]; NaN for fewer
            than three parameters, or if one evaluator gives all of them the same value.
        noise: the share of the variance between the used configurations that is due to seeds
            alone, in [0, 1]; NaN if no configuration has two seeds.
        chance: the largest importance that fANOVA gives to a random parameter in the resamples;
            a further one exceeds it with probability 1 / (`RESAMPLES` + 1), about 5 %.
    """

    tables: dict[str, pd.DataFrame]
    n: int
    trees: int
    drawn: int
    adaptive: int
    quantile: float
    agreement: float
    noise: float
    chance: float

    @property
    def floor(self) -> float:
        """The threshold of fANOVA below which a parameter counts as noise: the larger of both."""
        return self.chance if math.isnan(self.noise) else max(self.noise, self.chance)

    def verdicts(self) -> dict[str, str]:
        """The verdict on each parameter, by its name, from fANOVA's interval and the floor.

        An interval wholly below the floor: "not distinguishable from noise"; wholly above it:
        "above noise", but only if no trial was adaptive, as such trials bias fANOVA; otherwise
        "undecided".

        The rule compares sizes (does the parameter change the response by more than the choice of
        seeds does?); it does not test whether there is any effect. fANOVA's value is a share of
        the variance of a forest's smoothed prediction over the uniform space. The share of the
        seeds is one of the observed variance of the trials' means. `chance` is needed as well,
        since with few trials fANOVA gives a positive value to a parameter without effect, however
        small the share of the seeds. PED-ANOVA's values are not shares of variance and not used.
        """
        table = self.tables["fANOVA"]
        intervals = zip(table.index, table["low"], table["high"], strict=True)
        verdicts = {str(name): _verdict(low, high, self.floor) for name, low, high in intervals}
        if self.adaptive:
            return {name: BETWEEN if v == ABOVE else v for name, v in verdicts.items()}
        return verdicts


def refusal(observations: Observations) -> str:
    """Why importances cannot be computed; empty if they can."""
    if not observations.n:
        return "no complete trial can be used"
    if observations.n < FEWEST:
        return f"importances need at least {FEWEST} complete trials, got {observations.n}"
    if not observations.names:
        return "no searched parameter took two values"
    if np.ptp(observations.values) <= 1e-12 * np.abs(observations.values).max():
        return "every configuration has the same response"
    return ""


def suited(observations: Observations) -> Observations:
    """The trials from which importances are computed: the non-adaptive ones if they suffice.

    Otherwise all trials. Adaptive trials concentrate in good regions, which biases importances, so
    that no parameter is then reported as above noise.
    """
    unbiased = observations.non_adaptive()
    return observations if refusal(unbiased) else unbiased


def trials_used(observations: Observations) -> Text:
    """From which trials importances are computed; a warning if some of them are adaptive."""
    used, baseline = suited(observations), observations.baseline
    everything = count(observations.n, "trial")
    if used is not observations:
        constant = ", ".join(used.constant)
        return Text(
            f"The importances of {baseline} are computed from the {count(used.n, 'trial')} that "
            "were not proposed from earlier results, since adaptive trials bias importances."
            + (f" Among these trials {constant} took a single value." if constant else "")
            + " The surrogate (used for curves, interaction, permutation importances and ablation "
            f"path) is fitted to all {everything}."
        )
    if not observations.adaptive.any():
        return Text(
            "No trial was proposed from earlier results: the importances and the surrogate of "
            f"{baseline} use all {everything}."
        )
    return Text(
        f"The importances of {baseline} are computed from all {everything}, of which "
        f"{proposed_adaptively(int(observations.adaptive.sum()))}: such trials concentrate in "
        "good regions, which biases importances. There are too few other trials: "
        f"{refusal(observations.non_adaptive())}. So no parameter is reported as above noise. The "
        "option --ablate sobol spreads trials evenly over the space.",
        "warning",
    )


def importances(observations: Observations, seed: int = 0) -> Importances:
    """The importances by fANOVA and PED-ANOVA from at most `MOST_TRIALS` trials, with intervals.

    PED-ANOVA's quantile is a tenth, or the share that holds five trials if that is larger, but at
    most a half. Resamples are drawn with replacement.

    Args:
        observations: the trials.
        seed: the seed of the subsample, the resamples and the forests.

    References:
        Hutter, Hoos and Leyton-Brown, An efficient approach for assessing hyperparameter
        importance, ICML 2014. Watanabe, Bansal and Hutter, PED-ANOVA, IJCAI 2023.

    Raises:
        DegenerateInputError: with the reason in `refusal`.
    """
    used, rng = observations.subsample(MOST_TRIALS, seed), np.random.default_rng(seed)
    if why := refusal(used):
        raise DegenerateInputError(why)
    quantile = max(0.1, min(0.5, 5 / used.n))
    samples = [np.arange(used.n), *(_resample(used.values, rng) for _ in range(RESAMPLES))]
    studies = [_study(used, rows, rng.random(used.n)) for rows in samples]
    trees = [_trees(TREES, used.n), *[_trees(RESAMPLED_TREES, used.n)] * RESAMPLES]
    fanova = np.array(
        [
            _fanova(study, used.names, number, seed=k)
            for k, (study, number) in enumerate(zip(studies, trees, strict=True))
        ]
    )
    ped_anova = np.array([_ped_anova(study, used.names, quantile) for study in studies])
    return Importances(
        tables={
            name: _table(shares, used.names)
            for name, shares in zip(EVALUATORS, (fanova[:, :-1], ped_anova), strict=True)
        },
        n=used.n,
        trees=trees[0],
        drawn=used.drawn,
        adaptive=int(used.adaptive.sum()),
        quantile=quantile,
        agreement=_agreement(fanova[0, :-1], ped_anova[0]),
        noise=seeds_share(used.seeds),
        chance=float(fanova[1:, -1].max()),
    )


def _trees(most: int, trials: int) -> int:
    """The number of trees of a forest of so many trials.

    The variance of an importance over the seeds of a forest, and the time of a tree, are about
    inverse and proportional to the number of trials.

    >>> [_trees(256, trials) for trials in (16, 64, 128, 300)]
    [256, 256, 128, 54]
    """
    return max(FEWEST_TREES, most * FULL_TRIALS // max(trials, FULL_TRIALS))


def seeds_share(seeds: pd.DataFrame) -> float:
    """Share of the variance between configurations that is due to seeds alone, in [0, 1].

    The one-way random-effects model: the mean of a configuration over its n seeds has the variance
    s2_w / n due to seeds, with s2_w the pooled variance within configurations; that is divided by
    the sample variance of the means. For equal n it is 1 / F, one minus the reliability ICC(1, n)
    of Shrout and Fleiss (1979). If a seed shifts all configurations equally, which leaves their
    differences unchanged, the share is too large, so the estimate is conservative.

    Args:
        seeds: the response by trial and seed; NaN if a trial lacks a seed.

    Returns:
        The share; NaN if no trial has two seeds or fewer than two trials have any; 1 if the means
        of all trials are equal.
    """
    rows = seeds[seeds.notna().any(axis=1)]
    counts, means = rows.notna().sum(axis=1), rows.mean(axis=1)
    freedom = int((counts - 1).sum())
    if len(rows) < 2 or not freedom:
        return math.nan
    within = float(rows.sub(means, axis=0).pow(2).sum().sum()) / freedom
    between = float(means.var(ddof=1))
    return min(1.0, within * float((1 / counts).mean()) / between) if between > 0 else 1.0


def draw_importances(importances: Importances) -> Figure:
    """Horizontal bars with intervals, one panel per evaluator; below them the noise."""
    names = list(importances.tables["fANOVA"].index)
    drawing = canvas(height=0.9 + 0.32 * (len(names) + 2), columns=len(EVALUATORS))
    for k, (axes, name) in enumerate(zip(drawing.axes, EVALUATORS, strict=True)):
        table = 100 * importances.tables[name].iloc[::-1]
        axes.barh(range(len(names)), table["value"], color=colour(k), height=0.6, alpha=0.8)
        axes.hlines(range(len(names)), table["low"], table["high"], color=INK, linewidth=1.6)
        axes.set_xlabel(f"{name} (%)")
        axes.set_ylim(-2.6, len(names) - 0.4)
        axes.set_yticks(range(len(names)), table.index if k == 0 else [""] * len(names))
    _draw_noise(drawing.one, importances, names)
    return drawing.figure


def _draw_noise(axes: Axes, importances: Importances, names: Sequence[str]) -> None:
    """The share that is due to seeds alone, and fANOVA's importance of a random parameter."""
    bars = [(SEEDS, importances.noise), ("random", importances.chance)]
    for y, (_, share) in zip((-1, -2), bars, strict=True):
        if math.isnan(share):
            axes.text(0, y, " unknown: one seed", va="center", fontsize=9, color=INK)
        else:
            axes.barh(y, 100 * share, color="none", edgecolor=FAINT, hatch="////", height=0.6)
    axes.axvline(100 * importances.floor, color=INK, linestyle="--", linewidth=1)
    ticks = [*range(len(names)), -1, -2]
    axes.set_yticks(ticks, [*reversed(names), *(label for label, _ in bars)])


def _verdict(low: float, high: float, floor: float) -> str:
    if high < floor:
        return BELOW
    return ABOVE if low > floor else BETWEEN


def _resample(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of a bootstrap resample whose responses are not all equal."""
    while True:
        rows = rng.integers(0, len(values), len(values))
        if np.ptp(values[rows]) > 0:
            return rows


def _study(observations: Observations, rows: np.ndarray, numbers: np.ndarray) -> optuna.Study:
    """Some of the trials as an Optuna study with an additional random parameter."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it logs every study in memory
    study = optuna.create_study(direction="maximize")
    optuna.logging.set_verbosity(before)
    space = {**observations.space, RANDOM_PARAMETER: FloatDistribution(0.0, 1.0)}
    rows_of_params = observations.params.to_dict("records")
    for k in rows:
        params = {**rows_of_params[k], RANDOM_PARAMETER: float(numbers[k])}
        value = float(observations.values[k])
        study.add_trial(create_trial(params=params, distributions=space, value=value))
    return study


def _fanova(study: optuna.Study, names: Sequence[str], trees: int, seed: int) -> list[float]:
    """Shares of variance of the parameters and, last, of the random parameter."""
    from optuna.importance import FanovaImportanceEvaluator

    shares = FanovaImportanceEvaluator(n_trees=trees, seed=seed).evaluate(study)
    return [shares[name] for name in (*names, RANDOM_PARAMETER)]


def _ped_anova(study: optuna.Study, names: Sequence[str], quantile: float) -> list[float]:
    """Shares of sum 1; all 0 if ties put all trials among the best."""
    from optuna.importance import PedAnovaImportanceEvaluator

    values = sorted((trial.value for trial in study.get_trials(deepcopy=False)), reverse=True)
    if values[math.ceil(quantile * len(values)) - 1] == values[-1]:
        return [0.0] * len(names)
    scores = PedAnovaImportanceEvaluator(target_quantile=quantile).evaluate(study)
    total = math.fsum(scores[name] for name in names)
    return [scores[name] / total if total > 0 else 0.0 for name in names]


def _table(shares: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    value, resampled = shares[0], shares[1:]
    low, high = np.clip(resampling_interval(value, resampled), 0.0, 1.0)
    return pd.DataFrame({"value": value, "low": low, "high": high}, index=list(names))


def _agreement(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(scipy.stats.spearmanr(first, second).statistic)
