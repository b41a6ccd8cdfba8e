"""AE: an image is anomalous if an autoencoder reconstructs it badly."""

from dataclasses import dataclass

from torch import Tensor

from tune_ad.detectors.autoencoders.base import Autoencoder
from tune_ad.detectors.base import Terms
from tune_ad.detectors.reconstruction import ReconstructionConfig


@dataclass(frozen=True)
class AEConfig(ReconstructionConfig):
    """Hyperparameters of `AE`: those of every detector that reconstructs images."""


class AE(Autoencoder[AEConfig]):
    r"""Deterministic autoencoder on the LeNet-like networks.

    Loss and score are the squared error $\sum_i (\hat x_i - x_i)^2$ over the pixels and channels
    of an image, in squared units of the scaled pixel, in [0, c h w]; larger = more anomalous.
    `reconstruction` and `score_error` choose another error for the loss and the score.

    Source: Park, Adosoglou and Pardalos, arXiv 2005.01889, section 5, and their released code.
    """

    Config = AEConfig
    equivalent_in_bfloat16 = True

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The reconstruction error of each image, as "loss"."""
        distortion = self.config.distortion(self.logits(images), images)
        return {"loss": self.config.trained_error(distortion, images)}
