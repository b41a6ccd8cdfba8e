"""Control image sets, which are generated: constant images and noise.

They are outsider sets (data sets of anomalous images) for which likelihoods of image models are
known to fail. A model that assigns them a likelihood as high as that of normal images has not
learned what images look like.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from tune_ad.data.images import ImageSet
from tune_ad.randomness import numpy_stream

CONTROL_IMAGES = 1000
Shape = tuple[int, int, int]


def constant(shape: Shape, count: int, stream: np.random.Generator) -> np.ndarray:
    """Images of one colour each; every value of a channel is equally likely."""
    colours = stream.integers(0, 256, (count, shape[0], 1, 1), dtype=np.uint8)
    return np.broadcast_to(colours, (count, *shape)).copy()


def noise(shape: Shape, count: int, stream: np.random.Generator) -> np.ndarray:
    """Images whose pixels are independent; every value of a channel is equally likely."""
    return stream.integers(0, 256, (count, *shape), dtype=np.uint8)


CONTROLS: Mapping[str, Callable[[Shape, int, np.random.Generator], np.ndarray]] = MappingProxyType(
    {"constant": constant, "noise": noise}
)
"""The generators by name: (image shape, count, random stream) -> uint8 images (count, c, h, w)."""


def control(name: str, shape: Shape, count: int = CONTROL_IMAGES, seed: int = 0) -> ImageSet:
    """A control as an image set without training images.

    Args:
        name: a key of `CONTROLS`.
        shape: the shape of one image, (c, h, w).
        count: the number of images.
        seed: the seed of the random draw.
    """
    images = torch.from_numpy(CONTROLS[name](shape, count, numpy_stream(seed, "control", name)))
    labels = torch.zeros(count, dtype=torch.int64)
    about = f"{count} {name} images, generated with seed {seed}"
    return ImageSet(
        name=name,
        classes=(name,),
        train_images=images[:0],
        train_labels=labels[:0],
        test_images=images,
        test_labels=labels,
        about=about,
    )


def padded(image_set: ImageSet, side: int) -> ImageSet:
    """An image set whose images are padded with zeros to `side` x `side` pixels.

    The border has the same width on all sides; if the padding is odd, the bottom and the right get
    one pixel more. Images are not resampled, since interpolation would change the pixel statistics
    that a likelihood depends on. The set's `about` says that it is padded.

    Raises:
        ValueError: if an image is larger than `side` x `side`.
    """
    _, height, width = image_set.shape
    if max(height, width) > side:
        raise ValueError(f"{image_set.name}: images of {height}x{width} do not fit {side}x{side}")
    if height == width == side:
        return image_set
    top, left = (side - height) // 2, (side - width) // 2
    border = (left, side - width - left, top, side - height - top)

    def pad(images: Tensor) -> Tensor:
        return torch.nn.functional.pad(images, border)

    return replace(
        image_set,
        train_images=pad(image_set.train_images),
        test_images=pad(image_set.test_images),
        about=f"{image_set.about}; zero-padded to {side}x{side}",
    )
