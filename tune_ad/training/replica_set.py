"""Trains the replicas of one configuration together.

A replica set owns what a detector must not: optimisers, schedules, random streams and the loop.
Here each call advances every replica in turn. The images lie on the device as one tensor; a
replica's task is an index tensor into it.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from tune_ad.detectors.base import Detector, Numbers, ScoreSpace, Terms, check_finite
from tune_ad.detectors.config import Config
from tune_ad.errors import DegenerateInputError, UserError
from tune_ad.training.early_stopping import EarlyStopping
from tune_ad.training.replica import Replica, ReplicaSpec


class Failure(NamedTuple):
    """Why and when a replica ended early."""

    epoch: int
    reason: str


class ReplicaSet:
    """All replicas of one configuration.

    Args:
        detector: the class.
        config: of every replica.
        images: float, as `tune_ad.data.scaled` gives them, shape (n, c, h, w), on the device that
            trains.
        specs: of the replicas.
        score_space: values of score-time parameters to score with besides the configuration's.
        patience: calls of `watch` without a lower loss after which a replica is done; 0 = none is
            before its schedule ends.

    Attributes:
        epoch: epochs that the living replicas have finished, over all stages.
        epochs: of all stages; 0 for a detector that is only fitted.
        failures: by position of the replica.
        early_stopping: what `watch` knows of each replica; none without patience.

    Raises:
        UserError: if a replica has no training image, an image has a NaN, or the configuration
            cannot be built for the images.
    """

    def __init__(
        self,
        detector: type[Detector[Any]],
        config: Config,
        images: Tensor,
        specs: Sequence[ReplicaSpec],
        score_space: ScoreSpace | None = None,
        patience: int = 0,
    ) -> None:
        check_finite(images)
        for spec in specs:
            if not len(spec.train):
                raise UserError(
                    f"task {spec.title or spec.task} with seed {spec.seed} has no training image; "
                    "give it some"
                )
        self.epoch = 0
        self.failures: dict[int, Failure] = {}
        self.replicas = [
            Replica(detector, config, images, spec, score_space or {}) for spec in specs
        ]
        self.epochs = sum(stage.epochs for stage in self.replicas[0].stages)
        self.early_stopping = [EarlyStopping(patience) for _ in specs if patience]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        if self.epoch >= self.epochs or not self.living():
            return True
        return self.scorable and not self.training()

    @property
    def scorable(self) -> bool:
        """Whether the last stage has begun: before it, a score would mean nothing."""
        stages = self.replicas[0].stages
        return self.epoch > sum(stage.epochs for stage in stages[:-1]) or not stages

    @property
    def parameters(self) -> int:
        """Trained numbers in one replica that score; 0 for a detector that is fitted."""
        module = self.replicas[0].module
        parts = [module.get_submodule(name) for name in module.scoring_modules]
        return sum(p.numel() for part in parts for p in part.parameters())

    @property
    def learning_rate(self) -> float:
        """Of the last epoch that was trained (of the first, before any)."""
        replica = self.replicas[0]
        if not replica.stages:
            return 0.0
        stage, epoch = replica.position(max(self.epoch - 1, 0))
        return stage.learning_rate(epoch)

    def living(self) -> list[int]:
        """Positions of the replicas that have not failed."""
        return [k for k in range(len(self.replicas)) if k not in self.failures]

    def training(self) -> list[int]:
        """Positions of the replicas that have not failed, nor stopped improving in this stage."""
        watched = enumerate(self.early_stopping)
        stopped = {k for k, stopping in watched if stopping.stopped is not None}
        return [k for k in self.living() if k not in stopped]

    def epoch_of(self, replica: int) -> int:
        """Epochs that a living replica has finished."""
        stopped = self.early_stopping[replica].stopped if self.early_stopping else None
        return self.epoch if stopped is None else stopped

    def watch(self, held_out: Sequence[Tensor]) -> None:
        """Note the loss of held-out normals of every replica that trains.

        A replica whose loss has not fallen for `patience` calls is done with its stage. It, and
        every replica whose stage is over, gets back the weights of its lowest loss, from which
        the next stage begins. Nothing happens without patience.

        Args:
            held_out: for each replica the indices of its images.
        """
        if not (self.early_stopping and self.epoch):
            return
        stage, _ = self.replicas[0].position(self.epoch - 1)
        for k in self.training():
            stopping, replica = self.early_stopping[k], self.replicas[k]
            losses = replica.losses(held_out[k], stage)
            if losses is None:
                continue
            stopping.note(self.epoch, float(losses.mean()), replica.module.state_dict())
            over = stopping.stopped is not None or self.epoch == self.stage_end(self.epoch - 1)
            if over and stopping.weights:
                replica.restore(stopping.weights)

    def stage_end(self, epoch: int) -> int:
        """Epochs that are over at the end of the stage to which an epoch belongs."""
        stage, local = self.replicas[0].position(epoch)
        return epoch - local + stage.epochs

    def _within_stage(self, epochs: int) -> int:
        """With patience, no more epochs than the stage has; a new stage begins to watch anew."""
        if not self.early_stopping or self.epoch >= self.epochs:
            return epochs
        if not self.training() and not self.finished:  # all wait for the end of the stage
            self.epoch = self.stage_end(self.epoch)
        if self.epoch and self.replicas[0].position(self.epoch)[1] == 0:
            for stopping in self.early_stopping:
                stopping.begin_stage()
        return min(epochs, self.stage_end(self.epoch) - self.epoch)

    def train(self, epochs: int) -> list[Numbers]:
        """Advance every living replica by `epochs`, or to the end of its schedule.

        Returns:
            for each replica the terms of its last epoch, averaged over images; {} for one that
            has failed.
        """
        training = self.train_by_epochs(epochs)
        while True:
            try:
                next(training)
            except StopIteration as end:
                return list(end.value)

    def train_by_epochs(self, epochs: int) -> Generator[int, None, list[Numbers]]:
        """As `train`, with a pause after each epoch of a replica.

        Until it is exhausted, the replica set is between two states: it can neither be scored nor
        stored.

        Yields:
            how many epochs of replicas are left before the set has advanced.
        """
        epochs = min(self._within_stage(epochs), self.epochs - self.epoch)
        means: list[Numbers] = [{} for _ in self.replicas]
        for k, stopping in enumerate(self.early_stopping):
            means[k] = {} if k in self.failures else stopping.terms
        training = self.training()
        for place, k in enumerate(training, 1):
            for epoch in range(self.epoch, self.epoch + epochs):
                means[k] = self.replicas[k].train_epoch(epoch)
                if reason := _not_finite(means[k]):
                    self.fail(k, epoch, f"{reason} in epoch {epoch + 1}")
                    means[k] = {}
                    break
                yield self.epoch + epochs - epoch - 1 + epochs * (len(training) - place)
        self.epoch += epochs
        for stopping, terms in zip(self.early_stopping, means, strict=False):
            stopping.terms = terms
        return means

    def take_steps(self) -> list[dict[str, list[tuple[int, float]]]]:
        """What each living replica told at every step since the last call; {} for others."""
        living = self.living()
        return [r.take_steps() if k in living else {} for k, r in enumerate(self.replicas)]

    def fail(self, replica: int, epoch: int, reason: str) -> None:
        """End a replica; the others go on."""
        self.failures[replica] = Failure(epoch, reason)

    def prepare_scoring(self) -> None:
        """Fit what scoring needs (`Detector.finish`) on every living replica."""
        for k in self.living():
            try:
                self.replicas[k].finish()
            except DegenerateInputError as error:
                self.fail(k, self.epoch, str(error))

    def score(self, replica: int, indices: Tensor, every_variant: bool = False) -> Terms:
        """Scores of images by one replica, each of shape (n,), float64.

        What scoring needs is fitted first, if `prepare_scoring` has not done so.

        Args:
            replica: its position.
            indices: of the images, shape (n,).
            every_variant: also under the values of the score space.
        """
        return self.replicas[replica].score(indices, every_variant)

    def losses(self, replica: int, indices: Tensor) -> Tensor | None:
        """The training loss of images in evaluation mode, shape (n,), float64.

        Its noise is the same at every call. None if the detector is not trained.

        Args:
            replica: its position.
            indices: of the images, shape (n,).
        """
        return self.replicas[replica].losses(indices)

    def illustrate(self, replica: int, indices: Tensor) -> dict[str, Tensor]:
        """The images and what one replica makes of them, each (n, c, h, w) in [0, 1]."""
        return self.replicas[replica].illustrate(indices)

    def state_dict(self) -> dict[str, Any]:
        """Everything that training goes on from, as tensors and plain data."""
        return {
            "epoch": self.epoch,
            "failures": {k: tuple(failure) for k, failure in self.failures.items()},
            "replicas": [replica.state_dict() for replica in self.replicas],
            "early_stopping": [stopping.state_dict() for stopping in self.early_stopping],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`: what follows is bit-equal to what would have followed, on a CPU."""
        self.epoch = state["epoch"]
        self.failures = {k: Failure(*failure) for k, failure in state["failures"].items()}
        for replica, saved in zip(self.replicas, state["replicas"], strict=True):
            replica.load_state_dict(saved)
        for stopping, saved in zip(self.early_stopping, state["early_stopping"], strict=True):
            stopping.load_state_dict(saved)
        if not self.epochs:
            self.prepare_scoring()


def _not_finite(terms: Numbers) -> str:
    """Which term of training is no number, as in "loss became nan"; empty if all are."""
    for metric, value in terms.items():
        if not math.isfinite(value):
            return f"{metric.name} became {value}"
    return ""
