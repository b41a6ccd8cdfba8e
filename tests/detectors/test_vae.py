"""The mathematics of the VAE."""

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn import functional

from tests.detectors.cases import (
    GREY,
    IMAGES,
    MNIST,
    doubles,
    exact,
    module_of,
    pixels,
    replica_set_of,
    small,
    trained,
)
from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.detectors.base import Noise
from tune_ad.detectors.gaussian import rate
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.reconstruction import bce
from tune_ad.storage.metric import Metric
from tune_ad.training.replicas.replica import build

TINY = ImageShape(1, 4, 4)


def vae(shape=GREY, **settings):
    """A VAE in float64 and evaluation mode, with codes that differ between images."""
    config = VAE.Config.released(shape, **{"latent_dim": 16, **settings})
    module = build(VAE, config, shape, 0).double().eval()
    with torch.no_grad():
        module.mean.weight.mul_(4)
        module.log_variance.weight.mul_(3)
    return module


def codes(samples, batch=1, latent_dim=16):
    stream = torch.Generator().manual_seed(9)
    return torch.randn(samples, batch, latent_dim, generator=stream).double()


def posterior(module, images):
    mean, log_variance = module.encode(images)
    return Independent(Normal(mean, (0.5 * log_variance).exp()), 1)


def prior():
    return Independent(Normal(torch.zeros(16).double(), torch.ones(16).double()), 1)


@torch.no_grad()
def test_the_rate_is_the_kl_of_the_code_from_the_prior():
    module, images = vae(), doubles(GREY)
    expected = kl_divergence(posterior(module, images), prior())
    exact(rate(*module.encode(images)), expected)
    exact(module.score_variants(images, {"code": codes(1)}, {})["rate"], expected)


@torch.no_grad()
@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_loss_is_the_distortion_and_beta_times_the_rate(beta, samples):
    module, images = vae(beta=beta, samples=samples), doubles(GREY)
    noise = codes(samples, len(images))
    terms = module.terms("train", images, {"code": noise})
    mean, log_variance = module.encode(images)
    expected = torch.zeros(len(images)).double()
    for epsilon in noise:
        decoded = module.decoder(mean + (0.5 * log_variance).exp() * epsilon)
        crossed = functional.binary_cross_entropy(decoded, images, reduction="none")
        expected += crossed.flatten(1).sum(1) / samples
    rate = kl_divergence(posterior(module, images), prior())
    exact(terms["distortion"], expected)
    exact(terms["rate"], rate)
    exact(terms["loss"], expected + beta * rate)
    exact(
        module.loss_and_terms("train", images, {"code": noise})[0], (expected + beta * rate).sum()
    )


@torch.no_grad()
def test_the_released_detector_draws_one_code_in_training_and_scoring():
    module = vae()
    assert module.noise("train", 7) == {"code": Noise("normal", (1, 7, 16))}
    assert module.score_noise({}) == {"code": Noise("normal", (1, 1, 16))}
    assert module.score_noise({"score_samples": (0, 10, 3)})["code"].shape == (10, 1, 16)


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 4])
def test_the_score_averages_over_codes_that_all_images_share(samples):
    module, images = vae(score_samples=samples), doubles(GREY)
    noise = codes(samples)
    mean, log_variance = module.encode(images)
    errors = [
        (module.decoder(mean + (0.5 * log_variance).exp() * epsilon) - images).square()
        for epsilon in noise
    ]
    expected = torch.stack(errors).flatten(2).sum(2).mean(0)
    exact(module.score(images, {"code": noise}), expected)


@torch.no_grad()
def test_without_samples_the_mean_code_is_scored():
    module, images = vae(score_samples=0), doubles(GREY)
    reconstructions = module.decoder(module.encode(images)[0])
    exact(module.score(images, {}), (reconstructions - images).square().flatten(1).sum(1))
    exact(module.illustrate(images)["reconstruction"], reconstructions)


@torch.no_grad()
@pytest.mark.parametrize("beta", [0.1, 1.0, 5.0])
def test_the_negative_elbo_is_the_sum_of_its_parts_whatever_beta_is(beta):
    module, images = vae(beta=beta), doubles(GREY)
    scores = module.score_variants(images, {"code": codes(1)}, {})
    exact(scores["negative_elbo"], scores["distortion"] + scores["rate"])


@torch.no_grad()
def test_an_infinite_beta_scores_by_the_rate_because_no_decoder_is_trained():
    module, space = vae(beta="inf", score_samples=2), {"score_samples": (0, 2)}
    scores = module.score_variants(doubles(GREY), {"code": codes(2)}, space)
    assert module.main_score == "rate"
    for name in ("score", "score_samples=0", "score_samples=2"):
        exact(scores[name], scores["rate"])
    assert not torch.allclose(scores["distortion"], scores["rate"])


