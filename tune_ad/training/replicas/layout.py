"""In which order the values of parameters and gradients lie in memory.

Convolutions have their channels last. The matrix of a linear layer is stored column by column,
because that is how its gradient comes out of a batched product; bringing the gradient into another
order took half of a training step of colour networks in stacks.
"""

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

MATRIX = 2  # number of axes
Module = TypeVar("Module", bound=nn.Module)


def in_training_layout(module: Module) -> Module:
    """The module, with the values of its parameters in the order in which they are trained."""
    module = module.to(memory_format=torch.channels_last)
    for parameter in module.parameters():
        if parameter.dim() == MATRIX:
            parameter.data = parameter.data.T.contiguous().T
    return module


def like(gradients: Iterable[Tensor | None], leaves: Iterable[Tensor]) -> list[Tensor | None]:
    """The gradients in the memory layout of their parameters, as the kernel of Adam needs them."""
    return [
        gradient
        if gradient is None or gradient.stride() == leaf.stride()
        else torch.empty_like(leaf).copy_(gradient)
        for gradient, leaf in zip(gradients, leaves, strict=True)
    ]


def in_memory_order(tensor: Tensor) -> Tensor:
    """A view of shape (n,) of the n values of a tensor without gaps, as they lie in memory.

    The kernel of Adam copies a tensor that is stored in another order than that of its axes.
    """
    return tensor.as_strided((tensor.numel(),), (1,))
