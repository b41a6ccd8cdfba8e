"""Trains the replicas of one configuration together.

A replica set owns what a detector does not: optimisers, schedules, random streams and the training
loop. A call trains one stack of replicas after the other. The images of all tasks are on the
device once; those of a task are given by their indices.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from tune_ad.data import Images, ImageStatistics
from tune_ad.detectors.base import (
    Detector,
    Numbers,
    ScoreSpace,
    Terms,
    check_finite,
    skeleton,
)
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.schedule import SHORT
from tune_ad.errors import DegenerateInputError, UserError
from tune_ad.storage.precision import FLOAT32
from tune_ad.training.replicas.early_stopping import EarlyStopping
from tune_ad.training.replicas.last_batch import check_last_batch
from tune_ad.training.replicas.memory import keep_freed_memory
from tune_ad.training.replicas.precision import float32_is_float32
from tune_ad.training.replicas.replica import Replica, ReplicaSpec
from tune_ad.training.replicas.stack import Stack


class Failure(NamedTuple):
    """The failure of a replica.

    Attributes:
        epoch: the number of epochs that it had finished.
        reason: the reason of the failure.
    """

    epoch: int
    reason: str


class ReplicaSet:
    """All replicas of one configuration.

    Args:
        detector: the class of the detector.
        config: the configuration of every replica.
        images: scaled images of shape (n, c, h, w) on the device on which to train: a float tensor
            as `tune_ad.data.scaled` returns it, or `ScaledImages`, which take a quarter of the
            memory. Image statistics are those of the tensor, or of the original images.
        specs: the task, the seed and the training images of each replica.
        score_space: further values of score-time parameters to score with.
        patience: the number of calls of `watch` without a lower loss after which the stage of a
            replica is stopped; 0 = no early stopping.
        precision: the precision of training, one of `PRECISIONS`.
        together: the maximum number of replicas that are trained together, at least 1.
        scored_together: the maximum number of replicas that are scored together, at least 1.
        scored_images: the maximum number of images, summed over the replicas that are scored
            together, that are scored at once on a GPU; None = as many as need about 1 GiB.

    Attributes:
        epoch: the number of epochs that the replicas which have not failed have finished, over all
            stages. (With early stopping some may have stopped before: see `epoch_of`.)
        epochs: the number of epochs of all stages; 0 for a detector that is only fitted.
        failures: the failures, by position of the replica.
        statistics: the image statistics, computed once for all replicas.
        early_stopping: the state of early stopping of each replica; empty without patience.

    Raises:
        UserError: if a replica has no training image, a pixel is NaN or infinite, the
            configuration cannot be built for the images, or a batch has one image where batch
            normalisation needs several.
    """

    def __init__(  # noqa: PLR0913 - the detector, what it is trained on, and how
        self,
        detector: type[Detector[Any]],
        config: Config,
        images: Images,
        specs: Sequence[ReplicaSpec],
        score_space: ScoreSpace | None = None,
        patience: int = 0,
        precision: str = FLOAT32,
        together: int = 1,
        scored_together: int = 1,
        scored_images: int | None = None,
    ) -> None:
        keep_freed_memory()
        float32_is_float32()
        if isinstance(images, Tensor):
            check_finite(images)
            self.statistics = ImageStatistics(images)
        else:
            self.statistics = images.statistics
        for spec in specs:
            if not len(spec.train):
                raise UserError(
                    f"task {spec.title or spec.task} with seed {spec.seed} has no training image; "
                    "give it some"
                )
        shape = ImageShape(*images.shape[1:])
        check_last_batch(skeleton(detector, config, shape), {len(spec.train) for spec in specs})
        self.epoch = 0
        self.failures: dict[int, Failure] = {}
        self.replicas = [
            Replica(detector, config, images, spec, score_space or {}, precision, scored_images)
            for spec in specs
        ]
        self.epochs = sum(stage.epochs for stage in self.replicas[0].stages)
        self.together, self.scored_together = together, scored_together
        self.stacks: dict[tuple[int, ...], Stack] = {}  # by positions of the replicas
        self.early_stopping = [EarlyStopping(patience) for _ in specs if patience]

    @property
    def finished(self) -> bool:
        """Whether training is finished, or all replicas have failed."""
        if self.epoch >= self.epochs or not self.living():
            return True
        return self.scorable and not self.training()

    @property
    def scorable(self) -> bool:
        """Whether the last training stage has begun; earlier scores would be meaningless."""
        stages = self.replicas[0].stages
        return self.epoch > sum(stage.epochs for stage in stages[:-1]) or not stages

    @property
    def parameters(self) -> int:
        """Number of trained parameters used for scoring; 0 for a detector that is only fitted."""
        module = self.replicas[0].module
        parts = [module.get_submodule(name) for name in module.scoring_modules]
        return sum(p.numel() for part in parts for p in part.parameters())

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last finished epoch, or of the first if none is finished."""
        replica = self.replicas[0]
        if not replica.stages:
            return 0.0
        stage, epoch = replica.position(max(self.epoch - 1, 0))
        return stage.learning_rate(epoch)

    def living(self) -> list[int]:
        """Positions of the replicas that have not failed."""
        return [k for k in range(len(self.replicas)) if k not in self.failures]

    def training(self) -> list[int]:
        """Positions of the replicas that have neither failed nor been stopped in this stage."""
        stoppings = enumerate(self.early_stopping)
        stopped = {k for k, stopping in stoppings if stopping.stopped is not None}
        return [k for k in self.living() if k not in stopped]

    def epoch_of(self, replica: int) -> int:
        """The number of epochs that a replica which has not failed has finished."""
        stopped = self.early_stopping[replica].stopped if self.early_stopping else None
        return self.epoch if stopped is None else stopped

    def watch(self, held_out: Sequence[Tensor]) -> None:
        """Stop replicas whose loss of normal validation images no longer decreases.

        The stage of a replica is stopped if its loss has not decreased for `patience` calls. When
        its stage is stopped or over, a replica is reset to its weights of the lowest loss, from
        which the next stage begins. Without patience nothing happens.

        Args:
            held_out: the indices of the normal validation images of each replica.
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
        """The number of epochs finished at the end of the stage to which an epoch belongs."""
        stage, local = self.replicas[0].position(epoch)
        return epoch - local + stage.epochs

    def _within_stage(self, epochs: int) -> int:
        """Limit `epochs` to the current stage, and reset early stopping at a new stage.

        Without patience, `epochs` is returned unchanged.
        """
        if not self.early_stopping or self.epoch >= self.epochs:
            return epochs
        if not self.training() and not self.finished:  # all are stopped: the stage is over
            self.epoch = self.stage_end(self.epoch - 1)  # of the last epoch, also at its end
        if self.epoch and self.replicas[0].position(self.epoch)[1] == 0:
            for stopping in self.early_stopping:
                stopping.begin_stage()
        return min(epochs, self.stage_end(self.epoch) - self.epoch)

    def train(self, epochs: int) -> list[Numbers]:
        """Train every replica that has not failed for `epochs`, or to the end of its schedule.

        Returns:
            the terms of the last epoch of each replica, averaged over batches; {} for one that has
            failed.
        """
        training = self.train_by_epochs(epochs)
        while True:
            try:
                next(training)
            except StopIteration as end:
                return list(end.value)

    def train_by_epochs(self, epochs: int) -> Generator[int, None, list[Numbers]]:
        """As `train`, but yields after every epoch of every replica.

        Until the generator is exhausted, the replica set can neither be scored nor stored.

        Yields:
            the number of epochs that remain, summed over replicas.
        """
        epochs = min(self._within_stage(epochs), self.epochs - self.epoch)
        means: list[Numbers] = [{} for _ in self.replicas]
        for k, stopping in enumerate(self.early_stopping):
            means[k] = {} if k in self.failures else stopping.terms
        groups = self._trained_together()
        later = sum(map(len, groups))
        for positions in groups:
            later -= len(positions)
            living = positions
            for epoch in range(self.epoch, self.epoch + epochs):
                for k, terms in self._train_epoch(living, epoch).items():
                    means[k] = terms
                living = [k for k in living if k not in self.failures]
                if not living:
                    break
                yield (self.epoch + epochs - epoch - 1) * len(living) + epochs * later
        self.epoch += epochs
        for stopping, terms in zip(self.early_stopping, means, strict=False):
            stopping.terms = terms
        return means

    def _trained_together(self) -> list[list[int]]:
        """Positions of the replicas that train, in groups of at most `together`.

        If the last batch of an epoch is short, replicas are trained together only if they have
        equally many training images: batch normalisation has no place for a padded image.
        """
        is_short = any(stage.last_batch == SHORT for stage in self.replicas[0].stages)
        by_size: dict[int, list[int]] = {}
        for k in self.training():
            images = len(self.replicas[k].spec.train) if is_short else 0
            by_size.setdefault(images, []).append(k)
        return [
            positions[start : start + self.together]
            for positions in by_size.values()
            for start in range(0, len(positions), self.together)
        ]

    def _train_epoch(self, positions: Sequence[int], epoch: int) -> dict[int, Numbers]:
        """Train replicas together for one epoch; one whose terms are not finite fails and has {}.

        Args:
            positions: positions of the replicas.
            epoch: the number of the epoch, from 0.
        """
        trained = self.stack_of(positions).train_epoch(epoch)
        means: dict[int, Numbers] = {}
        for k in positions:
            means[k] = trained[self.replicas[k]]
            if reason := _not_finite(means[k]):
                self.fail(k, epoch, f"{reason} in epoch {epoch + 1}")
                means[k] = {}
        return means

    def stack_of(self, positions: Sequence[int]) -> Stack:
        """The stack of the replicas at these positions, built if it does not exist."""
        members = tuple(positions)
        if members not in self.stacks:
            # A replica belongs to one stack, whose tensors its weights are slices of.
            self.stacks = {
                others: stack
                for others, stack in self.stacks.items()
                if not set(others) & set(members)
            }
            self.stacks[members] = Stack([self.replicas[k] for k in members])
        return self.stacks[members]

    def take_steps(self) -> list[dict[str, list[tuple[int, float]]]]:
        """The values of each replica at every step since the last call; {} for failed ones."""
        living = self.living()
        return [r.take_steps() if k in living else {} for k, r in enumerate(self.replicas)]

    def fail(self, replica: int, epoch: int, reason: str) -> None:
        """Mark a replica as failed; the others continue."""
        self.failures[replica] = Failure(epoch, reason)

    def prepare_scoring(self) -> None:
        """Fit what scoring needs (`Detector.finish`); replicas that cannot be fitted fail."""
        for k in self.living():
            try:
                self.replicas[k].finish()
            except DegenerateInputError as error:
                self.fail(k, self.epoch, str(error))

    def score(self, replica: int, indices: Tensor, every_variant: bool = False) -> Terms:
        """Scores of images by one replica, each of shape (n,), float64.

        What scoring needs is fitted first, if `prepare_scoring` has not done so.

        Args:
            replica: the position of the replica.
            indices: the indices of the images, shape (n,).
            every_variant: whether to score with every value of the score space, too.
        """
        statistics = self.statistics_of(indices)
        return self.replicas[replica].score(indices, every_variant, statistics)

    def statistics_of(self, indices: Tensor) -> Terms:
        """The image statistics that the detector declares, each float64, on the CPU: (n,)."""
        return self.statistics.of(self.replicas[0].module.image_statistics, indices)

    def scores(
        self, wanted: Mapping[int, Tensor], every_variant: bool = False
    ) -> dict[int, Terms]:
        """The same scores for several replicas, of which some are scored together.

        Replicas of a detector that is only fitted have no networks to join: they are scored one
        after the other.

        Args:
            wanted: the indices of the images, shape (n,), by position of the replica.
            every_variant: whether to score with every value of the score space, too.
        """
        positions, scores = list(wanted), {}
        together = self.scored_together if self.replicas[0].stages else 1
        for start in range(0, len(positions), together):
            members = positions[start : start + together]
            if len(members) == 1:
                scores[members[0]] = self.score(members[0], wanted[members[0]], every_variant)
                continue
            stack = self.stack_of(members)
            statistics = {self.replicas[k]: self.statistics_of(wanted[k]) for k in members}
            of_members = {self.replicas[k]: wanted[k] for k in members}
            of_stack = stack.score(of_members, every_variant, statistics)
            scores |= {k: of_stack[self.replicas[k]] for k in members}
        return scores

    def losses(self, replica: int, indices: Tensor) -> Tensor | None:
        """The training loss of images in evaluation mode, shape (n,), float64.

        Its noise is the same in every call. None if the detector is only fitted.

        Args:
            replica: the position of the replica.
            indices: the indices of the images, shape (n,).
        """
        return self.replicas[replica].losses(indices)

    def illustrate(self, replica: int, indices: Tensor) -> dict[str, Tensor]:
        """Images and their reconstructions by one replica, each (n, c, h, w) in [0, 1]."""
        return self.replicas[replica].illustrate(indices)

    def state_dict(self) -> dict[str, Any]:
        """The state from which training can continue, as tensors and plain data."""
        return {
            "epoch": self.epoch,
            "failures": {k: tuple(failure) for k, failure in self.failures.items()},
            "replicas": [replica.state_dict() for replica in self.replicas],
            "early_stopping": [stopping.state_dict() for stopping in self.early_stopping],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`; on a CPU training then continues with bit-equal results."""
        self.epoch = state["epoch"]
        self.failures = {k: Failure(*failure) for k, failure in state["failures"].items()}
        for replica, saved in zip(self.replicas, state["replicas"], strict=True):
            replica.load_state_dict(saved)
        for stopping, saved in zip(self.early_stopping, state["early_stopping"], strict=True):
            stopping.load_state_dict(saved)
        if not self.epochs:
            self.prepare_scoring()


def _not_finite(terms: Numbers) -> str:
    """The first term that is not finite, as in "loss became nan"; empty if all are finite."""
    for metric, value in terms.items():
        if not math.isfinite(value):
            return f"{metric.name} became {value}"
    return ""
