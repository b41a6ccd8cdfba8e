r"""What the rate of a Gaussian encoder consists of: mutual information, and distance of the codes.

$E_{p_d} KL(q(z|x) \| p(z)) = I(x; z) + KL(q(z) \| p(z))$, where $q(z) = E_{p_d} q(z|x)$ is the
aggregate posterior (Park, Adosoglou and Pardalos, arXiv 2005.01889, equation 13; Hoffman and
Johnson, "ELBO surgery", NIPS 2016 workshop). If the prior is $q(z)$, as with a VampPrior, the rate
is the mutual information; a rate of 0 means that codes know nothing of their images.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from tune_ad.detectors.base import Numbers
from tune_ad.randomness import torch_stream
from tune_ad.storage.metric import Metric

PART = "information"
MOST_IMAGES = 2_000
"""The maximum number N of images; an estimate of the mutual information is at most log N."""


class Encoded(NamedTuple):
    """The codes of N images.

    Attributes:
        mean: means of the codes, shape (N, J), in units of the prior's standard deviation.
        log_variance: their log-variances, the same shape and units.
        rate: the KL divergences of the codes from the prior, in nats, shape (N,).
    """

    mean: Tensor
    log_variance: Tensor
    rate: Tensor


class RateParts(NamedTuple):
    """The mean rate over images and its two parts, in nats; the first is the sum of the others.

    Attributes:
        rate: the mean KL divergence of codes from the prior, at least 0.
        mutual_information: the estimate of I(x; z), at most log N.
        aggregate_divergence: the estimate of KL(q(z) || p(z)).
    """

    rate: float
    mutual_information: float
    aggregate_divergence: float


def rate_parts(encoded: Encoded, noise: Tensor) -> RateParts:
    r"""The parts of the rate, estimated with one code of each of N images.

    $\hat I = \frac1N \sum_i [\log q(z_i|x_i) - \log \frac1N \sum_j q(z_i|x_j)]$ and
    $\hat{KL} = R - \hat I$. Since j = i is in the sum, $\hat I \le \log N$: for a larger
    mutual information it is only a lower bound.

    Args:
        encoded: the codes of the images.
        noise: standard normal, shape (N, J).
    """
    mean, log_variance, rate = (values.double() for values in encoded)
    codes = mean + (0.5 * log_variance).exp() * noise.double()
    precision = (-log_variance).exp()
    # log q(z_i|x_j) up to the constant -J/2 log 2 pi, from sums over the coordinates
    squares = codes.square() @ precision.T - 2 * codes @ (mean * precision).T
    squares = squares + (mean.square() * precision).sum(1) + log_variance.sum(1)
    densities = -0.5 * squares
    aggregate = densities.logsumexp(1) - math.log(len(codes))
    information = float((densities.diagonal() - aggregate).mean())
    total = float(rate.mean())
    return RateParts(total, information, total - information)


def first_images(encoded: Iterable[Encoded]) -> Encoded:
    """The codes of the first `MOST_IMAGES` images, on the CPU; no further batch is read.

    Args:
        encoded: the codes of batches of images, at least one.
    """
    batches, count = [], 0
    for batch in encoded:
        batches.append(batch)
        count += len(batch.mean)
        if count >= MOST_IMAGES:
            break
    joined = (torch.cat(parts)[:MOST_IMAGES].cpu() for parts in zip(*batches, strict=True))
    return Encoded(*joined)


def information(encoded: Encoded, seed: int) -> Numbers:
    """The parts of the rate, and the bound of the estimate; nothing for a single image.

    Args:
        encoded: the codes of the images, as `first_images` returns them.
        seed: the seed of the replica.
    """
    images, latent_dim = encoded.mean.shape
    if images < 2:
        return {}
    noise = torch.randn(images, latent_dim, generator=torch_stream(seed, "information"))
    parts = rate_parts(encoded, noise)
    numbers = {Metric(PART, name): value for name, value in parts._asdict().items()}
    return numbers | {Metric(PART, "largest_estimate"): math.log(images)}
