"""Pseudo-outliers: the mean of two normal images.

A mixture of two images (Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk
minimization", ICLR 2018) has the pixels of normal images, but is none.
"""

import numpy as np

TITLE = "mixed with another normal image in equal parts"


def make(images: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """The mean of each image and another one.

    A single image cannot be mixed with another and stays as it is.

    Args:
        images: normal images, uint8, shape (n, c, h, w).
        stream: the random numbers.
    """
    n = len(images)
    shifts = stream.integers(1, n, n) if n > 1 else np.zeros(n, dtype=int)
    partners = images[(np.arange(n) + shifts) % n]
    mixed: np.ndarray = ((images.astype(np.uint16) + partners) // 2).astype(np.uint8)
    return mixed
