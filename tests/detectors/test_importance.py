"""Importance weights: closed forms, bounds, a linear-Gaussian model with a known posterior."""

import math

import pytest
import torch

from tests.marks import slow
from tune_ad.detectors import gaussian
from tune_ad.detectors.likelihood_vae import importance
from tune_ad.detectors.likelihood_vae.posterior import single
from tune_ad.randomness import torch_stream

DIM, NOISE = 2, 0.5
WEIGHTS = torch.tensor([[1.0, 0.9], [0.0, 0.6]], dtype=torch.float64)
"""x = W z + N(0, 0.5^2): a posterior whose two coordinates are correlated."""


def posterior(x):
    precision = torch.eye(DIM, dtype=torch.float64) + WEIGHTS.T @ WEIGHTS / NOISE**2
    covariance = torch.linalg.inv(precision)
    return covariance @ WEIGHTS.T @ x / NOISE**2, covariance, precision


def log_joint(z, x):
    error = x - z @ WEIGHTS.T
    normal = -0.5 * (error / NOISE).square() - math.log(NOISE) - 0.5 * math.log(2 * math.pi)
    return normal.sum(-1) + importance.log_prior(z)


def log_evidence(x):
    covariance = WEIGHTS @ WEIGHTS.T + NOISE**2 * torch.eye(DIM, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(
        torch.zeros(DIM, dtype=torch.float64), covariance
    ).log_prob(x)


X = torch.tensor([1.0, -0.5], dtype=torch.float64)


def propose(mean, log_variance, normal, uniform, defensive):
    """Codes of a Gaussian defended by the prior, and their log-density."""
    proposal = single(mean, log_variance).defended(defensive)
    codes = proposal.sample(normal, uniform if defensive else None)
    return codes, proposal.log_density(codes)


def fitted(loss, steps=1500, particles=64, defensive=0.0):
    """Mean and variance of a mean-field Gaussian q(z|x), averaged over the last steps."""
    stream = torch_stream(0, "test")
    mean = torch.zeros(1, DIM, dtype=torch.float64, requires_grad=True)
    log_variance = torch.zeros(1, DIM, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([mean, log_variance], lr=0.02)
    kept = []
    for step in range(steps):
        normal = torch.randn(particles, 1, DIM, generator=stream, dtype=torch.float64)
        uniform = torch.rand(particles, 1, generator=stream, dtype=torch.float64)
        optimiser.zero_grad()
        loss(mean, log_variance, normal, uniform, defensive).sum().backward()
        for group in optimiser.param_groups:
            group["lr"] = 0.02 * (1 - step / steps) + 1e-3
        optimiser.step()
        if step > steps // 2:
            kept.append(torch.cat([mean, log_variance.exp()]).detach())
    return torch.stack(kept).mean(0)


def forward(mean, log_variance, normal, uniform, defensive):
    with torch.no_grad():
        codes, proposed = propose(mean, log_variance, normal, uniform, defensive)
        weights = importance.normalised(log_joint(codes, X) - proposed)
    return importance.wake_loss(gaussian.log_density(codes, mean, log_variance), weights)


def reverse(mean, log_variance, normal, uniform, defensive):
    codes, proposed = propose(mean, log_variance, normal, uniform, 0.0)
    return -importance.bound(log_joint(codes, X) - proposed, alpha=1)


@pytest.mark.parametrize("defensive", [0.0, slow(0.2)])
def test_forward_kl_finds_the_exact_moments(defensive):
    exact, covariance, _ = posterior(X)
    mean, variance = fitted(forward, defensive=defensive)
    assert mean.tolist() == pytest.approx(exact.tolist(), abs=0.03)
    assert variance.tolist() == pytest.approx(covariance.diagonal().tolist(), rel=0.1)


@pytest.mark.slow
def test_reverse_kl_finds_the_mean_and_is_too_narrow():
    exact, covariance, precision = posterior(X)
    mean, variance = fitted(reverse)
    assert mean.tolist() == pytest.approx(exact.tolist(), abs=0.03)
    narrow = 1 / precision.diagonal()
    assert variance.tolist() == pytest.approx(narrow.tolist(), rel=0.1)
    assert (narrow < 0.7 * covariance.diagonal()).all(), "the mean-field case must tell them apart"


def draws(particles, count=4000):
    stream = torch_stream(1, "draws")
    normal = torch.randn(particles, count, DIM, generator=stream, dtype=torch.float64)
    zeros = torch.zeros(count, DIM, dtype=torch.float64)
    codes, proposed = propose(zeros, zeros, normal, None, 0.0)
    return log_joint(codes, X) - proposed


def test_iwae_rises_with_k_towards_the_evidence():
    means = [float(importance.bound(draws(k), 0.0).mean()) for k in (1, 4, 16, 64)]
    assert means == sorted(means)
    assert means[-1] < float(log_evidence(X))
    assert means[-1] == pytest.approx(float(log_evidence(X)), abs=0.05)
    assert means[0] == pytest.approx(float(importance.bound(draws(1), 1.0).mean()))


def test_the_renyi_bound_falls_in_alpha_for_every_image():
    log_weights = draws(8, 200)
    bounds = [importance.bound(log_weights, alpha) for alpha in (-1.0, 0.0, 0.5, 0.999999, 1.0)]
    for upper, lower in zip(bounds, bounds[1:], strict=False):
        assert (upper >= lower - 1e-9).all()
    curved = bounds[4] + 0.5e-6 * log_weights.var(0, correction=0)
    assert bounds[3].tolist() == pytest.approx(curved.tolist(), abs=1e-7)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 1.0])
