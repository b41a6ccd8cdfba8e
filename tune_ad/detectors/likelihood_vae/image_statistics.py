"""Statistics of an image that need no model: trivial baselines to compare likelihoods with."""

import io
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from tune_ad.data.image_statistics import Statistic
from tune_ad.detectors.likelihood_vae.likelihoods import GREYS


def png_bits(images: Tensor) -> Tensor:
    """Size in bits of each image as a PNG file with the highest compression: float64, (batch,).

    Args:
        images: images in [0, 1], shape (batch, c, h, w) with c = 1 or 3, rounded to 256 values.
    """
    values = (images.clamp(0, 1) * (GREYS - 1)).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    bits = [8.0 * _png_bytes(pixels) for pixels in values]
    return torch.tensor(bits, dtype=torch.float64).to(images.device)


def _png_bytes(pixels: np.ndarray) -> int:
    """The size of a PNG file of uint8 pixels (h, w, c)."""
    from PIL import Image

    file = io.BytesIO()
    picture = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    Image.fromarray(picture).save(file, "PNG", compress_level=9)
    return file.tell()


def pixel_mean(images: Tensor) -> Tensor:
    """The mean of each image over pixels and channels, in [0, 1], float64, shape (batch,)."""
    return images.double().flatten(1).mean(1)


def pixel_variance(images: Tensor) -> Tensor:
    """The variance of each image over its N pixels and channels, with divisor N: (batch,)."""
    return images.double().flatten(1).var(1, correction=0)


STATISTICS: Mapping[str, Statistic] = MappingProxyType(
    {"png_bits": png_bits, "pixel_mean": pixel_mean, "pixel_variance": pixel_variance}
)
"""By name of the score: images (batch, c, h, w) -> scores (batch,); larger = more anomalous."""
