"""Counted operations are those that PyTorch counts, without loading its compiler."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.detectors.cases import COLOUR, GREY, small
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import TrainedDetector, skeleton
from tune_ad.detectors.operations import COUNTED_IMAGES, counted, epoch_operations

TRAINED = [d for d in every_detector().values() if issubclass(d, TrainedDetector)]


@pytest.mark.parametrize("shape", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("detector", TRAINED, ids=lambda detector: detector.__name__)
def test_the_operations_of_a_detector_are_those_that_pytorch_counts(detector, shape):
    module = skeleton(detector, small(detector, shape), shape)
    for stage in module.stages():
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            images = torch.empty(COUNTED_IMAGES, *shape)
            for phase in stage.phases:
                draws = module.noise(phase.name, COUNTED_IMAGES)
                noise = {name: torch.empty(draw.shape) for name, draw in draws.items()}
                module.terms(phase.name, images, noise)
        assert 0 < epoch_operations(module, stage) == counter.get_total_flops() / COUNTED_IMAGES


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False),
        nn.Linear(5, 7),
        nn.Linear(5, 7, bias=False),
        nn.MultiheadAttention(5, 1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_operations_of_a_layer_are_those_that_pytorch_counts(layer):
    layer = layer.to("meta")
    images = torch.empty((3, 4, 9, 5), device="meta")
    if isinstance(layer, nn.MultiheadAttention):
        images = images[:, 0]
    inputs = [images] * (3 if isinstance(layer, nn.MultiheadAttention) else 1)
    with FlopCounterMode(display=False) as counter:
        layer(*inputs)
    assert 0 < counted(lambda: layer(*inputs)) == counter.get_total_flops()


@pytest.mark.slow
def test_counting_loads_neither_the_compiler_of_pytorch_nor_pandas():
    program = """
import sys
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import TrainedDetector, skeleton
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import forward_operations
shape = ImageShape(3, 32, 32)
for detector in every_detector().values():
    if issubclass(detector, TrainedDetector):
        module = skeleton(detector, detector.Config.released(shape, epochs=1), shape)
        assert forward_operations(module) > 0
loaded = {"torch._dynamo", "torch.utils.flop_counter", "pandas", "sympy", "sklearn"}
assert not loaded & set(sys.modules), loaded & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
