"""The mathematics of GPND."""

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from tests.detectors.cases import (
    CIFAR,
    COLOUR,
    GREY,
    IMAGES,
    MNIST,
    doubles,
    exact,
    module_of,
    replica_set_of,
    small,
    trained,
)
from tests.marks import slow
from tune_ad.detectors.base import variant_name
from tune_ad.detectors.gpnd.densities import (
    LEAST_DENSITY,
    GeneralisedGaussian,
    Histogram,
    fitted_gaussian,
    fitted_histogram,
)
from tune_ad.detectors.gpnd.detector import GPND, VOLUME_SIGNS
from tune_ad.detectors.gpnd.networks import CroppedDecoder, PaddedEncoder
from tune_ad.detectors.gpnd.volume import (
    decoder_log_volumes,
    encoder_log_volumes,
    forward_jacobian,
    log_volume,
    reverse_jacobian,
)
from tune_ad.detectors.nets import ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels
from tune_ad.detectors.portions import Portion
from tune_ad.errors import DegenerateInputError, UserError
from tune_ad.training.replicas.replica import build

QUICK = {"width": 0.125}


def gpnd(shape: ImageShape = GREY, **settings: Any) -> GPND:
    """A GPND in float64 and evaluation mode, without a fit."""
    config = small(GPND, shape, **{**QUICK, **settings})
    module = build(GPND, config, shape, 0).double().eval()
    assert isinstance(module, GPND)
    return module


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=stream(), dtype=torch.float64)


# ------------------------------------------------------------------------------ volumes


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (8, 8), (16, 64), (32, 784)])
def test_the_log_volume_is_the_sum_of_the_logarithms_of_the_singular_values(rows, columns):
    jacobian = normal(6, rows, columns) * torch.logspace(-3, 3, 6).double()[:, None, None]
    expected = torch.linalg.svdvals(jacobian).log().sum(-1)
    torch.testing.assert_close(log_volume(jacobian), expected, rtol=1e-9, atol=1e-8)
    single = log_volume(jacobian.float())
    assert single.dtype == torch.float64
    torch.testing.assert_close(single, expected, rtol=1e-4, atol=1e-4)


def test_small_singular_values_survive_down_to_the_resolution_of_float32():
    values = torch.logspace(0, -6, 16, dtype=torch.float64)
    left, right = (torch.linalg.qr(normal(n, n)).Q for n in (16, 40))
    jacobian = left * values @ right[:16]
    expected = values.log().sum()
    torch.testing.assert_close(log_volume(jacobian[None])[0], expected, rtol=2e-3, atol=0)


@pytest.mark.parametrize("rank", [0, 1, 5])
@pytest.mark.parametrize(("rows", "columns"), [(8, 64), (128, 3072)])
def test_a_map_that_loses_dimensions_has_a_finite_volume(rows, columns, rank):
    jacobian = (normal(rows, rank) @ normal(rank, columns)).float()
    volume = float(log_volume(jacobian[None])[0])
    assert math.isfinite(volume)
    norm = float(jacobian.double().norm())
    floor = math.log(2**-23 * norm) if norm else math.log(torch.finfo(torch.float64).tiny) / 2
    kept = torch.linalg.svdvals(jacobian.double())[:rank].log().sum()
    assert volume == pytest.approx((rows - rank) * floor + float(kept), rel=0.05)
    assert math.isfinite(float(log_volume(torch.ones(1, rows, columns))[0]))


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    decoder = nn.Linear(5, 24).double()
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(24, 5)).double()
    pushed = forward_jacobian(lambda z: decoder(z).unflatten(1, (2, 3, 4)), normal(3, 5))
    exact(pushed, decoder.weight.detach().T.expand(3, 5, 24))
    pulled = reverse_jacobian(encoder, normal(3, 2, 3, 4), 5)
    exact(pulled, encoder[1].weight.detach().expand(3, 5, 24))
    values = torch.linalg.svdvals(decoder.weight.detach()).log().sum()
    exact(decoder_log_volumes(decoder, normal(3, 5)), values.expand(3))


