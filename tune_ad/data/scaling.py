"""Named scalings, which convert uint8 images to float images."""

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tune_ad.data.image_statistics import ImageStatistics
from tune_ad.errors import UserError

IMAGES_PER_CHUNK = 4096


def unit(images: Tensor) -> Tensor:
    """Divide by the largest value: x / 255.

    Args:
        images: float32 with values 0 to 255, shape (n, c, h, w).

    Returns:
        float32 in [0, 1], the same shape.
    """
    return images / 255


def minmax(images: Tensor) -> Tensor:
    """Rescale each image: (x - min) / (max - min), minimum and maximum over all its channels.

    A constant image becomes 0 everywhere.

    Args:
        images: float32 with whole values 0 to 255, shape (n, c, h, w).

    Returns:
        float32 in [0, 1], the same shape; each image that is not constant reaches 0 and 1.
    """
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp(min=1)


def gcn(images: Tensor) -> Tensor:
    r"""Global contrast normalisation of each image: $(x - \bar x) / \overline{|x - \bar x|}$.

    Both means are over all pixels and channels of the image; the denominator is the mean absolute
    deviation (the L1 scale). A constant image becomes 0 everywhere.

    The result has no fixed range. It is then mapped to [0, 1] by the minimum and maximum of the
    training images (`training_range`); pixels of other images may lie a little outside.

    Args:
        images: float32 with whole values 0 to 255, shape (n, c, h, w).

    Returns:
        float32, the same shape; each image that is not constant has mean 0 and mean absolute
        value 1.

    Source: Ruff et al., Deep One-Class Classification, ICML 2018, section 4, and their code.
    """
    centred = images - images.mean((1, 2, 3), keepdim=True)
    scale = centred.abs().mean((1, 2, 3), keepdim=True)
    # "scale > 0" would not do: rounding can make the deviation of a constant image nonzero.
    varies = images.amax((1, 2, 3), keepdim=True) > images.amin((1, 2, 3), keepdim=True)
    return torch.where(varies, centred / scale, torch.zeros_like(centred))


class Scaling(NamedTuple):
    """A way to scale images.

    Attributes:
        function: a function (float32 images with values 0 to 255) -> scaled images, same shape.
        fitted: whether the scaled images are then mapped to [0, 1] by the minimum and maximum of
            the training images.
    """

    function: Callable[[Tensor], Tensor]
    fitted: bool = False


class Range(NamedTuple):
    """The smallest and the largest pixel of the training images."""

    low: float
    high: float


def mapped(images: Tensor, fitted: Range) -> Tensor:
    """Images of which `low` becomes 0 and `high` 1; other pixels may lie outside.

    A function, because PyTorch's exporter follows no method of a named tuple.
    """
    return (images - fitted.low) / (fitted.high - fitted.low)


SCALINGS: Mapping[str, Scaling] = MappingProxyType(
    {"unit": Scaling(unit), "minmax": Scaling(minmax), "gcn": Scaling(gcn, fitted=True)}
)


class ScaledImages:
    """Images that are stored as uint8 and scaled when they are picked.

    Indexing it gives the same images as indexing the result of `scaled`, equal in every bit, but
    no float copy of all images is held in memory, which would take four times as much.

    Attributes:
        statistics: the statistics of the images that have been asked for.

    Args:
        pixels: uint8, shape (n, c, h, w), on the device on which to scale.
        scaling: a key of `SCALINGS`.
        statistics: the statistics of the same images, if several scalings share them.

    Raises:
        UserError: there is no scaling of that name.
    """

    def __init__(
        self, pixels: Tensor, scaling: str, statistics: ImageStatistics | None = None
    ) -> None:
        self.pixels, self.scaling = pixels, known_scaling(scaling)
        self.statistics = statistics or ImageStatistics(pixels)

    @property
    def shape(self) -> torch.Size:
        """The shape of all images, (n, c, h, w)."""
        return self.pixels.shape

    @property
    def device(self) -> torch.device:
        """The device of the images."""
        return self.pixels.device

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, indices: Tensor | slice) -> Tensor:
        """Scaled images, float32, shape (..., c, h, w).

        Args:
            indices: int64, of any shape (...), on the device of the images; or a slice.
        """
        if isinstance(indices, slice):
            return self.scaling.function(self.pixels[indices].float())
        picked = self.pixels.index_select(0, indices.flatten())  # a quarter of the time of "[]"
        return self.scaling.function(picked.float()).view(*indices.shape, *self.shape[1:])


Images = Tensor | ScaledImages
"""Scaled images: a float tensor as `scaled` returns it, or uint8 images scaled when picked."""


def without_copying(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of an array, which may be read-only; do not write to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def training_range(name: str, images: Images, train: Tensor) -> Range | None:
    """The minimum and maximum that a fitted scaling maps to 0 and 1; None for other scalings.

    Args:
        name: a key of `SCALINGS`.
        images: the scaled images, shape (n, c, h, w).
        train: indices of the training images, shape (k,), k >= 1.

    Raises:
        UserError: if all training images are constant, so that minimum and maximum are equal.
    """
    if not SCALINGS[name].fitted:
        return None
    chunks = [images[part] for part in train.to(images.device).split(IMAGES_PER_CHUNK)]
    low = min(float(chunk.min()) for chunk in chunks)
    high = max(float(chunk.max()) for chunk in chunks)
    if not low < high:
        raise UserError(
            f"scaling {name!r} cannot be used, because all {len(train)} training images are "
            "constant; use scaling 'unit'"
        )
    return Range(low, high)


def scaled(images: Tensor, name: str) -> Tensor:
    """Apply the scaling called `name` to images, a few thousand at a time to save memory.

    Args:
        images: uint8, shape (n, c, h, w), on any device.
        name: a key of `SCALINGS`.

    Returns:
        float32, the same shape and device.

    Raises:
        UserError: there is no scaling of that name.
    """
    picked = ScaledImages(images, name)
    result = torch.empty_like(images, dtype=torch.float32)
    for start in range(0, len(images), IMAGES_PER_CHUNK):
        chunk = slice(start, start + IMAGES_PER_CHUNK)
        result[chunk] = picked[chunk]
    return result


def known_scaling(name: str) -> Scaling:
    """The scaling of a name.

    Raises:
        UserError: there is no scaling of that name.
    """
    if name not in SCALINGS:
        raise UserError(f"unknown scaling {name!r}; choose one of {', '.join(SCALINGS)}")
    return SCALINGS[name]
