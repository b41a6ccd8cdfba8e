"""Autoencoder: an image that it reconstructs badly is anomalous."""

from dataclasses import dataclass

from torch import Tensor, nn

from tune_ad.detectors.base import ScoreSpace, Terms, TrainedDetector
from tune_ad.detectors.config import NetworkConfig
from tune_ad.nets import ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels


@dataclass(frozen=True)
class AEConfig(NetworkConfig):
    """Hyperparameters of `AE`; it has none of its own."""


class AE(TrainedDetector[AEConfig]):
    r"""Deterministic autoencoder on the LeNet-like networks.

    Loss and score are the squared error $\sum_i (\hat x_i - x_i)^2$ over the pixels and channels
    of an image, in squared units of the scaled pixel, in [0, c h w].

    Source: Park, Adosoglou and Pardalos, arXiv 2005.01889, section 5, and their released code.
    """

    Config = AEConfig

    def __init__(self, config: AEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        channels = lenet_channels(shape, config.width)
        encoder = LeNetEncoder(shape, channels)
        self.encoder = nn.Sequential(encoder, nn.Linear(encoder.features, config.latent_dim))
        self.decoder = LeNetDecoder(shape, channels, config.latent_dim)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Reconstructions in (0, 1), shape (batch, c, h, w)."""
        return self.decoder(self.encoder(images))  # type: ignore[no-any-return]

    def squared_error(self, images: Tensor) -> Tensor:
        """Squared error of each image, summed over its pixels, shape (batch,)."""
        return (self.reconstruct(images) - images).square().flatten(1).sum(1)

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The squared error of each image, as "loss"."""
        return {"loss": self.squared_error(images)}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The squared error of each image, as "score"."""
        return {"score": self.squared_error(images)}

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """The reconstructions."""
        return {"reconstruction": self.reconstruct(images)}
