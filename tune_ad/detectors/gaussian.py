"""Samples of Gaussian codes, their density, and KL divergence from a standard normal prior."""

import math

from torch import Tensor


def codes(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    r"""Codes $\mu + \sigma \epsilon$, shape (K, batch, J), differentiable in $\mu$ and $\sigma$.

    Args:
        mean: $\mu$, shape (batch, J).
        log_variance: $\log\sigma^2$, shape (batch, J).
        noise: $\epsilon$, standard normal, shape (K, batch or 1, J).
    """
    return mean + (0.5 * log_variance).exp() * noise


def log_density(codes: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""$\log N(z; \mu, \sigma^2)$ of codes (..., J), summed over J: shape (...), in nats."""
    squares = (codes - mean).square() * (-log_variance).exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)


def rate(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""$KL(N(\mu, \sigma^2) \| N(0, I))$ in nats, at least 0, shape (batch,).

    It is $\frac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2)$.

    Args:
        mean: $\mu$, shape (batch, J).
        log_variance: $\log\sigma^2$, shape (batch, J).
    """
    return 0.5 * mean.square().sum(1) + variance_divergence(log_variance)


def variance_divergence(log_variance: Tensor) -> Tensor:
    r"""The part of the KL divergence due to the variance.

    It is $\frac12\sum_j (s_j^2 - 1 - \log s_j^2)$, computed so that it is accurate near $s_j = 1$.

    Args:
        log_variance: $v = \log s^2$, shape (batch, J).

    Returns:
        shape (batch,), in nats, at least 0.
    """
    return 0.5 * (log_variance.expm1() - log_variance).sum(1)
