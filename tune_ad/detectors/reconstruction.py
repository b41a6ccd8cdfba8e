"""Errors of a reconstruction: what autoencoders minimise, and what they score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from tune_ad.detectors.config import DISTORTION, LOSS, NetworkConfig, choice


def bce(logits: Tensor, images: Tensor) -> Tensor:
    """Binary cross-entropy of each pixel in nats: minus a Bernoulli log-likelihood.

    Pixels between 0 and 1 are taken as probabilities, so that its least value is their entropy.
    Pixels beyond, which a fitted scaling can give, count as 0 and 1.
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


ERRORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"bce": bce, "squared_error": squared_error, "l1": l1}
)
"""By name: each maps the logits of reconstructions, and images, to the error of each pixel.

A reconstruction is the sigmoid of its logits, in (0, 1).
"""


@dataclass(frozen=True)
class ReconstructionConfig(NetworkConfig):
    """Hyperparameters of detectors that reconstruct.

    Attributes:
        reconstruction: the error of a pixel that training lowers: a name in `ERRORS`.
        pixel_reduction: "sum" or "mean" of it over the pixels and channels of an image.
        score_error: the error of a pixel that scores; always summed over the image.
    """

    reconstruction: str = choice("squared_error", *ERRORS, measures=(LOSS, DISTORTION))
    pixel_reduction: str = choice("sum", "mean", measures=(LOSS,))
    score_error: str = choice("squared_error", *ERRORS)

    def distortion(self, logits: Tensor, images: Tensor) -> Tensor:
        """The error that training lowers, summed over each image, shape (batch,)."""
        return summed(self.reconstruction, logits, images)

    def trained_error(self, distortion: Tensor, images: Tensor) -> Tensor:
        """A distortion as the loss has it: divided by the pixels under the reduction "mean"."""
        return distortion / images[0].numel() if self.pixel_reduction == "mean" else distortion

    def scored_error(self, logits: Tensor, images: Tensor) -> Tensor:
        """The error that scores, summed over each image, shape (batch,)."""
        return summed(self.score_error, logits, images)


def summed(error: str, logits: Tensor, images: Tensor) -> Tensor:
    """The error called `error`, summed over the pixels and channels of each image.

    Args:
        error: a key of `ERRORS`.
        logits: of the reconstructions, shape (batch, c, h, w).
        images: float in [0, 1], the same shape.

    Returns:
        shape (batch,), at least 0.
    """
    return ERRORS[error](logits, images).flatten(1).sum(1)
