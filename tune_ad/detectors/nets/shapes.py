"""The shape of images, and the depth and channels of networks for it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tune_ad.errors import UserError

PUBLISHED_SIDE = 32  # pixels of the longer side up to which networks have their published depth


class ImageShape(NamedTuple):
    """The shape of an image: channels (1 for grey, 3 for colour), height and width in pixels."""

    channels: int
    height: int
    width: int

    @property
    def is_colour(self) -> bool:
        """Whether the images have more than one channel."""
        return self.channels > 1


def scaled_channels(base: Sequence[int], width: float) -> tuple[int, ...]:
    """Channel counts times `width`, each rounded to the nearest integer, halves up.

    Raises:
        UserError: if a layer would have no channel.
    """
    channels = tuple(math.floor(count * width + 0.5) for count in base)
    if min(channels) < 1:
        raise UserError(
            f"width {width} leaves a layer without a channel: {tuple(base)} become {channels}; "
            f"use a width of at least {0.5 / min(base)}"
        )
    return channels


def deepened(base: Sequence[int], shape: ImageShape) -> tuple[int, ...]:
    """Channels of a network that halves the image once per entry, deep enough for its size.

    The longer side decides: for each doubling beyond 32 pixels, begun or complete, there is one
    halving more, with the channels of the first. So the last map keeps its size, and the layers
    after it keep theirs. The shorter side is not halved below one pixel. Up to 32 pixels the depth
    is the published one.

    >>> deepened((32, 64, 128), ImageShape(3, 100, 100))
    (32, 32, 32, 64, 128)
    >>> deepened((8, 4), ImageShape(1, 28, 28)), deepened((8, 4), ImageShape(1, 8, 64))
    ((8, 4), (8, 8, 4))

    Args:
        base: the published channels, from the image inwards.
        shape: the shape of the images.
    """
    shorter, longer = sorted(shape[1:])
    wanted = max(0, math.ceil(math.log2(longer / PUBLISHED_SIDE)))
    possible = max(0, shorter.bit_length() - 1 - len(base))
    return (base[0],) * min(wanted, possible) + tuple(base)


class Padding(NamedTuple):
    """Numbers of pixels that are added at each end, so that both sides can be halved."""

    left: int
    right: int
    above: int
    below: int


def padding_of(shape: ImageShape, halvings: int) -> Padding:
    """The padding that makes both sides multiples of 2^`halvings`, as even as possible.

    >>> padding_of(ImageShape(1, 28, 31), 3)
    Padding(left=0, right=1, above=2, below=2)
    """
    multiple = 1 << halvings
    rows, columns = -shape.height % multiple, -shape.width % multiple
    return Padding(columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)


def smallest_map(shape: ImageShape, halvings: int) -> tuple[int, int]:
    """Height and width of the padded image after this number of halvings, each at least 1."""
    left, right, above, below = padding_of(shape, halvings)
    height, width = shape.height + above + below, shape.width + left + right
    return height >> halvings, width >> halvings