@torch.no_grad()
def test_the_negative_elbo_bounds_the_negative_log_likelihood():
    """With binary pixels; the likelihood from many codes of the prior, which bounds it above."""
    module = vae(shape=TINY)
    images = doubles(TINY).round()
    elbo = module.score_variants(images, {"code": codes(500)}, {"score_samples": (500,)})
    assert "score_samples=500" in elbo
    averaged = build(VAE, replace(module.config, score_samples=500), TINY, 0).double().eval()
    averaged.load_state_dict(module.state_dict())
    bound = averaged.score_variants(images, {"code": codes(500)}, {})["negative_elbo"]
    drawn = codes(20_000)[:, 0]
    logits = module.decoder.logits(drawn)
    joint = torch.stack(
        [
            -functional.binary_cross_entropy_with_logits(
                logits, image.expand_as(logits), reduction="none"
            )
            .flatten(1)
            .sum(1)
            for image in images
        ]
    )
    likelihood = joint.logsumexp(1) - math.log(len(drawn))
    assert bool((bound > -likelihood).all())


def test_a_sweep_equals_the_scores_of_that_configuration():
    config = small(VAE, GREY)
    values = (0, 1, 5, 20)
    swept = replica_set_of(VAE, config, GREY, score_space={"score_samples": values})
    swept.train(2)
    state, indices = swept.state_dict(), torch.arange(IMAGES)
    scores = swept.score(0, indices, every_variant=True)
    for value in values:
        other = replica_set_of(VAE, replace(config, score_samples=value), GREY)
        other.load_state_dict(state)
        alone, swept_score = other.score(0, indices)["score"], scores[f"score_samples={value}"]
        torch.testing.assert_close(alone, swept_score, rtol=1e-6, atol=0)


@torch.no_grad()
def test_the_saturated_target_is_1_at_full_pixels_alone():
    module = vae(saturated_target=True)
    images = torch.tensor([0.0, 0.5, 254 / 255, 1.0]).double().repeat(16).view(1, *GREY)
    assert module.targets(images).flatten()[:4].tolist() == [0, 0, 0, 1]
    assert torch.equal(vae().targets(images), images)
    noise = {"code": codes(1)}
    plain = vae().terms("train", module.targets(images), noise)["distortion"]
    mean = module.encode(images)
    logits = module.decoded(*mean, noise["code"])[0]
    target = (images == 1).double()
    crossed = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    exact(module.terms("train", images, noise)["distortion"], crossed.flatten(1).sum(1))
    assert not torch.allclose(plain, crossed.flatten(1).sum(1))  # the encoder sees the image


@pytest.mark.slow
def test_beta_trades_rate_for_distortion():
    """A larger beta ends with a smaller rate and a larger distortion, by training."""
    scores = {}
    for beta in (0.1, 10.0):
        settings = {"beta": beta, "reduction": "mean", "samples": 2, "learning_rate": 1e-2}
        replica_set = replica_set_of(
            VAE, small(VAE, GREY, epochs=150, milestones=(), **settings), GREY
        )
        replica_set.train(150)
        scores[beta] = replica_set.score(0, torch.arange(IMAGES))
    assert float(scores[10.0]["rate"].mean()) < float(scores[0.1]["rate"].mean())
    assert float(scores[10.0]["distortion"].mean()) > float(scores[0.1]["distortion"].mean())


def test_rate_distortion_and_elbo_are_in_nats_under_every_name():
    replica_set = trained(VAE, GREY)
    scores = replica_set.score(0, torch.arange(3))
    assert {"rate", "distortion", "negative_elbo"} <= set(scores)
    (terms,) = replica_set_of(VAE, small(VAE, GREY), GREY).train(1)
    assert {Metric("train", "rate"), Metric("train", "distortion")} <= set(terms)


@pytest.mark.parametrize(
    ("error", "saturated", "in_bits"),
    [
        ("squared_error", False, False),
        ("l1", True, False),
        ("bce", False, False),
        ("bce", True, True),
    ],
)
def test_only_a_probability_of_an_image_is_given_in_bits(error, saturated, in_bits):
    config = small(VAE, GREY, reconstruction=error, saturated_target=saturated)
    names = ("distortion", "rate", "negative_elbo") if in_bits else ()
    assert build(VAE, config, GREY, 0).nats == names


def test_bernoulli_probabilities_sum_to_one_on_black_and_white_and_not_on_grey_images():
    black_and_white, grey = (torch.linspace(0, 1, levels) for levels in (2, 256))
    logit = torch.tensor(0.7)
    masses = [float((-bce(logit.expand(len(x)), x)).exp().sum()) for x in (black_and_white, grey)]
    assert masses[0] == pytest.approx(1)
    assert masses[1] > 2


@torch.no_grad()
def test_pictures_lie_between_0_and_1():
    replica_set = trained(VAE, GREY)
    module = module_of(replica_set).eval()
    pictures = module.illustrate(pixels(GREY).float() / 255)["reconstruction"]
    assert pictures.shape == (IMAGES, *GREY)
    assert 0 <= float(pictures.min()) <= float(pictures.max()) <= 1


def test_the_two_heads_read_the_same_features():
    module = build(VAE, VAE.Config.released(MNIST), MNIST, 0)
    assert module.mean.in_features == module.log_variance.in_features == 196
