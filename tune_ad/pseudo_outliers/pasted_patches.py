"""Pseudo-outliers: images with a patch of another normal image.

After Li, Sohn, Yoon and Pfister, "CutPaste: self-supervised learning for anomaly detection and
localization" (CVPR 2021, section 3), whose patches come from the same image.
"""

import numpy as np

TITLE = "with a rectangle of 4 to 25 % of the area pasted from another normal image"
AREA = (0.04, 0.25)
ASPECT = (0.4, 2.5)
TRIALS = 4
"""Patches tried for each image; the one that changes the image most is kept.

On images with a plain background most patches change nothing.
"""


def make(images: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Paste into each image a rectangle from another one, at another place.

    Args:
        images: normal images, uint8, shape (n, c, h, w).
        stream: the random numbers.
    """
    return np.stack([_pasted(images, k, stream) for k in range(len(images))])


def _pasted(images: np.ndarray, k: int, stream: np.random.Generator) -> np.ndarray:
    """Image k with the patch, out of `TRIALS` patches, that changes it most."""
    candidates = [_with_patch(images, k, stream) for _ in range(TRIALS)]
    changes = [np.abs(image.astype(int) - images[k]).sum() for image in candidates]
    return candidates[int(np.argmax(changes))]


def _with_patch(images: np.ndarray, k: int, stream: np.random.Generator) -> np.ndarray:
    """Image k with a random patch of a random image."""
    n, _, height, width = images.shape
    area, aspect = stream.uniform(*AREA), np.exp(stream.uniform(*np.log(ASPECT)))
    rows = _side(np.sqrt(area * aspect) * height, height)
    columns = _side(np.sqrt(area / aspect) * width, width)
    source = images[(k + stream.integers(1, n)) % n] if n > 1 else images[k]
    top = stream.integers(0, height - rows + 1, 2)
    left = stream.integers(0, width - columns + 1, 2)
    image: np.ndarray = images[k].copy()
    image[:, top[0] : top[0] + rows, left[0] : left[0] + columns] = source[
        :, top[1] : top[1] + rows, left[1] : left[1] + columns
    ]
    return image


def _side(length: float, most: int) -> int:
    """The side of a patch in whole pixels, from 1 to `most`."""
    return int(min(max(round(length), 1), most))
