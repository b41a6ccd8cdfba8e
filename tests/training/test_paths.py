"""How replicas are trained: in which precision, and how many together."""

from types import MappingProxyType

import pytest
import torch

from tests.detectors.cases import CIFAR, COLOUR, GREY, MNIST
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import skeleton
from tune_ad.detectors.pgn import PGN
from tune_ad.training.replicas.paths import (
    bfloat16_is_faster,
    resolved_precision,
    trained_together,
)


class Equivalent(PGN):
    """A detector of which it has been shown that bfloat16 is good enough."""

    equivalent_in_bfloat16 = True


class Unproven(PGN):
    """A detector of which nothing has been shown."""

    equivalent_in_bfloat16 = False


@pytest.mark.parametrize("has_instructions", [True, False])
@pytest.mark.parametrize("shape", [GREY, COLOUR, MNIST, CIFAR])
@pytest.mark.parametrize("detector", [Equivalent, Unproven])
def test_bfloat16_is_chosen_only_where_it_is_equivalent_and_faster(
    detector, shape, has_instructions
):
    chosen = resolved_precision("auto", detector, shape, has_instructions)
    is_best = detector is Equivalent and shape.is_colour and has_instructions
    assert chosen == ("bfloat16" if is_best else "float32")
    for wanted in ("float32", "bfloat16"):
        assert resolved_precision(wanted, detector, shape, has_instructions) == wanted


def test_a_detector_is_not_equivalent_unless_it_says_so():
    assert all(
        detector.equivalent_in_bfloat16 is ("equivalent_in_bfloat16" in vars(detector))
        for detector in every_detector().values()
    )


@pytest.mark.parametrize(
    ("capabilities", "has_instructions"),
    [
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "avx512_f": True}, False),
        ({"architecture": "aarch64", "bf16": True, "neon": True}, True),
        ({"architecture": "aarch64", "sve_bf16": True}, True),
        ({"architecture": "aarch64", "bf16": False, "neon": True}, False),
        ({"architecture": "riscv64"}, False),
    ],
)
def test_a_processor_has_bfloat16_instructions_or_not(monkeypatch, capabilities, has_instructions):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: MappingProxyType(capabilities))
    assert bfloat16_is_faster("cpu") is has_instructions


def test_on_a_gpu_nothing_has_been_measured():
    assert not bfloat16_is_faster("cuda")


def together(name, shape, device="cpu", **settings):
    detector = every_detector()[name]
    config = detector.Config.released(shape, **settings)
    return trained_together(skeleton(detector, config, shape), device)


def test_small_networks_are_trained_in_stacks():
    assert together("PGN", MNIST) == together("AAE", MNIST, width=2.0) == 6
    assert together("GPND", MNIST, networks="lenet") == 6
    assert together("GPND", MNIST) == together("PGN", CIFAR) == 1
    assert together("KDE", MNIST) == together("KDE", MNIST, "cuda") == 1
    assert together("PGN", MNIST, "cuda") == together("PGN", CIFAR, "cuda") >= 100
