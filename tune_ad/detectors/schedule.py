"""When a detector trains what: stages of epochs, and the optimiser steps of one update."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """One optimiser step of an update: it lowers the loss of that name by moving some modules.

    Attributes:
        name: given to `Detector.terms`.
        modules: names of the submodules whose parameters it moves. They have an optimiser of
            their own, so a module may be moved by several phases.
    """

    name: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Adam:
    """Settings of Adam with L2 regularisation added to the gradient (not decoupled)."""

    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float


@dataclass(frozen=True)
class Stage:
    """A part of training with its own phases, optimisers and learning rate.

    Attributes:
        name: unique within the detector.
        epochs: passes over the training images.
        phases: the steps of one update, in their order.
        adam: settings shared by the phases; each phase has its own moments.
        batch_size: images per update.
        milestones: fractions of `epochs` at which the learning rate is multiplied by `decay`,
            so that a shorter run keeps the shape of the schedule.
        decay: that factor.
    """

    name: str
    epochs: int
    phases: tuple[Phase, ...]
    adam: Adam
    batch_size: int
    milestones: tuple[float, ...] = ()
    decay: float = 0.1

    def learning_rate(self, epoch: int) -> float:
        """The learning rate during epoch number `epoch`, counted from 0 within the stage.

        >>> stage = Stage("", 100, (), Adam(1e-4, (0.5, 0.999), 0.0), 200, (0.75,))
        >>> stage.learning_rate(74) / 1e-4, round(stage.learning_rate(75) / 1e-4, 9)
        (1.0, 0.1)
        """
        # Rounded, since 0.55 * 100 is a little more than 55.
        drops = [round(fraction * self.epochs, 6) for fraction in self.milestones]
        passed = sum(epoch >= drop for drop in drops)
        return self.adam.learning_rate * self.decay**passed
