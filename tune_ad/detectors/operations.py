"""Counts the floating-point operations of a detector, in a pass of two black images.

Passes on the meta device would compute nothing, but PyTorch loads its compiler for them, and so
does `torch.utils.flop_counter`: that takes a second and 50 MB in every process that trains.
"""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from tune_ad.detectors.base import Detector
from tune_ad.detectors.schedule import Stage

COUNTED_IMAGES = 2  # batch normalisation needs more than one image


def epoch_operations(module: Detector[Any], stage: Stage) -> float:
    """Operations of the forward passes of one image through every phase of a stage.

    Args:
        module: a detector on the meta device, as from `tune_ad.detectors.base.skeleton`.
        stage: one of its stages.
    """
    return counted(partial(forward_passes, module, stage)) / COUNTED_IMAGES


def forward_passes(module: Detector[Any], stage: Stage) -> None:
    """Forward passes of `COUNTED_IMAGES` black images through every phase of a stage.

    Args:
        module: a detector on the meta device, in training mode, whose weights count as 0.
        stage: one of its stages.
    """
    tensors = itertools.chain(module.named_parameters(), module.named_buffers())
    state = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in tensors}
    images = torch.zeros(COUNTED_IMAGES, *module.shape)
    for phase in stage.phases:
        draws = module.noise(phase.name, COUNTED_IMAGES)
        noise = {name: torch.zeros(draw.shape) for name, draw in draws.items()}
        functional_call(module, state, ("terms", phase.name, images, noise))


def forward_operations(module: Detector[Any]) -> float:
    """Operations of the forward passes of one image through every phase of the last stage."""
    return epoch_operations(module, module.stages()[-1])


def counted(call: Callable[[], object]) -> int:
    """Operations of the convolutions and matrix products of a call; others count as none.

    A multiplication and its addition are two operations.
    """
    counter = _Counter()
    with counter:
        call()
    return counter.total


class _Counter(TorchDispatchMode):
    """Adds up operations as in `counted`.

    Attributes:
        total: the number of operations so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether the compiler must be told to leave this class alone, for which it is loaded."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run an operator, and count its operations."""
        result = func(*args, **(kwargs or {}))
        if operations := _OPERATIONS.get(func.overloadpacket):
            self.total += operations(args, result)
        return result


def _convolution(args: tuple[Any, ...], result: Tensor) -> int:
    """For every kernel position and every pair of channels of a group, one product and sum.

    Args:
        args: images, weight and bias; then stride, padding, dilation, and whether transposed.
        result: the result of the convolution.
    """
    images, weight, transposed = args[0], args[1], args[6]
    channels = images if transposed else result
    return 2 * len(images) * int(prod(channels.shape[2:])) * int(prod(weight.shape))


def _product(args: tuple[Any, ...], result: Tensor) -> int:
    """For every entry of a matrix product, as many products and sums as the inner size."""
    return 2 * prod(result.shape) * int(args[-1].shape[-2])


_OPERATIONS: Mapping[Any, Callable[[tuple[Any, ...], Tensor], int]] = {
    torch.ops.aten.convolution: _convolution,
    torch.ops.aten.mm: _product,
    torch.ops.aten.addmm: _product,
    torch.ops.aten.bmm: _product,
    torch.ops.aten.baddbmm: _product,
}
