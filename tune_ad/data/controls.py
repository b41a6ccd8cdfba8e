"""Image sets that are made, not read: constant and noise images, the controls of a likelihood.

A likelihood that calls them normal knows nothing about images.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from tune_ad.data.images import ImageSet
from tune_ad.randomness import numpy_stream

COUNT = 1000
Shape = tuple[int, int, int]


def constant(shape: Shape, count: int, stream: np.random.Generator) -> np.ndarray:
    """Images of one colour each, drawn evenly from all colours."""
    colours = stream.integers(0, 256, (count, shape[0], 1, 1), dtype=np.uint8)
    return np.broadcast_to(colours, (count, *shape)).copy()


def noise(shape: Shape, count: int, stream: np.random.Generator) -> np.ndarray:
    """Images of which every pixel and channel is drawn evenly from all values."""
    return stream.integers(0, 256, (count, *shape), dtype=np.uint8)


CONTROLS: Mapping[str, Callable[[Shape, int, np.random.Generator], np.ndarray]] = MappingProxyType(
    {"constant": constant, "noise": noise}
)
"""By name; each gives uint8 images of shape (count, c, h, w)."""


def control(name: str, shape: Shape, count: int = COUNT, seed: int = 0) -> ImageSet:
    """A control as a test-only image set.

    Args:
        name: a key of `CONTROLS`.
        shape: of one image, (c, h, w).
        count: of images.
        seed: of the draw.
    """
    images = torch.from_numpy(CONTROLS[name](shape, count, numpy_stream(seed, "control", name)))
    none = torch.empty(0, dtype=torch.int64)
    about = f"{count} {name} images, made with seed {seed}"
    labels = torch.zeros(count, dtype=torch.int64)
    return ImageSet(name, (name,), images[:0], none, images, labels, about)


def padded(image_set: ImageSet, side: int) -> ImageSet:
    """An image set with a border of zeros, evenly around, up to `side` pixels a side.

    Nothing is resampled: interpolation would change what a likelihood looks at. Where the border
    is odd, the bottom and right get the larger half. The record's sentence names the padding.

    Raises:
        ValueError: if an image is larger than that.
    """
    _, height, width = image_set.shape
    if max(height, width) > side:
        raise ValueError(f"{image_set.name}: images of {height}x{width} do not fit {side}x{side}")
    if height == width == side:
        return image_set
    top, left = (side - height) // 2, (side - width) // 2
    border = (left, side - width - left, top, side - height - top)

    def wider(images: Tensor) -> Tensor:
        return torch.nn.functional.pad(images, border)

    return ImageSet(
        image_set.name,
        image_set.classes,
        wider(image_set.train_images),
        image_set.train_labels,
        wider(image_set.test_images),
        image_set.test_labels,
        f"{image_set.about}; zero-padded to {side}x{side}",
    )
