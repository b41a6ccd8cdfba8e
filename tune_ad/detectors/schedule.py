"""The training schedule: stages of epochs, and phases (optimiser steps) within an update."""

from dataclasses import dataclass

FILLED, SHORT = "filled", "short"
"""The two kinds of last batch of an epoch (`Stage.last_batch`)."""


@dataclass(frozen=True)
class Phase:
    """One optimiser step of an update: it minimises a loss over the parameters of some modules.

    Attributes:
        name: the name of the phase, the argument of `Detector.terms`.
        modules: names of the submodules whose parameters it updates. Each phase has its own
            optimiser, so that several phases may update the same module.
    """

    name: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Adam:
    """Settings of Adam, whose weight decay is an L2 penalty added to the gradient (not AdamW)."""

    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float


@dataclass(frozen=True)
class Stage:
    """A part of training with its own phases, optimisers and learning rate.

    Attributes:
        name: a name that is unique within the detector.
        epochs: number of passes over the training images.
        phases: the optimiser steps of one update, in order.
        adam: settings of Adam that all phases share; each phase has its own moments.
        batch_size: number of images per update.
        milestones: fractions of `epochs` at which the learning rate is multiplied by `decay`;
            fractions, so that a shorter run has the same schedule.
        decay: factor on the learning rate at each milestone.
        last_batch: the last batch of an epoch if the batch size does not divide the number of
            training images: "filled" to the full size with the first images of the epoch, or
            "short", with only the images that are left.
        simultaneous: whether the losses of all phases are computed before any of their optimiser
            steps, from the parameters before the update. The running statistics of batch
            normalisation are then updated once per update, in the first phase that trains their
            module. Otherwise each phase follows the steps of those before it, and every forward
            pass in training mode updates the running statistics.
    """

    name: str
    epochs: int
    phases: tuple[Phase, ...]
    adam: Adam
    batch_size: int
    milestones: tuple[float, ...] = ()
    decay: float = 0.1
    last_batch: str = FILLED
    simultaneous: bool = False

    def batches(self, images: int) -> int:
        """The number of batches of an epoch, ceil(images / batch_size).

        Args:
            images: the number of training images, at least 1.
        """
        return -(-images // self.batch_size)

    def untracked(self, phase: Phase) -> tuple[str, ...]:
        """The modules whose running statistics a phase leaves as they are.

        In a simultaneous stage they are those that the phase does not train, or that an earlier
        phase has trained; otherwise none.
        """
        if not self.simultaneous:
            return ()
        earlier = self.phases[: self.phases.index(phase)]
        done = {name for other in earlier for name in other.modules}
        names = dict.fromkeys(name for other in self.phases for name in other.modules)
        return tuple(name for name in names if name in done or name not in phase.modules)

    def images_in_last_batch(self, images: int) -> int:
        """The number of images in the last batch of an epoch.

        >>> stage = Stage("", 1, (), Adam(1e-4, (0.5, 0.999), 0.0), 8)
        >>> short = Stage("", 1, (), stage.adam, 8, last_batch="short")
        >>> stage.images_in_last_batch(20), short.images_in_last_batch(20)
        (8, 4)
        >>> short.images_in_last_batch(16), short.images_in_last_batch(5)
        (8, 5)

        Args:
            images: the number of training images, at least 1.
        """
        if self.last_batch == FILLED:
            return self.batch_size
        return images - (self.batches(images) - 1) * self.batch_size

    def learning_rate(self, epoch: int) -> float:
        """The learning rate in an epoch of the stage, counted from 0.

        >>> stage = Stage("", 100, (), Adam(1e-4, (0.5, 0.999), 0.0), 200, (0.75,))
        >>> stage.learning_rate(74) / 1e-4, round(stage.learning_rate(75) / 1e-4, 9)
        (1.0, 0.1)
        """
        # Rounded, because 0.55 * 100 is slightly more than 55.
        milestones = [round(fraction * self.epochs, 6) for fraction in self.milestones]
        passed = sum(epoch >= milestone for milestone in milestones)
        return self.adam.learning_rate * self.decay**passed
