"""Trains the replicas of one configuration together.

A cohort owns what a detector must not: optimisers, schedules, random streams and the loop. Here
each call advances every replica in turn. The images lie on the device as one tensor; a replica's
task is an index tensor into it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tune_ad.data.scaling import Range, training_range
from tune_ad.detectors.base import Buffers, Detector, ScoreSpace, Terms, check_finite
from tune_ad.detectors.config import Config
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.errors import DegenerateInputError, UserError
from tune_ad.nets import ImageShape
from tune_ad.randomness import derived_seed, torch_stream

CHUNK = {"cpu": 200, "cuda": 4000}  # images scored at once: fits a cache, fills a GPU


@dataclass(frozen=True)
class Member:
    """One replica to train.

    Attributes:
        task: name of the task.
        seed: owns every random draw of the replica, together with the task.
        train: indices of its training images, shape (n,), n >= 1.
    """

    task: str
    seed: int
    train: Tensor


class Failure(NamedTuple):
    """Why and when a replica ended early."""

    epoch: int
    reason: str


def build(
    detector: type[Detector[Any]], config: Config, shape: ImageShape, seed: int
) -> Detector[Any]:
    """A detector whose initial weights depend on `seed` alone.

    PyTorch initialises layers from its global generator: its state is put back afterwards.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, "weights"))  # no GPU's, too
        return detector(config, shape)


