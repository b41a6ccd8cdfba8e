r"""Importance weights of codes, for likelihood bounds and for training by forward KL.

Codes $z_k$, $k = 1 \dots K$, are drawn from a proposal $r(z|x)$. Their log-weights are
$\log w_k = \log p(x|z_k) + \log p(z_k) - \log r(z_k|x)$, in nats, of shape (K, batch).
"""

import math

import torch
from torch import Tensor


def log_mean_exp(values: Tensor) -> Tensor:
    r"""$\log \frac1K \sum_k \exp v_k$ of values (K, batch): shape (batch,)."""
    return values.logsumexp(0) - math.log(len(values))


def bound(log_weights: Tensor, alpha: float) -> Tensor:
    r"""The Rényi bound $\frac{1}{1-\alpha} \log \frac1K \sum_k w_k^{1-\alpha}$ of $\log p(x)$.

    $\alpha = 1$ gives the ELBO, the mean of the log-weights, and 0 the IWAE bound; in between, the
    bound decreases in $\alpha$. Its gradient weights codes by softmax$((1 - \alpha) \log w)$.

    Sources: Li and Turner, arXiv 1602.02311, section 3; Burda et al., arXiv 1509.00519,
    equation 8.

    Args:
        log_weights: $\log w_k$, shape (K, batch).
        alpha: $\alpha$, at most 1.

    Returns:
        the bound, shape (batch,), in nats.
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
    r"""Self-normalised weights $\tilde w_k \propto (p/q)^\tau q/r$, whose sum over K is 1.

    If the codes are sampled from the encoder's density q, then r = q, and the weights are
    proportional to $w_k^\tau$.

    Args:
        log_weights: $\log w_k = \log p - \log r$, shape (K, batch).
        power: $\tau$; 1 for the forward KL, 2 for the chi-square divergence, below 1 to flatten
            the weights.
        truncated: whether each weight is truncated at $\sqrt K$ times their mean (truncated
            importance sampling, Ionides 2008), which reduces the variance and adds bias.
        log_ratio: $\log q - \log r$ of the codes, shape (K, batch); None if r = q.

    Returns:
        the weights, shape (K, batch), in [0, 1].
    """
    powered = power * log_weights
    if log_ratio is not None:
        powered = powered + (1 - power) * log_ratio
    if truncated:
        powered = torch.minimum(powered, log_mean_exp(powered) + 0.5 * math.log(len(powered)))
    return powered.softmax(0)


def effective_share(weights: Tensor) -> Tensor:
    r"""The effective sample size over K, $1 / (K \sum_k \tilde w_k^2)$, shape (batch,).

    It lies in [1/K, 1]. Near 1/K, a single code has almost all the weight.

    Args:
        weights: $\tilde w_k$, the result of `normalised`, shape (K, batch).
    """
    return 1 / (len(weights) * weights.square().sum(0))


def wake_loss(log_density: Tensor, weights: Tensor) -> Tensor:
    r"""The wake loss $-\sum_k \tilde w_k \log q(z_k|x)$ of the encoder: (batch,), in nats.

    Its gradient estimates that of $KL(p(z|x) \| q(z|x))$ with bias O(1/K); with K = 1 it is
    zero in expectation. Source: Bornschein and Bengio, arXiv 1406.2751, section 3.3.

    Args:
        log_density: $\log q(z_k|x)$ of codes without gradient, shape (K, batch).
        weights: the result of `normalised`, shape (K, batch); they receive no gradient.
    """
    return -(weights.detach() * log_density).sum(0)


def forward_kl(log_weights: Tensor) -> Tensor:
    r"""An estimate of $KL(p(z|x) \| r(z|x))$ in nats, in [0, log K], shape (batch,).

    It is $\sum_k \tilde w_k (\log w_k - \log \frac1K \sum_l w_l)$, where the second term estimates
    the unknown $\log p(x)$.

    Args:
        log_weights: $\log w_k$, shape (K, batch).
    """
    return (log_weights.softmax(0) * (log_weights - log_mean_exp(log_weights))).sum(0)


def log_prior(codes: Tensor) -> Tensor:
    r"""$\log N(z; 0, I)$ of codes (..., J), summed over J: shape (...), in nats."""
    return -0.5 * (codes.square() + math.log(2 * math.pi)).sum(-1)
