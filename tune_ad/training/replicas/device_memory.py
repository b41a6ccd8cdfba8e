"""How much memory of a GPU the replicas of a configuration need, from shapes alone.

Training and scoring are run on the meta device, which has shapes but no values. Counted are the
tensors that a training step keeps for the gradient, and those that exist at the same time while
images are scored.
"""

import math
import weakref
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tune_ad.detectors.base import Detector, ScoreSpace, Terms, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape

BYTES = 4  # of a float32
USABLE = 0.9  # share of the memory that is planned with
PROCESS = 3 << 28  # bytes of a process: CUDA context, libraries, their workspaces (0.75 GiB)
SLACK = 1.5
"""The peak memory of a step divided by the activations saved for the backward pass, and that of
scoring divided by the tensors that exist at the same time (estimate)."""
SCORED = 1 << 30  # bytes with which images are scored at least, if so many are needed (1 GiB)
MOST_SCORED = 4000  # images that are scored at once: they fill a GPU
PROBED = (2, 4, MOST_SCORED)
"""Numbers of images with which the memory of scoring is determined. Between them it grows at most
like the steeper of the two lines through the first number."""


class Footprint(NamedTuple):
    """The memory of one replica, in bytes.

    Attributes:
        fixed: weights (twice, because a stack or early stopping copies them), gradients, and two
            moments of Adam for each phase.
        image: activations that a training step keeps for each image.
        batch: number of images in a batch.
        scored_image: tensors that exist at the same time in scoring, for each image; 0 for a
            detector that is only fitted, which computes on the CPU.
        scored_fixed: the same for each replica, independent of the number of images.
    """

    fixed: int
    image: int
    batch: int
    scored_image: int
    scored_fixed: int = 0

    @property
    def step(self) -> int:
        """Bytes of a training step."""
        return int(SLACK * self.image * self.batch)

    def scoring(self, images: int, replicas: int = 1) -> int:
        """Bytes to score images at once.

        Args:
            images: number of images, summed over the replicas.
            replicas: number of replicas that are scored together.
        """
        return int(SLACK * (self.scored_image * images + self.scored_fixed * replicas))

    def scored_at_once(self, memory: int, replicas: int = 1) -> int:
        """The number of images, summed over replicas, that can be scored at once, at least 1.

        Args:
            memory: bytes for the tensors of scoring.
            replicas: number of replicas that are scored together.
        """
        if not self.scored_image:
            return MOST_SCORED
        left = memory - self.scoring(0, replicas)
        return max(1, min(MOST_SCORED, int(left / (SLACK * self.scored_image))))

    def scored_together(self, memory: int) -> int:
        """The number of replicas that can be scored together, each an image at a time, or 1.

        Args:
            memory: bytes for the tensors of scoring.
        """
        smallest = self.scoring(1)
        return max(1, min(MOST_SCORED, memory // smallest)) if smallest else MOST_SCORED


def footprint(
    detector: type[Detector[Any]],
    config: Config,
    shape: ImageShape,
    score_space: ScoreSpace | None = None,
) -> Footprint:
    """The memory of one replica of a configuration, for training in float32.

    Args:
        detector: the class of the detector.
        config: the configuration.
        shape: the shape of the images.
        score_space: further values of score-time parameters to score with.

    Raises:
        UserError: if the configuration cannot be built for the images.
    """
    space = tuple((name, tuple(values)) for name, values in (score_space or {}).items())
    return _footprint(detector, config, shape, space)


@lru_cache(maxsize=1024)
def _footprint(
    detector: type[Detector[Any]],
    config: Config,
    shape: ImageShape,
    score_space: tuple[tuple[str, tuple[Any, ...]], ...],
) -> Footprint:
    module = skeleton(detector, config, shape)
    weights = sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))
    stages = module.stages()
    trained = [
        [
            sum(p.numel() for n in phase.modules for p in module.get_submodule(n).parameters())
            for phase in stage.phases
        ]
        for stage in stages
    ]
    gradients = [
        sum(of_stage) if stage.simultaneous else max(of_stage)
        for stage, of_stage in zip(stages, trained, strict=True)
    ]
    moments = 2 * sum(map(sum, trained))
    fixed = BYTES * (2 * weights + max(gradients, default=0) + moments)
    batch = max((stage.batch_size for stage in stages), default=0)
    images = [per_image(module, p.name, batch) for stage in stages for p in stage.phases]
    scored = scoring_bytes(module, dict(score_space)) if stages else (0, 0)
    return Footprint(fixed, max(images, default=0), batch, *scored)