@pytest.mark.parametrize("networks", ["gpnd", "lenet"])
@pytest.mark.parametrize("shape", [GREY, COLOUR, ImageShape(1, 9, 13)])
def test_jacobians_are_those_of_one_image_at_a_time(networks, shape):
    module, images = gpnd(shape, networks=networks), doubles(shape, 3)
    codes = module.encoder(images).detach()
    batched = forward_jacobian(module.decoder, codes), reverse_jacobian(module.encoder, images, 16)
    for k in range(3):
        push = torch.autograd.functional.jacobian(module.decoder, codes[k : k + 1])
        pull = torch.autograd.functional.jacobian(module.encoder, images[k : k + 1])
        exact(batched[0][k], push.reshape(-1, 16).T)
        exact(batched[1][k], pull.reshape(16, -1))
    # Narrow networks lose dimensions: their singular values are raised as the floor has it.
    squares = [torch.linalg.svdvals(jacobians).square() for jacobians in batched]
    parts = [0.5 * (s + 2**-46 * s.sum(1, True)).log().sum(1) for s in squares]
    volumes = (
        decoder_log_volumes(module.decoder, codes),
        encoder_log_volumes(module.encoder, images, 16),
    )
    for volume, part in zip(volumes, parts, strict=True):
        torch.testing.assert_close(volume, part, rtol=1e-2, atol=1e-7)


def test_the_volume_of_many_images_is_computed_in_portions(monkeypatch):
    module, codes = gpnd(networks="lenet"), normal(9, 16)
    whole = decoder_log_volumes(module.decoder, codes)
    images = doubles(GREY, 9)
    whole_encoder = encoder_log_volumes(module.encoder, images, 16)
    monkeypatch.setattr("tune_ad.detectors.gpnd.volume.DERIVATIVES_AT_ONCE", Portion(40, 1))
    exact(decoder_log_volumes(module.decoder, codes), whole)
    exact(encoder_log_volumes(module.encoder, images, 16), whole_encoder)
    monkeypatch.setattr("tune_ad.detectors.gpnd.volume.DERIVATIVES_AT_ONCE", Portion(1, 1))
    exact(decoder_log_volumes(module.decoder, codes), whole)


def test_a_decoder_that_an_encoder_inverts_has_its_volume_under_theory():
    basis = torch.linalg.qr(normal(24, 4)).Q * torch.tensor([0.5, 1.0, 2.0, 3.0]).double()
    encoder = torch.linalg.pinv(basis)
    volumes = {
        "decoder": decoder_log_volumes(lambda z: z @ basis.T, normal(2, 4)),
        "encoder": encoder_log_volumes(lambda x: x.flatten(1) @ encoder.T, normal(2, 1, 4, 6), 4),
    }
    exact(
        VOLUME_SIGNS["decoder"] * volumes["decoder"], VOLUME_SIGNS["encoder"] * volumes["encoder"]
    )
    exact(
        VOLUME_SIGNS["decoder"] * volumes["decoder"],
        torch.full((2,), -math.log(3), dtype=torch.float64),
    )


# ---------------------------------------------------------------------------- densities


def planted(shape: float, size: int, seed: int) -> np.ndarray:
    stream = np.random.default_rng(seed)
    return np.asarray(scipy.stats.gennorm.rvs(shape, 0.3, 2.0, size, random_state=stream))


@pytest.mark.parametrize("size", [2000, 6000])
def test_the_fit_is_as_likely_as_scipys(size):
    shapes = (0.8, 1.0, 2.0, 5.0)
    samples = np.stack([planted(shape, size, k) for k, shape in enumerate(shapes)], 1)
    fitted = fitted_gaussian(torch.from_numpy(samples))
    assert {field.dtype for field in fitted} == {torch.float64}
    for k, shape in enumerate(shapes):
        ours = tuple(float(field[k]) for field in fitted)
        theirs = scipy.stats.gennorm.fit(samples[:, k])
        likelihoods = [
            scipy.stats.gennorm.logpdf(samples[:, k], *parameters).sum()
            for parameters in (ours, theirs)
        ]
        assert likelihoods[0] >= likelihoods[1] - 1e-6 * size
        assert ours == pytest.approx(theirs, rel=5e-3)
        assert ours == pytest.approx((shape, 0.3, 2.0), rel=0.2, abs=0.1)


