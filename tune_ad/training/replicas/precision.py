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


def float32_is_float32() -> None:
    """Make GPUs compute float32 convolutions and matrix products in float32, not in TF32.

    By default cuDNN rounds the factors of float32 convolutions to ten bits (TF32). Scores of a
    trained model can differ by less.
    """
    torch.backends.cudnn.allow_tf32 = False
    # Without these, a setting for the whole process or an environment variable could allow it.
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"


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


class LayersUnderVmap(TorchFunctionMode):
    """Makes layers compute under `torch.vmap` what they compute outside.

    - Autocast changes matrix products under `vmap`, but no convolutions, and `batch_norm` refuses
      bfloat16 maps with statistics in float32. Here convolutions compute in the type of autocast,
      and `batch_norm` in that of its statistics, with a result in the type of its input.
    - On a GPU, affine `batch_norm` chooses cuDNN, which cannot be called under `vmap` for maps
      with channels last. Here it is PyTorch's own kernel.
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
        elif function is functional.batch_norm:
            maps, *others = arguments
            normalised = batch_norm if maps.is_cuda else functional.batch_norm
            if maps.dtype == torch.bfloat16:
                return normalised(maps.float(), *others, **named).to(maps.dtype)
            return normalised(maps, *others, **named)
        return function(*arguments, **named)


def batch_norm(  # noqa: PLR0913 - those of `functional.batch_norm`
    maps: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`functional.batch_norm` by PyTorch's own kernel, never by cuDNN."""
    result: Tensor = torch.native_batch_norm(
        maps, weight, bias, running_mean, running_var, training, momentum, eps
    )[0]
    return result
