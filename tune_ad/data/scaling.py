"""Named ways to bring uint8 images into [0, 1]."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from tune_ad.errors import UserError

CHUNK_IMAGES = 4096


def unit(images: Tensor) -> Tensor:
    """Divide by the largest value: x / 255.

    Args:
        images: float32 with values 0 to 255, shape (n, c, h, w).

    Returns:
        float32 in [0, 1], the same shape.
    """
    return images / 255


def minmax(images: Tensor) -> Tensor:
    """Stretch each image: (x - min) / (max - min), with the extremes over all its channels.

    A constant image has no range; it becomes 0 everywhere.

    Args:
        images: float32 with whole values 0 to 255, shape (n, c, h, w).

    Returns:
        float32 in [0, 1], the same shape; each image that is not constant reaches 0 and 1.
    """
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp(min=1)


SCALINGS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"unit": unit, "minmax": minmax}
)


def scaled(images: Tensor, name: str) -> Tensor:
    """The images under the scaling called `name`, computed chunk by chunk to bound memory.

    Args:
        images: uint8, shape (n, c, h, w), on any device.
        name: a key of `SCALINGS`.

    Returns:
        float32, the same shape and device.

    Raises:
        UserError: there is no scaling of that name.
    """
    if name not in SCALINGS:
        raise UserError(f"unknown scaling {name!r}; choose one of {', '.join(SCALINGS)}")
    result = torch.empty_like(images, dtype=torch.float32)
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = slice(start, start + CHUNK_IMAGES)
        result[chunk] = SCALINGS[name](images[chunk].float())
    return result
