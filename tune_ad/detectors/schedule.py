"""The training schedule: stages of epochs, and phases (optimiser steps) within an update."""

from dataclasses import dataclass


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
    """

    name: str
    epochs: int
    phases: tuple[Phase, ...]
    adam: Adam
    batch_size: int
    milestones: tuple[float, ...] = ()
    decay: float = 0.1

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
