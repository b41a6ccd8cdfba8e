"""Pseudo-outliers: images with Gaussian noise.

The noise is of a random strength, so that some pseudo-outliers are easy and some are hard to
detect.
"""

import numpy as np

TITLE = "with Gaussian noise, whose standard deviation is 2 to 30 % of the range of the pixels"
STRENGTH = (0.02, 0.3)


def make(images: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Add noise of a strength that is drawn for each image; pixels stay in 0 to 255.

    Args:
        images: normal images, uint8, shape (n, c, h, w).
        stream: the random numbers.
    """
    least, most = np.log(STRENGTH)
    strength = 255 * np.exp(stream.uniform(least, most, len(images)))
    noise = stream.standard_normal(images.shape) * strength[:, None, None, None]
    noisy: np.ndarray = np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)
    return noisy
