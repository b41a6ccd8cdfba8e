"""Likelihoods in bits per dimension."""

import math
from collections.abc import Mapping, Sequence

from tune_ad.storage.metric import BITS_PER_DIM, Metric, Values


def bits_per_dimension(nats: float, dimensions: int) -> float:
    r"""Nats per image as bits per dimension: $x / (d \ln 2)$.

    A dimension is one channel of one pixel.

    >>> bits_per_dimension(784 * math.log(2), 784)
    1.0
    """
    return nats / (dimensions * math.log(2))


def with_bits(
    metrics: Mapping[Metric, Values], nats: Sequence[str], shape: Sequence[int]
) -> dict[Metric, Values]:
    """The metrics; those in nats also in bits per dimension.

    Args:
        metrics: one number per replica.
        nats: names of the terms and components of scores that are in nats per image.
        shape: shape of one image, (c, h, w).
    """
    converted = {
        metric._replace(unit=BITS_PER_DIM): [
            None if value is None else bits_per_dimension(value, math.prod(shape))
            for value in values
        ]
        for metric, values in metrics.items()
        if metric.term in nats
    }
    return {**metrics, **converted}
