"""Dropout masks, and the exact expectation of an exponential under dropout."""

import math
from typing import Any

import torch
from torch import Tensor

from tune_ad.detectors.portions import Portion

PRODUCTS_AT_ONCE = Portion(cpu=1 << 18, gpu=1 << 24)


def dropout_mask(uniform: Tensor, dropout: float) -> Tensor:
    """Dropout masks with mean 1: each entry is 0 or 1 / (1 - dropout).

    Args:
        uniform: random numbers on [0, 1), with the shape of the result.
        dropout: probability of a 0, in [0, 1).
    """
    return (uniform >= dropout).to(uniform.dtype) / (1 - dropout)


def exponential_excess(features: Tensor, weight: Tensor, dropout: float) -> Tensor:
    r"""$\log E[e^{v_j}] - E[v_j]$ of the output v of a linear layer with dropout on its input.

    With $a_{jk} = h_k W_{jk} / (1-p)$ it is
    $\sum_k [\log(p + (1-p) e^{a_{jk}}) - (1-p) a_{jk}]$.
    Only a part of the (batch, J, F) products is in memory at a time, also for the gradient.

    Args:
        features: h, the features, shape (batch, F).
        weight: W, the weights of the layer, shape (J, F).
        dropout: p, in (0, 1).

    Returns:
        shape (batch, J), at least 0.
    """
    excess: Tensor = ExponentialExcess.apply(features, weight, dropout)
    return excess


class ExponentialExcess(torch.autograd.Function):
    """`exponential_excess` with its gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(features: Tensor, weight: Tensor, dropout: float) -> Tensor:
        """The sum over k, in a form that does not overflow for either sign of a."""
        sums = []
        for chunk in feature_chunks(features, weight):
            products = chunk[:, None, :] * (weight / (1 - dropout))
            share = torch.full_like(products, 1 - dropout).masked_fill(products > 0, dropout)
            size = products.abs()
            sums.append((share * size + (share * (-size).expm1()).log1p()).sum(2).clamp(min=0))
        return torch.cat(sums)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:  # noqa: ANN401
        """Save the arguments for the gradient."""
        features, weight, ctx.dropout = inputs
        ctx.save_for_backward(features, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        r"""The gradient; the derivative with respect to $a_{jk}$ is $\sigma(a_{jk} + l) - (1-p)$.

        Here $l = \log((1-p) / p)$.
        """
        features, weight = ctx.saved_tensors
        keep, log_odds = 1 - ctx.dropout, math.log((1 - ctx.dropout) / ctx.dropout)
        feature_gradients, weight_gradient = [], torch.zeros_like(weight)
        chunks = feature_chunks(features, weight)
        gradients = gradient.split([len(chunk) for chunk in chunks])
        for chunk, outer in zip(chunks, gradients, strict=True):
            products = chunk[:, None, :] * (weight / keep)
            slopes = outer[:, :, None] * ((products + log_odds).sigmoid() - keep)
            feature_gradients.append((slopes * weight).sum(1) / keep)
            weight_gradient = weight_gradient + (slopes * chunk[:, None, :]).sum(0) / keep
        return torch.cat(feature_gradients), weight_gradient, None


def feature_chunks(features: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """The features in chunks whose products with the weights fit into memory."""
    size = PRODUCTS_AT_ONCE.rows(features.device, weight.numel())
    chunks: tuple[Tensor, ...] = features.split(size)
    return chunks
