"""Statistics of an image that need no model: the trivial baselines of likelihoods."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image
from torch import Tensor

GREY_VALUES = 255


def png_bits(images: Tensor) -> Tensor:
    """Bits of each image as a PNG file of the highest compression, float64, shape (batch,).

    Args:
        images: in [0, 1], shape (batch, c, h, w) with c = 1 or 3; rounded to 256 grey values.
    """
    greys = (images.clamp(0, 1) * GREY_VALUES).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return torch.tensor([8.0 * _png_bytes(each) for each in greys], dtype=torch.float64).to(
        images.device
    )


def _png_bytes(grey_values: np.ndarray) -> int:
    file = io.BytesIO()
    picture = grey_values[..., 0] if grey_values.shape[-1] == 1 else grey_values
    Image.fromarray(picture).save(file, "PNG", compress_level=9)
    return file.tell()


def pixel_mean(images: Tensor) -> Tensor:
    """The mean over pixels and channels, in [0, 1], float64, shape (batch,)."""
    return images.double().flatten(1).mean(1)


def pixel_variance(images: Tensor) -> Tensor:
    """The variance over pixels and channels (divided by their number), float64, (batch,)."""
    return images.double().flatten(1).var(1, correction=0)


STATISTICS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"png_bits": png_bits, "pixel_mean": pixel_mean, "pixel_variance": pixel_variance}
)
"""By the name of the score; each maps images to (batch,), larger = called more anomalous."""