def test_a_fit_moves_and_scales_with_its_samples():
    samples = torch.from_numpy(np.stack([planted(shape, 500, 7) for shape in (1.5, 2.5)], 1))
    fitted = fitted_gaussian(samples)
    moved = fitted_gaussian(1e-4 * samples + 7)
    torch.testing.assert_close(moved.shape, fitted.shape, rtol=1e-4, atol=0)
    expected = 1e-4 * fitted.location + 7
    torch.testing.assert_close(moved.location, expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(moved.scale, 1e-4 * fitted.scale, rtol=1e-4, atol=0)


def test_a_coordinate_does_not_depend_on_the_others():
    samples = torch.from_numpy(np.stack([planted(shape, 300, 7) for shape in (1.0, 2.0, 8.0)], 1))
    together = fitted_gaussian(samples)
    for k in range(3):
        alone = fitted_gaussian(samples[:, k : k + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            exact(one[0], all_of_them[k])


def test_an_even_spread_gets_the_largest_shape_and_two_clusters_stay_finite():
    even = torch.linspace(-1, 1, 400, dtype=torch.float64)
    clusters = torch.where(torch.arange(400) % 2 == 0, -1.0, 1.0).double() + 1e-3 * normal(400)
    outlier = torch.cat((normal(399), torch.tensor([1e6]).double()))
    fitted = fitted_gaussian(torch.stack((even, clusters, outlier), 1))
    assert all(bool(field.isfinite().all()) for field in fitted)
    assert float(fitted.shape[0]) == pytest.approx(32)
    assert float(fitted.shape[2]) == pytest.approx(0.5)
    assert float(fitted.location[0]) == pytest.approx(0, abs=0.05)


def test_the_density_is_scipys():
    parameters = torch.tensor(
        [[0.6, 0.1, 3.0], [1.0, 0.0, 0.2], [2.0, -1.0, 1.0], [9.0, 2.0, 5.0]]
    )
    gaussian = GeneralisedGaussian(*parameters.double().T)
    values = 3 * normal(50, 4)
    expected = sum(
        scipy.stats.gennorm.logpdf(values[:, k].numpy(), *parameters[k].tolist()) for k in range(4)
    )
    torch.testing.assert_close(
        gaussian.log_density(values), torch.tensor(expected), rtol=1e-6, atol=0
    )
    far = gaussian.log_density(torch.full((1, 4), 1e30, dtype=torch.float64))
    assert math.isfinite(float(far))
    assert float(far) < -1e29
    at_cusp = gaussian.log_density(gaussian.location[None])
    exact_one = sum(
        scipy.stats.gennorm.logpdf(row[1], *row) for row in parameters.double().tolist()
    )
    assert float(at_cusp) == pytest.approx(exact_one, abs=0.02)


def test_a_constant_coordinate_is_refused_by_its_number():
    samples = normal(50, 5)
    samples[:, 3] = 0.25
    with pytest.raises(DegenerateInputError, match=r"latent dimension 3 .* 0\.25 .* 50 training"):
        fitted_gaussian(samples)
    samples[:, 1] = torch.tensor([1e-7, -1e-7]).double().repeat(25) + 1
    with pytest.raises(DegenerateInputError, match=r"latent dimension 1 .*\(2 of 5 dimensions"):
        fitted_gaussian(samples)


def test_a_histogram_is_numpys_and_integrates_to_1():
    distances = normal(500).abs() + 0.2
    histogram = fitted_histogram(distances, 30)
    low, high = histogram.ends.tolist()
    assert low == float(distances.min())
    assert float(distances.max()) < high < float(distances.max()) * (1 + 1e-5)
    density, edges = np.histogram(distances, 30, (low, high), density=True)
    exact(histogram.density, torch.from_numpy(density))
    assert float(histogram.density.sum()) * (high - low) / 30 == pytest.approx(1)
    middles = torch.from_numpy((edges[1:] + edges[:-1]) / 2)
    expected = histogram.density.clamp(min=LEAST_DENSITY).log()
    exact(histogram.log_density(middles), expected)
    assert bool((histogram.log_density(distances) > -20).all())


def test_the_histogram_beyond_its_ends():
    histogram = Histogram(
        torch.tensor([2.0, 4.0]).double(), torch.tensor([0.3, 0.0, 0.2]).double()
    )
    distances = torch.tensor([0.0, 1.0, 2.0, 3.0, 3.9, 4.0, 1e9]).double()
    least = LEAST_DENSITY
    expected = torch.tensor([least, 0.15, 0.3, least, 0.2, least, least], dtype=torch.float64)
    logs = histogram.log_density(distances)
    torch.testing.assert_close(logs, expected.log(), rtol=1e-7, atol=0)
    from_zero = histogram._replace(ends=torch.tensor([0.0, 4.0]).double())
    exact(from_zero.log_density(torch.zeros(1).double()).exp(), histogram.density[:1])


@torch.no_grad()
def test_the_score_of_an_image_whose_codes_are_not_finite_is_nan_and_no_other():
    module, images = gpnd(), doubles(GREY)
    for name, values in module.finish(iter((images,)), 0).items():
        module.get_buffer(name).copy_(values)
    finite = module.score_variants(images, {}, {})
    encode, spoilt = module.encoder.forward, torch.zeros(len(images), 1).double()
    spoilt[1] = math.nan
    module.encoder.forward = lambda given: encode(given) + spoilt
    scores = module.score_variants(images, {}, {})
    for name in ("score", "residual", "distance"):
        assert scores[name].isnan().tolist() == [k == 1 for k in range(len(images))]
        exact(scores[name][2:], finite[name][2:])


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_equal_residuals_are_refused(value):
    with pytest.raises(DegenerateInputError, match=r"all 40 training images have the same norm"):
        fitted_histogram(torch.full((40,), value, dtype=torch.float64), 30)


def test_the_residuals_density_integrates_to_1_over_the_normal_space():
    """A shell of radius d in N dimensions has the area 2 pi^(N/2) d^(N-1) / Gamma(N/2)."""
    module = gpnd(ImageShape(1, 4, 5), latent_dim=16)
    size = 4  # 20 pixels without 16
    histogram = fitted_histogram(normal(300).abs() + 0.1, 30)
    module.residual_ends.copy_(histogram.ends)
    module.residual_density.copy_(histogram.density)
    low, high = histogram.ends.tolist()
    radii = torch.linspace(low, high, 300_001, dtype=torch.float64)
    areas = 2 * math.pi ** (size / 2) / math.gamma(size / 2) * radii ** (size - 1)
    density = module.residual_log_density(radii, 1.0).exp()
    assert float(torch.trapezoid(density * areas, radii)) == pytest.approx(1, abs=1e-3)


# ------------------------------------------------------------------------------- scores


@torch.no_grad()
@pytest.mark.parametrize("jacobian", ["decoder", "encoder"])
@pytest.mark.parametrize("volume_sign", ["theory", "reversed"])
@pytest.mark.parametrize("squared", [False, slow(True)])
def test_the_score_written_out(jacobian, volume_sign, squared):
    settings = {"jacobian": jacobian, "volume_sign": volume_sign, "squared_distance": squared}
    module, images = gpnd(residual_share=0.4, **settings), doubles(GREY)
    for name, values in module.finish(iter((images[:4], images[4:])), 0).items():
        assert module.get_buffer(name).shape == values.shape
        assert module.get_buffer(name).dtype == values.dtype == torch.float64
        module.get_buffer(name).copy_(values)
    scores = module.score_variants(images, {}, {})
    codes = module.encoder(images)
    distances = (images - module.decoder(codes)).flatten(1).norm(dim=1)
    exact(scores["distance"], distances)
    density = sum(
        scipy.stats.gennorm.logpdf(codes[:, k], *(float(field[k]) for field in fitted))
        for k, fitted in ((k, fitted_gaussian(codes)) for k in range(16))
    )
    torch.testing.assert_close(scores["latent"], torch.tensor(-density), rtol=0, atol=0.05)
    d = distances.square() if squared else distances
    histogram = fitted_histogram(d, 30)
    size = (64 - 16) * 0.4
    residual = (
        math.lgamma(size / 2)
        - math.log(2)
        - size / 2 * math.log(math.pi)
        - (size - 1) * d.log()
        + histogram.log_density(d)
    )
    exact(scores["residual"], -residual)
    theory = {
        "decoder": lambda: -log_volume(forward_jacobian(module.decoder, codes)),
        "encoder": lambda: log_volume(reverse_jacobian(module.encoder, images, 16)),
    }[jacobian]()
    exact(scores["volume"], -theory if volume_sign == "theory" else theory)
    exact(scores["score"], scores["volume"] + scores["latent"] + scores["residual"])


SWEEP = {
    "jacobian": ("decoder", "encoder"),
    "volume_sign": ("theory", "reversed"),
    "residual_share": (1.0, 0.2),
}


def test_a_sweep_equals_the_scores_of_that_configuration():
    config = small(GPND, GREY, networks="lenet")
    swept = replica_set_of(GPND, config, GREY, score_space=SWEEP)
    swept.train(2)
    swept.prepare_scoring()
    state, indices = swept.state_dict(), torch.arange(IMAGES)
    scores = swept.score(0, indices, every_variant=True)
    parts = {"score", "volume", "latent", "residual", "distance"}
    values = [(name, value) for name, values in SWEEP.items() for value in values]
    assert set(scores) == parts | {variant_name(name, value) for name, value in values}
    assert set(swept.score(0, indices)) == parts
    for name, value in values:
        other = replica_set_of(GPND, replace(config, **{name: value}), GREY)
        other.load_state_dict(state)
        assert torch.equal(other.score(0, indices)["score"], scores[variant_name(name, value)])


@torch.no_grad()
def test_any_image_has_a_finite_score():
    module = module_of(trained(GPND, GREY, networks="lenet"))
    odd = torch.stack(
        [torch.zeros(1, 8, 8), torch.ones(1, 8, 8), torch.eye(8)[None], torch.rand(1, 8, 8)]
    )
    itself = module.decoder(module.encoder(odd))
    far = torch.cat((odd, itself, 1e3 * odd))
    assert bool(module.score(far, {}).isfinite().all())


@torch.no_grad()
def test_a_perfect_reconstruction_has_a_finite_score():
    module = module_of(trained(GPND, GREY, networks="lenet"))
    density = module.residual_log_density(torch.zeros(1).double(), 1.0)
    assert bool(density.isfinite().all())


def test_what_is_not_finite_has_no_density():
    codes = normal(9, 16)
    codes[2, 3], codes[5, 7] = math.nan, math.inf
    with pytest.raises(DegenerateInputError, match="2 of 9 codes of the training images are NaN"):
        fitted_gaussian(codes)
    with pytest.raises(DegenerateInputError, match="3 of 9 residuals of the training images are"):
        fitted_histogram(torch.tensor([1.0, 2, math.nan, 4, 5, math.inf, 7, 8, -math.inf]), 3)


def test_an_encoder_that_collapses_ends_the_replica_by_name():
    replica_set = replica_set_of(GPND, small(GPND, GREY, networks="lenet"), GREY)
    replica_set.train(1)
    with torch.no_grad():
        module_of(replica_set).encoder[1].weight[5] = 0
    replica_set.prepare_scoring()
    assert "latent dimension 5" in replica_set.failures[0].reason


def test_before_a_fit_the_codes_have_their_prior():
    module, codes = gpnd(), normal(9, 16)
    densities = (module.latent_shape, module.latent_location, module.latent_scale)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(codes).sum(1)
    torch.testing.assert_close(
        GeneralisedGaussian(*densities).log_density(codes), expected, rtol=0, atol=1e-4
    )


def test_scoring_runs_under_vmap():
    replica_sets = [
        trained(GPND, GREY, networks="lenet", learning_rate=rate) for rate in (1e-3, 1e-2)
    ]
    modules = [module_of(replica_set) for replica_set in replica_sets]
    images = replica_sets[0].replicas[0].images[:4]
    stacked = torch.func.stack_module_state(modules)

    def score(parameters: Any, buffers: Any) -> Any:
        call = ("score_variants", images, {}, {"jacobian": ["encoder"]})
        return torch.func.functional_call(modules[0], (parameters, buffers), call)

    with torch.no_grad():
        together = torch.vmap(score)(*stacked)
        for k, module in enumerate(modules):
            alone = module.score_variants(images, {}, {"jacobian": ["encoder"]})
            for name, values in alone.items():
                torch.testing.assert_close(together[name][k], values, rtol=1e-5, atol=1e-4)


# ------------------------------------------------------------------------------- losses


def cross_entropy(probability: torch.Tensor, target: float) -> torch.Tensor:
    return -(target * probability.log() + (1 - target) * (1 - probability).log()).squeeze(1)


@torch.no_grad()
@pytest.mark.parametrize("networks", ["gpnd", "lenet"])
def test_the_losses_written_out(networks):
    module, images, codes = gpnd(networks=networks), doubles(GREY), normal(7, 16)
    generated, encoded = module.decoder(codes), module.encoder(images)

    def chance_of_images(images: torch.Tensor) -> torch.Tensor:
        return module.image_discriminator(images).sigmoid()

    def chance_of_codes(codes: torch.Tensor) -> torch.Tensor:
        return module.latent_discriminator(codes).sigmoid()

    reconstruction = nn.functional.binary_cross_entropy(
        module.decoder(encoded), images, reduction="none"
    )
    adversarial = cross_entropy(chance_of_codes(encoded), 1)
    noise = {"code": codes}
    expected = {
        "discriminator": cross_entropy(chance_of_images(images), 1)
        + cross_entropy(chance_of_images(generated), 0),
        "generator": cross_entropy(chance_of_images(generated), 1),
        "latent_discriminator": cross_entropy(chance_of_codes(codes), 1)
        + cross_entropy(chance_of_codes(encoded), 0),
        "autoencoder": 2 * reconstruction.flatten(1).mean(1) + adversarial,
    }
    for phase, loss in expected.items():
        exact(module.terms(phase, images, noise)["loss"], loss)
    terms = module.terms("autoencoder", images, {})
    exact(terms["adversarial"], adversarial)
    exact(terms["reconstruction"], reconstruction.flatten(1).mean(1))


def test_a_phase_moves_what_it_names_in_the_official_order():
    module = gpnd()
    (stage,) = module.stages()
    assert [(phase.name, phase.modules) for phase in stage.phases] == [
        ("discriminator", ("image_discriminator",)),
        ("generator", ("decoder",)),
        ("latent_discriminator", ("latent_discriminator",)),
        ("autoencoder", ("encoder", "decoder")),
    ]
    images, noise = doubles(GREY), {"code": normal(7, 16)}
    for phase in ("discriminator", "latent_discriminator"):
        module.zero_grad()
        module.loss_and_terms(phase, images, noise)[0].backward()
        for name in ("encoder", "decoder"):
            network = module.get_submodule(name)
            assert all(parameter.grad is None for parameter in network.parameters())


# ----------------------------------------------------------------------------- networks


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def test_the_official_networks():
    """With the code size of 2020."""
    module = build(GPND, GPND.Config.released(MNIST, latent_dim=16), MNIST, 0)
    assert isinstance(module, GPND)
    k = 4 * 4
    encoder = (k + 1) * 128 + (128 * k + 1) * 256 + (256 * k + 1) * 512 + (512 * k + 1) * 16
    discriminator = (k + 1) * 64 + (64 * k + 1) * 256 + (256 * k + 1) * 512 + (512 * k + 1)
    decoder = 16 * 256 * k + 256 + 256 * 256 * k + 256 + 256 * 128 * k + 128 + 128 * k + 1
    assert count(module.encoder) == encoder + 2 * (256 + 512)
    assert count(module.image_discriminator) == discriminator + 2 * (256 + 512)
    assert count(module.decoder) == decoder + 2 * (256 + 256 + 128)
    assert count(module.latent_discriminator) == 17 * 128 + 129 * 128 + 129
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            assert float(parameter.std()) == pytest.approx(0.02, rel=0.1), name
            assert abs(float(parameter.mean())) < 0.002
        elif "bias" in name:
            assert float(parameter.abs().max()) == 0


def test_the_lenet_networks_are_those_of_the_autoencoder():
    for shape in (MNIST, CIFAR):
        module = gpnd(shape, networks="lenet", latent_dim=32, width=1.0)
        channels = lenet_channels(shape)
        encoder = LeNetEncoder(shape, channels)
        assert count(module.encoder) == count(encoder) + 33 * 0 + encoder.features * 32 + 32
        assert count(module.image_discriminator) == count(encoder) + encoder.features + 1
        assert count(module.decoder) == count(LeNetDecoder(shape, channels, 32))


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 8), (9, 8), (28, 28), (32, 32), (13, 30), (1, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size_go_in_and_come_out(size, channels):
    shape = ImageShape(channels, *size)
    images = doubles(shape, 2)
    encoder = PaddedEncoder(shape, (4, 5, 6), 7, 1.0).double().eval()
    decoder = CroppedDecoder(shape, 7, 0.05).double().eval()
    assert encoder(images).shape == (2, 7)
    generated = decoder(normal(2, 7))
    assert generated.shape == images.shape
    assert bool(((generated > 0) & (generated < 1)).all())


@torch.no_grad()
def test_padding_is_with_zeros_on_both_sides():
    shape, larger = ImageShape(1, 5, 14), ImageShape(1, 8, 16)
    encoder = PaddedEncoder(shape, (4, 5, 6), 7, 1.0).double().eval()
    same = PaddedEncoder(larger, (4, 5, 6), 7, 1.0).double().eval()
    same.load_state_dict(encoder.state_dict())
    images = doubles(shape, 3)
    padded = torch.zeros(3, *larger).double()
    padded[:, :, 1:6, 1:15] = images
    exact(encoder(images), same(padded))
    decoder, whole = (CroppedDecoder(s, 7, 0.05).double().eval() for s in (shape, larger))
    whole.load_state_dict(decoder.state_dict())
    exact(decoder(normal(2, 7)), whole(normal(2, 7))[:, :, 1:6, 1:15])


# ----------------------------------------------------------------------------- settings


def test_released_settings():
    for shape, latent in ((MNIST, 32), (CIFAR, 128)):
        config = GPND.Config.released(shape)
        assert (config.latent_dim, config.networks) == (latent, "gpnd")
        assert (config.epochs, config.batch_size, config.learning_rate) == (80, 128, 2e-3)
        assert (config.beta1, config.beta2, config.weight_decay) == (0.5, 0.999, 0.0)
        assert (config.reduction, config.reconstruction_weight) == ("mean", 2.0)
    (stage,) = gpnd(epochs=80, learning_rate=2e-3).stages()
    rates = [stage.learning_rate(epoch) for epoch in (0, 29, 30, 59, 60, 79)]
    assert rates == pytest.approx([2e-3, 2e-3, 5e-4, 5e-4, 1.25e-4, 1.25e-4])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"networks": "vgg"}, "networks must be one of gpnd, lenet, got 'vgg'"),
        ({"jacobian": "both"}, "jacobian must be one of decoder, encoder, got 'both'"),
        ({"volume_sign": "+"}, "volume_sign must be one of theory, reversed"),
        ({"bins": 0}, "bins must be an integer in [1, 10000], got 0"),
        ({"residual_share": 0.0}, "residual_share must be a number in (0, 1]"),
        ({"residual_share": 1.5}, "residual_share must be a number in (0, 1]"),
        ({"reconstruction_weight": 0.0}, "reconstruction_weight must be a finite number above 0"),
    ],
)
def test_illegal_settings_are_refused(settings, words):
    with pytest.raises(UserError) as error:
        GPND.Config(**settings)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("shape", "settings", "words"),
    [
        (GREY, {"latent_dim": 64}, "latent_dim must be smaller than 64, .* got 64"),
        (GREY, {"batch_size": 1}, "batch_size 1, .* 8x8; use at least 2"),
        (ImageShape(3, 4, 4), {"networks": "lenet"}, "4x4 cannot be halved 3 times"),
        (GREY, {"networks": "lenet", "latent_dim": 20}, "a multiple of 16"),
        (GREY, {"width": 0.005}, "use a width of at least 0.0078125"),
        (GREY, {"networks": "lenet", "width": 0.01}, "use a width of at least 0.125"),
    ],
)
def test_configurations_that_do_not_fit_the_images_are_refused(shape, settings, words):
    with pytest.raises(UserError, match=words) as error:
        build(GPND, small(GPND, shape, **settings), shape, 0)
    assert "\n" not in str(error.value)


def test_a_density_is_not_given_in_bits():
    assert build(GPND, small(GPND, GREY), GREY, 0).nats == ()
    assert set(GPND.score_parameters) <= {field.name for field in fields(GPND.Config)}
