"""The base class of shallow detectors: pixels, principal components, a fitted estimator."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_ad.detectors.base import Buffers, Detector, ScoreSpace, Terms
from tune_ad.detectors.config import Config, number
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import DegenerateInputError, UserError

Rows = NDArray[np.float64]
"""A matrix with one row per image."""
SKLEARN_SEEDS = 1 << 32  # scikit-learn accepts seeds below this number
EXACT_PIXELS = 4096  # up to this size of an image, principal components are exact
EXACT_IMAGES = 1000  # they are also exact for so few images
FIRST_COMPONENTS = 64  # of a randomised decomposition
MOST_RANDOMISED = 0.25  # share of the components above which an exact decomposition is as fast
POWER_ITERATIONS = 4


@dataclass(frozen=True)
class ShallowConfig(Config):
    """Hyperparameters of every shallow detector; the defaults are those of Ruff et al.

    Attributes:
        scaling: as in `Config`; by default global contrast normalisation.
        components: minimum share of the variance of the training pixels that the principal
            components must explain, in (0, 1]; with 1 there is no projection. Above
            `EXACT_PIXELS` pixels the components are approximate and depend on the seed.
    """

    scaling: str = "gcn"
    components: float = number(0.95, "(0, 1]")

    @classmethod
    def released_settings(cls, shape: ImageShape) -> dict[str, Any]:
        """The published settings for images of `shape` that differ from the defaults: none."""
        return {}


ShallowConfigT = TypeVar("ShallowConfigT", bound=ShallowConfig)
"""The hyperparameters of a shallow detector."""


class ShallowDetector(Detector[ShallowConfigT]):
    """A detector that fits an estimator of scikit-learn to the training images, on the CPU.

    It has neither parameters nor buffers. The fitted estimator is not part of a stored state:
    after a state has been loaded, it is fitted again with the same result.
    """

    def __init__(self, config: ShallowConfigT, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.projection: Any = None
        self.estimator: Any = None

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        """Fit the principal components, then the estimator; there are no buffers to return.

        Raises:
            DegenerateInputError: if there is no training image, one has a NaN or infinite pixel,
                or all are identical.
        """
        training = training_rows([pixel_rows(batch) for batch in batches])
        with threads_of_pytorch():
            self.projection = principal_components(training, self.config.components, seed)
            self.estimator = self.fit_estimator(self.features(training), seed)
        return {}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The anomaly score of the estimator as "score", shape (batch,), float64.

        Raises:
            UserError: if the detector has not been fitted yet.
        """
        if self.estimator is None:
            raise UserError(
                f"{type(self).__name__} has not been fitted to training images, so it cannot "
                "score; call ReplicaSet.prepare_scoring (or finish) first"
            )
        with threads_of_pytorch():
            scores = self.score_features(self.features(pixel_rows(images)))
        return {"score": torch.from_numpy(scores).to(images.device)}

    def features(self, pixels: Rows) -> Rows:
        """The input of the estimator, shape (n, d), from pixels of shape (n, c h w)."""
        return pixels if self.projection is None else self.projection.transform(pixels)

    @abstractmethod
    def fit_estimator(self, features: Rows, seed: int) -> Any:  # noqa: ANN401
        """A new estimator, fitted to the training images.

        Args:
            features: features of the training images, shape (n, d), not all the same.
            seed: the seed of the replica, for a fit that uses random numbers.

        Raises:
            DegenerateInputError: if the estimator cannot be fitted to them.
        """

    @abstractmethod
    def score_features(self, features: Rows) -> Rows:
        """The anomaly score, shape (n,), of features (n, d) under the fitted estimator."""


def threads_of_pytorch() -> AbstractContextManager[object]:
    """Context manager: NumPy, SciPy and scikit-learn use as many threads as PyTorch.

    Their own number is that of the cores, whatever else runs: two trials that take turns on two
    cores then wait for each other's threads most of the time.
    """
    limits: AbstractContextManager[object] = _thread_pools().limit(limits=torch.get_num_threads())
    return limits


