"""Floating-point operations of a detector, counted without numbers."""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tune_ad.detectors.base import Detector
from tune_ad.detectors.schedule import Stage

OPERATED = 2  # images whose operations are counted: batch normalisation takes no single one


def epoch_operations(module: Detector[Any], stage: Stage) -> int:
    """Of the forward passes of a few images through every phase of a stage."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        images = torch.empty(OPERATED, *module.shape)
        for phase in stage.phases:
            wanted = module.noise(phase.name, len(images))
            noise = {name: torch.empty(each.shape) for name, each in wanted.items()}
            module.terms(phase.name, images, noise)
    return int(counter.get_total_flops())


def forward_operations(module: Detector[Any]) -> float:
    """Floating-point operations of a training forward pass of one image in the last stage."""
    return epoch_operations(module, module.stages()[-1]) / OPERATED
