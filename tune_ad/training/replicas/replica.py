"""One replica: a model with the states of its optimisers and its random streams."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tune_ad.data.scaling import Images, Range, mapped, training_range
from tune_ad.detectors.base import Buffers, Detector, Numbers, ScoreSpace, Terms
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.randomness import derived_seed, torch_stream
from tune_ad.storage.metric import Metric
from tune_ad.storage.precision import FLOAT32
from tune_ad.training.replicas.adam import AdamState
from tune_ad.training.replicas.device_memory import SCORED, footprint
from tune_ad.training.replicas.layout import in_training_layout

CHUNK = 200  # images per batch of scoring on a CPU: their feature maps fit its cache


@dataclass(frozen=True)
class ReplicaSpec:
    """One model to train: a configuration's replica for one task and seed.

    Attributes:
        task: the name of the task.
        seed: the seed of all random draws of the replica, combined with the task.
        train: the indices of its training images, shape (n,), n >= 1.
        title: the title of the task in messages; empty if its name is the title.
    """

    task: str
    seed: int
    train: Tensor
    title: str = ""


def build(
    detector: type[Detector[Any]], config: Config, shape: ImageShape, seed: int
) -> Detector[Any]:
    """A detector whose initial weights depend on `seed` alone.

    PyTorch initialises layers from its global generator, whose state is restored afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        # `torch.manual_seed` would also seed the generators of GPUs.
        torch.default_generator.manual_seed(derived_seed(seed, "weights"))
        return detector(config, shape)


