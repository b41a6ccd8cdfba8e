"""Reconstruction errors, which autoencoders use as loss and as score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from tune_ad.detectors.config import NetworkConfig, choice
from tune_ad.storage.metric import DISTORTION, LOSS


def bce(logits: Tensor, images: Tensor) -> Tensor:
    """Binary cross-entropy of each pixel in nats: minus the log-likelihood of a Bernoulli.

    Pixels between 0 and 1 are treated as probabilities, so its minimum is their entropy. Pixels
    outside [0, 1], which fitted scalings can produce, are clipped.
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
"""By name: (logits of reconstructions, images) -> error of each pixel, all (batch, c, h, w).

A reconstruction is the sigmoid of its logits, in (0, 1).
"""


@dataclass(frozen=True)
class ReconstructionConfig(NetworkConfig):
    """Hyperparameters of detectors that reconstruct images.

    Attributes:
        reconstruction: the pixel error in the loss: a name in `PIXEL_ERRORS`.
        pixel_reduction: whether the loss is the "sum" or the "mean" of that error over the pixels
            and channels of an image.
        score_error: the pixel error in the score, which is always its sum over the image.
    """

    reconstruction: str = choice("squared_error", *PIXEL_ERRORS, measures=(LOSS, DISTORTION))
    pixel_reduction: str = choice("sum", "mean", measures=(LOSS,))
    score_error: str = choice("squared_error", *PIXEL_ERRORS)

    def distortion(self, logits: Tensor, images: Tensor) -> Tensor:
        """The error of the loss, summed over each image, shape (batch,)."""
        return summed_error(self.reconstruction, logits, images)

    def trained_error(self, distortion: Tensor, images: Tensor) -> Tensor:
        """The distortion in the loss: divided by the number of pixel values for "mean"."""
        return distortion / images[0].numel() if self.pixel_reduction == "mean" else distortion

    def scored_error(self, logits: Tensor, images: Tensor) -> Tensor:
        """The error of the score, summed over each image, shape (batch,)."""
        return summed_error(self.score_error, logits, images)


def summed_error(error: str, logits: Tensor, images: Tensor) -> Tensor:
    """The error called `error`, summed over the pixels and channels of each image.

    Args:
        error: a key of `PIXEL_ERRORS`.
        logits: logits of the reconstructions, shape (batch, c, h, w).
        images: images, float in [0, 1], the same shape.

    Returns:
        the errors, shape (batch,), at least 0, in nats for "bce", otherwise in the unit of the
        pixel or its square.
    """
    return PIXEL_ERRORS[error](logits, images).flatten(1).sum(1)
