"""A random forest that predicts the response of a configuration.

It is trusted only if it predicts trials to which it was not fitted: if its cross-validated R2 is
at least `TRUSTED`, and the lower bound of that R2 is above 0.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.questions.sensitivity.importances import MOST_TRIALS, refusal
from analysis.questions.sensitivity.observations import Observations, encode
from tune_ad.errors import DegenerateInputError

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

TRUSTED = 0.3
"""The cross-validated R2 from which the surrogate is trusted, if its lower bound is above 0."""
TREES = 200
FEW_TREES = 50  # number of trees of a forest that is fitted to a subset or a resample
RESAMPLED_FORESTS = 20
FOLDS = 5
REPETITIONS = 10  # of the cross-validation, each with other folds and other forests
BOOTSTRAPS = 2000


class Skill(NamedTuple):
    """How well the surrogate predicts trials to which it was not fitted.

    Attributes:
        r2: the cross-validated R2, at most 1; 0 = no better than the mean of the other trials.
        low: the lower bound of its 95 % interval, by a bootstrap over the trials.
        high: the upper bound of that interval.
    """

    r2: float
    low: float
    high: float

    @property
    def trusted(self) -> bool:
        """Whether the predictions are good enough, and not by chance."""
        return self.r2 >= TRUSTED and self.low > 0


class Surrogate(NamedTuple):
    """A forest that predicts the response of a configuration.

    Attributes:
        observations: the trials to which it was fitted.
        inputs: the parameters as numbers, of shape (trials, parameters).
        forest: scikit-learn's estimator.
        skill: how well it predicts trials to which it was not fitted.
        seed: the seed of all random draws.
    """

    observations: Observations
    inputs: np.ndarray
    forest: "RandomForestRegressor"
    skill: Skill
    seed: int

    @property
    def trusted(self) -> bool:
        """Whether the forest predicts well enough for its predictions to be shown."""
        return self.skill.trusted

    @property
    def error(self) -> float:
        """The root mean square error of predictions of trials that the forest was not fitted to.

        It follows from the cross-validated R2 and the spread of the responses.
        """
        return float(np.std(self.observations.values) * math.sqrt(1 - self.skill.r2))

    def predict(self, params: Mapping[str, Any]) -> float:
        """The predicted response of a configuration."""
        space = self.observations.space
        row = [encode(distribution, params[name]) for name, distribution in space.items()]
        return float(self.forest.predict(np.array([row]))[0])


def fit(observations: Observations, seed: int = 0) -> Surrogate:
    """Fit the surrogate to at most `MOST_TRIALS` trials.

    Args:
        observations: the trials.
        seed: the seed of the subsample and of the forest.

    Raises:
        DegenerateInputError: with the reason in `importances.refusal`.
    """
    used = observations.subsample(MOST_TRIALS, seed)
    if why := refusal(used):
        raise DegenerateInputError(why)
    inputs = used.encoded()
    return Surrogate(
        observations=used,
        inputs=inputs,
        forest=_forest(TREES, seed).fit(inputs, used.values),
        skill=_skill(inputs, used.values, seed),
        seed=seed,
    )


def _skill(inputs: np.ndarray, values: np.ndarray, seed: int) -> Skill:
    r"""The R2 of repeated cross-validation, with an interval over trials.

    $R^2 = 1 - \sum_i e_i / \sum_i b_i$, where $e_i$ is the squared error of the prediction of
    trial i by a forest that was fitted to the other folds, and $b_i$ that of the mean of those
    folds, both averaged over the repetitions. The interval resamples the trials i.
    """
    from sklearn.model_selection import KFold

    errors = np.zeros((2, len(values)))
    for k in range(REPETITIONS):
        folds = KFold(FOLDS, shuffle=True, random_state=seed + k)
        for training, held_out in folds.split(inputs):
            forest = _forest(FEW_TREES, seed + k).fit(inputs[training], values[training])
            predicted = forest.predict(inputs[held_out]), values[training].mean()
            for row, prediction in enumerate(predicted):
                errors[row, held_out] += (values[held_out] - prediction) ** 2
    rng = np.random.default_rng(seed)
    drawn = errors[:, rng.integers(0, len(values), (BOOTSTRAPS, len(values)))].sum(axis=2)
    resampled = 1 - drawn[0] / np.maximum(drawn[1], np.finfo(float).tiny)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Skill(float(1 - errors[0].sum() / errors[1].sum()), float(low), float(high))


def permutation(surrogate: Surrogate) -> pd.DataFrame:
    """Permutation importance on held-out trials.

    The increase of the mean squared error when one parameter is shuffled, as a share of the
    response's variance: 0 = the parameter does not help to predict; may be slightly negative. Five
    folds, each predicted by a forest that was fitted to the others.

    Returns:
        A row per parameter: the mean over folds and their sample standard deviation.
    """
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    inputs, values = surrogate.inputs, surrogate.observations.values
    folds = KFold(FOLDS, shuffle=True, random_state=surrogate.seed)
    increases = []
    for training, held_out in folds.split(inputs):
        forest = _forest(FEW_TREES, surrogate.seed).fit(inputs[training], values[training])
        shuffled = permutation_importance(
            forest,
            inputs[held_out],
            values[held_out],
            scoring="neg_mean_squared_error",
            n_repeats=5,
            random_state=surrogate.seed,
            n_jobs=1,
        )
        increases.append(shuffled.importances_mean / values.var())
    table = {"mean": np.mean(increases, axis=0), "std": np.std(increases, axis=0, ddof=1)}
    return pd.DataFrame(table, index=surrogate.observations.names)


def resampled_forests(surrogate: Surrogate) -> "list[RandomForestRegressor]":
    """Forests that were fitted to bootstrap resamples of the surrogate's trials."""
    rng = np.random.default_rng(surrogate.seed)
    inputs, values = surrogate.inputs, surrogate.observations.values
    forests = []
    for k in range(RESAMPLED_FORESTS):
        rows = rng.integers(0, len(values), len(values))
        forest = _forest(FEW_TREES, surrogate.seed + 1 + k)
        forests.append(forest.fit(inputs[rows], values[rows]))
    return forests


def _forest(trees: int, seed: int) -> "RandomForestRegressor":
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(
        n_estimators=trees,
        min_samples_leaf=2,
        random_state=seed,
        n_jobs=1,
    )
