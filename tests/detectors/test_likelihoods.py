"""Likelihoods of pixels: masses sum to one, densities integrate to one, means are means."""

import math

import pytest
import torch
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli

from tune_ad.detectors.likelihood_vae.likelihoods import (
    CELL_NATS,
    GREYS,
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Gaussian,
)

LOGITS = torch.tensor(
    [-30.0, -3.0, -0.011, -0.009, 0.0, 1e-4, 0.02, 2.0, 30.0], dtype=torch.float64
)


def column(values):
    """Values as a batch of images of one pixel."""
    return values.reshape(-1, 1, 1, 1)


def outputs_of(likelihood, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(7, likelihood.outputs, 1, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("likelihood", [DiscretisedLogistic(), Categorical()])
def test_masses_of_the_grey_values_sum_to_one(likelihood):
    for outputs in outputs_of(likelihood):
        greys = column(torch.arange(GREYS, dtype=torch.float64) / (GREYS - 1))
        logs = likelihood.log_prob(outputs.expand(GREYS, -1, -1, -1), greys)
        assert float(logs.exp().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("sharp", [-7.0, -12.0])
def test_a_sharp_logistic_still_sums_to_one_and_is_floored(sharp):
    outputs = torch.tensor([0.3, sharp], dtype=torch.float64).reshape(1, 2, 1, 1)
    greys = column(torch.arange(GREYS, dtype=torch.float64) / (GREYS - 1))
    logs = DiscretisedLogistic().log_prob(outputs.expand(GREYS, -1, -1, -1), greys)
    assert logs.isfinite().all()
    assert float(logs.exp().sum()) == pytest.approx(1, abs=1e-9)


def test_the_continuous_bernoulli_integrates_to_one_at_every_logit():
    x = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    for logit in LOGITS:
        logs = ContinuousBernoulli().log_prob(column(logit.expand(len(x))), column(x)) + CELL_NATS
        assert float(logs.exp().mean()) == pytest.approx(1, abs=1e-5)


def test_the_continuous_bernoulli_agrees_with_the_reference():
    x = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    for logit in LOGITS[1:-1]:
        reference = TorchContinuousBernoulli(logits=logit)
        logs = ContinuousBernoulli().log_prob(column(logit.expand(3)), column(x)) + CELL_NATS
        assert logs.flatten().tolist() == pytest.approx(reference.log_prob(x).tolist(), abs=1e-5)
        mean = ContinuousBernoulli().mean(column(logit[None]))
        assert float(mean) == pytest.approx(float(reference.mean), abs=1e-4)


def test_a_gaussian_integrates_to_one_over_the_line():
    scale = torch.tensor(math.log(0.2), dtype=torch.float64)
    x = torch.linspace(-3, 4, 70_001, dtype=torch.float64)
    logs = Gaussian(scale).log_prob(column(torch.zeros_like(x)), column(x)) + CELL_NATS
    assert float(logs.exp().sum() * 1e-4) == pytest.approx(1, abs=1e-6)


def test_a_uniform_density_costs_eight_bits():
    x = column(torch.rand(50, dtype=torch.float64))
    nats = -ContinuousBernoulli().log_prob(torch.zeros_like(x), x)
    assert (nats / math.log(2)).flatten().tolist() == pytest.approx([8.0] * 50, abs=1e-9)
    even = -Categorical().log_prob(torch.zeros(50, GREYS, 1, 1, dtype=torch.float64), x)
    assert (even / math.log(2)).flatten().tolist() == pytest.approx([8.0] * 50)


def test_bernoulli_on_grey_values_is_no_probability():
    assert not Bernoulli.proper
    x = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    logs = Bernoulli().log_prob(column(torch.zeros_like(x)), column(x))
    assert float(logs.exp().mean()) == pytest.approx(0.5), "it integrates to a half"
    improper = [name for name, likelihood in LIKELIHOODS.items() if not likelihood.proper]
    assert improper == ["bernoulli"]


def likelihood_called(name):
    likelihood = LIKELIHOODS[name]
    return likelihood(torch.tensor(math.log(0.05))) if likelihood is Gaussian else likelihood()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_samples_have_the_mean_of_the_distribution(name):
    likelihood = likelihood_called(name)
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(1, 2 * likelihood.outputs, 2, 2, generator=generator)
    uniform = torch.rand(20_000, 2, 2, 2, generator=generator)
    drawn = likelihood.sample(outputs.expand(20_000, -1, -1, -1), uniform)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    if name != "discretised_logistic":  # its tails are moved to the ends, its mean is not
        assert drawn.mean(0).flatten().tolist() == pytest.approx(
            likelihood.mean(outputs).flatten().tolist(), abs=0.02
        )


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_probabilities_have_a_finite_gradient_at_the_extremes(name):
    likelihood = likelihood_called(name)
    outputs = torch.tensor([-40.0, 0.0, 40.0]).reshape(3, 1, 1, 1)
    outputs = outputs.expand(3, likelihood.outputs, 4, 4).clone().requires_grad_()
    images = torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 4, 4)
    logs = likelihood.log_prob(outputs, images)
    assert logs.shape == (3, 1, 4, 4)
    logs.sum().backward()
    assert outputs.grad.isfinite().all()
