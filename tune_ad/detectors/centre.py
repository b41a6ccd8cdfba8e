"""The centre of the normal codes, for the detectors that measure a distance from it."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def mean_code(code: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> Tensor:
    """The mean of `code(images)`, shape (batch, J), over all images of the batches: shape (J,).

    There must be at least one image.
    """
    sums, count = torch.zeros(()), 0
    for images in batches:
        sums = sums + code(images).sum(0)
        count += len(images)
    return sums / count


def away_from_zero(centre: Tensor, epsilon: float) -> Tensor:
    """Push coordinates with 0 < |c| < epsilon to -epsilon or epsilon; an exact 0 stays.

    A coordinate near 0 could be matched by vanishing weights, which would collapse the sphere.
    """
    return torch.where(centre.abs() < epsilon, centre.sign() * epsilon, centre)
