"""Adam for the parameters of several replicas in one call, with a state for each replica."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from tune_ad.detectors.schedule import Adam
from tune_ad.training.replicas.layout import in_memory_order

EPSILON = 1e-8  # added to the root of the second moment


class AdamState:
    """The state of Adam for the parameters that one phase of one replica trains.

    Each phase has a state of its own, even if another phase trains the same parameters.

    Args:
        parameters: the parameters, float32.

    Attributes:
        steps: the number of steps that each parameter has made, float32 scalars.
        first: the running mean of the gradient of each parameter, with its shape.
        second: the running mean of the squared gradient, with the same shape.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]
        self.first = [torch.zeros_like(p.data) for p in self.parameters]
        self.second = [torch.zeros_like(p.data) for p in self.parameters]

    def state_dict(self) -> dict[str, Any]:
        """The state by position of the parameter, in the form of `torch.optim.Adam`."""
        moments = zip(self.steps, self.first, self.second, strict=True)
        names = ("step", "exp_avg", "exp_avg_sq")
        return {"state": {i: dict(zip(names, m, strict=True)) for i, m in enumerate(moments)}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state`; a parameter that it does not have has made no step."""
        for i, saved in state["state"].items():
            self.steps[i].copy_(saved["step"])
            self.first[i].copy_(saved["exp_avg"])
            self.second[i].copy_(saved["exp_avg_sq"])


@torch.no_grad()
def adam_step(
    states: Sequence[AdamState],
    gradients: Sequence[Sequence[Tensor | None]],
    settings: Adam,
    rate: float,
) -> None:
    """One step of Adam for the parameters of every state (Kingma and Ba, arXiv 1412.6980).

    Args:
        states: the states of the same phase of several replicas.
        gradients: by state, the gradient of each parameter, in the memory layout of the parameter;
            None leaves the parameter and its state unchanged.
        settings: the settings of the optimiser.
        rate: the learning rate of this step.
    """
    rows = [
        (*map(in_memory_order, (parameter.data, gradient, first, second)), step)
        for state, of_state in zip(states, gradients, strict=True)
        for parameter, gradient, first, second, step in zip(
            state.parameters, of_state, state.first, state.second, state.steps, strict=True
        )
        if gradient is not None
    ]
    parameters, filled, first, second, steps = map(list, zip(*rows, strict=True))
    adam(
        parameters,
        filled,
        first,
        second,
        [],
        steps,
        fused=True,
        amsgrad=False,
        beta1=settings.betas[0],
        beta2=settings.betas[1],
        lr=rate,
        weight_decay=settings.weight_decay,
        eps=EPSILON,
        maximize=False,
    )
