"""The precision in which networks are trained; scores are always computed in float32."""

from contextlib import AbstractContextManager

import torch

from tune_ad.storage.precision import BFLOAT16


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
