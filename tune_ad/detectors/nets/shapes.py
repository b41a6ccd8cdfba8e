"""The shape of images, and channel counts scaled by a width factor."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from tune_ad.errors import UserError


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
