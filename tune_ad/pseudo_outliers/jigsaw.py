"""Pseudo-outliers: images whose quarters change places.

After the jigsaw puzzles of Noroozi and Favaro, "Unsupervised learning of visual representations
by solving jigsaw puzzles" (ECCV 2016).
"""

import itertools

import numpy as np

TITLE = "with their four quarters in other places"
PERMUTATIONS = np.array(
    [p for p in itertools.permutations(range(4)) if all(p[k] != k for k in range(4))]
)
"""The permutations of four quarters that leave none in its place, shape (9, 4)."""


def make(images: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Move every quarter of each image to another place.

    With an odd height or width, the last row or column stays as it is.

    Args:
        images: normal images, uint8, shape (n, c, h, w).
        stream: the random numbers.
    """
    height, width = images.shape[2] // 2, images.shape[3] // 2
    corners = [(y, x) for y in (0, height) for x in (0, width)]
    quarters = np.stack([images[:, :, y : y + height, x : x + width] for y, x in corners], axis=1)
    order = PERMUTATIONS[stream.integers(0, len(PERMUTATIONS), len(images))]
    moved = np.take_along_axis(quarters, order[:, :, None, None, None], axis=1)
    puzzles = images.copy()
    for k, (y, x) in enumerate(corners):
        puzzles[:, :, y : y + height, x : x + width] = moved[:, k]
    return puzzles