def scoring_bytes(module: Detector[Any], score_space: ScoreSpace) -> tuple[int, int]:
    """Bytes of scoring, or of a validation loss if it needs more: per image, and fixed ones.

    Args:
        module: a trained detector on the meta device.
        score_space: further values of score-time parameters to score with.
    """
    module.eval()
    wanted = module.score_noise(score_space)
    phases = [stage.phases[0].name for stage in module.stages()]

    def score(images: Tensor) -> Terms:
        noise = {name: torch.empty(draw.shape) for name, draw in wanted.items()}
        known = {n: torch.empty(len(images), dtype=torch.float64) for n in module.image_statistics}
        return module.score_variants(images, noise | known, score_space)

    def loss(phase: str, images: Tensor) -> Terms:
        draws = module.noise(phase, len(images))
        noise = {name: torch.empty(draw.shape) for name, draw in draws.items()}
        return module.terms(phase, images, noise)

    calls: list[Callable[[Tensor], Terms]] = [score, *(partial(loss, name) for name in phases)]
    few, double, many = (
        max(highest(call, count, module.shape) for call in calls) for count in PROBED
    )
    first, second, last = PROBED
    image = math.ceil(max((double - few) / (second - first), (many - few) / (last - first), 0))
    return image, max(0, few - first * image)


def highest(call: Callable[[Tensor], Terms], count: int, shape: ImageShape) -> int:
    """The most bytes that exist at the same time during a call, without the weights.

    Args:
        call: a function of images on the meta device.
        count: number of images.
        shape: their shape.
    """
    existing = _Existing()
    with torch.device("meta"), torch.no_grad(), existing:
        call(torch.empty(count, *shape))
    return existing.highest


class _Existing(TorchDispatchMode):
    """Context manager that counts the bytes of the tensors which operations create.

    Attributes:
        highest: the most bytes that existed at the same time so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: dict[int, int] = {}
        self.total = self.highest = 0

    def __torch_dispatch__(
        self,
        operation: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what the operation returns
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and id_of(tensor) not in self.bytes:
                self._add(tensor)
        self.highest = max(self.highest, self.total)
        return result

    def _add(self, tensor: Tensor) -> None:
        """Count the memory of a tensor for as long as it exists."""
        storage, key = tensor.untyped_storage(), id_of(tensor)
        self.bytes[key] = storage.nbytes()
        self.total += self.bytes[key]
        weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.total -= self.bytes.pop(key)


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


def available(share: float) -> int:
    """Bytes of memory of the current GPU that this process may use.

    They are the share of the whole memory, but at most what is free: also that which PyTorch keeps
    for this process after its tensors are gone.

    Args:
        share: the share of the memory that the process may use, in (0, 1].
    """
    free, total = torch.cuda.mem_get_info()
    return min(int(share * total), free + torch.cuda.memory_reserved())


def usable(memory: int) -> int:
    """The bytes of a memory that are planned with; the rest stays free."""
    return int(USABLE * memory)


def needed(one: Footprint, replicas: int, together: int, images: int) -> int:
    """Bytes that the process of a trial needs.

    More images are scored at once if more memory is left.

    Args:
        one: the memory of one replica.
        replicas: number of replicas of the trial.
        together: number of replicas that are trained together.
        images: bytes of the images of all tasks.
    """
    scoring = max(one.scoring(1), min(SCORED, one.scoring(MOST_SCORED)))
    return PROCESS + images + one.fixed * replicas + max(one.step * together, scoring)


def left(one: Footprint, replicas: int, images: int, memory: int) -> int:
    """Bytes that are left for the tensors of training steps or of scoring; negative if none is.

    Args:
        one: the memory of one replica.
        replicas: number of replicas of the trial.
        images: bytes of the images of all tasks.
        memory: bytes of the memory of the GPU that the trial may use.
    """
    return usable(memory) - PROCESS - images - one.fixed * replicas
