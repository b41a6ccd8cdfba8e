"""How much memory of a GPU the replicas of a configuration need, from shapes alone.

Activations are counted by a training step on the meta device, which has shapes but no values: all
tensors that the step keeps for the gradient.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tune_ad.detectors.base import Detector, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape

BYTES = 4  # of a float32
USABLE = 0.9  # share of the memory that is planned with
PROCESS = 3 << 28  # bytes of a process: CUDA context, libraries, their workspaces (0.75 GiB)
SLACK = 1.5  # activations, their gradients and temporary results, divided by the activations
SCORED = 1 << 30  # bytes of the activations of images that are scored at once (1 GiB)
MOST_SCORED = 4000  # images that are scored at once: they fill a GPU


class Footprint(NamedTuple):
    """The memory of one replica, in bytes.

    Attributes:
        fixed: weights (twice, because a stack or early stopping copies them), gradients, and two
            moments of Adam for each phase.
        image: activations that a training step keeps for each image.
        batch: number of images in a batch.
        scoring: `Detector.scoring_size`.
    """

    fixed: int
    image: int
    batch: int
    scoring: int

    @property
    def step(self) -> int:
        """Bytes of a training step."""
        return int(SLACK * self.image * self.batch)

    @property
    def scored_at_once(self) -> int:
        """The number of images, summed over the replicas of a stack, that are scored at once."""
        fitting = SCORED // self.image if self.image else MOST_SCORED
        return max(1, min(MOST_SCORED, fitting) // self.scoring)


@lru_cache(maxsize=1024)
def footprint(detector: type[Detector[Any]], config: Config, shape: ImageShape) -> Footprint:
    """The memory of one replica of a configuration, for training in float32.

    Raises:
        UserError: if the configuration cannot be built for the images.
    """
    module = skeleton(detector, config, shape)
    weights = sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))
    trained = [
        sum(p.numel() for name in phase.modules for p in module.get_submodule(name).parameters())
        for stage in module.stages()
        for phase in stage.phases
    ]
    fixed = BYTES * (2 * weights + max(trained, default=0) + 2 * sum(trained))
    stages = module.stages()
    batch = max((stage.batch_size for stage in stages), default=0)
    images = [per_image(module, p.name, batch) for stage in stages for p in stage.phases]
    return Footprint(fixed, max(images, default=0), batch, module.scoring_size)


def per_image(module: Detector[Any], phase: str, batch: int) -> int:
    """Bytes of the tensors that a step of a phase keeps for the gradient, for each image.

    Args:
        module: a detector on the meta device.
        phase: the name of the phase.
        batch: number of images in a batch.
    """
    once, twice = (kept(module, phase, count) for count in (batch, 2 * batch))
    return (twice - once) // batch


def kept(module: Detector[Any], phase: str, batch: int) -> int:
    """Bytes that a step keeps besides the weights and buffers; tensors may share memory."""
    own = {id_of(tensor) for tensor in (*module.parameters(), *module.buffers())}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved.setdefault(id_of(tensor), tensor.detach())
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with torch.device("meta"), hooks:
        images = torch.empty(batch, *module.shape)
        wanted = module.noise(phase, batch)
        noise = {name: torch.empty(draw.shape) for name, draw in wanted.items()}
        module.loss_and_terms(phase, images, noise)
    others = (tensor for key, tensor in saved.items() if key not in own)
    return sum(tensor.untyped_storage().nbytes() for tensor in others)


def id_of(tensor: Tensor) -> int:
    """A number that tensors which share their memory have in common."""
    return int(tensor.untyped_storage()._cdata)


def total_memory() -> int:
    """Bytes of memory of the current GPU, used or not."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    size: int = properties.total_memory
    return size


def usable(memory: int) -> int:
    """The bytes of a memory that are planned with; the rest stays free."""
    return int(USABLE * memory)


def needed(one: Footprint, replicas: int, together: int, images: int) -> int:
    """Bytes that the process of a trial needs.

    Args:
        one: the memory of one replica.
        replicas: number of replicas of the trial.
        together: number of replicas that are trained together.
        images: bytes of the images of all tasks.
    """
    scoring = int(SLACK * max(one.scored_at_once, 1) * one.image * one.scoring)
    return PROCESS + images + one.fixed * replicas + max(one.step * together, scoring)


def fitting(one: Footprint, replicas: int, images: int, memory: int) -> int:
    """How many replicas can be trained together with this many bytes of memory, at least 1.

    Args:
        one: the memory of one replica.
        replicas: number of replicas of the trial.
        images: bytes of the images of all tasks.
        memory: bytes of the memory of the GPU that the trial may use.
    """
    left = usable(memory) - PROCESS - images - one.fixed * replicas
    return max(1, min(replicas, left // one.step if one.step else replicas))