def test_the_bounds_gradient_weighs_codes_by_their_power(alpha):
    log_weights = draws(8, 5).requires_grad_()
    importance.bound(log_weights, alpha).sum().backward()
    expected = importance.normalised(log_weights.detach(), power=1 - alpha)
    assert torch.allclose(log_weights.grad, expected)


def test_weights_sum_to_one_and_their_effective_share_has_its_ends():
    even, single = torch.zeros(10, 1), torch.tensor([[100.0]] + [[0.0]] * 9)
    assert float(importance.effective_share(importance.normalised(even))) == pytest.approx(1)
    assert float(importance.effective_share(importance.normalised(single))) == pytest.approx(0.1)
    assert torch.allclose(importance.normalised(draws(8, 5)).sum(0), torch.ones(5).double())


def test_truncation_cuts_at_the_root_of_k_times_the_mean():
    log_weights = torch.tensor([[math.log(91.0)], *[[0.0]] * 9], dtype=torch.float64)
    cut = importance.normalised(log_weights, truncated=True)  # mean 10, cut at 10 sqrt(10)
    assert float(cut[0]) == pytest.approx(10 * math.sqrt(10) / (10 * math.sqrt(10) + 9))
    assert float(importance.normalised(log_weights)[0]) == pytest.approx(0.91)


def test_the_forward_kl_estimate_is_right_and_bounded():
    log_weights = draws(4096, 20)
    mean, covariance, _ = posterior(X)
    exact = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(mean, covariance),
        torch.distributions.MultivariateNormal(torch.zeros(DIM).double(), torch.eye(DIM).double()),
    )
    assert float(importance.forward_kl(log_weights).mean()) == pytest.approx(
        float(exact), abs=0.05
    )
    assert (importance.forward_kl(draws(8, 50)) >= -1e-9).all()
    assert (importance.forward_kl(draws(8, 50)) <= math.log(8) + 1e-9).all()


def test_one_particle_teaches_the_encoder_nothing_on_average():
    stream = torch_stream(2, "one")
    normal = torch.randn(1, 50_000, DIM, generator=stream, dtype=torch.float64)
    mean = torch.zeros(50_000, DIM, dtype=torch.float64, requires_grad=True)
    loss = forward(mean, torch.zeros_like(mean), normal, None, 0.0)
    loss.sum().backward()
    assert mean.grad.mean(0).tolist() == pytest.approx([0.0, 0.0], abs=0.02)


def test_a_defensive_proposals_density_is_the_mixtures():
    stream = torch_stream(3, "mixture")
    normal = torch.randn(5, 3, DIM, generator=stream)
    uniform = torch.rand(5, 3, generator=stream)
    mean, log_variance = torch.full((3, DIM), 2.0), torch.full((3, DIM), -3.0)
    codes, log_density = propose(mean, log_variance, normal, uniform, 0.25)
    q = gaussian.log_density(codes, mean, log_variance).exp()
    assert torch.allclose(
        log_density.exp(), 0.75 * q + 0.25 * importance.log_prior(codes).exp(), rtol=1e-4
    )
    assert torch.equal(codes[uniform >= 0.75], normal[uniform >= 0.75])


@pytest.mark.parametrize("defensive", [0.1, 0.5])
def test_tempered_weights_of_a_defensive_proposal_estimate_the_same_sum(defensive):
    """E_q[(p/q)^2 f] / E_q[(p/q)^2], by codes from q and by codes from the mixture."""

    def estimate(share):
        stream = torch_stream(4, "tempered")
        normal = torch.randn(400_000, 1, DIM, generator=stream, dtype=torch.float64)
        uniform = torch.rand(400_000, 1, generator=stream, dtype=torch.float64)
        mean, log_variance = torch.full((1, DIM), 0.4).double(), torch.zeros(1, DIM).double()
        codes, proposed = propose(mean, log_variance, normal, uniform, share)
        density = gaussian.log_density(codes, mean, log_variance)
        ratio = density - proposed if share else None
        weights = importance.normalised(log_joint(codes, X) - proposed, 2.0, False, ratio)
        return (weights.unsqueeze(-1) * codes).sum(0).flatten().tolist()

    assert estimate(defensive) == pytest.approx(estimate(0.0), abs=0.02)
