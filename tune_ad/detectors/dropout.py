"""The expectation of an exponential under dropout, exactly."""

import math
from typing import Any

import torch
from torch import Tensor

CHUNK = {"cpu": 1 << 18, "cuda": 1 << 24}  # products held at once: fits a cache, fills a GPU


def exponential_excess(features: Tensor, weight: Tensor, dropout: float) -> Tensor:
    r"""By how much dropout before a linear layer raises the log-mean of its exponential.

    With $a_{jk} = h_k W_{jk} / (1-p)$:
    $\log E[e^{v_j}] - E[v_j] = \sum_k [\log(p + (1-p) e^{a_{jk}}) - (1-p) a_{jk}]$.
    The (batch, J, F) products exist by chunks of the batch only, also in the gradient.

    Args:
        features: h, shape (batch, F).
        weight: of the layer, shape (J, F).
        dropout: p, in (0, 1).

    Returns:
        shape (batch, J), >= 0.
    """
    excess: Tensor = ExponentialExcess.apply(features, weight, dropout)
    return excess


class ExponentialExcess(torch.autograd.Function):
    """`exponential_excess` with its gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(features: Tensor, weight: Tensor, dropout: float) -> Tensor:
        """The sum over k, by the formula that does not overflow on the side of a's sign."""
        sums = []
        for chunk in chunks(features, weight):
            products = chunk[:, None, :] * (weight / (1 - dropout))
            share = torch.full_like(products, 1 - dropout).masked_fill(products > 0, dropout)
            size = products.abs()
            sums.append((share * size + (share * (-size).expm1()).log1p()).sum(2).clamp(min=0))
        return torch.cat(sums)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:  # noqa: ANN401
        """Keep the arguments."""
        features, weight, ctx.dropout = inputs
        ctx.save_for_backward(features, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        """The derivative by $a_{jk}$ is the tilted chance of keeping feature k, less 1 - p."""
        features, weight = ctx.saved_tensors
        kept, odds = 1 - ctx.dropout, math.log((1 - ctx.dropout) / ctx.dropout)
        rows, by_weight = [], torch.zeros_like(weight)
        pieces = chunks(features, weight)
        for chunk, outer in zip(pieces, gradient.split([len(p) for p in pieces]), strict=True):
            products = chunk[:, None, :] * (weight / kept)
            slopes = outer[:, :, None] * ((products + odds).sigmoid() - kept)
            rows.append((slopes * weight).sum(1) / kept)
            by_weight = by_weight + (slopes * chunk[:, None, :]).sum(0) / kept
        return torch.cat(rows), by_weight, None


def chunks(features: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """The features in portions whose products with the weights are few enough to be held."""
    size = CHUNK["cuda" if features.is_cuda else "cpu"]
    portions: tuple[Tensor, ...] = features.split(max(1, size // weight.numel()))
    return portions
