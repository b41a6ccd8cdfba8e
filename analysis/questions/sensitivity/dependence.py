"""How the predicted response depends on one parameter, and on two: partial dependence.

Friedman, Greedy function approximation: a gradient boosting machine, Annals of Statistics, 2001.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from optuna.distributions import CategoricalDistribution

from analysis.questions.sensitivity.observations import Observations, encode
from analysis.questions.sensitivity.surrogate import Surrogate, resampled_forests
from analysis.stats.estimates import bootstrap, resampling_interval

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

POINTS = 15  # number of points of a curve
PAIR_POINTS = 8  # number of values of each parameter of a pair
BACKGROUND = 50  # number of trials over which a partial dependence averages


class MarginalCurve(NamedTuple):
    """The predicted response at values of one parameter, averaged over the others in the trials.

    Attributes:
        parameter: the name of the parameter.
        at: the encoded values of the parameter.
        mean: the mean of the predicted response over forests fitted to resampled trials.
        low: the lower bound of its 95 % interval (`resampling_interval`).
        high: the upper bound.
    """

    parameter: str
    at: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class ChoiceMean(NamedTuple):
    """The mean response of the trials with one choice of a categorical parameter.

    Attributes:
        at: the index of the choice.
        mean: the mean of the responses.
        low: the lower bound of the bootstrap interval of the mean; NaN for few trials.
        high: the upper bound; NaN for few trials.
        n: the number of trials.
    """

    at: int
    mean: float
    low: float
    high: float
    n: int


class Interaction(NamedTuple):
    """The mean predicted response over a grid of two parameters, and how far they interact.

    Attributes:
        names: the names of both parameters.
        at: the encoded values of each.
        mean: the predicted response, of shape (values of the first, values of the second).
        size: the standard deviation over the grid of the part that the sum of the two single
            effects does not explain, in units of the response.
        h2: the square of `size` as a share of the variance over the grid, in [0, 1].
    """

    names: tuple[str, str]
    at: tuple[np.ndarray, np.ndarray]
    mean: np.ndarray
    size: float
    h2: float


def marginal_curves(surrogate: Surrogate) -> list[MarginalCurve]:
    """The partial dependence of the response on each parameter, with a bootstrap band.

    Mean and band are those of forests that were fitted to resampled trials: the band shows how
    much the curve depends on which trials were run.
    """
    forests = resampled_forests(surrogate)
    return [_curve(surrogate, forests, j) for j in range(len(surrogate.observations.names))]


def choice_means(observations: Observations, name: str) -> list[ChoiceMean]:
    """The mean response at each choice of a categorical parameter, without a model.

    Intervals: 95 %, percentiles of the bootstrap over trials; none below `LEAST_PAIRS` trials.
    """
    distribution = observations.space[name]
    at = np.array([encode(distribution, value) for value in observations.params[name]])
    return [
        _choice_mean(int(choice), observations.values[at == choice]) for choice in np.unique(at)
    ]


def strongest_interaction(surrogate: Surrogate) -> Interaction | None:
    """The two parameters of the largest interaction; None if there is only one parameter.

    The joint partial dependence over a grid, minus its mean, is split into the sum of the two
    single effects and the remainder, the interaction. Pairs are ranked by the standard deviation
    of the remainder, since `h2`, its share (Friedman and Popescu, Predictive learning via rule
    ensembles, 2008), would favour pairs that change nothing.
    """
    count = len(surrogate.observations.names)
    pairs = [_interaction(surrogate, i, j) for i, j in itertools.combinations(range(count), 2)]
    return max(pairs, key=lambda pair: pair.size, default=None)


def partial_dependence(
    forest: "RandomForestRegressor", background: np.ndarray, at: Mapping[int, np.ndarray]
) -> np.ndarray:
    """The mean prediction over trials in which some parameters are set to each combination.

    The same numbers as `sklearn.inspection.partial_dependence(..., method="brute")`, which calls
    the forest once per combination; one call for all is ten to thirty times as fast.

    Args:
        forest: the forest that predicts.
        background: the trials, of shape (trials, parameters).
        at: by column, the values of its parameter.

    Returns:
        The means, with one axis for each parameter of `at`, in its order.
    """
    points = np.array(list(itertools.product(*at.values())))
    rows = np.tile(background, (len(points), 1))
    rows[:, list(at)] = np.repeat(points, len(background), axis=0)
    means: np.ndarray = forest.predict(rows).reshape(len(points), -1).mean(axis=1)
    return means.reshape([len(values) for values in at.values()])


def _curve(
    surrogate: Surrogate, forests: "Sequence[RandomForestRegressor]", j: int
) -> MarginalCurve:
    at = {j: _values(surrogate, j, POINTS)}
    background = _background(surrogate)
    curves = np.array([partial_dependence(forest, background, at) for forest in forests])
    mean = curves.mean(axis=0)
    low, high = resampling_interval(mean, curves)
    return MarginalCurve(surrogate.observations.names[j], at[j], mean, low, high)


def _choice_mean(at: int, values: np.ndarray) -> ChoiceMean:
    estimate = bootstrap([*map(float, values)], bounds=(-math.inf, math.inf))
    return ChoiceMean(at, estimate.mean, estimate.low, estimate.high, estimate.n)


def _interaction(surrogate: Surrogate, i: int, j: int) -> Interaction:
    at = {k: _values(surrogate, k, PAIR_POINTS) for k in (i, j)}
    mean = partial_dependence(surrogate.forest, _background(surrogate), at)
    centred = mean - mean.mean()
    single = centred.mean(axis=1, keepdims=True) + centred.mean(axis=0, keepdims=True)
    remainder, total = float((centred - single).var()), float(centred.var())
    names = surrogate.observations.names
    return Interaction(
        names=(names[i], names[j]),
        at=(at[i], at[j]),
        mean=mean,
        size=math.sqrt(remainder),
        h2=remainder / total if total > 0 else 0.0,
    )


def _values(surrogate: Surrogate, j: int, points: int) -> np.ndarray:
    """The values of a parameter at which it is evaluated: those tried, or evenly spaced ones."""
    tried = np.unique(surrogate.inputs[:, j])
    distribution = list(surrogate.observations.space.values())[j]
    if isinstance(distribution, CategoricalDistribution) or len(tried) <= points:
        return tried
    return np.linspace(tried[0], tried[-1], points)


def _background(surrogate: Surrogate) -> np.ndarray:
    """The trials over which a partial dependence averages, at most `BACKGROUND`."""
    inputs, rng = surrogate.inputs, np.random.default_rng(surrogate.seed)
    if len(inputs) <= BACKGROUND:
        return inputs
    return inputs[np.sort(rng.choice(len(inputs), BACKGROUND, replace=False))]
