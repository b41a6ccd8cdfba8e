"""How the replicas of a configuration are trained: in which precision, and how many together.

No other module decides this. The reasons are measurements of training on one thread of an AMD EPYC
with bfloat16 instructions, in images per second:

- Together: a step of several replicas costs less than their single steps if the networks are
  small, because much of their time is then spent outside the arithmetic: PGN on MNIST (0.7 million
  operations per image) 12,200 alone and 14,800, 15,900 and 16,800 with 2, 3 and 6 replicas; with 6
  replicas instead of one, Deep SVDD 18,300 instead of 13,900, AE 9,400 (7,900), VAE 8,600 (7,200),
  AAE 6,400 (5,000), GPND 2,300 (2,180), a likelihood VAE of width 1/4 with 20 images per batch
  5,580 (3,850). Large networks gain nothing or lose: GPND of width 2 (13 million operations) 1,350
  instead of 1,460, a likelihood VAE with categorical pixels (18 million) 320 instead of 530, PGN
  on CIFAR-10 (67 million) 913 alone, 898, 924 and 890 with 2, 4 and 8 replicas.
- Scored together: never on a CPU. Without gradients the layers of one replica already work in its
  cache: PGN on MNIST 34,400 alone, 15,900 with 3; AE 22,300 and 13,000.
- bfloat16: where the arithmetic takes most of the time it pays, PGN on CIFAR-10 1,516 instead of
  913. On grey images single replicas gain, but stacks hardly or not at all.

On a GPU, where a single small network leaves most of the device idle, all replicas are trained
together, as far as they fit into its memory (`device_memory`). That has not been measured.
"""

from typing import Any, NamedTuple

import torch

from tune_ad.detectors.base import Detector, ScoreSpace, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import epoch_operations
from tune_ad.storage.precision import AUTO, BFLOAT16, FLOAT32
from tune_ad.training.replicas.device_memory import available, footprint, left

SMALL_ON_A_CPU, SCORED_ON_A_CPU, ON_A_GPU = 6, 1, 256
"""The maximum numbers of replicas that are trained or scored together. On a GPU memory sets a
lower one for most configurations (`limits`)."""
SMALL_OPERATIONS = 10e6
"""Operations of the forward passes of an image, up to which networks count as small."""
CPU_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""PyTorch's names of the bfloat16 instructions of x86 and ARM processors."""


class Load(NamedTuple):
    """What is trained and scored.

    Attributes:
        detector: the class of the detector.
        config: the configuration of every replica.
        shape: the shape of the images.
        score_space: further values of score-time parameters to score with.
        replicas: number of replicas.
        images: bytes of the images of all tasks.
    """

    detector: type[Detector[Any]]
    config: Config
    shape: ImageShape
    score_space: ScoreSpace
    replicas: int
    images: int


class Limits(NamedTuple):
    """How many replicas and images a device processes at the same time.

    Attributes:
        trained: the maximum number of replicas that are trained together, at least 1.
        scored: the maximum number of replicas that are scored together, at least 1.
        images: the maximum number of images, summed over the replicas that are scored together,
            that are scored at once; None on a CPU, where the cache decides, not the memory.
    """

    trained: int
    scored: int
    images: int | None = None


def limits(load: Load, device: str, share: float = 1.0) -> Limits:
    """How many replicas are trained and scored together, and how many images at once.

    On a GPU they are as many as fit into its memory besides the weights and the images.

    Args:
        load: what is trained and scored.
        device: "cpu" or "cuda".
        share: the share of the memory of the GPU that the process may use, in (0, 1].
    """
    module = skeleton(load.detector, load.config, load.shape)
    trained, scored = trained_together(module, device), scored_together(device)
    if device != "cuda":
        return Limits(trained, scored)
    one = footprint(load.detector, load.config, load.shape, load.score_space)
    memory = left(one, load.replicas, load.images, available(share))
    if one.step:
        trained = max(1, min(trained, memory // one.step))
    scored = min(scored, load.replicas, one.scored_together(memory))
    return Limits(min(trained, load.replicas), scored, one.scored_at_once(memory, scored))


def resolved_precision(
    wanted: str, detector: type[Detector[Any]], shape: ImageShape, is_faster: bool
) -> str:
    """The precision in which a detector is trained, one of `PRECISIONS`.

    "auto" is bfloat16 unless `why_float32` gives a reason.

    Args:
        wanted: "auto" or one of `PRECISIONS`.
        detector: the class of the detector.
        shape: the shape of the images.
        is_faster: whether the machine that trains is faster in bfloat16 on colour images.
    """
    if wanted != AUTO:
        return wanted
    return FLOAT32 if why_float32(detector, shape, is_faster) else BFLOAT16


def why_float32(
    detector: type[Detector[Any]], shape: ImageShape, is_faster: bool, device: str = "cpu"
) -> str:
    """Why "auto" trains a detector in float32, in a clause; empty if it chooses bfloat16.

    Args:
        detector: the class of the detector.
        shape: the shape of the images.
        is_faster: whether the machine that trains is faster in bfloat16 on colour images.
        device: "cpu" or "cuda": the device of that machine, for the wording.
    """
    if not shape.is_colour:
        return "grey images are not trained on faster in bfloat16"
    if not is_faster and device == "cuda":
        return "bfloat16 has not been measured on a GPU"
    if not is_faster:
        return "this machine has no instructions for bfloat16"
    if not detector.equivalent_in_bfloat16:
        return f"{detector.__name__} has not been shown to detect as well in bfloat16"
    return ""


def bfloat16_is_faster(device: str) -> bool:
    """Whether colour images are known to be trained on faster in bfloat16 on this machine.

    A processor needs instructions for it; a machine without them can train in bfloat16, too, but
    slowly. On a GPU this has not been measured. If a cluster trains, this is the machine from
    which the study is started: all nodes must train in the same precision.

    Args:
        device: "cpu" or "cuda".
    """
    if device == "cuda":
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in CPU_INSTRUCTIONS)


def scored_together(device: str) -> int:
    """The maximum number of replicas that are scored together, at least 1.

    Args:
        device: "cpu" or "cuda".
    """
    return ON_A_GPU if device == "cuda" else SCORED_ON_A_CPU


def trained_together(module: Detector[Any], device: str) -> int:
    """The maximum number of replicas that are trained together, at least 1.

    Args:
        module: a detector on the meta device, as from `tune_ad.detectors.base.skeleton`.
        device: "cpu" or "cuda".
    """
    stages = module.stages()
    if not stages:  # it is only fitted
        return 1
    if device == "cuda":
        return ON_A_GPU
    most = max(epoch_operations(module, stage) for stage in stages)
    return SMALL_ON_A_CPU if most <= SMALL_OPERATIONS else 1
