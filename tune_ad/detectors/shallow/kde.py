"""KDE: an image is anomalous if the kernel density of normal images is low there."""

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
"""The bandwidths for cross-validation: 2^-4.5, 2^-4, ..., 2^5, in units of the scaled pixel."""
CV_FOLDS = 5
ONE_LEAF = 1 << 30  # leaf size so large that the tree is not split: no gain in high dimensions


@dataclass(frozen=True)
class KDEConfig(ShallowConfig):
    """Hyperparameters of `KDE`.

    Attributes:
        bandwidth: standard deviation h of the kernel in units of the scaled pixel; "cv" chooses
            the one of `BANDWIDTHS` with the highest likelihood in five-fold cross-validation.
        cv_images: maximum number of randomly chosen training images for the cross-validation.
    """

    bandwidth: float | Literal["cv"] = number("cv", "(0, inf)", word="cv", others=(0.75,))
    cv_images: int = number(
        1000, f"[{CV_FOLDS}, inf)", when={"bandwidth": "cv"}, others=(2 * CV_FOLDS,)
    )


class KDE(ShallowDetector[KDEConfig]):
    r"""Gaussian kernel density on principal components.

    The score is minus the log-density of the d features in nats, in (-inf, inf), larger = more
    anomalous: $-\log \frac1n \sum_i N(x; x_i, h^2 I_d)$ over the n training images $x_i$. It is
    the density of the principal components; the remaining variance of the pixels is ignored.

    Cross-validation uses only normal training images. They are assigned to folds at random, so
    the bandwidth depends on the seed; nothing else in the score does.

    Sources: Parzen, Annals of Mathematical Statistics 33(3), 1962; the range of bandwidths, five
    folds and 95 % of the variance as in the shallow baselines of Ruff et al., Deep One-Class
    Classification, ICML 2018, which uses ten bandwidths with another spacing.
    """

    Config = KDEConfig

    def fit_estimator(self, features: Rows, seed: int) -> Any:  # noqa: ANN401
        """The kernel density with the configured or the cross-validated bandwidth.

        Raises:
            DegenerateInputError: if there are fewer training images than folds.
        """
        from sklearn.neighbors import KernelDensity

        bandwidth = self.config.bandwidth
        if bandwidth == "cv":
            bandwidth = best_bandwidth(self.cv_sample(features, seed))
        return KernelDensity(bandwidth=bandwidth, leaf_size=ONE_LEAF).fit(features)

    def cv_sample(self, features: Rows, seed: int) -> Rows:
        """Shuffled features for the cross-validation, shape (at most `cv_images`, d)."""
        order = numpy_stream(seed, "bandwidth").permutation(len(features))
        return features[order[: self.config.cv_images]]

    def score_features(self, features: Rows) -> Rows:
        """Minus the log-density in nats, shape (n,)."""
        scores: Rows = -self.estimator.score_samples(features)
        return scores


def best_bandwidth(features: Rows) -> float:
    """The bandwidth of `BANDWIDTHS` with the highest cross-validated likelihood.

    Args:
        features: shuffled features, shape (n, d); each fold is a contiguous part of them.

    Raises:
        DegenerateInputError: if there are fewer images than folds.
    """
    if len(features) < CV_FOLDS:
        raise DegenerateInputError(
            f"the bandwidth is chosen by {CV_FOLDS}-fold cross-validation, but there are only "
            f"{len(features)} training images; set bandwidth to a number"
        )
    return BANDWIDTHS[int(log_likelihoods(features, BANDWIDTHS).argmax())]


def log_likelihoods(features: Rows, bandwidths: Sequence[float]) -> Rows:
    """The cross-validated log-likelihood of the features under each bandwidth.

    It is the log-likelihood of each fold under the density of the other folds, summed over folds.

    Args:
        features: shuffled features, shape (n, d); each fold is a contiguous part of them.
        bandwidths: b positive numbers.

    Returns:
        the log-likelihoods, shape (b,), in nats.
    """
    from scipy.spatial.distance import cdist

    # One matrix of distances serves every fold and bandwidth.
    squares = cdist(features, features, "sqeuclidean")
    total = np.zeros(len(bandwidths))
    for fold in np.array_split(np.arange(len(features)), CV_FOLDS):
        to_other_folds = np.delete(squares[fold], fold, axis=1)
        total += [log_density(to_other_folds, features.shape[1], h).sum() for h in bandwidths]
    return total


def log_density(squares: Rows, dimensions: int, bandwidth: float) -> Rows:
    """The log-density of a Gaussian kernel density at m points, shape (m,), in nats.

    Args:
        squares: squared distances of the points from the n centres of the kernels, shape (m, n).
        dimensions: d, the number of dimensions of the space.
        bandwidth: standard deviation of the kernel.
    """
    from scipy.special import logsumexp

    constant = dimensions / 2 * math.log(2 * math.pi * bandwidth**2)
    sums: Rows = logsumexp(-squares / (2 * bandwidth**2), axis=1)
    return sums - math.log(squares.shape[1]) - constant