class Replica:
    """One replica: a model with the states of its optimisers and its random streams.

    Args:
        detector: the class of the detector.
        config: its configuration.
        images: the images of all tasks, as in `ReplicaSet`.
        spec: the task, the seed and the training images.
        score_space: further values of score-time parameters to score with.
        precision: the precision of training, one of `PRECISIONS`.
        scored_images: as in `ReplicaSet`.
    """

    def __init__(  # noqa: PLR0913 - the detector, what it is trained on, and how
        self,
        detector: type[Detector[Any]],
        config: Config,
        images: Images,
        spec: ReplicaSpec,
        score_space: ScoreSpace,
        precision: str = FLOAT32,
        scored_images: int | None = None,
    ) -> None:
        shape = ImageShape(*images.shape[1:])
        self.images, self.spec, self.score_space = images, spec, score_space
        self.precision, self.scored_images = precision, scored_images
        self.range: Range | None = training_range(config.scaling, images, spec.train)
        self.owner = owner = derived_seed(spec.seed, spec.task)
        module = build(detector, config, shape, owner)
        self.module = in_training_layout(module.to(images.device))
        self.stages = module.stages()
        device = images.device.type
        self.order = torch_stream(owner, "batches")
        self.noise = torch_stream(owner, "noise", device=device)
        # Drawn on the CPU, where the first T masks do not depend on the number that is drawn.
        score_stream = torch_stream(owner, "score noise")
        self.score_noise = {
            name: noise.draw(score_stream).to(device)
            for name, noise in module.score_noise(score_space).items()
        }
        self.optimisers: dict[str, AdamState] = {}
        self.optimised: str | None = None  # the stage to which the optimisers belong
        self.fitted = False  # whether `finish` has run with the current weights
        self.steps: dict[str, list[tuple[int, float]]] = {}

    def position(self, epoch: int) -> tuple[Stage, int]:
        """The stage to which an epoch belongs, and its number within the stage."""
        local = epoch
        for stage in self.stages:
            if local < stage.epochs:
                return stage, local
            local -= stage.epochs
        raise IndexError(f"epoch {epoch} is after the last one of the schedule")

    def begin_epoch(self, stage: Stage, local: int) -> None:
        """Prepare an epoch of a stage; before the first one, call `begin` and reset Adam.

        Args:
            stage: the stage.
            local: the number of the epoch within the stage.
        """
        self.fitted = False
        if local == 0:
            with torch.no_grad():
                self.set_buffers(self.module.begin(stage.name, self.training_images()))
            self.make_optimisers(stage)

    def steps_before(self, epoch: int) -> int:
        """The number of steps before an epoch."""
        n, steps = len(self.spec.train), 0
        for stage in self.stages:
            steps += stage.batches(n) * min(epoch, stage.epochs)
            epoch -= min(epoch, stage.epochs)
        return steps

    def append_steps(self, before: int, steps: Mapping[str, Sequence[float]]) -> None:
        """Append values of consecutive steps, by term, after the step with the number `before`."""
        for term, values in steps.items():
            self.steps.setdefault(term, []).extend(enumerate(values, before + 1))

    def take_steps(self) -> dict[str, list[tuple[int, float]]]:
        """The values at every step since the last call, by term (see `WatchedTerms`)."""
        steps, self.steps = self.steps, {}
        return steps

    def set_mode(self, stage: Stage) -> None:
        """Set training mode for the modules that a stage trains, evaluation mode for others."""
        self.module.train()
        trained = {name.partition(".")[0] for phase in stage.phases for name in phase.modules}
        for name, child in self.module.named_children():
            child.train(name in trained)

    def metric(self, stage: Stage, phase: Phase, term: str) -> Metric:
        """The metric of a term; it does not name the last stage, nor the only phase of a stage."""
        return Metric(
            "train",
            term,
            stage="" if stage is self.stages[-1] else stage.name,
            phase=phase.name if len(stage.phases) > 1 else "",
        )

    def make_optimisers(self, stage: Stage) -> None:
        """Fresh states of Adam, one per phase of the stage."""
        self.optimised = stage.name
        self.optimisers = {
            phase.name: AdamState(map(self.module.get_parameter, self.trained(phase)))
            for phase in stage.phases
        }

    def trained(self, phase: Phase) -> list[str]:
        """The names of the parameters that a phase trains; of a shared one, its first name."""
        names = {parameter: name for name, parameter in self.module.named_parameters()}
        parts = [self.module.get_submodule(part) for part in phase.modules]
        return list(dict.fromkeys(names[p] for part in parts for p in part.parameters()))

    def set_buffers(self, buffers: Buffers) -> None:
        """Store the buffers that a hook returned."""
        for name, value in buffers.items():
            self.module.get_buffer(name).copy_(value)

    def batches(self, size: int) -> Tensor:
        """Full batches of indices for one epoch, shape (batches, size), on the CPU.

        The last batch is filled from the same permutation. If it is short, its first images are
        those that count (`Stage.images_in_last_batch`).
        """
        n = len(self.spec.train)
        permutation = self.spec.train[torch.randperm(n, generator=self.order)]
        count = -(-n // size)
        repeated = permutation.repeat(-(-count * size // n))[: count * size]
        return repeated.view(count, size)

    def pick(self, indices: Tensor) -> Tensor:
        """Images by index, in channels-last memory format and mapped by the fitted scaling."""
        images = self.images[indices]
        if self.range is not None:
            images = mapped(images, self.range)
        return images.contiguous(memory_format=torch.channels_last)

    def chunks(self, values: Tensor) -> Sequence[Tensor]:
        """Indices, or another value per image, on the device, in batches for scoring."""
        return torch.split(values.to(self.images.device), self.scored_at_once(1))

    def scored_at_once(self, replicas: int) -> int:
        """The number of images of each replica that are scored at once, at least 1.

        Args:
            replicas: the number of replicas that are scored together.
        """
        if self.images.device.type == "cpu":
            size = 1 if replicas == 1 else replicas * self.module.scoring_size
            return max(1, CHUNK // size)
        most = self.scored_images
        if most is None:
            module = self.module
            one = footprint(type(module), module.config, module.shape, self.score_space)
            most = one.scored_at_once(SCORED, replicas)
        return max(1, most // replicas)

    def training_images(self) -> Iterator[Tensor]:
        """The training images in order, with the module in evaluation mode."""
        self.module.eval()
        return map(self.pick, self.chunks(self.spec.train))

    def finish(self) -> None:
        """Fit what scoring needs to the current weights (`Detector.finish`)."""
        with torch.no_grad():
            seed = derived_seed(self.owner, "fit")
            self.set_buffers(self.module.finish(self.training_images(), seed))
        self.fitted = True

    @torch.no_grad()
    def inspect(self) -> Numbers:
        """The diagnostics that need the training images (`Detector.inspect`)."""
        self.module.eval()
        return self.module.inspect(self.training_images(), derived_seed(self.owner, "inspect"))

    def prepare_scoring(self) -> None:
        """Call `finish` if it has not been called with the current weights.

        Raises:
            DegenerateInputError: if it fails.
        """
        if not self.fitted:
            self.finish()

    @torch.no_grad()
    def score(self, indices: Tensor, every_variant: bool, statistics: Terms) -> Terms:
        """Scores and their components, each of shape (n,), float64; calls `finish` if needed.

        Args:
            indices: the indices of the images, shape (n,).
            every_variant: whether to score with every value of the score space, too.
            statistics: the image statistics that the detector declares, each of shape (n,), on any
                device.

        Raises:
            DegenerateInputError: if `finish` fails.
        """
        self.prepare_scoring()
        self.module.eval()
        score_space = self.score_space if every_variant else {}
        known = {name: self.chunks(values) for name, values in statistics.items()}
        scored = []
        for k, chunk in enumerate(self.chunks(indices)):
            noise = self.score_noise | {name: parts[k] for name, parts in known.items()}
            scored.append(self.module.score_variants(self.pick(chunk), noise, score_space))
        return {name: torch.cat([terms[name] for terms in scored]).double() for name in scored[0]}

    @torch.no_grad()
    def losses(self, indices: Tensor, stage: Stage | None = None) -> Tensor | None:
        """The loss of held-out images in a stage, by default the last: shape (n,), float64."""
        if not self.stages:
            return None
        self.module.eval()
        phase = self.module.held_out_phase(stage or self.stages[-1])
        stream = torch_stream(self.owner, "loss noise")
        parts = []
        for chunk in self.chunks(indices):
            wanted = self.module.noise(phase, len(chunk))
            noise = {n: shape.draw(stream).to(chunk.device) for n, shape in wanted.items()}
            terms = self.module.terms(phase, self.pick(chunk), noise)
            parts.append(self.module.held_out_loss(phase, terms))
        return torch.cat(parts).double()

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Restore earlier weights and buffers; scoring calls `finish` again."""
        self.module.load_state_dict(dict(weights))
        self.fitted = False

    @torch.no_grad()
    def illustrate(self, indices: Tensor) -> dict[str, Tensor]:
        """Images and their reconstructions by the detector; empty if it has none."""
        self.module.eval()
        images = self.pick(indices.to(self.images.device))
        pictures = self.module.illustrate(images)
        return {"image": images, **pictures} if pictures else {}

    def state_dict(self) -> dict[str, Any]:
        """Weights, buffers, and the states of the optimisers and of the random streams."""
        return {
            "module": {name: t.clone() for name, t in self.module.state_dict().items()},
            "optimisers": {name: adam.state_dict() for name, adam in self.optimisers.items()},
            "optimised": self.optimised,
            "order": self.order.get_state(),
            "noise": self.noise.get_state(),
            "noise_device": self.noise.device.type,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`, whose tensors are on the CPU or on the device of the replica.

        The random streams of a CPU and of a GPU draw different numbers, and neither can continue
        the other. If the noise was drawn on another kind of device, it comes from a new stream,
        which depends on the seed of the replica and on the position of the old stream.
        """
        self.fitted = False
        self.module.load_state_dict(state["module"])
        self.order.set_state(state["order"])
        device = self.noise.device.type
        if state["noise_device"] == device:
            self.noise.set_state(state["noise"])
        else:
            position = state["noise"].numpy().tobytes().hex()
            self.noise = torch_stream(self.owner, "noise", position, device=device)
        for stage in self.stages:
            if stage.name == state["optimised"]:
                self.make_optimisers(stage)
        for name, saved in state["optimisers"].items():
            self.optimisers[name].load_state_dict(saved)
