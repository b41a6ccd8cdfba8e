"""Isolation forest: an image that few random splits set apart is anomalous."""

from dataclasses import dataclass
from typing import Any

from tune_ad.detectors.config import number
from tune_ad.detectors.shallow.base import SEEDS, Rows, ShallowConfig, ShallowDetector


@dataclass(frozen=True)
class IsolationForestConfig(ShallowConfig):
    """Hyperparameters of `IsolationForest`.

    Attributes:
        trees: of the forest.
        samples: training images that each tree sees; all of them where there are fewer.
    """

    trees: int = number(100, "[1, 10000]")
    samples: int = number(256, "[2, inf)", others=(2,))


class IsolationForest(ShallowDetector[IsolationForestConfig]):
    r"""Forest of trees that split at random features and thresholds until an image is alone.

    The score is $2^{-E[l(x)] / c(m)}$ in (0, 1], without a unit: l(x) is the depth at which x
    ends, c(m) the mean depth over m = `samples` images, so that 0.5 is average. Depths are few,
    so scores of different images may tie.

    The published AUROCs go with the defaults: on MNIST digits 0, 2, 5 these give 98.3, 88.8,
    86.3 % (published 98.0, 88.6, 85.5); pixels as they are, divided by 255, give 96.9, 74.2,
    75.3 % (one seed each).

    Sources: Liu, Ting and Zhou, Isolation Forest, ICDM 2008; trees and samples as in the shallow
    baselines of Ruff et al., Deep One-Class Classification, ICML 2018.
    """

    Config = IsolationForestConfig

    def fitted(self, features: Rows, seed: int) -> Any:  # noqa: ANN401
        """The forest, its draws owned by `seed`."""
        from sklearn import ensemble

        config = self.config
        forest = ensemble.IsolationForest(
            n_estimators=config.trees,
            max_samples=min(config.samples, len(features)),
            random_state=seed % SEEDS,
            n_jobs=1,
        )
        return forest.fit(features)

    def scored(self, features: Rows) -> Rows:
        """Minus scikit-learn's score, for which normal images are the larger ones."""
        scores: Rows = -self.estimator.score_samples(features)
        return scores
