r"""Importance weights of codes: bounds of the likelihood, and training an encoder by forward KL.

Codes $z_k$, $k = 1 \dots K$, come from a proposal $r(z|x)$; their log-weights are
$\log w_k = \log p(x|z_k) + \log p(z_k) - \log r(z_k|x)$, in nats, here of shape (K, batch).
"""

import math

import torch
from torch import Tensor

from tune_ad.detectors import gaussian


def log_mean_exp(values: Tensor) -> Tensor:
    r"""$\log \frac1K \sum_k \exp v_k$ over the first dimension, shape (batch,)."""
    return values.logsumexp(0) - math.log(len(values))


def bound(log_weights: Tensor, alpha: float) -> Tensor:
    r"""The Rényi bound $\frac{1}{1-\alpha} \log \frac1K \sum_k w_k^{1-\alpha}$, shape (batch,).

    Its gradient weighs the codes by softmax$((1 - \alpha) \log w)$: 1 gives the ELBO (their
    mean), 0 the IWAE bound, and between the two it falls as alpha grows. Sources: Li and Turner,
    arXiv 1602.02311, section 3; Burda et al., arXiv 1509.00519, equation 8.
    """
    if alpha == 1:
        return log_weights.mean(0)
    return log_mean_exp((1 - alpha) * log_weights) / (1 - alpha)


def normalised(
    log_weights: Tensor,
    power: float = 1.0,
    truncated: bool = False,
    log_ratio: Tensor | None = None,
) -> Tensor:
    r"""Weights $\tilde w_k \propto (p/q)^\tau q/r$ that sum to 1 over K, shape (K, batch).

    Where the codes come from q itself, r = q and this is $w_k^\tau$.

    Args:
        log_weights: $\log p - \log r$, shape (K, batch).
        power: tau; 1 is the forward KL, 2 the chi-square divergence, below 1 is tempered.
        log_ratio: $\log q - \log r$ of the codes, the same shape; None where r = q.
        truncated: cut each weight at $\sqrt K$ times their mean (Ionides 2008, truncated
            importance sampling), which trades variance for bias.
    """
    powered = power * log_weights
    if log_ratio is not None:
        powered = powered + (1 - power) * log_ratio
    if truncated:
        powered = torch.minimum(powered, log_mean_exp(powered) + 0.5 * math.log(len(powered)))
    return powered.softmax(0)


def effective_share(weights: Tensor) -> Tensor:
    r"""Effective sample size over K, $1 / (K \sum_k \tilde w_k^2)$ in [1/K, 1], shape (batch,).

    Near 1/K, a single code carries the whole weight.
    """
    return 1 / (len(weights) * weights.square().sum(0))


def wake_loss(log_density: Tensor, weights: Tensor) -> Tensor:
    r"""$-\sum_k \tilde w_k \log q(z_k|x)$ of shape (batch,); nothing flows through the weights.

    Its gradient estimates that of $KL(p(z|x) \| q(z|x))$ with bias O(1/K); with K = 1 it is
    zero in expectation. Source: Bornschein and Bengio, arXiv 1406.2751, section 3.3.

    Args:
        log_density: $\log q(z_k|x)$ of codes through which no gradient flows, shape (K, batch).
        weights: as from `normalised`.
    """
    return -(weights.detach() * log_density).sum(0)


def forward_kl(log_weights: Tensor) -> Tensor:
    r"""An estimate of $KL(p(z|x) \| r(z|x))$ in nats, in [0, log K], shape (batch,).

    It is $\sum_k \tilde w_k (\log w_k - \log \frac1K \sum_l w_l)$; the mean makes up for the
    unknown likelihood in the weights.
    """
    return (log_weights.softmax(0) * (log_weights - log_mean_exp(log_weights))).sum(0)


def log_normal(codes: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""$\log N(z; \mu, \sigma^2)$ in nats, summed over the last dimension."""
    squares = (codes - mean).square() * (-log_variance).exp()
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)


def log_prior(codes: Tensor) -> Tensor:
    r"""$\log N(z; 0, I)$ in nats, summed over the last dimension."""
    return -0.5 * (codes.square() + math.log(2 * math.pi)).sum(-1)


def propose(
    mean: Tensor, log_variance: Tensor, normal: Tensor, uniform: Tensor | None, defensive: float
) -> tuple[Tensor, Tensor]:
    r"""Codes from $r = (1 - \lambda) q + \lambda p(z)$ and $\log r$ of them.

    A defensive share of the prior keeps the weights bounded where q is too narrow (Hesterberg
    1995). With lambda = 0 the proposal is q.

    Args:
        mean: of q, shape (batch, J).
        log_variance: of q, the same shape.
        normal: standard normal, shape (K, batch, J).
        uniform: on [0, 1), shape (K, batch); None if lambda is 0.
        defensive: lambda, in [0, 1).

    Returns:
        codes of shape (K, batch, J), and their log-density of shape (K, batch).
    """
    codes = gaussian.codes(mean, log_variance, normal)
    if uniform is None or defensive == 0:
        return codes, log_normal(codes, mean, log_variance)
    codes = torch.where((uniform < defensive).unsqueeze(-1), normal, codes)
    own = math.log1p(-defensive) + log_normal(codes, mean, log_variance)
    return codes, torch.logaddexp(own, math.log(defensive) + log_prior(codes))
