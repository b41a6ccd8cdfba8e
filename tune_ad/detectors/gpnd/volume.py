"""Jacobians of networks for a batch, and the logarithms of their volumes.

The networks must be in evaluation mode. Then each image depends only on its own code, and each
code only on its own image, so that one directional derivative serves a whole batch; `vmap`
computes the derivatives in all directions at once.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp, vjp

from tune_ad.detectors.portions import Portion

Network = Callable[[Tensor], Tensor]
DERIVATIVES_AT_ONCE = Portion(cpu=256, gpu=8192)
FLOAT32_RESOLUTION = 2.0**-23  # relative resolution


def decoder_log_volumes(decoder: Network, codes: Tensor) -> Tensor:
    """The log-volume of a decoder's Jacobian at each code, shape (batch,), float64, no unit.

    Args:
        decoder: a function from codes to images.
        codes: codes, shape (batch, latent_dim).
    """
    chunks = codes.split(DERIVATIVES_AT_ONCE.rows(codes.device, codes.shape[1]))
    return torch.cat([log_volume(forward_jacobian(decoder, chunk)) for chunk in chunks])


def encoder_log_volumes(encoder: Network, images: Tensor, latent_dim: int) -> Tensor:
    """The log-volume of an encoder's Jacobian at each image, shape (batch,), float64, no unit.

    Args:
        encoder: a function from images to codes.
        images: images, shape (batch, c, h, w).
        latent_dim: length of a code.
    """
    chunks = images.split(DERIVATIVES_AT_ONCE.rows(images.device, latent_dim))
    return torch.cat([log_volume(reverse_jacobian(encoder, c, latent_dim)) for c in chunks])


@torch.no_grad()
def forward_jacobian(decoder: Network, codes: Tensor) -> Tensor:
    """Derivatives of the pixels with respect to each coordinate of a code, in forward mode.

    Args:
        decoder: a function from codes to images.
        codes: codes, shape (batch, latent_dim).

    Returns:
        the transposed Jacobians, shape (batch, latent_dim, c h w).
    """

    def derivative_along(direction: Tensor) -> Tensor:
        derivative: Tensor = jvp(decoder, (codes,), (direction.expand_as(codes),))[1]
        return derivative

    with warnings.catch_warnings():
        # PyTorch 2.11 and later use a deprecated function when they load rules of forward mode.
        warnings.filterwarnings("ignore", message=".*torch.jit.script")
        derivatives = torch.vmap(derivative_along)(unit_vectors(codes.shape[1], codes))
    return derivatives.transpose(0, 1).flatten(2)


@torch.no_grad()
def reverse_jacobian(encoder: Network, images: Tensor, latent_dim: int) -> Tensor:
    """Derivatives of each coordinate of a code with respect to the pixels, in reverse mode.

    Args:
        encoder: a function from images to codes.
        images: images, shape (batch, c, h, w).
        latent_dim: length of a code.

    Returns:
        the Jacobians, shape (batch, latent_dim, c h w).
    """
    pullback = vjp(encoder, images)[1]

    def derivative_of(direction: Tensor) -> Tensor:
        derivative: Tensor = pullback(direction.expand(len(images), -1))[0]
        return derivative

    derivatives = torch.vmap(derivative_of)(unit_vectors(latent_dim, images))
    return derivatives.transpose(0, 1).flatten(2)


def unit_vectors(count: int, like: Tensor) -> Tensor:
    """The unit vectors as rows, shape (count, count), with the type and device of `like`."""
    return torch.eye(count, dtype=like.dtype, device=like.device)


def log_volume(jacobian: Tensor) -> Tensor:
    r"""The sum of the logarithms of the singular values of each matrix, shape (batch,), float64.

    It is $\frac12 \log\det(J J^T + \delta I)$, computed from a Cholesky factor in float64, for J
    with at least as many columns as rows. In float32, squares of singular values below
    $\delta = (2^{-23} \lVert J \rVert_F)^2$ cannot be distinguished from 0; adding $\delta$ keeps
    the result finite for a Jacobian without full rank.

    Args:
        jacobian: matrices of shape (batch, rows, columns), rows <= columns, float32 or float64.
    """
    matrices = jacobian.double()
    gram = matrices @ matrices.mT
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    floor = FLOAT32_RESOLUTION**2 * trace + torch.finfo(gram.dtype).tiny
    raised = gram + floor[..., None, None] * unit_vectors(gram.shape[-1], gram)
    factors: Tensor = torch.linalg.cholesky_ex(raised).L
    return factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
