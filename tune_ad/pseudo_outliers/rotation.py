"""Pseudo-outliers: rotated images.

Rotations are transformed images in the sense of Golan and El-Yaniv, "Deep anomaly detection using
geometric transformations" (NeurIPS 2018). Images whose class looks the same upside down, such as
the digits 0 and 8, make poor pseudo-outliers.
"""

import numpy as np

TITLE = "rotated by 90, 180 or 270 degrees (by 180 if they are not square)"


def make(images: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Rotate each image by a random multiple of 90 degrees that is not 0.

    Args:
        images: normal images, uint8, shape (n, c, h, w).
        stream: the random numbers.
    """
    square = images.shape[2] == images.shape[3]
    quarters = stream.integers(1, 4, len(images)) if square else np.full(len(images), 2)
    rotated = np.empty_like(images)
    for quarter in (1, 2, 3):
        chosen = quarters == quarter
        if chosen.any():  # an image that is not square would change its shape
            rotated[chosen] = np.rot90(images[chosen], quarter, axes=(2, 3))
    return rotated
