"""Priors of the code of a VAE: a standard normal distribution, or a VampPrior."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tune_ad.detectors import gaussian
from tune_ad.detectors.nets import ImageShape

DARK = -1.0  # mean logit of the initial pseudo-inputs, whose pixels then are 0.29 on average


class PseudoInputs(nn.Module):
    """The learned images of a VampPrior, with pixels in (0, 1).

    Args:
        count: the number of images, K.
        shape: the shape of one image.
    """

    def __init__(self, count: int, shape: ImageShape) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.randn(count, *shape) + DARK)

    def forward(self) -> Tensor:
        """The images, shape (K, c, h, w)."""
        return self.logits.sigmoid()


class Posteriors(NamedTuple):
    """Means and log-variances of Gaussian codes, each of shape (n, J)."""

    mean: Tensor
    log_variance: Tensor


def sampled_rate(code: Posteriors, components: Posteriors, noise: Tensor) -> Tensor:
    r"""The rate with a mixture as the prior, estimated with samples of each code, in nats: (n,).

    $\frac1L \sum_l [\log q(z_l|x) - \log \frac1K \sum_k q(z_l|u_k)]$; its expectation is
    $KL(q(z|x) \| p(z))$, at least 0, but a single estimate can be negative.

    Args:
        code: the posteriors of n images.
        components: the posteriors of the K pseudo-inputs.
        noise: standard normal noise, shape (L, n or 1, J).

    Source: Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018, equation 9.
    """
    codes = gaussian.codes(code.mean, code.log_variance, noise)
    own = -0.5 * (noise.square() + code.log_variance).sum(-1)
    gaps = codes.unsqueeze(-2) - components.mean  # (L, n, K, J)
    squares = gaps.square() * (-components.log_variance).exp() + components.log_variance
    prior = (-0.5 * squares.sum(-1)).logsumexp(-1) - math.log(len(components.mean))
    return (own - prior).mean(0)
