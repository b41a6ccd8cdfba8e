"""The VampPrior of a VAE against closed forms."""

import pytest
import torch

from tune_ad.detectors import gaussian
from tune_ad.detectors.autoencoders.priors import Posteriors, PseudoInputs, sampled_rate
from tune_ad.detectors.autoencoders.vae import VAE, rate_of
from tune_ad.detectors.nets import ImageShape
from tune_ad.storage.metric import Metric
from tune_ad.training.replicas.replica import build

SHAPE = ImageShape(1, 8, 8)


def posteriors(count, size=3, seed=0):
    stream = torch.Generator().manual_seed(seed)
    return Posteriors(
        torch.randn(count, size, generator=stream),
        0.3 * torch.randn(count, size, generator=stream),
    )


def noise(samples, count, size=3):
    return torch.randn(samples, count, size, generator=torch.Generator().manual_seed(9))


def test_with_a_standard_normal_component_the_rate_is_the_closed_form():
    code = posteriors(5)
    prior = Posteriors(torch.zeros(1, 3), torch.zeros(1, 3))
    estimated = sampled_rate(code, prior, noise(40_000, 5))
    assert estimated.tolist() == pytest.approx(gaussian.rate(*code).tolist(), abs=0.03)


def test_equal_components_count_as_one():
    code, prior = posteriors(4), posteriors(1, seed=1)
    many = Posteriors(*(values.expand(7, -1) for values in prior))
    drawn = noise(3, 4)
    assert sampled_rate(code, many, drawn).tolist() == pytest.approx(
        sampled_rate(code, prior, drawn).tolist(), rel=1e-5
    )


def test_the_posterior_itself_as_the_prior_has_rate_0():
    code = posteriors(1)
    assert sampled_rate(code, code, noise(5, 1)).tolist() == pytest.approx([0.0], abs=1e-6)


def distribution(of):
    return torch.distributions.Normal(of.mean.double(), (0.5 * of.log_variance).exp().double())


def test_the_density_is_that_of_the_mixture():
    code, prior = posteriors(6), posteriors(4, seed=2)
    drawn = noise(2, 6)
    codes = gaussian.codes(*code, drawn).double()
    own = distribution(code).log_prob(codes).sum(-1)
    component = distribution(prior).log_prob(codes[:, :, None]).sum(-1)
    mixture = component.logsumexp(-1) - torch.log(torch.tensor(4.0))
    expected = (own - mixture).mean(0)
    assert sampled_rate(code, prior, drawn).tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def built(**settings):
    return build(VAE, VAE.Config.released(SHAPE, latent_dim=16, **settings), SHAPE, 0)


def test_pseudo_inputs_are_images_and_are_trained():
    module = built(prior="vamp", pseudo_inputs=7)
    images = module.pseudo_inputs()
    assert images.shape == (7, *SHAPE)
    assert ((images > 0) & (images < 1)).all()
    batch = torch.rand(9, *SHAPE)
    terms = module.terms("train", batch, {"code": torch.randn(1, 9, 16)})
    assert terms["rate"].shape == (9,)
    terms["loss"].sum().backward()
    assert float(module.pseudo_inputs.logits.grad.abs().sum()) > 0
    (phase,) = module.stages()[0].phases
    assert "pseudo_inputs" in phase.modules


def test_a_standard_prior_has_no_pseudo_inputs_and_a_closed_form():
    module = built()
    assert not [name for name, _ in module.named_parameters() if "pseudo" in name]
    code, prior = module.eval().encode_with_prior(torch.rand(3, *SHAPE))
    assert prior is None
    assert rate_of(code, None, noise(1, 3, 16)).tolist() == gaussian.rate(*code).tolist()


def test_scores_have_a_rate_even_without_samples_of_the_code():
    module = built(prior="vamp", pseudo_inputs=5, score_samples=0).eval()
    (wanted,) = module.score_noise({}).values()
    drawn = wanted.draw(torch.Generator().manual_seed(0))
    images = torch.rand(4, *SHAPE)
    with torch.no_grad():
        scores = module.score_variants(images, {"code": drawn}, {})
        alone = module.score_variants(images[:1], {"code": drawn}, {})
    assert all(values.isfinite().all() for values in scores.values())
    assert alone["rate"].tolist() == pytest.approx(scores["rate"][:1].tolist(), rel=1e-4)


def test_the_parts_of_the_rate_are_of_the_learned_prior():
    module = built(prior="vamp", pseudo_inputs=5).eval()
    with torch.no_grad():
        numbers = module.inspect(iter(torch.rand(40, *SHAPE).split(16)), 1)
    names = ("mutual_information", "aggregate_divergence")
    parts = [numbers[Metric("information", name)] for name in names]
    assert sum(parts) == pytest.approx(numbers[Metric("information", "rate")])
    assert isinstance(module.pseudo_inputs, PseudoInputs)
