"""Adam over the states of several replicas."""

import pytest
import torch
from torch import nn

from tune_ad.detectors.schedule import Adam
from tune_ad.training.replicas.adam import AdamState, adam_step

SETTINGS = Adam(1e-2, (0.5, 0.99), 1e-3)
SHAPES = ((3, 2), (4, 3, 5, 5), ())


def parameters_of(stream: torch.Generator) -> list[nn.Parameter]:
    return [nn.Parameter(torch.randn(shape, generator=stream)) for shape in SHAPES]


@pytest.mark.parametrize("skipped", [None, 1])
def test_each_state_does_what_torch_adam_does(skipped):
    """A parameter without gradient, as that of an unused layer, stays as it is."""
    stream = torch.Generator().manual_seed(0)
    replicas = [parameters_of(stream) for _ in range(3)]
    states = [AdamState(parameters) for parameters in replicas]
    copies = [[nn.Parameter(p.detach().clone()) for p in parameters] for parameters in replicas]
    optimisers = [
        torch.optim.Adam(
            parameters, betas=SETTINGS.betas, weight_decay=SETTINGS.weight_decay, fused=True
        )
        for parameters in copies
    ]
    for step in range(4):
        rows = 3 if step < 2 else 2  # the last replica has made fewer steps
        gradients = [
            [
                None if i == skipped else torch.randn(shape, generator=stream)
                for i, shape in enumerate(SHAPES)
            ]
            for _ in range(rows)
        ]
        rate = 1e-2 / (step + 1)
        adam_step(states[:rows], gradients, SETTINGS, rate)
        for optimiser, parameters, of_replica in zip(optimisers, copies, gradients, strict=False):
            for parameter, gradient in zip(parameters, of_replica, strict=True):
                parameter.grad = gradient
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
    for ours, theirs in zip(replicas, copies, strict=True):
        for parameter, copied in zip(ours, theirs, strict=True):
            assert torch.equal(parameter, copied)


def test_a_state_of_torch_adam_can_be_loaded_and_continued():
    stream = torch.Generator().manual_seed(0)
    first, second = parameters_of(stream), parameters_of(stream)
    optimiser = torch.optim.Adam(first, betas=SETTINGS.betas)
    for parameter in first:
        parameter.grad = torch.randn(parameter.shape, generator=stream)
    optimiser.step()
    state = AdamState(second)
    state.load_state_dict(optimiser.state_dict())
    again = AdamState(parameters_of(stream))
    again.load_state_dict(state.state_dict())
    for parameter, step, mean, square in zip(
        first, again.steps, again.first, again.second, strict=True
    ):
        kept = optimiser.state[parameter]
        assert torch.equal(step, kept["step"])
        assert torch.equal(mean, kept["exp_avg"])
        assert torch.equal(square, kept["exp_avg_sq"])
