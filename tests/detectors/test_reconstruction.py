"""Errors of reconstructions, and how detectors that reconstruct use them."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Laplace, Normal
from torch.nn import functional

from tests.detectors.cases import COLOUR, GREY, IMAGES, module_of, small, trained
from tune_ad.detectors.autoencoders.aae import AAE
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.detectors.reconstruction import PIXEL_ERRORS, summed_error


def logits_and_images(seed=0):
    stream = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(6, 3, 5, 4, generator=stream, dtype=torch.float64)
    return logits, torch.rand(6, 3, 5, 4, generator=stream, dtype=torch.float64)


def test_bce_is_minus_the_bernoulli_log_likelihood():
    logits, images = logits_and_images()
    binary = images.round()
    expected = -Bernoulli(logits=logits).log_prob(binary)
    torch.testing.assert_close(PIXEL_ERRORS["bce"](logits, binary), expected)


def test_bce_is_least_at_the_pixel_itself_where_it_is_the_entropy():
    pixels = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    least = PIXEL_ERRORS["bce"](torch.logit(pixels), pixels)
    torch.testing.assert_close(least, Bernoulli(probs=pixels).entropy())
    for shift in (-0.1, 0.1):
        assert bool((PIXEL_ERRORS["bce"](torch.logit(pixels) + shift, pixels) > least).all())


@pytest.mark.parametrize(
    ("error", "density"),
    [
        ("squared_error", lambda mean: Normal(mean, math.sqrt(0.5))),
        ("l1", lambda mean: Laplace(mean, 1.0)),
    ],
)
def test_the_others_are_log_likelihoods_up_to_a_constant(error, density):
    logits, images = logits_and_images()
    reconstructions = logits.sigmoid()
    constant = density(torch.zeros((), dtype=torch.float64)).log_prob(torch.tensor(0.0).double())
    expected = constant - density(reconstructions).log_prob(images)
    torch.testing.assert_close(PIXEL_ERRORS[error](logits, images), expected)


@pytest.mark.parametrize("error", PIXEL_ERRORS)
def test_the_sum_is_over_the_pixels_and_channels_of_each_image(error):
    logits, images = logits_and_images()
    expected = [
        float(PIXEL_ERRORS[error](x, y).sum()) for x, y in zip(logits, images, strict=True)
    ]
    assert summed_error(error, logits, images).tolist() == pytest.approx(expected, rel=1e-12)
    assert float(summed_error(error, logits, images).min()) >= 0


@pytest.mark.parametrize("error", PIXEL_ERRORS)
def test_extreme_logits_give_finite_errors_and_gradients(error):
    logits = torch.tensor([[[[-1e4, -50.0, 0.0, 50.0, 1e4]]]], requires_grad=True)
    images = torch.tensor([[[[1.0, 0.0, 0.5, 1.0, 0.0]]]])
    value = summed_error(error, logits, images)
    value.sum().backward()
    assert bool(value.isfinite().all())
    assert bool(logits.grad.isfinite().all())


@torch.no_grad()
@pytest.mark.parametrize("detector", [AE, AAE])
@pytest.mark.parametrize("score_error", ["squared_error", "l1", "bce"])
def test_the_score_is_the_summed_error_whatever_was_trained(detector, score_error):
    replica_set = trained(detector, COLOUR, score_error=score_error)
    module, images = module_of(replica_set).eval(), replica_set.replicas[0].images
    logits = module.logits(images)
    reconstructions = logits.sigmoid()
    written_out = {
        "squared_error": lambda: functional.mse_loss(reconstructions, images, reduction="none"),
        "l1": lambda: functional.l1_loss(reconstructions, images, reduction="none"),
        "bce": lambda: functional.binary_cross_entropy(reconstructions, images, reduction="none"),
    }[score_error]()
    expected = written_out.flatten(1).sum(1)
    torch.testing.assert_close(module.score(images, {}), expected)
    scores = replica_set.score(0, torch.arange(IMAGES))["score"]
    torch.testing.assert_close(scores.float(), expected)


@torch.no_grad()
@pytest.mark.parametrize("error", PIXEL_ERRORS)
def test_the_mean_over_pixels_divides_the_trained_error_alone(error):
    losses = {}
    for reduction in ("sum", "mean"):
        config = small(AE, GREY, reconstruction=error, pixel_reduction=reduction)
        torch.manual_seed(0)
        module = AE(config, GREY)
        images = torch.rand(5, *GREY, generator=torch.Generator().manual_seed(1))
        losses[reduction] = module.terms("train", images, {})["loss"]
    torch.testing.assert_close(losses["sum"], losses["mean"] * math.prod(GREY))


@torch.no_grad()
def test_the_vae_is_trained_on_one_error_and_scored_by_another():
    replica_set = trained(VAE, GREY, score_samples=0)
    module, images = module_of(replica_set).eval(), replica_set.replicas[0].images
    scores = module.score_variants(images, {}, {})
    reconstructions = module.decoder(module.encode(images)[0])
    squares = (reconstructions - images).square().flatten(1).sum(1)
    crossed = (
        functional.binary_cross_entropy(reconstructions, images, reduction="none")
        .flatten(1)
        .sum(1)
    )
    torch.testing.assert_close(scores["score"], squares)
    torch.testing.assert_close(scores["distortion"], crossed)
