"""A random forest that predicts the response of a configuration.

It is trusted only if it predicts trials to which it was not fitted: if its out-of-bag R2 is at
least `TRUSTED`.
"""

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
"""The out-of-bag R2 from which the surrogate is trusted."""
TREES = 200
FEW_TREES = 50  # number of trees of a forest that is fitted to a subset or a resample
RESAMPLED_FORESTS = 20
FOLDS = 5


class Surrogate(NamedTuple):
    """A forest that predicts the response of a configuration.

    Attributes:
        observations: the trials to which it was fitted.
        inputs: the parameters as numbers, of shape (trials, parameters).
        forest: scikit-learn's estimator.
        r2: the out-of-bag R2, at most 1; 0 = no better than the mean.
        seed: the seed of all random draws.
    """

    observations: Observations
    inputs: np.ndarray
    forest: "RandomForestRegressor"
    r2: float
    seed: int

    @property
    def trusted(self) -> bool:
        """Whether the forest predicts well enough for its predictions to be shown."""
        return self.r2 >= TRUSTED

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
    if why := refusal(observations):
        raise DegenerateInputError(why)
    used = observations.subsample(MOST_TRIALS, seed)
    inputs = used.encoded()
    forest = _forest(TREES, seed, oob_score=True).fit(inputs, used.values)
    return Surrogate(
        observations=used, inputs=inputs, forest=forest, r2=float(forest.oob_score_), seed=seed
    )


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


def _forest(trees: int, seed: int, oob_score: bool = False) -> "RandomForestRegressor":
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(
        n_estimators=trees,
        min_samples_leaf=2,
        oob_score=oob_score,
        random_state=seed,
        n_jobs=1,
    )
