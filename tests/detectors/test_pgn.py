"""The mathematics of PGN."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import softplus

from tests.detectors.cases import GREY, IMAGES, doubles, exact, pixels, replica_set_of, small
from tests.marks import slow
from tune_ad.detectors.base import Noise, variant_name
from tune_ad.detectors.centre import away_from_zero
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.gaussian import variance_divergence
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN, dropout
from tune_ad.detectors.pgn.divergence import log_softplus
from tune_ad.detectors.pgn.dropout import dropout_mask, exponential_excess
from tune_ad.detectors.portions import Portion
from tune_ad.errors import UserError
from tune_ad.training.ranking import ties
from tune_ad.training.replicas.replica import ReplicaSpec, build
from tune_ad.training.replicas.replica_set import ReplicaSet


def pgn(shape: ImageShape = GREY, seed: int = 0, **settings: Any) -> PGN:
    """A PGN in float64 and evaluation mode, with heads large enough to matter."""
    config = PGN.Config.released(shape, **{"latent_dim": 6, **settings})
    module = build(PGN, config, shape, seed).double().eval()
    assert isinstance(module, PGN)
    with torch.no_grad():
        module.mean.weight.mul_(4)
        module.scale.weight.mul_(3)
        if config.prior_centre == "mean":
            centre = module.begin("train", [doubles(shape, 11)])["centre"]
            module.centre.copy_(centre)
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
    return means, module.scale(features)


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 2, 5, 20, 50])
@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("bias", [True, False])
def test_theorem_2_holds_for_every_finite_t(samples, dropout, bias):
    module = pgn(dropout=dropout, mc_samples=samples, bias=bias)
    images, uniform = doubles(GREY), masks_of(module, samples)
    means, log_variance = passes(module, images, uniform)
    variance = means.var(0, correction=0).sum(-1)
    expected = divergence(means.mean(0), log_variance) + 0.5 * variance
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
    expected = divergence(module.mean(features), module.scale(features))
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
    expected = divergence(mean, module.scale(features))
    exact(module.terms("train", images, {"dropout": uniform})["loss"], expected)
    exact(module.loss_and_terms("train", images, {"dropout": uniform})[0], expected.sum())


def test_a_mask_has_mean_1_and_drops_with_probability_p():
    uniform = torch.tensor([0.0, 0.2, 0.5, 0.75, 0.99], dtype=torch.float64)
    assert dropout_mask(uniform, 0.5).tolist() == [0, 0, 2, 2, 2]
    assert dropout_mask(uniform, 0.75).tolist() == [0, 0, 0, 4, 4]
    assert dropout_mask(uniform, 0.0).tolist() == [1] * 5  # a draw of exactly 0 is kept
    many = dropout_mask(torch.rand(10**6, generator=torch.Generator().manual_seed(0)), 0.3)
    assert float(many.mean()) == pytest.approx(1, abs=5 * (0.3 / 0.7 / 10**6) ** 0.5)


SWEEP = {"mc_samples": (0, 1, 5, 20, 50, "inf"), "dropout": (0.0, 0.1, 0.5, 0.7)}


@pytest.mark.parametrize("samples", [0, 20, 5, "inf"])
def test_a_sweep_equals_the_scores_of_that_configuration(samples):
    config = small(PGN, GREY, mc_samples=samples)
    swept = replica_set_of(PGN, config, GREY, score_space=SWEEP)
    swept.train(2)
    state, indices = swept.state_dict(), torch.arange(IMAGES)
    scores = swept.score(0, indices, every_variant=True)
    values = [(name, value) for name, values in SWEEP.items() for value in values]
    assert set(scores) == {"score", "kl", "model_uncertainty"} | {
        variant_name(name, value) for name, value in values
    }
    assert set(swept.score(0, indices)) == {"score", "kl", "model_uncertainty"}
    for name, value in values:
        other = replica_set_of(PGN, replace(config, **{name: value}), GREY)
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
    largest = module.scale(module.encoder(images)).abs().max()
    module.scale.weight.mul_(size / largest)
    module.scale.bias.mul_(size / largest)
    scores = module.score(images, {})
    assert scores.dtype == torch.float64
    assert ties(scores).distinct == 200
    small_ones = module.scale(module.encoder(images)).double()
    series = (small_ones.square() / 4 + small_ones**3 / 12 + small_ones**4 / 48).sum(1)
    assert float(small_ones.abs().max()) <= 1.01 * size
    torch.testing.assert_close(scores, series, rtol=1e-5, atol=0)


def test_the_part_of_the_variance_is_never_negative():
    sizes = torch.logspace(-18, 1, 200, dtype=torch.float64)
    parts = variance_divergence(torch.cat((sizes, -sizes, torch.zeros(1).double()))[:, None])
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


# ------------------------------------------------- where the paper's text and the code differ

EIGHT = ImageShape(1, 4, 8)  # 8 features, 256 masks
CLOSED = [
    {"dropout_on": place, "spread": spread, **prior}
    for place, spread in (("mean", "log_variance"), ("mean", "softplus"), ("both", "log_variance"))
    for prior in ({}, {"prior_variance": 0.3, "prior_centre": "mean"})
]


def every_mask(p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """All masks on 8 features, (256, 8), and their chances."""
    keep = torch.tensor(list(product((0.0, 1.0), repeat=8)), dtype=torch.float64)
    kept = keep.sum(1)
    return keep, (1 - p) ** kept * p ** (8 - kept)


def by_torch(module: PGN, images: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    """The KL by torch.distributions: under one mask, (8,), or without dropout; (batch,)."""
    config, features = module.config, module.encoder(images)
    kept = features if keep is None else features * keep / (1 - config.dropout)
    outputs = module.scale(kept if config.dropout_on == "both" else features)
    scale = softplus(outputs) if config.spread == "softplus" else (0.5 * outputs).exp()
    unit = config.prior_variance**0.5
    posterior = Normal(module.mean(kept), scale * unit)
    return kl_divergence(posterior, Normal(module.centre, unit)).sum(1)


def brute(module: PGN, images: torch.Tensor) -> torch.Tensor:
    """The mean of the KL over all 256 masks, (batch,)."""
    masks, chances = every_mask(module.config.dropout)
    values = [by_torch(module, images, keep) for keep in masks]
    return torch.stack([c * v for c, v in zip(chances, values, strict=True)]).sum(0)


@torch.no_grad()
@pytest.mark.parametrize("p", [0.5, *(slow(p) for p in (0.2, 0.9))])
@pytest.mark.parametrize("settings", CLOSED, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_every_closed_form_is_the_mean_over_all_masks(p, settings, bias):
    module = pgn(EIGHT, dropout=p, mc_samples="inf", bias=bias, **settings)
    images = doubles(EIGHT)
    scores = module.score_variants(images, {}, {})
    plain = by_torch(module, images, None)
    exact(scores["kl"], plain)
    exact(scores["score"], brute(module, images))
    exact(scores["model_uncertainty"], brute(module, images) - plain)
    assert float(scores["model_uncertainty"].min()) > 0
    assert scores["score"].dtype == torch.float64


@torch.no_grad()
@pytest.mark.parametrize("spread", ["log_variance", "softplus"])
@pytest.mark.parametrize("place", ["mean", "both"])
@pytest.mark.parametrize("samples", [0, 1, 3])
def test_finite_passes_and_the_loss_follow_the_definition(spread, place, samples):
    prior = {"prior_variance": 2.5, "prior_centre": "mean"}
    module = pgn(dropout=0.4, mc_samples=samples, spread=spread, dropout_on=place, **prior)
    images, uniform = doubles(GREY, 3), masks_of(module, 3)
    keep = (uniform >= 0.4).double()
    passes = [by_torch(module, images, mask) for mask in keep[:samples]]
    expected = torch.stack(passes or [by_torch(module, images, None)]).mean(0)
    exact(module.score(images, {"dropout": uniform}), expected)
    loss = module.terms("train", images, {"dropout": uniform})["loss"]
    single = [by_torch(module, images[k : k + 1], keep[k]) for k in range(3)]
    exact(loss, torch.cat(single))


def gradients(module: PGN, loss: torch.Tensor) -> torch.Tensor:
    parts = torch.autograd.grad(loss, list(module.parameters()))
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("p", [0.3, *(slow(p) for p in (0.0, 0.5))])
@pytest.mark.parametrize("settings", CLOSED, ids=str)
def test_the_expected_loss_and_its_gradient_are_the_means_over_all_masks(p, settings):
    module = pgn(EIGHT, dropout=p, expected_loss=True, **settings)
    noisy = pgn(EIGHT, dropout=p, **settings)
    images = doubles(EIGHT)
    masks, chances = every_mask(p)
    assert module.noise("train", 7) == {}
    assert set(noisy.noise("train", 7)) == {"dropout"}
    uniform = 2 * masks - 1  # kept at every p, dropped at every p
    losses = [
        chance * noisy.loss_and_terms("train", images, {"dropout": draws.expand(7, 8)})[0]
        for chance, draws in zip(chances, uniform, strict=True)
        if chance > 0
    ]
    mean, expected = torch.stack(losses).sum(), module.loss_and_terms("train", images, {})[0]
    exact(expected, mean)
    torch.testing.assert_close(
        gradients(module, expected), gradients(noisy, mean), rtol=1e-9, atol=1e-11
    )


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("chunk", [1, 40, 10**6])
def test_the_excess_of_the_exponential_and_its_gradient(p, chunk, monkeypatch):
    portion = Portion(cpu=chunk, gpu=1)  # 1 and 2 images at once, or all 5
    monkeypatch.setattr(dropout, "PRODUCTS_AT_ONCE", portion)
    stream = torch.Generator().manual_seed(2)
    features, weight = (
        torch.randn(shape, generator=stream).double().requires_grad_()
        for shape in ((5, 8), (2, 8))
    )
    masks, chances = every_mask(p)
    outputs = torch.einsum("nk,jk,mk->mnj", features, weight, masks) / (1 - p)
    logs = outputs + chances.log()[:, None, None]
    exact(exponential_excess(features, weight, p), logs.logsumexp(0) - features @ weight.T)
    assert torch.autograd.gradcheck(lambda h, w: exponential_excess(h, w, p), (features, weight))


@torch.no_grad()
def test_the_excess_runs_under_vmap():
    stream = torch.Generator().manual_seed(2)
    features, weight = (
        torch.randn(3, 5, 8, generator=stream),
        torch.randn(3, 2, 8, generator=stream),
    )

    def loss(h: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return exponential_excess(h, w, 0.4).square().sum()

    stacked = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)))(features, weight)
    looped = [
        torch.func.grad(loss, argnums=(0, 1))(h, w) for h, w in zip(features, weight, strict=True)
    ]
    for k, fused in enumerate(stacked):
        torch.testing.assert_close(fused, torch.stack([gradients[k] for gradients in looped]))


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e-3])
def test_the_excess_keeps_its_digits_near_collapse(size):
    features = torch.tensor([[size], [-size]], dtype=torch.float64)
    excess = exponential_excess(features, torch.ones(1, 1).double(), 0.3).flatten()
    step = features.flatten() / 0.7
    series = 0.21 * step**2 / 2 - 0.21 * 0.4 * step**3 / 6  # the cumulants of a kept feature
    torch.testing.assert_close(excess, series, rtol=max(1e-3, size), atol=0)
    assert float(excess.min()) > 0


def test_the_excess_does_not_overflow():
    features = torch.tensor([[2000.0], [-2000.0], [0.0]], dtype=torch.float64)
    excess = exponential_excess(features, torch.ones(1, 1).double(), 0.5).flatten()
    expected = torch.tensor([2000, 2000, 0]).double() + torch.tensor([0.5, 0.5, 1]).log().double()
    torch.testing.assert_close(excess, torch.where(features.flatten() == 0, 0.0, expected))


def test_the_logarithm_of_softplus_is_stable():
    values = torch.tensor([-1e4, -800.0, -41.0, -39.0, -5.0, 0.0, 3.0, 39.0, 41.0, 1e4])
    for dtype, digits in ((torch.float64, 1e-14), (torch.float32, 1e-5)):
        v = values.to(dtype).requires_grad_()
        logs = log_softplus(v)
        expected = torch.cat((v[:3], v[3:].logaddexp(torch.zeros(7, dtype=dtype)).log()))
        torch.testing.assert_close(logs, expected, rtol=digits, atol=digits)
        (slopes,) = torch.autograd.grad(logs.sum(), v)
        right = torch.cat((torch.ones(3).to(dtype), (v.sigmoid() / logs.exp())[3:].detach()))
        torch.testing.assert_close(slopes, right, rtol=10 * digits, atol=digits)


@pytest.mark.parametrize("name", ["mc_samples", "expected_loss"])
def test_what_has_no_closed_form_is_refused(name):
    value = {"mc_samples": "inf", "expected_loss": True}[name]
    for settings in ({"dropout_on": "both"}, {"spread": "softplus"}):
        PGN.Config(**{name: value, **settings})
    with pytest.raises(UserError, match="no closed form") as error:
        PGN.Config(dropout_on="both", spread="softplus", **{name: value})
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_without_a_closed_form_a_score_space_must_be_finite():
    module = pgn(dropout_on="both", spread="softplus")
    space = {"mc_samples": (0, 5, "inf")}
    with pytest.raises(UserError, match="mc_samples.*no closed form"):
        module.score_noise(space)
    with pytest.raises(UserError, match="mc_samples.*no closed form"):
        module.score_variants(doubles(GREY), {"dropout": masks_of(module, 20)}, space)
    config = small(PGN, GREY, dropout_on="both", spread="softplus")
    with pytest.raises(UserError, match="mc_samples.*no closed form"):
        replica_set_of(PGN, config, GREY, score_space=space)
    scores = module.score_variants(doubles(GREY), {"dropout": masks_of(module, 20)}, {})
    assert set(scores) == {"score", "kl"}


@pytest.mark.parametrize("settings", [{"dropout_on": "both"}, {"spread": "softplus"}], ids=str)
@pytest.mark.parametrize("samples", [0, 5, 20, "inf"])
def test_a_sweep_equals_the_scores_of_that_configuration_on_both_heads(settings, samples):
    config = small(PGN, GREY, mc_samples=samples, **settings)
    swept = replica_set_of(PGN, config, GREY, score_space=SWEEP)
    swept.train(2)
    state, indices = swept.state_dict(), torch.arange(IMAGES)
    scores = swept.score(0, indices, every_variant=True)
    for name, value in ((name, value) for name, values in SWEEP.items() for value in values):
        other = replica_set_of(PGN, replace(config, **{name: value}), GREY)
        other.load_state_dict(state)
        assert torch.equal(other.score(0, indices)["score"], scores[variant_name(name, value)])


# -------------------------------------------------- the prior N(c, eps I), and its limit


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_the_priors_centre_is_the_mean_code_before_training(epsilon):
    settings = {"prior_centre": "mean", "centre_epsilon": epsilon}
    replica_set = replica_set_of(PGN, small(PGN, GREY, **settings), GREY)
    replica = replica_set.replicas[0]
    with torch.no_grad():
        codes = replica.module.eval().mean(replica.module.encoder(replica.images))
    replica_set.train(1)
    centre = replica.module.centre.clone()
    torch.testing.assert_close(centre, away_from_zero(codes.mean(0), epsilon))
    assert float(centre.abs().min()) >= epsilon
    replica_set.train(2)
    assert torch.equal(replica.module.centre, centre)


def test_the_released_prior_is_centred_at_0():
    replica_set = replica_set_of(PGN, small(PGN, GREY), GREY)
    replica_set.train(1)
    assert float(replica_set.replicas[0].module.centre.abs().max()) == 0


LIMIT = {
    "dropout": 0.0,
    "bias": False,
    "extra_layer": False,
    "reduction": "mean",
    "weight_decay": 0.0,
    "prior_centre": "mean",
}


def like(svdd: DeepSVDD, module: PGN) -> None:
    """Give Deep SVDD the weights of a PGN, and convolutions without biases.

    Batch normalisation cancels those biases, but the centre is taken before it has seen a batch.
    """
    convolutions, head = svdd.encoder
    weights = dict(module.encoder[0].named_parameters())
    with torch.no_grad():
        for name, value in convolutions.named_parameters():
            value.copy_(weights[name]) if name in weights else value.zero_()
        head.weight.copy_(module.mean.weight)


def both_in_the_limit(epsilon: float) -> tuple[PGN, DeepSVDD]:
    module = pgn(mc_samples=0, prior_variance=epsilon, **LIMIT)
    svdd = build(DeepSVDD, DeepSVDD.Config.released(GREY, latent_dim=6), GREY, 3).double().eval()
    assert isinstance(svdd, DeepSVDD)
    like(svdd, module)
    with torch.no_grad():
        svdd.centre.copy_(svdd.begin("train", [doubles(GREY, 11)])["centre"])
    assert torch.equal(svdd.centre, module.centre)
    return module, svdd


def test_equation_22_the_loss_and_gradient_become_those_of_deep_svdd():
    images, errors = doubles(GREY), []
    for epsilon in (1e-2, 1e-4, 1e-6):
        module, svdd = both_in_the_limit(epsilon)
        noise = {"dropout": masks_of(module, len(images))}
        loss, goal = (
            2 * epsilon * module.loss_and_terms("train", images, noise)[0],
            svdd.loss_and_terms("train", images, {})[0],
        )
        of_pgn = [*module.encoder.parameters(), module.mean.weight]
        convolutions, head = svdd.encoder
        names = [name for name, _ in module.encoder[0].named_parameters()]
        of_svdd = [*(convolutions.get_parameter(name) for name in names), head.weight]
        gradients_of_pgn = torch.autograd.grad(loss, of_pgn)
        pairs = zip(gradients_of_pgn, torch.autograd.grad(goal, of_svdd), strict=True)
        slope = torch.stack([(a - b).abs().max() for a, b in pairs]).max()
        assert float(goal.detach()) > 1e-3
        errors.append((float((loss - goal).detach().abs()) / epsilon, float(slope) / epsilon))
    for rates in zip(*errors, strict=True):
        assert min(rates) > 1e-3  # the error is eps times a number that does not depend on eps
        assert max(rates) == pytest.approx(min(rates), rel=1e-5)


@torch.no_grad()
def test_equation_22_the_scores_rank_as_those_of_deep_svdd():
    images, correlations = doubles(GREY, 300), []
    for epsilon in (100.0, 1.0, 1e-2, 1e-9):
        module, svdd = both_in_the_limit(epsilon)
        score, distance = module.score(images, {}), svdd.score(images, {})
        correlations.append(float(spearmanr(score.numpy(), distance.numpy()).statistic))
    assert correlations == sorted(correlations)
    assert correlations[0] < 0.9
    assert torch.equal(score.argsort(), distance.argsort())
    torch.testing.assert_close(2e-9 * score, distance, rtol=1e-6, atol=0)


def learning(detector: Any, settings: dict[str, Any]) -> ReplicaSet:
    """One replica in float64, not trained yet."""
    images, replica_specs = doubles(GREY, IMAGES), [ReplicaSpec("t", 0, torch.arange(IMAGES))]
    replica_set = ReplicaSet(detector, small(detector, GREY, **settings), images, replica_specs)
    replica_set.replicas[0].module.double()
    return replica_set


@pytest.mark.parametrize("epsilon", [2.0**-10, 2.0**-20, 2.0**-40])
def test_equation_22_training_follows_deep_svdd(epsilon):
    limit = learning(PGN, {**LIMIT, "prior_variance": epsilon})
    svdd = learning(DeepSVDD, {"reduction": "mean", "weight_decay": 0.0})
    module, theirs = limit.replicas[0].module, svdd.replicas[0].module
    like(theirs, module)
    images = doubles(GREY, IMAGES)
    with torch.no_grad():
        start = theirs.eval().encoder(images)
    for replica_set in (limit, svdd):
        replica_set.train(4)
    exact(module.centre, theirs.centre)
    with torch.no_grad():
        for mode in (True, False):  # with the statistics of the batch, then the running ones
            codes = module.train(mode).mean(module.encoder(images))
            goal = theirs.train(mode).encoder(images)
            # The head of s bends the gradient by a share of order eps. Adam cancels the scale
            # 1 / (2 eps) of the loss but for its own 1e-8, a share 1e-8 / |gradient| of a step.
            torch.testing.assert_close(codes, goal, rtol=0, atol=epsilon + 1e-7)
    assert float((goal - start).abs().max()) > 0.1


@pytest.mark.parametrize("bias", [True, False])
def test_heads_of_zeros_minimise_the_loss_and_give_every_image_the_same_score(bias):
    module = pgn(bias=bias, dropout=0.0, mc_samples=0)
    with torch.no_grad():
        for parameter in (*module.mean.parameters(), *module.scale.parameters()):
            parameter.zero_()
    images = doubles(GREY)
    noise = {"dropout": torch.zeros(len(images), module.mean.in_features).double()}
    loss = module.terms("train", images, noise)["loss"]
    loss.sum().backward()
    assert loss.tolist() == [0.0] * len(loss)
    assert all(p.grad is None or not p.grad.any() for p in module.parameters())
    scores = module.score_variants(images, {"dropout": torch.zeros(0)}, {})["score"].detach()
    assert scores.tolist() == [0.0] * len(scores)
    numbers = {str(m): v for m, v in module.diagnose(lambda part: {}).items()}
    assert numbers == {"head_mean_norm": 0.0, "head_scale_norm": 0.0}
    with torch.no_grad():
        inspected = {str(m): v for m, v in module.inspect([images], 0).items()}
        assert (inspected["information_rate"], inspected["spread_kl"]) == (0.0, 0.0)
        assert module.inspect([images[:1]], 0) == {}


@torch.no_grad()
def test_rates_below_the_precision_of_float32_still_have_a_spread():
    """In float32 expm1(v) - v is 0 for log-variances near 1e-8."""
    module = pgn(dropout=0.0, mc_samples=0).float()
    for parameter in (*module.mean.parameters(), *module.scale.parameters()):
        parameter.mul_(1e-8)
    module.mean.weight.zero_()
    module.mean.bias.zero_()
    images = doubles(GREY).float()
    outputs = module.scale(module.encoder(images)).double()
    inspected = {str(m): v for m, v in module.inspect([images], 0).items()}
    rates = 0.25 * outputs.square().sum(1)  # the first term of the power series
    assert 0 < inspected["information_rate"] == pytest.approx(float(rates.mean()), rel=1e-5)
    assert inspected["spread_kl"] == pytest.approx(float(rates.std() / rates.mean()), rel=1e-4)


def test_diagnostics_are_the_norms_of_the_heads_and_the_spread_of_the_rate():
    module, images = pgn(dropout=0.0, mc_samples=0), doubles(GREY)
    numbers = {str(m): v for m, v in module.diagnose(lambda part: {}).items()}
    weights = torch.cat([p.flatten() for p in module.mean.parameters()])
    assert numbers["head_mean_norm"] == pytest.approx(float(weights.detach().norm()))
    with torch.no_grad():
        rates = module.score_variants(images, {"dropout": torch.zeros(0)}, {})["score"]
        halves = [images[:8], images[8:]]
        inspected = {str(m): v for m, v in module.inspect(halves, 0).items()}
    assert inspected["spread_kl"] == pytest.approx(float(rates.std() / rates.mean()))
    assert inspected["information_rate"] == pytest.approx(float(rates.mean()))
