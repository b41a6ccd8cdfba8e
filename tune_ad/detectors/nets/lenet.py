"""LeNet-like networks: 5x5 convolutions with padding 2, batch normalisation, pooling.

They are those of Park, Adosoglou and Pardalos (arXiv 2005.01889, section 5) as in the released
code: batch normalisation has no affine parameters, and LeakyReLU and 2x2 pooling follow it.
Channels are 8-4 on grey images and 32-64-128 on colour images, times a width factor. For images
of more than 32 pixels a side there are more layers (`deepened`).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from tune_ad.detectors.nets.doubling import LENET_KERNEL, DoublingConvolution
from tune_ad.detectors.nets.pooling import PooledBatchNorm2d
from tune_ad.detectors.nets.shapes import ImageShape, deepened, scaled_channels
from tune_ad.errors import UserError

FIRST_MAP_SIDE = 4  # side of the first feature map of a decoder


def lenet_channels(shape: ImageShape, width: float = 1.0) -> tuple[int, ...]:
    """Channels of the encoder: 8-4 on grey images, 32-64-128 on colour, deepened, times `width`.

    Each count is rounded to the nearest integer, halves up.

    >>> lenet_channels(ImageShape(1, 28, 28), 2.0)
    (16, 8)

    Raises:
        UserError: if `width` is so small that a layer has no channel.
    """
    base = (32, 64, 128) if shape.is_colour else (8, 4)
    return scaled_channels(deepened(base, shape), width)


class LeNetEncoder(nn.Module):
    """Convolutions, each with pooling that halves both sides of the image, then flattening.

    Maps images (batch, c, h, w) to features (batch, `features`). LeakyReLU is applied after the
    pooling, to a quarter of the values: it is increasing, so it commutes with the maximum.

    Args:
        shape: the shape of the images.
        channels: output channels of the convolutions, in order.
        bias: whether the convolutions have biases.
        slope: negative slope of LeakyReLU.

    Raises:
        UserError: if the image is too small for that many halvings.
    """

    def __init__(
        self,
        shape: ImageShape,
        channels: Sequence[int],
        bias: bool = True,
        slope: float = 0.1,
    ) -> None:
        super().__init__()
        height, width = (side >> len(channels) for side in shape[1:])
        if min(height, width) < 1:
            raise UserError(
                f"an image of {shape.height}x{shape.width} cannot be halved "
                f"{len(channels)} times; use images of at least {1 << len(channels)} pixels a side"
            )
        blocks: list[nn.Module] = []
        for inputs, outputs in pairwise((shape.channels, *channels)):
            blocks += [
                nn.Conv2d(inputs, outputs, LENET_KERNEL, padding=LENET_KERNEL // 2, bias=bias),
                PooledBatchNorm2d(outputs),
                nn.LeakyReLU(slope),
            ]
        self.layers = nn.Sequential(*blocks, nn.Flatten())
        self.features = channels[-1] * height * width

    def forward(self, images: Tensor) -> Tensor:
        """Features, shape (batch, `features`)."""
        return self.layers(images)  # type: ignore[no-any-return]


class LeNetDecoder(nn.Module):
    """The mirror of `LeNetEncoder`: decodes a latent vector, reshaped to a 4x4 feature map.

    Maps latent vectors (batch, latent_dim) to images (batch, c, h, w) in (0, 1). The first map
    has latent_dim / 16 channels. Transposed convolutions follow, with `channels` in reverse order,
    and further ones with `channels[0]` where a long image needs them;
    the last ones, as many as needed, are preceded by nearest-neighbour upsampling by 2. If a map
    is too large by an even number of pixels, the padding of the next convolution removes them;
    excess pixels of the last map are cropped at the bottom and right.

    Args:
        shape: the shape of the images.
        channels: output channels of the encoder's convolutions, in the encoder's order.
        latent_dim: length of the latent vector, a multiple of 16.
        bias: whether the convolutions have biases.
        slope: negative slope of LeakyReLU.

    Raises:
        UserError: if `latent_dim` is not a multiple of 16.
    """

    def __init__(
        self,
        shape: ImageShape,
        channels: Sequence[int],
        latent_dim: int,
        bias: bool = True,
        slope: float = 0.1,
    ) -> None:
        super().__init__()
        _check_latent_dim(latent_dim)
        self.shape = shape
        doublings = _doublings(shape)
        further = (channels[0],) * max(0, doublings - len(channels) - 1)
        first = latent_dim // FIRST_MAP_SIDE**2
        counts = (first, *reversed(channels), *further, shape.channels)
        convolutions = len(counts) - 1
        blocks: list[nn.Module] = [nn.LeakyReLU(slope)]
        sides = (FIRST_MAP_SIDE, FIRST_MAP_SIDE)
        for position, (inputs, outputs) in enumerate(pairwise(counts)):
            remaining = convolutions - 1 - position
            doubles = remaining < doublings
            sides = (2 * sides[0], 2 * sides[1]) if doubles else sides
            left = min(remaining, doublings)
            trims = (_trim(sides[0], shape.height, left), _trim(sides[1], shape.width, left))
            sides = (sides[0] - 2 * trims[0], sides[1] - 2 * trims[1])
            blocks.append(_growing(inputs, outputs, trims, doubles, bias))
            if remaining:
                norm = nn.BatchNorm2d(outputs, affine=False)
                blocks.append(nn.Sequential(norm, nn.LeakyReLU(slope)))
        self.layers = nn.Sequential(*blocks)

    def logits(self, latents: Tensor) -> Tensor:
        """Logits of images, shape (batch, c, h, w)."""
        first_map = latents.unflatten(1, (-1, FIRST_MAP_SIDE, FIRST_MAP_SIDE))
        grown: Tensor = self.layers(first_map)
        return grown[..., : self.shape.height, : self.shape.width].to(latents.dtype)

    def forward(self, latents: Tensor) -> Tensor:
        """Images in (0, 1): the sigmoid of the logits, shape (batch, c, h, w)."""
        return self.logits(latents).sigmoid()


def _growing(
    inputs: int, outputs: int, trims: tuple[int, int], doubles: bool, bias: bool
) -> nn.Module:
    """A transposed convolution of a map, or of the doubled map; `trims` pixels of each end go."""
    if doubles:
        return DoublingConvolution(inputs, outputs, trims, bias)
    padding = (LENET_KERNEL // 2 + trims[0], LENET_KERNEL // 2 + trims[1])
    return nn.ConvTranspose2d(inputs, outputs, LENET_KERNEL, padding=padding, bias=bias)


def _check_latent_dim(latent_dim: int) -> None:
    multiple = FIRST_MAP_SIDE**2
    if latent_dim % multiple:
        below = latent_dim // multiple * multiple
        raise UserError(
            f"latent_dim must be a multiple of {multiple} for a decoder that starts from "
            f"a {FIRST_MAP_SIDE}x{FIRST_MAP_SIDE} map, got {latent_dim}; "
            f"use {f'{below} or ' if below else ''}{below + multiple}"
        )


def _doublings(shape: ImageShape) -> int:
    """The number of doublings after which the first map is at least as large as the image."""
    return max(0, math.ceil(math.log2(max(shape[1:]) / FIRST_MAP_SIDE)))


def _trim(side: int, goal: int, doublings_left: int) -> int:
    """Pixels to crop on each side so that the remaining doublings give `goal`; 0 if impossible."""
    target, odd = divmod(goal, 1 << doublings_left)
    surplus = side - target
    return surplus // 2 if not odd and surplus > 0 and surplus % 2 == 0 else 0
