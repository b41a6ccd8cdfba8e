"""The centre of the codes of normal images, for detectors that measure the distance from it."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def mean_code(code: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> Tensor:
    """The mean code of all images, shape (J,).

    Args:
        code: from images to codes of shape (batch, J).
        batches: of the images, at least one image in all.
    """
    sums, count = torch.zeros(()), 0
    for images in batches:
        sums = sums + code(images).sum(0)
        count += len(images)
    return sums / count


def away_from_zero(centre: Tensor, epsilon: float) -> Tensor:
    """The centre with coordinates 0 < |c| < epsilon moved to ±epsilon; an exact 0 stays.

    A network could match a coordinate near 0 with weights near 0, for every image: all codes would
    collapse into one.
    """
    return torch.where(centre.abs() < epsilon, centre.sign() * epsilon, centre)
