"""The precision in which networks are trained; scores are always computed in float32."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from tune_ad.storage.precision import BFLOAT16

CONVOLUTIONS = (torch.conv2d, torch.conv_transpose2d)


def computed_in(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Context manager: convolutions and linear layers compute in this precision.

    Weights, losses and the state of the optimiser stay in float32 (mixed precision, Micikevicius
    et al., arXiv 1710.03740, without scaling of the loss: the range of bfloat16 is that of
    float32). It must be entered for every step: the weights that autocast has converted are not
    kept, because after an optimiser step they are out of date.

    Args:
        precision: "float32" or "bfloat16".
        device: the device of the operations.
    """
    return torch.autocast(
        device.type, torch.bfloat16, enabled=precision == BFLOAT16, cache_enabled=False
    )


class AutocastUnderVmap(TorchFunctionMode):
    """Does for the layers under `torch.vmap` what PyTorch's autocast does for them outside.

    Under `vmap`, autocast changes matrix products, but no convolutions, and `batch_norm` refuses
    bfloat16 maps with statistics in float32. Here convolutions compute in the type of autocast,
    and `batch_norm` in that of its statistics, with a result in the type of its input. Nothing is
    changed where autocast is disabled.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call a function of PyTorch."""
        named = named or {}
        if function in CONVOLUTIONS:
            kind = arguments[0].device.type
            if torch.is_autocast_enabled(kind):
                dtype = torch.get_autocast_dtype(kind)
                arguments = [a.to(dtype) if isinstance(a, Tensor) else a for a in arguments]
        elif function is functional.batch_norm and arguments[0].dtype == torch.bfloat16:
            maps, *others = arguments
            return function(maps.float(), *others, **named).to(maps.dtype)
        return function(*arguments, **named)
