"""The mathematics of PGN."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from tests.detectors.cases import GREY, IMAGES, cohort_of, doubles, exact, pixels, small
from tune_ad.cohort import build
from tune_ad.detectors.base import Noise, variant_name
from tune_ad.detectors.pgn import PGN, spread_divergence
from tune_ad.metrics import ties
from tune_ad.nets import ImageShape


def pgn(shape: ImageShape = GREY, seed: int = 0, **settings: Any) -> PGN:
    """A PGN in float64 and evaluation mode, with heads large enough to matter."""
    config = PGN.Config.released(shape, **{"latent_dim": 6, **settings})
    module = build(PGN, config, shape, seed).double().eval()
    assert isinstance(module, PGN)
    with torch.no_grad():
        module.mean.weight.mul_(4)
        module.log_variance.weight.mul_(3)
    return module


def divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL of N(mean, exp(log_variance)) from N(0, 1), the closed form, summed over coordinates."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def masks_of(module: PGN, samples: int) -> torch.Tensor:
    stream = torch.Generator().manual_seed(9)
    return torch.rand((samples, module.mean.in_features), generator=stream).double()


def passes(module: PGN, images: torch.Tensor, uniform: torch.Tensor) -> Any:
    """The means under each mask, (T, batch, J), and the log-variances, written out by hand."""
    p = module.config.dropout
    features = module.encoder(images)
    kept = (uniform >= p).to(features.dtype) / (1 - p)
    means = torch.stack([module.mean(features * mask) for mask in kept])
    return means, module.log_variance(features)


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 2, 5, 20, 50])
@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("bias", [True, False])
def test_theorem_2_holds_for_every_finite_t(samples, dropout, bias):
    module = pgn(dropout=dropout, mc_samples=samples, bias=bias)
    images, uniform = doubles(GREY), masks_of(module, samples)
    means, log_variance = passes(module, images, uniform)
    spread = means.var(0, correction=0).sum(-1)
    expected = divergence(means.mean(0), log_variance) + 0.5 * spread
    exact(divergence(means, log_variance).mean(0), expected)
    exact(module.score(images, {"dropout": uniform}), expected)


@torch.no_grad()
@pytest.mark.parametrize("dropout", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("settings", [{}, {"extra_layer": False, "bias": False}])
def test_t_inf_is_the_mean_over_all_masks(dropout, settings):
    shape = ImageShape(1, 4, 8)  # 8 features, 256 masks
    module = pgn(shape, dropout=dropout, mc_samples="inf", **settings)
    assert module.mean.in_features == 8
    images = doubles(shape)
    keep = torch.tensor(list(product((0.0, 1.0), repeat=8)), dtype=torch.float64)
    kept = keep.sum(1)
    weights = (1 - dropout) ** kept * dropout ** (8 - kept)
    exact(weights.sum(), torch.tensor(1.0, dtype=torch.float64))
    means, log_variance = passes(module, images, torch.where(keep > 0, 1.0, -1.0))
    brute = (weights[:, None] * divergence(means, log_variance)).sum(0)
    exact(module.score(images, {}), brute)


@torch.no_grad()
@pytest.mark.parametrize("samples", [20, 4000])
@pytest.mark.parametrize("dropout", [0.3, 0.5])
def test_finite_t_estimates_t_inf(samples, dropout):
    module = pgn(dropout=dropout, mc_samples=samples)
    images, uniform = doubles(GREY), masks_of(module, samples)
    drawn = divergence(*passes(module, images, uniform))
    error = drawn.std(0) / samples**0.5
    scores = module.score_variants(images, {"dropout": uniform}, {"mc_samples": ["inf"]})
    deviations = (scores["score"] - scores["mc_samples=inf"]) / error
    assert bool((error > 0).all())
    assert float(deviations.abs().max()) < 5
    assert float(deviations.abs().max()) > 0


@torch.no_grad()
def test_t_0_is_dropout_off():
    module = pgn(mc_samples=0)
    images = doubles(GREY)
    features = module.encoder(images)
    expected = divergence(module.mean(features), module.log_variance(features))
    assert module.score_noise({}) == {"dropout": Noise("uniform", (0, module.mean.in_features))}
    exact(module.score(images, {"dropout": masks_of(module, 0)}), expected)
    exact(module.score_variants(images, {}, {})["kl"], expected)


@torch.no_grad()
@pytest.mark.parametrize("samples", [0, 1, 20, "inf"])
def test_without_dropout_every_t_is_the_same(samples):
    module = pgn(dropout=0.0, mc_samples=samples)
    images = doubles(GREY)
    noise = {"dropout": masks_of(module, 20)}
    scores = module.score_variants(images, noise, {"mc_samples": [0, 3, "inf"]})
    for name in ("score", "mc_samples=0", "mc_samples=3", "mc_samples=inf"):
        exact(scores[name], scores["kl"])
    assert float(scores["model_uncertainty"].abs().max()) == 0


@torch.no_grad()
@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.5])
def test_at_t_inf_the_score_is_the_sum_of_its_parts(dropout):
    module = pgn(dropout=dropout, mc_samples="inf")
    scores = module.score_variants(doubles(GREY), {}, {})
    exact(scores["score"], scores["kl"] + scores["model_uncertainty"])
    features = module.encoder(doubles(GREY))
    norms = (features[:, None, :] * module.mean.weight).square().sum((1, 2))
    exact(scores["model_uncertainty"], 0.5 * dropout / (1 - dropout) * norms)


@torch.no_grad()
def test_the_training_loss_is_the_kl_under_one_mask_per_image():
    module = pgn(dropout=0.4)
    images = doubles(GREY)
    uniform = masks_of(module, len(images))
    features = module.encoder(images)
    mean = module.mean(features * (uniform >= 0.4) / 0.6)
    expected = divergence(mean, module.log_variance(features))
    exact(module.terms("train", images, {"dropout": uniform})["loss"], expected)
    exact(module.loss("train", images, {"dropout": uniform}), expected.sum())


def test_a_mask_has_mean_1_and_drops_with_probability_p():
    uniform = torch.tensor([0.0, 0.2, 0.5, 0.75, 0.99], dtype=torch.float64)
    assert PGN.mask(uniform, 0.5).tolist() == [0, 0, 2, 2, 2]
    assert PGN.mask(uniform, 0.75).tolist() == [0, 0, 0, 4, 4]
    assert PGN.mask(uniform, 0.0).tolist() == [1] * 5  # a draw of exactly 0 is kept
    many = PGN.mask(torch.rand(10**6, generator=torch.Generator().manual_seed(0)), 0.3)
    assert float(many.mean()) == pytest.approx(1, abs=5 * (0.3 / 0.7 / 10**6) ** 0.5)


SWEEP = {"mc_samples": (0, 1, 5, 20, 50, "inf"), "dropout": (0.0, 0.1, 0.5, 0.7)}


@pytest.mark.parametrize("samples", [0, 20, 5, "inf"])
def test_a_sweep_equals_the_scores_of_that_configuration(samples):
    config = small(PGN, GREY, mc_samples=samples)
    swept = cohort_of(PGN, config, GREY, score_space=SWEEP)
    swept.train(2)
    state, indices = swept.state_dict(), torch.arange(IMAGES)
    scores = swept.score(0, indices, every_variant=True)
    values = [(name, value) for name, each in SWEEP.items() for value in each]
    assert set(scores) == {"score", "kl", "model_uncertainty"} | {
        variant_name(name, value) for name, value in values
    }
    assert set(swept.score(0, indices)) == {"score", "kl", "model_uncertainty"}
    for name, value in values:
        other = cohort_of(PGN, replace(config, **{name: value}), GREY)
        other.load_state_dict(state)
        assert torch.equal(other.score(0, indices)["score"], scores[variant_name(name, value)])


@torch.no_grad()
@pytest.mark.parametrize("size", [1e-4, 1e-6, 1e-8])
def test_near_collapse_scores_stay_distinct_and_right(size):
    module = build(PGN, small(PGN, GREY, mc_samples="inf"), GREY, 0).eval()
    assert isinstance(module, PGN)
    module.mean.weight.zero_()
    assert module.mean.bias is not None
    module.mean.bias.zero_()
    images = pixels(GREY, 200).float() / 255
    largest = module.log_variance(module.encoder(images)).abs().max()
    module.log_variance.weight.mul_(size / largest)
    module.log_variance.bias.mul_(size / largest)
    scores = module.score(images, {})
    assert scores.dtype == torch.float64
    assert ties(scores).distinct == 200
    small_ones = module.log_variance(module.encoder(images)).double()
    series = (small_ones.square() / 4 + small_ones**3 / 12 + small_ones**4 / 48).sum(1)
    assert float(small_ones.abs().max()) <= 1.01 * size
    torch.testing.assert_close(scores, series, rtol=1e-5, atol=0)


def test_the_part_of_the_variance_is_never_negative():
    sizes = torch.logspace(-18, 1, 200, dtype=torch.float64)
    parts = spread_divergence(torch.cat((sizes, -sizes, torch.zeros(1).double()))[:, None])
    assert float(parts.min()) >= 0
    assert float(parts[-1]) == 0


@torch.no_grad()
def test_paper_and_released_variants_differ_in_the_layers_alone():
    released, paper = pgn(), pgn(extra_layer=False)
    images = doubles(GREY)
    convolutions = released.encoder[0]
    exact(released.encoder(images), released.encoder[1](convolutions(images)))
    assert isinstance(released.encoder[1], nn.Linear)
    assert paper.encoder(images).shape == (7, paper.mean.in_features)
    assert len(paper.encoder) == 1