class Cohort:
    """All replicas of one configuration.

    Args:
        detector: the class.
        config: of every replica.
        images: float, as `tune_ad.data.scaled` gives them, shape (n, c, h, w), on the device that
            trains.
        members: the replicas.
        score_space: values of score-time parameters to score with besides the configuration's.

    Attributes:
        epoch: epochs that the living replicas have finished, over all stages.
        epochs: of all stages; 0 for a detector that is only fitted.
        failures: by position of the replica.

    Raises:
        UserError: if a replica has no training image, an image has a NaN, or the configuration
            cannot be built for the images.
    """

    def __init__(
        self,
        detector: type[Detector[Any]],
        config: Config,
        images: Tensor,
        members: Sequence[Member],
        score_space: ScoreSpace | None = None,
    ) -> None:
        check_finite(images)
        for member in members:
            if not len(member.train):
                raise UserError(
                    f"task {member.task} with seed {member.seed} has no training image; give it "
                    "some"
                )
        self.epoch = 0
        self.failures: dict[int, Failure] = {}
        self.learners = [
            Learner(detector, config, images, member, score_space or {}) for member in members
        ]
        self.epochs = sum(stage.epochs for stage in self.learners[0].stages)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.epoch >= self.epochs or len(self.failures) == len(self.learners)

    @property
    def scorable(self) -> bool:
        """Whether the last stage has begun: before it, a score would mean nothing."""
        stages = self.learners[0].stages
        return self.epoch > sum(stage.epochs for stage in stages[:-1]) or not stages

    @property
    def parameters(self) -> int:
        """Numbers in one replica that its last stage trains; 0 for a detector that is fitted."""
        learner = self.learners[0]
        names = {n for stage in learner.stages[-1:] for p in stage.phases for n in p.modules}
        modules = [learner.module.get_submodule(name) for name in sorted(names)]
        return sum(p.numel() for module in modules for p in module.parameters())

    @property
    def learning_rate(self) -> float:
        """Of the last epoch that was trained (of the first, before any)."""
        learner = self.learners[0]
        if not learner.stages:
            return 0.0
        stage, epoch = learner.position(max(self.epoch - 1, 0))
        return stage.learning_rate(epoch)

    def living(self) -> list[int]:
        """Positions of the replicas that have not failed."""
        return [k for k in range(len(self.learners)) if k not in self.failures]

    def train(self, epochs: int) -> list[dict[str, float]]:
        """Advance every living replica by `epochs`, or to the end of its schedule.

        Returns:
            for each replica the terms of the last epoch, averaged over images; {} for one that
            has failed.
        """
        epochs = min(epochs, self.epochs - self.epoch)
        means: list[dict[str, float]] = [{} for _ in self.learners]
        for k in self.living():
            for epoch in range(self.epoch, self.epoch + epochs):
                means[k] = self.learners[k].train_epoch(epoch)
                bad = [name for name, value in means[k].items() if not math.isfinite(value)]
                if bad:
                    self.fail(k, epoch, f"{bad[0]} became {means[k][bad[0]]} in epoch {epoch + 1}")
                    means[k] = {}
                    break
        self.epoch += epochs
        return means

    def fail(self, replica: int, epoch: int, reason: str) -> None:
        """End a replica; the others go on."""
        self.failures[replica] = Failure(epoch, reason)

    def prepare_scoring(self) -> None:
        """Fit what scoring needs (`Detector.finish`) on every living replica."""
        for k in self.living():
            try:
                self.learners[k].finish()
            except DegenerateInputError as error:
                self.fail(k, self.epoch, str(error))

    def score(self, replica: int, indices: Tensor, every_variant: bool = False) -> Terms:
        """Scores of images by one replica, each of shape (n,), float64.

        Args:
            replica: its position.
            indices: of the images, shape (n,).
            every_variant: also under the values of the score space.
        """
        return self.learners[replica].score(indices, every_variant)

    def losses(self, replica: int, indices: Tensor) -> Tensor | None:
        """The training loss of images in evaluation mode, shape (n,), float64.

        Its noise is the same at every call. None if the detector is not trained.

        Args:
            replica: its position.
            indices: of the images, shape (n,).
        """
        return self.learners[replica].losses(indices)

    def illustrate(self, replica: int, indices: Tensor) -> dict[str, Tensor]:
        """The images and what one replica makes of them, each (n, c, h, w) in [0, 1]."""
        return self.learners[replica].illustrate(indices)

    def state_dict(self) -> dict[str, Any]:
        """Everything that training goes on from, as tensors and plain data."""
        return {
            "epoch": self.epoch,
            "failures": {k: tuple(failure) for k, failure in self.failures.items()},
            "learners": [learner.state_dict() for learner in self.learners],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`: what follows is bit-equal to what would have followed, on a CPU."""
        self.epoch = state["epoch"]
        self.failures = {k: Failure(*failure) for k, failure in state["failures"].items()}
        for learner, saved in zip(self.learners, state["learners"], strict=True):
            learner.load_state_dict(saved)
        if not self.epochs:
            self.prepare_scoring()


class Learner:
    """One replica with its optimisers and random streams, trained in a loop."""

    def __init__(
        self,
        detector: type[Detector[Any]],
        config: Config,
        images: Tensor,
        member: Member,
        score_space: ScoreSpace,
    ) -> None:
        shape = ImageShape(*images.shape[1:])
        self.images, self.member, self.score_space = images, member, score_space
        self.range: Range | None = training_range(config.scaling, images, member.train)
        self.owner = owner = derived_seed(member.seed, member.task)
        module = build(detector, config, shape, owner)
        self.module = module.to(images.device).to(memory_format=torch.channels_last)
        self.stages = module.stages()
        device = images.device.type
        self.order = torch_stream(owner, "batches")
        self.noise = torch_stream(owner, "noise", device=device)
        # Drawn on the CPU: there the first T masks do not depend on how many are drawn.
        score_stream = torch_stream(owner, "score noise")
        self.score_noise = {
            name: each.draw(score_stream).to(device)
            for name, each in module.score_noise(score_space).items()
        }
        self.optimisers: dict[str, torch.optim.Adam] = {}
        self.optimised: str | None = None  # the stage to which the optimisers belong

    def position(self, epoch: int) -> tuple[Stage, int]:
        """The stage to which an epoch belongs, and its number within the stage."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage, epoch
            epoch -= stage.epochs
        raise IndexError(f"the schedule has no epoch {epoch} after its last")

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training images: the mean of every term over images."""
        stage, local = self.position(epoch)
        if local == 0:
            with torch.no_grad():
                self.set_buffers(self.module.begin(stage.name, self.training_images()))
            self.make_optimisers(stage)
        self.set_learning_rate(stage.learning_rate(local))
        self.module.train()
        progress = torch.tensor(local / stage.epochs, device=self.images.device)
        totals: Terms = {}
        batches = self.batches(stage.batch_size)
        for batch in batches:
            for name, mean in self.update(stage, self.pick(batch), progress).items():
                totals[name] = totals[name] + mean if name in totals else mean
        return {name: float(total) / len(batches) for name, total in totals.items()}

    def update(self, stage: Stage, images: Tensor, progress: Tensor) -> Terms:
        """One step of every phase; the batch means of its terms, detached."""
        means: Terms = {}
        for phase in stage.phases:
            prefix = self.prefix(stage, phase)
            wanted = self.module.noise(phase.name, len(images))
            noise = {name: each.draw(self.noise) for name, each in wanted.items()}
            terms = self.module.terms(phase.name, images, noise)
            optimiser = self.optimisers[phase.name]
            optimiser.zero_grad(set_to_none=True)
            moved = [p for group in optimiser.param_groups for p in group["params"]]
            self.module.reduced(terms["loss"]).backward(inputs=moved)
            optimiser.step()
            terms = {name: value.detach() for name, value in terms.items()}
            self.set_buffers(self.module.after_step(stage.name, phase.name, terms, progress))
            for name, value in terms.items():
                means[prefix + name] = value.mean()
        return means

    def prefix(self, stage: Stage, phase: Phase) -> str:
        """What tells the terms of an earlier stage and of several phases apart."""
        before = "" if stage is self.stages[-1] else f"{stage.name}/"
        return f"{before}{phase.name}/" if len(stage.phases) > 1 else before

    def make_optimisers(self, stage: Stage) -> None:
        """Fresh optimisers, one per phase of the stage."""
        self.optimisers, self.optimised = {}, stage.name
        for phase in stage.phases:
            modules = [self.module.get_submodule(name) for name in phase.modules]
            parameters = [p for module in modules for p in module.parameters()]
            self.optimisers[phase.name] = torch.optim.Adam(
                parameters,
                lr=stage.adam.learning_rate,
                betas=stage.adam.betas,
                weight_decay=stage.adam.weight_decay,
                fused=True,
            )

    def set_learning_rate(self, rate: float) -> None:
        """Give every optimiser the epoch's learning rate."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = rate

    def set_buffers(self, buffers: Buffers) -> None:
        """Store what a hook returned."""
        for name, value in buffers.items():
            self.module.get_buffer(name).copy_(value)

    def batches(self, size: int) -> list[Tensor]:
        """One epoch of full batches of indices; the same permutation completes the last one."""
        n = len(self.member.train)
        permutation = self.member.train[torch.randperm(n, generator=self.order)]
        count = -(-n // size)
        repeated = permutation.repeat(-(-count * size // n))[: count * size]
        return list(repeated.to(self.images.device).split(size))

    def pick(self, indices: Tensor) -> Tensor:
        """Images by index, laid out with channels last."""
        images = self.images[indices]
        if self.range is not None:
            images = (images - self.range.low) / (self.range.high - self.range.low)
        return images.contiguous(memory_format=torch.channels_last)

    def chunks(self, indices: Tensor) -> Sequence[Tensor]:
        """The indices on the images' device, in portions that are scored at once."""
        return torch.split(indices.to(self.images.device), CHUNK[self.images.device.type])

    def training_images(self) -> Iterator[Tensor]:
        """The training images in order, with the module in evaluation mode."""
        self.module.eval()
        return map(self.pick, self.chunks(self.member.train))

    def finish(self) -> None:
        """Fit what scoring needs."""
        with torch.no_grad():
            seed = derived_seed(self.owner, "fit")
            self.set_buffers(self.module.finish(self.training_images(), seed))

    @torch.no_grad()
    def score(self, indices: Tensor, every_variant: bool) -> Terms:
        """Scores and their parts, each of shape (n,), float64."""
        self.module.eval()
        score_space = self.score_space if every_variant else {}
        parts = [
            self.module.score_variants(self.pick(chunk), self.score_noise, score_space)
            for chunk in self.chunks(indices)
        ]
        return {name: torch.cat([part[name] for part in parts]).double() for name in parts[0]}

    @torch.no_grad()
    def losses(self, indices: Tensor) -> Tensor | None:
        """The loss of the first phase of the last stage, shape (n,), float64."""
        if not self.stages:
            return None
        self.module.eval()
        phase = self.stages[-1].phases[0].name
        stream = torch_stream(self.owner, "loss noise")
        parts = []
        for chunk in self.chunks(indices):
            wanted = self.module.noise(phase, len(chunk))
            noise = {n: each.draw(stream).to(chunk.device) for n, each in wanted.items()}
            parts.append(self.module.terms(phase, self.pick(chunk), noise)["loss"])
        return torch.cat(parts).double()

    @torch.no_grad()
    def illustrate(self, indices: Tensor) -> dict[str, Tensor]:
        """The images and what the detector makes of them."""
        self.module.eval()
        images = self.pick(indices.to(self.images.device))
        pictures = self.module.illustrate(images)
        return {"image": images, **pictures} if pictures else {}

    def state_dict(self) -> dict[str, Any]:
        """Weights, buffers, moments and the states of the random streams."""
        return {
            "module": self.module.state_dict(),
            "optimisers": {name: each.state_dict() for name, each in self.optimisers.items()},
            "optimised": self.optimised,
            "order": self.order.get_state(),
            "noise": self.noise.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.module.load_state_dict(state["module"])
        self.order.set_state(state["order"])
        self.noise.set_state(state["noise"])
        for stage in self.stages:
            if stage.name == state["optimised"]:
                self.make_optimisers(stage)
        for name, saved in state["optimisers"].items():
            self.optimisers[name].load_state_dict(saved)
