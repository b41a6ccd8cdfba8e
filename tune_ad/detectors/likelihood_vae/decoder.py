"""The decoder of the likelihood VAE: its outputs are the parameters of a pixel likelihood."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.likelihood_vae.config import LikelihoodVAEConfig
from tune_ad.detectors.likelihood_vae.likelihoods import LIKELIHOODS, Gaussian, Likelihood
from tune_ad.detectors.nets import (
    DCGANDecoder,
    ImageShape,
    LeNetDecoder,
    dcgan_channels,
    lenet_channels,
)
from tune_ad.detectors.portions import Portion

ACTIVATIONS_AT_ONCE = Portion(cpu=2**21, gpu=2**27)  # without a gradient
LEAST_ABOVE = 1e-3  # minimum of log(initial scale / floor) of a learned scale


class PixelDecoder(nn.Module):
    """A decoder network with the likelihood of its outputs, and the likelihood's scale if any.

    Args:
        config: the hyperparameters of the detector.
        shape: the shape of the images.
    """

    scale: Tensor

    def __init__(self, config: LikelihoodVAEConfig, shape: ImageShape) -> None:
        super().__init__()
        self.kind = LIKELIHOODS[config.likelihood]
        self.learned = config.likelihood == "gaussian_learned"
        outputs = ImageShape(shape.channels * self.kind.outputs, shape.height, shape.width)
        self.network: nn.Module
        if config.networks == "lenet":
            channels = lenet_channels(shape, config.width)
            self.network = LeNetDecoder(outputs, channels, config.latent_dim)
        else:
            channels = dcgan_channels(shape, config.width)
            self.network = DCGANDecoder(outputs, channels, config.latent_dim)
        self.numbers = (outputs.channels + channels[0]) * outputs.height * outputs.width
        self.floor = math.log(config.least_sigma)
        start = math.log(config.sigma)
        if self.learned:
            above = max(start - self.floor, LEAST_ABOVE)  # softplus keeps it above the floor
            self.scale = nn.Parameter(torch.tensor(math.log(math.expm1(above))))
        else:
            self.register_buffer("scale", torch.tensor(start))

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood with the current scale, which is above its floor."""
        if self.kind is not Gaussian:
            return self.kind()
        return Gaussian(
            self.floor + functional.softplus(self.scale) if self.learned else self.scale
        )

    @property
    def at_once(self) -> int:
        """The number of codes to decode in one batch, limited by memory."""
        return ACTIVATIONS_AT_ONCE.rows(self.scale.device, self.numbers)

    def forward(self, codes: Tensor) -> Tensor:
        """Outputs of the network, shape (batch, c * outputs, h, w)."""
        outputs: Tensor = self.network.logits(codes)  # type: ignore[operator]
        return outputs
