"""A random forest in the place of the experiment: curves, the strongest pair, the ablation path.

It is believed only where it predicts trials that it has not seen: out-of-bag R2 of `TRUSTED`.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from optuna.distributions import CategoricalDistribution
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold

from analysis.questions.sensitivity.importances import MOST, refusal
from analysis.questions.sensitivity.responses import Responses, encode
from analysis.stats.estimates import bootstrap
from tune_ad.errors import DegenerateInputError

TRUSTED = 0.3
"""The out-of-bag R2 from which the surrogate is believed."""
TREES = 200
FEW_TREES = 50  # of a forest that is one of many
RESAMPLES = 20
FOLDS = 5
POINTS = 15  # of a curve
PAIR_POINTS = 8
BACKGROUND = 50  # trials over which a partial dependence averages


class Surrogate(NamedTuple):
    """A forest that predicts the response.

    Attributes:
        responses: what it was fitted on.
        inputs: the parameters as numbers, (trials, parameters).
        forest: scikit-learn's.
        r2: out of bag, at most 1; 0 = no better than the mean.
        seed: of everything that is drawn.
    """

    responses: Responses
    inputs: np.ndarray
    forest: RandomForestRegressor
    r2: float
    seed: int

    @property
    def trusted(self) -> bool:
        """Whether its predictions are worth showing."""
        return self.r2 >= TRUSTED

    def predict(self, params: Mapping[str, Any]) -> float:
        """The response of a configuration."""
        row = [encode(each, params[name]) for name, each in self.responses.space.items()]
        return float(self.forest.predict(np.array([row]))[0])


class Curve(NamedTuple):
    """The mean response at values of one parameter, all others as in the trials.

    Attributes:
        parameter: its name.
        at: its values, encoded.
        mean: of the response.
        low: 2.5th percentile over forests of resampled trials.
        high: 97.5th percentile.
    """

    parameter: str
    at: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Level(NamedTuple):
    """The trials with one choice of a categorical parameter.

    Attributes:
        at: the choice's index.
        mean: of their responses.
        low: lower end of the bootstrap interval of the mean; NaN for few trials.
        high: upper end.
        n: trials.
    """

    at: int
    mean: float
    low: float
    high: float
    n: int


class Pair(NamedTuple):
    """Two parameters together.

    Attributes:
        names: of both.
        at: the values of each, encoded.
        mean: response, (values of the first, values of the second).
        interaction: standard deviation over the grid of what the sum of single effects leaves.
        h2: its square as a share of the variance over the grid, in [0, 1].
    """

    names: tuple[str, str]
    at: tuple[np.ndarray, np.ndarray]
    mean: np.ndarray
    interaction: float
    h2: float


class Step(NamedTuple):
    """One parameter switched from its default.

    Attributes:
        parameter: its name.
        before: the default.
        after: the other end's value.
        predicted: response after the step.
        share: of the whole predicted gain that is reached by now; NaN if there is no gain.
    """

    parameter: str
    before: Any
    after: Any
    predicted: float
    share: float


def fit(responses: Responses, seed: int = 0) -> Surrogate:
    """The surrogate of at most `MOST` trials.

    Raises:
        DegenerateInputError: with the reason in `importances.refusal`.
    """
    if why := refusal(responses):
        raise DegenerateInputError(why)
    used = responses.subsample(MOST, seed)
    inputs = used.encoded()
    forest = _forest(TREES, seed, oob_score=True).fit(inputs, used.values)
    return Surrogate(used, inputs, forest, float(forest.oob_score_), seed)


def permutation(surrogate: Surrogate) -> pd.DataFrame:
    """How much worse the forest predicts held-out trials with one parameter shuffled.

    Increase of the mean squared error as a share of the response's variance: 0 = the parameter
    does not help, possibly below. Five folds, each predicted by a forest of the others.

    Returns:
        A row per parameter: the mean over folds and their sample standard deviation.
    """
    inputs, values = surrogate.inputs, surrogate.responses.values
    folds = KFold(FOLDS, shuffle=True, random_state=surrogate.seed)
    drops = []
    for train, held in folds.split(inputs):
        forest = _forest(FEW_TREES, surrogate.seed).fit(inputs[train], values[train])
        found = permutation_importance(
            forest,
            inputs[held],
            values[held],
            scoring="neg_mean_squared_error",
            n_repeats=5,
            random_state=surrogate.seed,
            n_jobs=1,
        )
        drops.append(found.importances_mean / values.var())
    table = {"mean": np.mean(drops, axis=0), "std": np.std(drops, axis=0, ddof=1)}
    return pd.DataFrame(table, index=surrogate.responses.names)


def curves(surrogate: Surrogate) -> list[Curve]:
    """The partial dependence of the response on each parameter, with a bootstrap band.

    Mean and band are of forests of resampled trials: the band says how much the curve depends on
    which trials there were. Friedman, Greedy function approximation, Annals of Statistics 2001.
    """
    rng = np.random.default_rng(surrogate.seed)
    n = surrogate.responses.n
    forests = []
    for k in range(RESAMPLES):
        rows = rng.integers(0, n, n)
        forest = _forest(FEW_TREES, surrogate.seed + 1 + k)
        forests.append(forest.fit(surrogate.inputs[rows], surrogate.responses.values[rows]))
    return [_curve(surrogate, forests, j) for j in range(len(surrogate.responses.names))]


def levels(responses: Responses, name: str) -> list[Level]:
    """The mean response at each choice of a categorical parameter, without a model.

    Intervals: 95 %, percentiles of the bootstrap over trials; none below `LEAST_PAIRS` trials.
    """
    at = np.array([encode(responses.space[name], value) for value in responses.params[name]])
    return [_level(int(each), responses.values[at == each]) for each in np.unique(at)]


def strongest_pair(surrogate: Surrogate) -> Pair | None:
    """The two parameters of the largest interaction; None if there is one parameter.

    The joint partial dependence over a grid, less its mean, is split into the sum of the two
    single effects and the rest, the interaction. Pairs are ranked by the standard deviation of
    the rest; `h2`, Friedman's H2 (Friedman and Popescu, Predictive learning via rule ensembles,
    2008), is its share. The share alone would favour pairs that do nothing.
    """
    count = len(surrogate.responses.names)
    pairs = [_pair(surrogate, i, j) for i, j in itertools.combinations(range(count), 2)]
    return max(pairs, key=lambda pair: pair.interaction, default=None)


def path(surrogate: Surrogate, start: Mapping[str, Any], end: Mapping[str, Any]) -> list[Step]:
    """From one configuration to another, each time by the switch that the forest likes most.

    Only parameters of which both differ are switched; none = the configurations agree. Fawcett and
    Hoos, Analysing differences between algorithm configurations through ablation, J. Heuristics
    2016; on a surrogate as in Biedenkapp et al., AAAI 2017.
    """
    space = surrogate.responses.space
    left = [n for n, each in space.items() if encode(each, start[n]) != encode(each, end[n])]
    now, first = dict(start), surrogate.predict(start)
    gain, steps = surrogate.predict(end) - first, []
    while left:
        reached = {name: surrogate.predict({**now, name: end[name]}) for name in left}
        name = max(left, key=lambda each: reached[each])
        now[name] = end[name]
        left.remove(name)
        share = (reached[name] - first) / gain if gain > 0 else math.nan
        steps.append(Step(name, start[name], end[name], reached[name], share))
    return steps


def _forest(trees: int, seed: int, oob_score: bool = False) -> RandomForestRegressor:
    return RandomForestRegressor(
        n_estimators=trees,
        min_samples_leaf=2,
        oob_score=oob_score,
        random_state=seed,
        n_jobs=1,
    )


def _values(surrogate: Surrogate, j: int, points: int) -> np.ndarray:
    """The values of a parameter at which curves are computed: those tried, or evenly spaced."""
    tried = np.unique(surrogate.inputs[:, j])
    distribution = list(surrogate.responses.space.values())[j]
    if isinstance(distribution, CategoricalDistribution) or len(tried) <= points:
        return tried
    return np.linspace(tried[0], tried[-1], points)


def _background(surrogate: Surrogate) -> np.ndarray:
    inputs, rng = surrogate.inputs, np.random.default_rng(surrogate.seed)
    if len(inputs) <= BACKGROUND:
        return inputs
    return inputs[np.sort(rng.choice(len(inputs), BACKGROUND, replace=False))]


def _dependence(
    forest: RandomForestRegressor, background: np.ndarray, at: Mapping[int, np.ndarray]
) -> np.ndarray:
    """The mean prediction over trials with some columns set to each combination of values."""
    points = np.array(list(itertools.product(*at.values())))
    rows = np.tile(background, (len(points), 1))
    rows[:, list(at)] = np.repeat(points, len(background), axis=0)
    means: np.ndarray = forest.predict(rows).reshape(len(points), -1).mean(axis=1)
    return means.reshape([len(values) for values in at.values()])


def _curve(surrogate: Surrogate, forests: Sequence[RandomForestRegressor], j: int) -> Curve:
    at = {j: _values(surrogate, j, POINTS)}
    background = _background(surrogate)
    every = np.array([_dependence(forest, background, at) for forest in forests])
    low, high = np.percentile(every, [2.5, 97.5], axis=0)
    return Curve(surrogate.responses.names[j], at[j], every.mean(axis=0), low, high)


def _level(at: int, values: np.ndarray) -> Level:
    found = bootstrap([*map(float, values)], bounds=(-math.inf, math.inf))
    return Level(at, found.mean, found.low, found.high, found.n)


def _pair(surrogate: Surrogate, i: int, j: int) -> Pair:
    at = {k: _values(surrogate, k, PAIR_POINTS) for k in (i, j)}
    mean = _dependence(surrogate.forest, _background(surrogate), at)
    centred = mean - mean.mean()
    single = centred.mean(axis=1, keepdims=True) + centred.mean(axis=0, keepdims=True)
    rest, whole = float((centred - single).var()), float(centred.var())
    names = surrogate.responses.names
    h2 = rest / whole if whole > 0 else 0.0
    return Pair((names[i], names[j]), (at[i], at[j]), mean, math.sqrt(rest), h2)
