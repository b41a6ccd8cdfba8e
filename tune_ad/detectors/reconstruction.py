"""Reconstruction errors, which autoencoders minimise and by which they score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from tune_ad.detectors.config import NetworkConfig, choice
from tune_ad.storage.metric import DISTORTION, LOSS


def bce(logits: Tensor, images: Tensor) -> Tensor:
    """Binary cross-entropy of each pixel in nats: minus the log-likelihood of a Bernoulli.

    Pixels between 0 and 1 are taken as probabilities, so that its least value is their entropy.
    Pixels outside, which fitted scalings can produce, are taken as 0 or 1.
    """
    targets = images.clamp(0, 1)
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def squared_error(logits: Tensor, images: Tensor) -> Tensor:
    """Squared error of each pixel, in squared units of the scaled pixel.

    Up to a constant, minus the log-likelihood of a Gaussian with variance 1/2.
    """
    return (logits.sigmoid() - images).square()


def l1(logits: Tensor, images: Tensor) -> Tensor:
    """Absolute error of each pixel, in units of the scaled pixel.

    Up to a constant, minus the log-likelihood of a Laplace distribution with scale 1.
    """
    return (logits.sigmoid() - images).abs()


PIXEL_ERRORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"bce": bce, "squared_error": squared_error, "l1": l1}
)
"""By name: (logits of reconstructions, images) -> the error of each pixel, all (batch, c, h, w).

A reconstruction is the sigmoid of its logits, in (0, 1).
"""


@dataclass(frozen=True)
class ReconstructionConfig(NetworkConfig):
    """Hyperparameters of detectors that reconstruct images.

    Attributes:
        reconstruction: the error of a pixel in the loss: a name in `PIXEL_ERRORS`.
        pixel_reduction: "sum" or "mean" of that error over the pixels and channels of an image.
        score_error: the error of a pixel in the score, where it is always summed over the image.
    """

    reconstruction: str = choice("squared_error", *PIXEL_ERRORS, measures=(LOSS, DISTORTION))
    pixel_reduction: str = choice("sum", "mean", measures=(LOSS,))
    score_error: str = choice("squared_error", *PIXEL_ERRORS)

    def distortion(self, logits: Tensor, images: Tensor) -> Tensor:
        """The error of the loss, summed over each image, shape (batch,)."""
        return summed_error(self.reconstruction, logits, images)

    def trained_error(self, distortion: Tensor, images: Tensor) -> Tensor:
        """A distortion as it enters the loss: divided by the pixels for the reduction "mean"."""
        return distortion / images[0].numel() if self.pixel_reduction == "mean" else distortion

    def scored_error(self, logits: Tensor, images: Tensor) -> Tensor:
        """The error of the score, summed over each image, shape (batch,)."""
        return summed_error(self.score_error, logits, images)


def summed_error(error: str, logits: Tensor, images: Tensor) -> Tensor:
    """The error called `error`, summed over the pixels and channels of each image.

    Args:
        error: a key of `PIXEL_ERRORS`.
        logits: of the reconstructions, shape (batch, c, h, w).
        images: float in [0, 1], the same shape.

    Returns:
        shape (batch,), at least 0; nats for "bce", otherwise the unit of the pixel or its square.
    """
    return PIXEL_ERRORS[error](logits, images).flatten(1).sum(1)
