"""How a network stretches volumes: batched Jacobians and the logarithms of their volumes.

The networks are in evaluation mode: there an image depends on its own code alone, and a code on
its own image, so that one direction serves a whole batch, and `vmap` takes all directions at once.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp, vjp

Network = Callable[[Tensor], Tensor]
AT_ONCE = {"cpu": 256, "cuda": 65536}  # derivatives of one image: fits a cache, fills a GPU
RESOLUTION = 2.0**-23  # relative, of float32


def decoder_log_volumes(decoder: Network, codes: Tensor) -> Tensor:
    """The log-volume of a decoder's Jacobian at each code, shape (batch,), float64.

    Args:
        decoder: from codes to images.
        codes: shape (batch, latent_dim).
    """
    parts = codes.split(portion(codes, codes.shape[1]))
    return torch.cat([log_volume(forward_jacobian(decoder, each)) for each in parts])


def encoder_log_volumes(encoder: Network, images: Tensor, latent_dim: int) -> Tensor:
    """The log-volume of an encoder's Jacobian at each image, shape (batch,), float64.

    Args:
        encoder: from images to codes.
        images: shape (batch, c, h, w).
        latent_dim: length of a code.
    """
    parts = images.split(portion(images, latent_dim))
    return torch.cat([log_volume(reverse_jacobian(encoder, each, latent_dim)) for each in parts])


def portion(like: Tensor, directions: int) -> int:
    """Images to take at once, given the directions of each."""
    return max(1, AT_ONCE[like.device.type] // directions)


@torch.no_grad()
def forward_jacobian(decoder: Network, codes: Tensor) -> Tensor:
    """Derivatives of the pixels by each coordinate of a code, in forward mode.

    Args:
        decoder: from codes to images.
        codes: shape (batch, latent_dim).

    Returns:
        shape (batch, latent_dim, c h w): the Jacobian, transposed.
    """

    def pushed(direction: Tensor) -> Tensor:
        derivative: Tensor = jvp(decoder, (codes,), (direction.expand_as(codes),))[1]
        return derivative

    with warnings.catch_warnings():
        # PyTorch 2.11 and later load their own rules of forward mode by what they deprecate.
        warnings.filterwarnings("ignore", message=".*torch.jit.script")
        derivatives = torch.vmap(pushed)(directions(codes.shape[1], codes))
    return derivatives.transpose(0, 1).flatten(2)


@torch.no_grad()
def reverse_jacobian(encoder: Network, images: Tensor, latent_dim: int) -> Tensor:
    """Derivatives of each coordinate of a code by the pixels, in reverse mode.

    Args:
        encoder: from images to codes.
        images: shape (batch, c, h, w).
        latent_dim: length of a code.

    Returns:
        shape (batch, latent_dim, c h w): the Jacobian.
    """
    pull = vjp(encoder, images)[1]

    def pulled(direction: Tensor) -> Tensor:
        derivative: Tensor = pull(direction.expand(len(images), -1))[0]
        return derivative

    derivatives = torch.vmap(pulled)(directions(latent_dim, images))
    return derivatives.transpose(0, 1).flatten(2)


def directions(count: int, like: Tensor) -> Tensor:
    """The unit vectors of a space, shape (count, count)."""
    return torch.eye(count, dtype=like.dtype, device=like.device)


def log_volume(jacobian: Tensor) -> Tensor:
    r"""The sum of the logarithms of the singular values of each matrix, shape (batch,), float64.

    It is $\frac12 \log\det(J J^T + \delta I)$ by Cholesky factors in float64, for J with at
    least as many columns as rows. The floor $\delta = (2^{-23} \lVert J \rVert_F)^2$ is what
    float32 derivatives cannot tell from 0: it keeps a map that loses a dimension finite.

    Args:
        jacobian: shape (batch, rows, columns), rows <= columns, float32 or float64.
    """
    matrices = jacobian.double()
    gram = matrices @ matrices.mT
    floor = RESOLUTION**2 * gram.diagonal(dim1=-2, dim2=-1).sum(-1) + torch.finfo(gram.dtype).tiny
    raised = gram + floor[..., None, None] * directions(gram.shape[-1], gram)
    factors: Tensor = torch.linalg.cholesky_ex(raised).L
    return factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
