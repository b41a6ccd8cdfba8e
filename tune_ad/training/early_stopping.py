"""When a replica has stopped improving, and the weights that it had before."""

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
    """Watches the loss of held-out normals of one replica, stage by stage.

    Attributes:
        patience: intervals without a lower loss after which the replica is done with its stage.
        loss: the lowest so far.
        epoch: after which it was seen; 0 before any.
        waited: intervals since.
        weights: of that epoch; empty before any.
        stopped: epoch at which the replica was done with its stage; None while it is not.
        terms: of its last epoch of training, as `ReplicaSet.train` gives them.
    """

    patience: int
    loss: float = math.inf
    epoch: int = 0
    waited: int = 0
    weights: Weights = field(default_factory=dict)
    stopped: int | None = None
    terms: Numbers = field(default_factory=dict)

    def note(self, epoch: int, loss: float, weights: Mapping[str, Tensor]) -> None:
        """Take in the loss after an interval; one that is no number is no improvement."""
        if loss < self.loss:
            self.loss, self.epoch, self.waited = loss, epoch, 0
            self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.stopped = epoch

    def begin_stage(self) -> None:
        """Begin to watch a new stage, whose losses are others; the terms stay."""
        self.loss, self.epoch, self.waited, self.weights, self.stopped = math.inf, 0, 0, {}, None

    def state_dict(self) -> dict[str, Any]:
        """Everything but the patience, as tensors and plain data."""
        state = {name: value for name, value in vars(self).items() if name != "patience"}
        return state | {"terms": [(tuple(metric), v) for metric, v in self.terms.items()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for name, value in state.items():
            setattr(self, name, value)
        self.terms = {Metric(*metric): value for metric, value in state["terms"]}
