"""The centre of the codes of normal images, for detectors that measure the distance from it."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def mean_code(code: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> Tensor:
    """The mean code of all images, shape (J,).

    Args:
        code: a function from images to codes of shape (batch, J).
        batches: batches of images, with at least one image in total.
    """
    sums, count = torch.zeros(()), 0
    for images in batches:
        sums = sums + code(images).sum(0)
        count += len(images)
    return sums / count


def away_from_zero(centre: Tensor, epsilon: float) -> Tensor:
    """The centre with coordinates 0 < |c| < epsilon moved to ±epsilon; an exact 0 stays.

    With weights near 0 a network could match a coordinate near 0 for every image, so that all
    codes would collapse to one point.
    """
    return torch.where(centre.abs() < epsilon, centre.sign() * epsilon, centre)
