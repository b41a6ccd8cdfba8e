"""The base class of deterministic autoencoders: networks, score and reconstructions."""

from typing import TypeVar

from torch import Tensor, nn

from tune_ad.detectors.base import ScoreSpace, Terms, TrainedDetector
from tune_ad.detectors.nets import Head, ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels
from tune_ad.detectors.reconstruction import ReconstructionConfig

ReconstructionConfigT = TypeVar("ReconstructionConfigT", bound=ReconstructionConfig)
"""The hyperparameters of an autoencoder."""


class Autoencoder(TrainedDetector[ReconstructionConfigT]):
    """An encoder and a mirrored decoder, scored by the error of the reconstruction."""

    def __init__(self, config: ReconstructionConfigT, shape: ImageShape) -> None:
        super().__init__(config, shape)
        channels = lenet_channels(shape, config.width)
        encoder = LeNetEncoder(shape, channels)
        self.encoder = nn.Sequential(encoder, Head(encoder.features, config.latent_dim))
        self.decoder = LeNetDecoder(shape, channels, config.latent_dim)

    def logits(self, images: Tensor) -> Tensor:
        """Logits of the reconstructions, shape (batch, c, h, w)."""
        return self.decoder.logits(self.encoder(images))

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The reconstruction error of each image, as "score"."""
        return {"score": self.config.scored_error(self.logits(images), images)}

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """The reconstructions."""
        return {"reconstruction": self.logits(images).sigmoid()}

    def codes(self, images: Tensor) -> Tensor:
        """The codes, shape (batch, latent_dim)."""
        codes: Tensor = self.encoder(images)
        return codes