@cache
def _thread_pools() -> Any:  # noqa: ANN401 - threadpoolctl has no types
    import sklearn.decomposition  # noqa: F401 - only pools that are loaded can be limited
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def pixel_rows(images: Tensor) -> Rows:
    """The pixels of images (n, c, h, w) on any device, as rows (n, c h w) of float64."""
    return images.detach().cpu().flatten(1).double().numpy()


def training_rows(batches: list[Rows]) -> Rows:
    """The pixels of all training images, shape (n, c h w).

    Args:
        batches: pixels, each of shape (batch, c h w).

    Raises:
        DegenerateInputError: if there is no image, a pixel is NaN or infinite, or all images are
            identical.
    """
    if not sum(map(len, batches)):
        raise DegenerateInputError("nothing can be fitted: there is no training image")
    pixels = np.concatenate(batches)
    bad = int((~np.isfinite(pixels)).any(1).sum())
    if bad:
        raise DegenerateInputError(
            f"nothing can be fitted: {bad} of {len(pixels)} training images have a NaN or "
            "infinite pixel"
        )
    if (pixels == pixels[0]).all():
        raise DegenerateInputError(
            f"nothing can be fitted: all {len(pixels)} training images are identical"
        )
    return pixels


def principal_components(pixels: Rows, share: float, seed: int = 0) -> Any:  # noqa: ANN401
    """The fewest principal components that explain a share of the variance, without whitening.

    They are exact for images of up to `EXACT_PIXELS` pixels, or few of them. For larger ones they
    are approximated by `leading_components`, unless nearly all are needed.

    Args:
        pixels: pixels, shape (n, d), not all rows the same.
        share: the share of the variance, in (0, 1].
        seed: the seed of the approximation, 0 to 2^64 - 1.

    Returns:
        the fitted `sklearn.decomposition.PCA`; None for a share of 1, which needs no projection.
    """
    if share == 1:
        return None
    from sklearn.decomposition import PCA

    images, size = pixels.shape
    if size > EXACT_PIXELS and images > EXACT_IMAGES:
        leading = leading_components(pixels, share, seed % SKLEARN_SEEDS)
        if leading is not None:
            return leading
    # Both solvers are exact: one decomposes a d x d matrix, the other an n x d matrix.
    solver = "covariance_eigh" if images > size else "full"
    return PCA(share, svd_solver=solver).fit(pixels)


def leading_components(pixels: Rows, share: float, seed: int) -> Any:  # noqa: ANN401
    """The components that explain a share of the variance, by randomised decompositions.

    The number of components is doubled until their share is reached (Halko, Martinsson and Tropp,
    SIAM Review 53(2), 2011, with `POWER_ITERATIONS`). It grows faster if the last variance shows
    that more are needed, since no further component has a larger one.

    Args:
        pixels: pixels, shape (n, d).
        share: the share of the variance, in (0, 1).
        seed: a seed of scikit-learn.

    Returns:
        the fitted `sklearn.decomposition.PCA`; None if the share needs more than `MOST_RANDOMISED`
        of all components, for which an exact decomposition is as fast.
    """
    from sklearn.decomposition import PCA

    most = int(MOST_RANDOMISED * min(pixels.shape))
    count = min(FIRST_COMPONENTS, most)
    while True:
        pca = PCA(
            count, svd_solver="randomized", iterated_power=POWER_ITERATIONS, random_state=seed
        ).fit(pixels)
        explained = pca.explained_variance_ratio_.cumsum()
        if explained[-1] >= share:
            return _first_components(pca, int(np.searchsorted(explained, share)) + 1)
        missing, smallest = share - explained[-1], pca.explained_variance_ratio_[-1]
        if missing > (most - count) * smallest:
            return None
        count = min(max(2 * count, count + math.ceil(missing / smallest)), most)


def _first_components(pca: Any, count: int) -> Any:  # noqa: ANN401
    """A fitted PCA with its first components only."""
    for name in (
        "components_",
        "explained_variance_",
        "explained_variance_ratio_",
        "singular_values_",
    ):
        setattr(pca, name, getattr(pca, name)[:count])
    pca.n_components_ = count
    return pca
