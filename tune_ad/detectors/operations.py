"""Counts the floating-point operations of a detector from shapes, without computing them."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tune_ad.detectors.base import Detector
from tune_ad.detectors.schedule import Stage

COUNTED_IMAGES = 2  # batch normalisation needs more than one image


def epoch_operations(module: Detector[Any], stage: Stage) -> int:
    """Operations of the forward passes of two images through every phase of a stage.

    Args:
        module: a detector on the meta device, as from `tune_ad.detectors.base.skeleton`.
        stage: one of its stages.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        images = torch.empty(COUNTED_IMAGES, *module.shape)
        for phase in stage.phases:
            draws = module.noise(phase.name, len(images))
            noise = {name: torch.empty(draw.shape) for name, draw in draws.items()}
            module.terms(phase.name, images, noise)
    return int(counter.get_total_flops())


def forward_operations(module: Detector[Any]) -> float:
    """Operations of the forward passes of one image through every phase of the last stage."""
    return epoch_operations(module, module.stages()[-1]) / COUNTED_IMAGES
