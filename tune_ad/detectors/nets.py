"""Encoders and decoders from channel lists and a width.

The LeNet-like networks are those of Park, Adosoglou and Pardalos (arXiv 2005.01889, section 5)
as their released code builds them: 5x5 convolutions with padding 2, batch normalisation without
affine parameters, LeakyReLU and 2x2 pooling; channels 8-4 on grey images, 32-64-128 on colour.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from tune_ad.errors import UserError

KERNEL = 5
SEED_SIDE = 4  # side of the square map from which a decoder grows an image
MOST_INTERLEAVED = 4  # channels out of a doubling that is quicker as a plain convolution


class ImageShape(NamedTuple):
    """Channels (1 grey, 3 colour), height and width of an image in pixels."""

    channels: int
    height: int
    width: int

    @property
    def is_colour(self) -> bool:
        """Whether the images have more than one channel."""
        return self.channels > 1


def lenet_channels(shape: ImageShape, width: float = 1.0) -> tuple[int, ...]:
    """Channels of the LeNet-like encoder: 8-4 on grey images, 32-64-128 on colour, times `width`.

    Each count is rounded half up.

    >>> lenet_channels(ImageShape(1, 28, 28), 2.0)
    (16, 8)

    Raises:
        UserError: if `width` leaves a layer without a channel.
    """
    return widened((32, 64, 128) if shape.is_colour else (8, 4), width)


def widened(base: Sequence[int], width: float) -> tuple[int, ...]:
    """Channel counts times `width`, each rounded half up.

    Raises:
        UserError: if `width` leaves a layer without a channel.
    """
    channels = tuple(math.floor(c * width + 0.5) for c in base)
    if min(channels) < 1:
        raise UserError(
            f"width {width} leaves no channel of {tuple(base)}: got {channels}; "
            f"use a width of at least {0.5 / min(base)}"
        )
    return channels


def normalised(channels: int, slope: float) -> nn.Sequential:
    """Batch normalisation without affine parameters, then LeakyReLU."""
    return nn.Sequential(nn.BatchNorm2d(channels, affine=False), nn.LeakyReLU(slope))


class LeNetEncoder(nn.Module):
    """Convolutions that halve the image once per entry of `channels`, then flatten.

    Maps (batch, c, h, w) to (batch, `features`). LeakyReLU increases, so it commutes with the
    maximum of a pooling window: it is applied after the pooling, to a quarter of the values.

    Args:
        shape: of the images.
        channels: of the convolutions, in order.
        bias: whether the convolutions have biases.
        slope: of LeakyReLU on its negative side.

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
        for before, after in pairwise((shape.channels, *channels)):
            blocks += [
                nn.Conv2d(before, after, KERNEL, padding=KERNEL // 2, bias=bias),
                nn.BatchNorm2d(after, affine=False),
                nn.MaxPool2d(2),
                nn.LeakyReLU(slope),
            ]
        self.layers = nn.Sequential(*blocks, nn.Flatten())
        self.features = channels[-1] * height * width

    def forward(self, images: Tensor) -> Tensor:
        """Features, shape (batch, `features`)."""
        return self.layers(images)  # type: ignore[no-any-return]


class LeNetDecoder(nn.Module):
    """The mirror of `LeNetEncoder`: grows an image from a latent vector seen as a 4x4 map.

    Maps (batch, latent_dim) to (batch, c, h, w) in (0, 1). The latent vector is a map of
    latent_dim / 16 channels; transposed convolutions follow `channels` backwards; the last ones
    are preceded by a nearest-neighbour doubling, as many as the image needs; a map that has grown
    too large by an even count is trimmed by that convolution's padding, an odd rest is cut from
    the bottom and right at the end.

    Args:
        shape: of the images.
        channels: of the encoder's convolutions, in the encoder's order.
        latent_dim: length of the latent vector, a multiple of 16.
        bias: whether the convolutions have biases.
        slope: of LeakyReLU on its negative side.

    Raises:
        UserError: if `latent_dim` is no multiple of 16 or the image needs more doublings than
            there are convolutions.
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
        if latent_dim % SEED_SIDE**2:
            below = latent_dim // SEED_SIDE**2 * SEED_SIDE**2
            raise UserError(
                f"latent_dim must be a multiple of {SEED_SIDE**2} for a decoder that starts from "
                f"a {SEED_SIDE}x{SEED_SIDE} map, got {latent_dim}; "
                f"use {f'{below} or ' if below else ''}{below + SEED_SIDE**2}"
            )
        self.shape = shape
        outputs = (*reversed(channels), shape.channels)
        inputs = (latent_dim // SEED_SIDE**2, *outputs[:-1])
        doublings = max(0, math.ceil(math.log2(max(shape[1:]) / SEED_SIDE)))
        if doublings > len(outputs):
            raise UserError(
                f"a decoder of {len(outputs)} convolutions reaches {SEED_SIDE << len(outputs)} "
                f"pixels a side, the images have {max(shape[1:])}; use smaller images"
            )
        blocks: list[nn.Module] = [nn.LeakyReLU(slope)]
        sides = (SEED_SIDE, SEED_SIDE)
        for position, (before, after) in enumerate(zip(inputs, outputs, strict=True)):
            left = len(outputs) - 1 - position
            if left < doublings:
                blocks.append(nn.Upsample(scale_factor=2))
                sides = (2 * sides[0], 2 * sides[1])
            trims = tuple(
                _trim(side, goal, min(left, doublings))
                for side, goal in zip(sides, shape[1:], strict=True)
            )
            sides = (sides[0] - 2 * trims[0], sides[1] - 2 * trims[1])
            padding = (KERNEL // 2 + trims[0], KERNEL // 2 + trims[1])
            blocks.append(nn.ConvTranspose2d(before, after, KERNEL, padding=padding, bias=bias))
            blocks += [normalised(after, slope)] if left else []
        self.layers = nn.Sequential(*blocks)

    def logits(self, latents: Tensor) -> Tensor:
        """Logits of images, shape (batch, c, h, w)."""
        grown: Tensor = self.layers(latents.unflatten(1, (-1, SEED_SIDE, SEED_SIDE)))
        return grown[..., : self.shape.height, : self.shape.width]

    def forward(self, latents: Tensor) -> Tensor:
        """Images in (0, 1): the sigmoid of the logits, shape (batch, c, h, w)."""
        return self.logits(latents).sigmoid()


def _trim(side: int, goal: int, doublings_left: int) -> int:
    """Pixels to take from each end so that later doublings arrive at `goal`; 0 where none fits."""
    target, odd = divmod(goal, 1 << doublings_left)
    surplus = side - target
    return surplus // 2 if not odd and surplus > 0 and surplus % 2 == 0 else 0


class DCGANEncoder(nn.Module):
    """Strided 4x4 convolutions that halve the image once per entry of `channels`, then flatten.

    Maps (batch, c, h, w) to (batch, `features`): batch normalisation and LeakyReLU(0.2) after
    each. Source: Radford et al., arXiv 1511.06434, section 3, mirrored.

    Args:
        shape: of the images; its sides must be multiples of two to the number of channels.
        channels: of the convolutions, in order.

    Raises:
        UserError: if a side cannot be halved that many times.
    """

    def __init__(self, shape: ImageShape, channels: Sequence[int]) -> None:
        super().__init__()
        height, width = _halved(shape, len(channels))
        blocks: list[nn.Module] = []
        for before, after in pairwise((shape.channels, *channels)):
            blocks += [
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*blocks, nn.Flatten())
        self.features = channels[-1] * height * width

    def forward(self, images: Tensor) -> Tensor:
        """Features, shape (batch, `features`)."""
        return self.layers(images)  # type: ignore[no-any-return]


class Doubling(nn.Module):
    r"""A transposed 4x4 convolution that doubles the sides: stride 2, padding 1.

    Each of the four pixels that an input pixel becomes sees 2x2 input pixels, so that the same map
    is a 2x2 convolution with four times the channels, interleaved (Shi et al., arXiv 1609.05158,
    section 3). With few outputs that is several times as fast.

    Args:
        before: channels in.
        after: channels out.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.transposed = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Shape (batch, `after`, 2 h, 2 w)."""
        weight, bias = self.transposed.weight, self.transposed.bias
        if self.transposed.out_channels > MOST_INTERLEAVED or bias is None:
            whole: Tensor = self.transposed(images)
            return whole
        # of the taps of an axis, 3 and 1 make the even pixels, 2 and 0 the odd ones; the odd ones
        # come first, since the interleaved image starts a pixel before the one that is wanted
        taps = weight.flip(2, 3).unflatten(2, (2, 2)).unflatten(4, (2, 2))
        kernel = taps.permute(1, 3, 5, 0, 2, 4).flip(1, 2).flatten(0, 2)
        interleaved = functional.conv2d(images, kernel, bias.repeat_interleave(4), padding=1)
        return functional.pixel_shuffle(interleaved, 2)[..., 1:-1, 1:-1]


class DCGANDecoder(nn.Module):
    """The mirror of `DCGANEncoder`: a linear map, then strided transposed convolutions.

    Maps (batch, latent_dim) to (batch, c, h, w).

    Args:
        shape: of the result; its channels may be other numbers than colours.
        channels: of the encoder's convolutions, in the encoder's order.
        latent_dim: length of the latent vector.

    Raises:
        UserError: if a side cannot be halved once per entry of `channels`.
    """

    def __init__(self, shape: ImageShape, channels: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        sides = _halved(shape, len(channels))
        first, *rest = reversed(channels)
        self.linear = nn.Linear(latent_dim, first * math.prod(sides), bias=False)
        self.first = (*sides, first)
        blocks: list[nn.Module] = []
        before = first
        for after in (*rest, shape.channels):
            blocks += [nn.BatchNorm2d(before), nn.ReLU(), Doubling(before, after)]
            before = after
        self.layers = nn.Sequential(*blocks)

    def logits(self, latents: Tensor) -> Tensor:
        """Numbers of any sign for each pixel, shape (batch, c, h, w), channels last in memory."""
        blocks = self.linear(latents).unflatten(1, self.first)
        return self.layers(blocks.movedim(-1, 1))  # type: ignore[no-any-return]

    def forward(self, latents: Tensor) -> Tensor:
        """Images in (0, 1): the sigmoid of the logits, shape (batch, c, h, w)."""
        return self.logits(latents).sigmoid()


def dcgan_channels(shape: ImageShape, width: float = 1.0) -> tuple[int, ...]:
    """Channels of the DCGAN trunk: 32-64-128 on grey images, 64-128-256 on colour, times `width`.

    Raises:
        UserError: if `width` leaves a layer without a channel.
    """
    return widened((64, 128, 256) if shape.is_colour else (32, 64, 128), width)


def _halved(shape: ImageShape, times: int) -> tuple[int, int]:
    """The sides of an image that is halved so many times.

    Raises:
        UserError: if they are no multiples of that power of two.
    """
    step = 1 << times
    if shape.height % step or shape.width % step:
        raise UserError(
            f"an image of {shape.height}x{shape.width} cannot be halved {times} times without a "
            f"rest; use sides that are multiples of {step}"
        )
    return shape.height // step, shape.width // step
