"""Arrays of a Python program as images of grey levels, which is what detectors read.

A detector reads pixels from 0 to 255. Values of uint8 are such pixels. Other values become float32
grey levels, which are not rounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_ad.data import without_copying
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError

Array = NDArray[Any]
WHITE = 255
CHANNELS = (1, 3)
ROWS, GREY, COLOUR = 2, 3, 4
"""The number of axes of rows, of grey images, and of images with channels."""


@dataclass(frozen=True)
class Levels:
    r"""How values become grey levels: $255 (x - low) / (high - low)$.

    Attributes:
        low: the value that becomes 0: one for all pixels, or one for each column of rows.
        high: the value that becomes 255, likewise. Where both are equal, the level is
            $255 (x - low)$.
        by_column: whether the columns are quantities of their own, not pixels of an image.
    """

    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (1.0,)
    by_column: bool = False

    @classmethod
    def of(cls, values: Array, by_column: bool) -> "Levels":
        """The levels of training data.

        Values of uint8, and values in [0, 1], need no other mapping than that from 0 and 1.
        Others are mapped from their minimum and maximum.

        Args:
            values: training data, shape (n, d), n >= 1.
            by_column: whether each column has a minimum and a maximum of its own.
        """
        if values.dtype == np.uint8 or is_in_unit_range(values):
            return cls(by_column=by_column)
        axis = 0 if by_column else None
        low, high = (np.atleast_1d(f(values, axis=axis)) for f in (np.min, np.max))
        return cls(tuple(map(float, low)), tuple(map(float, high)), by_column)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Levels":
        """The levels from their fields as JSON stores them, in which a tuple is a list."""
        return cls(tuple(entry["low"]), tuple(entry["high"]), entry["by_column"])

    @property
    def is_fitted(self) -> bool:
        """Whether minimum and maximum are those of training data."""
        return (self.low, self.high) != ((0.0,), (1.0,))

    def __call__(self, values: Array) -> Array:
        """The grey levels of values (n, d): uint8 as they are if nothing is fitted, else float32.

        Values beyond those of the training data have levels below 0 or above 255.

        Raises:
            UserError: if pixels in another unit than those of the training images are given.
        """
        if not self.is_fitted and values.dtype == np.uint8:
            return values
        if not (self.is_fitted or self.by_column or is_in_unit_range(values)):
            raise UserError(
                f"X has values from {values.min():g} to {values.max():g}, but the training images "
                "were uint8, or numbers in [0, 1]; convert X to either"
            )
        low, high = np.array(self.low), np.array(self.high)
        span = np.where(high > low, high - low, 1.0)
        levels: Array = ((values - low) / span * WHITE).astype(np.float32)
        return levels


def is_in_unit_range(values: Array) -> bool:
    """Whether all values lie in [0, 1]."""
    return bool(values.min() >= 0) and bool(values.max() <= 1)


def shape_of(values: Array, declared: Sequence[int] | None) -> ImageShape:
    """The shape of the images in an array.

    Args:
        values: rows (n, d), images (n, h, w) or images (n, h, w, c).
        declared: (h, w) or (h, w, c); None: that of the array, where a row is an image of one
            pixel's height.

    Raises:
        UserError: if the array has another number of axes, the declared shape is none, or the
            number of channels is neither 1 nor 3.
    """
    if values.ndim not in (ROWS, GREY, COLOUR):
        raise UserError(
            f"X has shape {values.shape}; give rows (n, d), images (n, h, w) or (n, h, w, 3)"
        )
    if declared is not None:
        sides = tuple(declared)
        if len(sides) not in (2, 3) or not all(_is_count(side) for side in sides):
            raise UserError(
                f"image_shape must be (height, width) or (height, width, channels), got {declared}"
            )
    else:
        sides = (1, values.shape[1]) if values.ndim == ROWS else values.shape[1:]
    height, width, channels = (*sides, 1)[:3]
    if channels not in CHANNELS:
        raise UserError(
            f"images have 1 or 3 channels, in the last axis, got {channels} in the shape "
            f"{tuple(sides)}; convert them to grey or RGB"
        )
    return ImageShape(int(channels), int(height), int(width))


def _is_count(side: object) -> bool:
    return isinstance(side, int | np.integer) and not isinstance(side, bool) and bool(side >= 1)


def flat(values: Array, shape: ImageShape) -> Array:
    """The values of every image as a row, shape (n, h w c).

    Args:
        values: rows (n, h w c), or images (n, h, w, c), or (n, h, w) if c is 1.
        shape: the shape of the images.

    Raises:
        UserError: if the array holds images of another shape.
    """
    channels, height, width = shape
    whole = (height, width, channels)
    fitting = [(height * width * channels,), whole, *([whole[:2]] if channels == 1 else [])]
    if values.shape[1:] not in fitting:
        expected = " or ".join(f"(n, {', '.join(map(str, sides))})" for sides in fitting)
        raise UserError(f"X has shape {values.shape}, expected {expected}; convert it")
    return values.reshape(len(values), -1)


def as_images(rows: Array, shape: ImageShape) -> Tensor:
    """Rows of grey levels (n, h w c) as images, shape (n, c, h, w)."""
    channels, height, width = shape
    images = without_copying(np.ascontiguousarray(rows)).view(-1, height, width, channels)
    return images.permute(0, 3, 1, 2).contiguous()


def rounded(images: Tensor) -> Tensor:
    """Grey levels rounded to the 256 of uint8, cut to [0, 255]."""
    return images.round().clamp(0, WHITE).to(torch.uint8)
