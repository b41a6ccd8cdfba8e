"""Kernel density: an image where the normal ones are sparse is anomalous."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tune_ad.detectors.config import number
from tune_ad.detectors.shallow.base import Rows, ShallowConfig, ShallowDetector
from tune_ad.errors import DegenerateInputError
from tune_ad.randomness import numpy_stream

BANDWIDTHS: tuple[float, ...] = tuple(2.0 ** (k / 2) for k in range(-9, 11))
"""What cross-validation chooses from: half powers of 2 from -4.5 to 5, in scaled pixels."""
FOLDS = 5
ONE_LEAF = 1 << 30  # in so many dimensions a tree saves nothing


@dataclass(frozen=True)
class KDEConfig(ShallowConfig):
    """Hyperparameters of `KDE`.

    Attributes:
        bandwidth: standard deviation h of the kernel in units of the scaled pixel; "cv" is that
            of `BANDWIDTHS` under which held-out training images are the likeliest (5 folds).
        cv_images: at most so many training images, drawn at random, choose it.
    """

    bandwidth: float | Literal["cv"] = number("cv", "(0, inf)", word="cv", others=(0.75,))
    cv_images: int = number(1000, f"[{FOLDS}, inf)", when={"bandwidth": "cv"}, others=(2 * FOLDS,))


class KDE(ShallowDetector[KDEConfig]):
    r"""Gaussian kernel density on principal components.

    The score is minus the log density of the d features in nats, in (-inf, inf):
    $-\log \frac1n \sum_i N(x; x_i, h^2 I_d)$ over the n training images $x_i$. It is a density
    of the components that were kept, and says nothing of the pixels' variance outside them.

    Cross-validation sees normal training images alone. Its folds are a seeded shuffle's, so the
    bandwidth depends on the seed, like nothing else of the score.

    Sources: Parzen, Annals of Mathematical Statistics 33(3), 1962; the range of bandwidths, five
    folds and 95 % of the variance as in the shallow baselines of Ruff et al., Deep One-Class
    Classification, ICML 2018, whose bandwidths are ten and not spaced by half powers.
    """

    Config = KDEConfig

    def fitted(self, features: Rows, seed: int) -> Any:  # noqa: ANN401
        """The density, under the bandwidth of the configuration or the best one.

        Raises:
            DegenerateInputError: if there are fewer training images than folds.
        """
        from sklearn.neighbors import KernelDensity

        bandwidth = self.config.bandwidth
        if bandwidth == "cv":
            bandwidth = best_bandwidth(self.drawn(features, seed))
        return KernelDensity(bandwidth=bandwidth, leaf_size=ONE_LEAF).fit(features)

    def drawn(self, features: Rows, seed: int) -> Rows:
        """The images that choose the bandwidth, shuffled, shape (at most `cv_images`, d)."""
        order = numpy_stream(seed, "bandwidth").permutation(len(features))
        return features[order[: self.config.cv_images]]

    def scored(self, features: Rows) -> Rows:
        """Minus the log density."""
        scores: Rows = -self.estimator.score_samples(features)
        return scores


def best_bandwidth(features: Rows) -> float:
    """The bandwidth under which cross-validation finds the features likeliest.

    Args:
        features: shape (n, d), shuffled; each of the folds is a stretch of them.

    Raises:
        DegenerateInputError: if there are fewer than folds.
    """
    if len(features) < FOLDS:
        raise DegenerateInputError(
            f"the bandwidth is chosen by {FOLDS} folds and there are {len(features)} training "
            "images; give it as a number"
        )
    return BANDWIDTHS[int(likelihoods(features, BANDWIDTHS).argmax())]


def likelihoods(features: Rows, bandwidths: Sequence[float]) -> Rows:
    """The log-likelihood of each fold under the density of the others, summed over the folds.

    Args:
        features: shape (n, d), shuffled; each of the folds is a stretch of them.
        bandwidths: b of them.

    Returns:
        nats, shape (b,).
    """
    from scipy.spatial.distance import cdist

    # One matrix of distances serves every fold and bandwidth.
    squares = cdist(features, features, "sqeuclidean")
    total = np.zeros(len(bandwidths))
    for fold in np.array_split(np.arange(len(features)), FOLDS):
        apart = np.delete(squares[fold], fold, axis=1)
        total += [log_density(apart, features.shape[1], h).sum() for h in bandwidths]
    return total


def log_density(squares: Rows, dimensions: int, bandwidth: float) -> Rows:
    """The log density in nats, shape (m,), at squared distances from n centres, shape (m, n)."""
    from scipy.special import logsumexp

    constant = dimensions / 2 * math.log(2 * math.pi * bandwidth**2)
    sums: Rows = logsumexp(-squares / (2 * bandwidth**2), axis=1)
    return sums - math.log(squares.shape[1]) - constant
