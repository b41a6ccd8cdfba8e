"""The encoder's mixture of Gaussians: density, samples, and components added one by one."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from tune_ad.detectors import gaussian
from tune_ad.detectors.likelihood_vae import importance
from tune_ad.detectors.likelihood_vae.posterior import AddedComponent, Mixture, single
from tune_ad.randomness import torch_stream

DIM = 2


def mixture():
    """Three components in two dimensions, for two images."""
    shares = torch.tensor([[0.2, 0.5], [0.3, 0.1], [0.5, 0.4]], dtype=torch.float64)
    stream = torch_stream(0, "mixture")
    means = torch.randn(3, 2, DIM, generator=stream, dtype=torch.float64)
    return Mixture(shares.log(), means, torch.randn(3, 2, DIM, generator=stream).double())


def same(of):
    """The same distribution by PyTorch, with the batch of images."""
    normal = Normal(of.means.movedim(0, 1), (0.5 * of.log_variances).exp().movedim(0, 1))
    return MixtureSameFamily(Categorical(logits=of.log_shares.T), Independent(normal, 1))


def test_the_density_is_that_of_pytorch():
    codes = torch.randn(5, 2, DIM, generator=torch_stream(1, "codes"), dtype=torch.float64)
    assert torch.allclose(mixture().log_density(codes), same(mixture()).log_prob(codes))


def test_samples_have_the_moments_of_the_mixture():
    normal = torch.randn(200_000, 2, DIM, generator=torch_stream(2, "n"), dtype=torch.float64)
    uniform = torch.rand(200_000, 2, generator=torch_stream(3, "u"), dtype=torch.float64)
    codes, exact = mixture().sample(normal, uniform), same(mixture())
    assert torch.allclose(codes.mean(0), exact.mean, atol=0.02)
    assert torch.allclose(codes.var(0), exact.variance, rtol=0.02)


def test_the_shares_of_a_defended_mixture_sum_to_one():
    defended = mixture().defended(0.25)
    assert torch.allclose(defended.log_shares.exp().sum(0), torch.ones(2).double())
    assert defended.log_shares[-1].exp().tolist() == pytest.approx([0.25, 0.25])
    assert not defended.means[-1].any() and not defended.log_variances[-1].any()
    assert mixture().defended(0.0).log_shares.shape == (3, 2)


def test_a_new_component_is_a_wider_copy_with_an_equal_share():
    features = torch.randn(4, 7, generator=torch_stream(4, "features"))
    of = single(torch.randn(4, DIM), torch.zeros(4, DIM))
    for count in (2, 3):
        of = AddedComponent(7, DIM)(features, of)
        assert torch.allclose(of.log_shares.exp(), torch.full((count, 4), 1 / count))
        assert torch.equal(of.means[-1], of.means[0])
        assert torch.equal(of.log_variances[-1], of.log_variances[-2] + 1)


def test_the_log_variance_of_a_new_component_is_bounded():
    of = single(torch.zeros(1, DIM), torch.full((1, DIM), 3.5))
    assert AddedComponent(3, DIM)(torch.zeros(1, 3), of).log_variances[-1].tolist() == [[4.0, 4.0]]


def two_modes(codes):
    """Log-density of an even mixture of N(-2, 0.5^2) and N(2, 0.5^2) in each dimension's first."""
    log_variance = torch.tensor(2 * math.log(0.5), dtype=codes.dtype).expand(DIM)
    modes = [
        gaussian.log_density(codes, torch.tensor([at, 0.0], dtype=codes.dtype), log_variance)
        for at in (-2.0, 2.0)
    ]
    return torch.logsumexp(torch.stack(modes), 0) - math.log(2)


@pytest.mark.slow
def test_an_added_component_finds_the_mode_that_the_first_one_misses():
    """A Gaussian on the left mode; the second, trained by forward KL, must cover the right one."""
    stream, added = torch_stream(5, "modes"), AddedComponent(1, DIM).double()
    feature = torch.ones(1, 1, dtype=torch.float64)
    left = single(torch.tensor([[-2.0, 0.0]]).double(), torch.zeros(1, DIM).double())
    optimiser = torch.optim.Adam(added.parameters(), lr=0.05)

    def share(of):
        """Effective share of 4,000 codes, and its estimate of the forward KL."""
        normal = torch.randn(4000, 1, DIM, generator=stream, dtype=torch.float64)
        codes = of.sample(normal, torch.rand(4000, 1, generator=stream, dtype=torch.float64))
        log_weights = two_modes(codes) - of.log_density(codes)
        weights = importance.normalised(log_weights)
        return float(importance.effective_share(weights)), float(
            importance.forward_kl(log_weights)
        )

    for _ in range(400):
        with torch.no_grad():
            proposal = left.defended(0.5)
            normal = torch.randn(256, 1, DIM, generator=stream, dtype=torch.float64)
            uniform = torch.rand(256, 1, generator=stream, dtype=torch.float64)
            codes = proposal.sample(normal, uniform)
            weights = importance.normalised(two_modes(codes) - proposal.log_density(codes))
        optimiser.zero_grad()
        density = added(feature, left).log_density(codes)
        importance.wake_loss(density, weights).sum().backward()
        optimiser.step()
    with torch.no_grad():
        both = added(feature, left)
        assert both.means[1, 0, 0] == pytest.approx(2.0, abs=0.2)
        assert float(both.log_shares[1].exp()) == pytest.approx(0.5, abs=0.1)
        before, after = share(left), share(both)
    assert after[0] > 0.5 > before[0]
    assert after[1] < before[1]


def test_the_kl_divergence_of_a_single_gaussian_is_that_of_pytorch():
    stream = torch_stream(6, "single")
    mean, log_variance = (torch.randn(3, DIM, generator=stream).double() for _ in range(2))
    exact = kl_divergence(
        Normal(mean, (0.5 * log_variance).exp()), Normal(torch.zeros(DIM).double(), 1.0)
    ).sum(1)
    assert torch.allclose(gaussian.rate(mean, log_variance), exact)
