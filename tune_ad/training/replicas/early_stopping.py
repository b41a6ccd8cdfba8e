"""Early stopping of one replica: monitors its validation loss and keeps its best weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from tune_ad.detectors.base import Numbers
from tune_ad.storage.metric import Metric

Weights = dict[str, Tensor]


@dataclass
class EarlyStopping:
    """Monitors the loss of normal validation images of one replica, stage by stage.

    Attributes:
        patience: evaluations without a lower loss after which the stage is stopped.
        loss: the lowest loss in this stage.
        epoch: the number of epochs after which it was lowest; 0 before the first evaluation.
        waited: the number of evaluations since then.
        weights: the weights at that epoch; empty before the first evaluation.
        stopped: the number of epochs after which the stage was stopped; None if it was not.
        terms: the terms of the last epoch of training, as `ReplicaSet.train` returns them.
    """

    patience: int
    loss: float = math.inf
    epoch: int = 0
    waited: int = 0
    weights: Weights = field(default_factory=dict)
    stopped: int | None = None
    terms: Numbers = field(default_factory=dict)

    def note(self, epoch: int, loss: float, weights: Mapping[str, Tensor]) -> None:
        """Update with the loss after an interval; NaN does not count as an improvement."""
        if loss < self.loss:
            self.loss, self.epoch, self.waited = loss, epoch, 0
            self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.stopped = epoch

    def begin_stage(self) -> None:
        """Reset everything but the terms: losses of different stages are not comparable."""
        self.loss, self.epoch, self.waited, self.weights, self.stopped = math.inf, 0, 0, {}, None

    def state_dict(self) -> dict[str, Any]:
        """Everything but the patience, as tensors and plain data."""
        state = {name: value for name, value in vars(self).items() if name != "patience"}
        return state | {"terms": [(tuple(metric), v) for metric, v in self.terms.items()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`."""
        for name, value in state.items():
            setattr(self, name, value)
        self.terms = {Metric(*metric): value for metric, value in state["terms"]}
