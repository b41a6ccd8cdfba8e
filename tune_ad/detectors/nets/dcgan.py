"""DCGAN-like networks: strided 4x4 convolutions with affine batch normalisation.

Source: Radford, Metz and Chintala, arXiv 1511.06434, section 3. Channels are 32-64-128 on grey
images and 64-128-256 on colour images, times a width factor; for images of more than 32 pixels a
side there are more layers (`deepened`). Sides that cannot be halved are padded with zeros, which
the decoder's maps are cropped for.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.nets.doubling import DCGAN_KERNEL, Doubling
from tune_ad.detectors.nets.shapes import (
    ImageShape,
    deepened,
    padding_of,
    scaled_channels,
    smallest_map,
)

DCGAN_SLOPE = 0.2  # negative slope of LeakyReLU


def dcgan_channels(shape: ImageShape, width: float = 1.0) -> tuple[int, ...]:
    """Channels of the encoder: 32-64-128 on grey images, 64-128-256 on colour, deepened.

    All are multiplied by `width`.

    Raises:
        UserError: if `width` is so small that a layer has no channel.
    """
    base = (64, 128, 256) if shape.is_colour else (32, 64, 128)
    return scaled_channels(deepened(base, shape), width)


class DCGANEncoder(nn.Module):
    """Strided 4x4 convolutions, each of which halves both sides of the image, then flattening.

    Maps images (batch, c, h, w) to features (batch, `features`). Batch normalisation and
    LeakyReLU(0.2) follow each convolution.

    Args:
        shape: the shape of the images.
        channels: output channels of the convolutions, in order.
    """

    def __init__(self, shape: ImageShape, channels: Sequence[int]) -> None:
        super().__init__()
        self.padding = padding_of(shape, len(channels))
        height, width = smallest_map(shape, len(channels))
        blocks: list[nn.Module] = []
        for inputs, outputs in pairwise((shape.channels, *channels)):
            blocks += [
                nn.Conv2d(inputs, outputs, DCGAN_KERNEL, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(DCGAN_SLOPE),
            ]
        self.layers = nn.Sequential(*blocks, nn.Flatten())
        self.features = channels[-1] * height * width

    def forward(self, images: Tensor) -> Tensor:
        """Features, shape (batch, `features`)."""
        if any(self.padding):
            images = functional.pad(images, self.padding)
        return self.layers(images)  # type: ignore[no-any-return]


class DCGANDecoder(nn.Module):
    """The mirror of `DCGANEncoder`: a linear layer, then strided transposed convolutions.

    Maps latent vectors (batch, latent_dim) to maps (batch, c, h, w).

    Args:
        shape: the shape of the result, whose channels may also be parameters of a likelihood.
        channels: output channels of the encoder's convolutions, in the encoder's order.
        latent_dim: length of the latent vector.
    """

    def __init__(self, shape: ImageShape, channels: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.shape, self.padding = shape, padding_of(shape, len(channels))
        sides = smallest_map(shape, len(channels))
        first, *rest = reversed(channels)
        self.linear = nn.Linear(latent_dim, first * math.prod(sides), bias=False)
        self.first = (*sides, first)
        blocks: list[nn.Module] = []
        for inputs, outputs in pairwise((first, *rest, shape.channels)):
            blocks += [nn.BatchNorm2d(inputs), nn.ReLU(), Doubling(inputs, outputs)]
        self.layers = nn.Sequential(*blocks)

    def logits(self, latents: Tensor) -> Tensor:
        """Real numbers for each pixel, shape (batch, c, h, w), channels last in memory."""
        first_map = self.linear(latents).unflatten(1, self.first)
        grown: Tensor = self.layers(first_map.movedim(-1, 1))
        left, _, above, _ = self.padding
        rows, columns = (
            slice(above, above + self.shape.height),
            slice(left, left + self.shape.width),
        )
        return grown[..., rows, columns].to(latents.dtype)

    def forward(self, latents: Tensor) -> Tensor:
        """Images in (0, 1): the sigmoid of the logits, shape (batch, c, h, w)."""
        return self.logits(latents).sigmoid()
