"""Gaussian codes: drawn with their gradient, and their KL divergence from the prior."""

from torch import Tensor


def codes(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    r"""$\mu + \sigma \epsilon$ of shape (K, batch, J), with its gradient in both.

    Args:
        mean: shape (batch, J).
        log_variance: $\log\sigma^2$, the same shape.
        noise: standard normal, shape (K, batch or 1, J).
    """
    return mean + (0.5 * log_variance).exp() * noise


def rate(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""$KL(N(\mu, \sigma^2) \| N(0, I))$ in nats, at least 0, shape (batch,).

    It is $\frac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2)$; both arguments have shape
    (batch, J).
    """
    return 0.5 * mean.square().sum(1) + spread_divergence(log_variance)


def spread_divergence(log_variance: Tensor) -> Tensor:
    r"""The part of the KL that the spread makes: $\frac12\sum_j (s_j^2 - 1 - \log s_j^2)$.

    `log_variance` is $\log s^2$, shape (batch, J); the result has shape (batch,), is >= 0, in
    nats. The digits that exp(v) - 1 - v would lose near 0 are kept.
    """
    return 0.5 * (log_variance.expm1() - log_variance).sum(1)
