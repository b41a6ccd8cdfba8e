"""Refuses a last batch of one image where batch normalisation needs several."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from tune_ad.detectors.base import Detector
from tune_ad.detectors.nets.running_statistics import BATCH_NORMS
from tune_ad.detectors.operations import COUNTED_IMAGES, forward_passes
from tune_ad.detectors.schedule import FILLED, Stage
from tune_ad.errors import UserError


def check_last_batch(
    module: Detector[Any],
    images: Collection[int],
    batches: Sequence[Mapping[str, Any]] = ({},),
) -> None:
    """Check that every batch has as many images as batch normalisation needs.

    Args:
        module: a detector on the meta device, as from `tune_ad.detectors.base.skeleton`.
        images: the numbers of training images of its models.
        batches: values of `batch_size` and `last_batch` that replace those of the module.

    Raises:
        UserError: if a batch has one image, and a layer then one value per channel.
    """
    for declared, batch in itertools.product(module.stages(), batches):
        stage = replace(declared, **batch)
        single = [n for n in images if stage.images_in_last_batch(n) == 1]
        if not single or not normalises_single_values(module, stage):
            continue
        size = stage.batch_size
        if stage.last_batch == FILLED:
            fault, remedy = f"a batch has one image (batch_size {size})", "use at least 2"
        else:
            fault = f"of {single[0]:,} training images, one is left for the last batch of {size}"
            remedy = "use another batch_size, another number of images, or last_batch=filled"
        raise UserError(
            f"{type(module).__name__}: {fault}, and batch normalisation needs more than one value "
            f"per channel; {remedy}"
        )


def normalises_single_values(module: Detector[Any], stage: Stage) -> bool:
    """Whether a layer of batch normalisation has one value per image and channel.

    Args:
        module: as in `check_last_batch`.
        stage: one of its stages.
    """
    single: list[bool] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        maps = inputs[0]
        single.append(layer.training and maps.numel() == COUNTED_IMAGES * maps.shape[1])

    layers = [layer for layer in module.modules() if isinstance(layer, BATCH_NORMS)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        forward_passes(module, stage)
    finally:
        for hook in hooks:
            hook.remove()
    return any(single)
