"""Autoencoder: an image that it reconstructs badly is anomalous."""

from dataclasses import dataclass

from torch import Tensor, nn

from tune_ad.detectors.base import ScoreSpace, Terms, TrainedDetector
from tune_ad.detectors.reconstruction import ReconstructionConfig
from tune_ad.nets import ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels


@dataclass(frozen=True)
class AEConfig(ReconstructionConfig):
    """Hyperparameters of `AE`; it has none of its own."""


class AE(TrainedDetector[AEConfig]):
    r"""Deterministic autoencoder on the LeNet-like networks.

    Loss and score are the squared error $\sum_i (\hat x_i - x_i)^2$ over the pixels and channels
    of an image, in squared units of the scaled pixel, in [0, c h w]; other errors by setting.

    Source: Park, Adosoglou and Pardalos, arXiv 2005.01889, section 5, and their released code.
    """

    Config = AEConfig

    def __init__(self, config: AEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        channels = lenet_channels(shape, config.width)
        encoder = LeNetEncoder(shape, channels)
        self.encoder = nn.Sequential(encoder, nn.Linear(encoder.features, config.latent_dim))
        self.decoder = LeNetDecoder(shape, channels, config.latent_dim)

    def logits(self, images: Tensor) -> Tensor:
        """Logits of the reconstructions, shape (batch, c, h, w)."""
        return self.decoder.logits(self.encoder(images))

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The reconstruction error of each image, as "loss"."""
        distortion = self.config.distortion(self.logits(images), images)
        return {"loss": self.config.trained_error(distortion, images)}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The reconstruction error of each image, as "score"."""
        return {"score": self.config.scored_error(self.logits(images), images)}

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """The reconstructions."""
        return {"reconstruction": self.logits(images).sigmoid()}
