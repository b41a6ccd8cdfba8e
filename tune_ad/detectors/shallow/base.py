"""What the shallow detectors share: pixels as rows, principal components, an estimator to fit."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
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
SEEDS = 1 << 32  # scikit-learn takes no larger ones


@dataclass(frozen=True)
class ShallowConfig(Config):
    """Hyperparameters of every shallow detector; the defaults are those of Ruff et al.

    Attributes:
        scaling: as in `Config`; global contrast normalisation by default.
        components: share of the pixels' variance over the training images that the principal
            components keep, at least, in (0, 1]; 1 leaves the pixels as they are.
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

    It has neither parameters nor buffers: what is fitted is no part of a stored state, but is
    fitted again, to the same numbers, after a state has been loaded.
    """

    def __init__(self, config: ShallowConfigT, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.projection: Any = None
        self.estimator: Any = None

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        """Fit the principal components, then the estimator; there are no buffers to set.

        Raises:
            DegenerateInputError: if there is no training image, one has a NaN or infinite pixel,
                or all are identical.
        """
        training = varied([rows(batch) for batch in batches])
        self.projection = principal_components(training, self.config.components)
        self.estimator = self.fitted(self.features(training), seed)
        return {}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The score of the estimator, as "score", float64.

        Raises:
            UserError: if nothing has been fitted yet.
        """
        if self.estimator is None:
            raise UserError(
                f"{type(self).__name__} has not been fitted to training images, so it cannot "
                "score; call ReplicaSet.prepare_scoring (or finish) first"
            )
        scores = torch.from_numpy(self.scored(self.features(rows(images))))
        return {"score": scores.to(images.device)}

    def features(self, pixels: Rows) -> Rows:
        """What the estimator looks at: pixels of shape (n, c h w) as features of shape (n, d)."""
        return pixels if self.projection is None else self.projection.transform(pixels)

    @abstractmethod
    def fitted(self, features: Rows, seed: int) -> Any:  # noqa: ANN401
        """The estimator, fitted.

        Args:
            features: of the training images, shape (n, d), not all the same.
            seed: of the replica, for a fit that draws.

        Raises:
            DegenerateInputError: if it cannot be fitted to them.
        """

    @abstractmethod
    def scored(self, features: Rows) -> Rows:
        """The anomaly score by the fitted estimator of features of shape (n, d), shape (n,)."""


def rows(images: Tensor) -> Rows:
    """The pixels of images of shape (n, c, h, w), on any device, as shape (n, c h w), float64."""
    return images.detach().cpu().flatten(1).double().numpy()


def varied(batches: list[Rows]) -> Rows:
    """Training pixels to which something can be fitted, as shape (n, c h w).

    Raises:
        DegenerateInputError: if there is none, one is NaN or infinite, or all images are
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


def principal_components(pixels: Rows, share: float) -> Any:  # noqa: ANN401
    """The fewest principal components that keep a share of the variance, fitted, not whitened.

    Args:
        pixels: shape (n, d), not all rows the same.
        share: in (0, 1].

    Returns:
        the fitted `sklearn.decomposition.PCA`; None for a share of 1.
    """
    if share == 1:
        return None
    from sklearn.decomposition import PCA

    # The smaller of the two exact problems: d x d, or n x d where images are few.
    solver = "covariance_eigh" if len(pixels) > pixels.shape[1] else "full"
    return PCA(share, svd_solver=solver).fit(pixels)
