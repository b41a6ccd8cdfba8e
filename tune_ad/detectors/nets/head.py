"""The last linear layer of a network, which keeps the precision of its weights."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Context manager: operations keep the type of their arguments, also under autocast.

    Args:
        tensor: a tensor on the device of the operations.
    """
    if tensor.is_meta:
        return nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)


class Head(nn.Linear):
    """A linear layer whose result has the type of its weights, also under autocast.

    The numbers that losses and scores compare come from such layers, because a bfloat16 resolves
    only a 256th of a number. Their share of the operations is small.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Linear functions of features (batch, F), of any type: shape (batch, outputs)."""
        with without_autocast(features):
            return super().forward(features.to(self.weight.dtype))
