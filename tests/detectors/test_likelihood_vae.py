"""Likelihood VAE: what its scores are, its stages, its bits, and training by forward KL."""

import math

import pytest
import torch

from tests.detectors.cases import IMAGES, small
from tune_ad.data import load, scaled
from tune_ad.detectors import gaussian
from tune_ad.detectors.likelihood_vae import importance
from tune_ad.detectors.likelihood_vae.detector import LikelihoodVAE
from tune_ad.detectors.likelihood_vae.image_statistics import STATISTICS, pixel_variance, png_bits
from tune_ad.detectors.likelihood_vae.likelihoods import GREYS, LIKELIHOODS
from tune_ad.detectors.nets import DCGANDecoder, DCGANEncoder, ImageShape, dcgan_channels
from tune_ad.detectors.portions import Portion
from tune_ad.errors import UserError
from tune_ad.training.replicas.replica import ReplicaSpec, build
from tune_ad.training.replicas.replica_set import ReplicaSet

SHAPE = ImageShape(1, 8, 8)
JUDGES = 2000  # pairs of codes that judge a regret, where they cost nothing


def module_of(**settings):
    config = small(LikelihoodVAE, SHAPE, width=0.25, **settings)
    return build(LikelihoodVAE, config, SHAPE, 0).eval()


def scored(module, images, **space):
    generator = torch.Generator().manual_seed(3)
    noise = {name: draw.draw(generator) for name, draw in module.score_noise(space).items()}
    statistics = {name: statistic(images) for name, statistic in STATISTICS.items()}
    with torch.no_grad():
        return module.score_variants(images, {**noise, **statistics}, space), noise


@pytest.fixture(scope="module")
def digits():
    return scaled(load("digits").test_images[:IMAGES], "unit")


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_scores_are_the_sums_that_they_say_they_are(digits, likelihood):
    module = module_of(likelihood=likelihood)
    scores, noise = scored(module, digits)
    with torch.no_grad():
        mean, log_variance = module.encode(digits)
        pixels = module.pixels(digits, noise.get("cell"))
        codes = mean + (0.5 * log_variance).exp() * noise["code"]
        likelihoods = module.log_likelihood(codes, pixels)
    logs = likelihoods + importance.log_prior(codes)
    logs = logs - gaussian.log_density(codes, mean, log_variance)
    assert torch.allclose(scores["distortion"], -likelihoods.mean(0).double())
    assert torch.allclose(scores["negative_elbo"], scores["distortion"] + scores["rate"])
    iwae = torch.logsumexp(logs.double(), 0) - math.log(len(logs))
    assert torch.allclose(scores["negative_iwae"], -iwae)
    assert torch.allclose(scores["gap"], iwae - logs.double().mean(0))
    assert (scores["gap"] >= 0).all()
    bits = png_bits(digits)
    assert torch.allclose(
        scores["complexity_corrected"] / math.log(2), scores["negative_elbo"] / math.log(2) - bits
    ), "in bits, the length of the file is taken off one to one"
    for name, statistic in STATISTICS.items():
        assert torch.equal(scores[name], statistic(digits))


def test_iwae_rises_with_the_number_of_codes_on_average(digits):
    module = module_of()
    scores, _ = scored(module_of(score_by="negative_iwae"), digits, importance_samples=(1, 4, 64))
    means = [float(scores[f"importance_samples={k}"].mean()) for k in (1, 4, 64)]
    assert means == sorted(means, reverse=True), "minus the bound falls"
    assert module.score_parameters == ("importance_samples", "score_by")


class LinearGaussian:
    """x = z + noise of variance 1/4 in every coordinate: the posterior is N(0.8 x, 0.2)."""

    @staticmethod
    def log_likelihood(codes, pixels):
        error = pixels.flatten(1) - codes
        return (-2 * error.square() - 0.5 * math.log(math.pi / 2)).sum(-1)


def regret_from(mean, log_variance, pixels, steps):
    module = module_of(score_by="regret", regret_steps=steps, latent_dim=16)
    module.log_likelihood = LinearGaussian.log_likelihood
    generator = torch.Generator().manual_seed(5)
    normal = torch.randn(steps // 2 + JUDGES, 1, 16, generator=generator, dtype=torch.float64)
    return module.regret(mean, log_variance, pixels, normal)


def test_regret_is_none_from_the_exact_posterior_and_else_the_divergence(monkeypatch):
    monkeypatch.setattr("tune_ad.detectors.likelihood_vae.detector.REGRET_PAIRS", JUDGES)
    generator = torch.Generator().manual_seed(4)
    pixels = torch.randn(50, 1, 4, 4, generator=generator, dtype=torch.float64)
    exact, variance = 0.8 * pixels.flatten(1), torch.full((50, 16), math.log(0.2)).double()
    nothing = regret_from(exact, variance, pixels, 400)
    assert float(nothing.mean()) == pytest.approx(0, abs=0.3)
    off, wide = exact + 0.3, variance + 1.0
    divergence = 0.5 * 16 * (0.3**2 / 0.2 + math.e - 1 - 1)
    assert float(regret_from(off, wide, pixels, 400).mean()) == pytest.approx(divergence, rel=0.05)


@pytest.mark.slow
def test_more_steps_of_regret_gain_more_on_codes_that_no_step_saw(digits):
    regrets = [
        float(scored(module_of(score_by="regret", regret_steps=n), digits)[0]["score"].mean())
        for n in (2, 20, 80)
    ]
    assert 0 < regrets[0] < regrets[1] < regrets[2]


def test_regret_of_many_images_is_that_of_each_alone(digits):
    module = module_of(score_by="regret", regret_steps=10)
    together, noise = scored(module, digits)
    with torch.no_grad():
        alone = [module.score(image[None], noise) for image in digits[:4]]
    assert torch.allclose(together["score"][:4], torch.cat(alone), rtol=1e-3, atol=1e-3)


def trained(epochs=3, until=None, **settings):
    images = scaled(load("digits").train_images[:200], "unit")
    config = LikelihoodVAE.Config.released(
        SHAPE, latent_dim=16, width=0.25, epochs=epochs, batch_size=50, **settings
    )
    replica_set = ReplicaSet(
        LikelihoodVAE, config, images, [ReplicaSpec("all", 0, torch.arange(200))]
    )
    (terms,) = replica_set.train(until or replica_set.epochs)
    return replica_set, {metric.term: value for metric, value in terms.items()}


def test_typicality_is_the_distance_from_the_training_images_mean():
    replica_set, _ = trained()
    replica_set.prepare_scoring()
    module = replica_set.replicas[0].module
    scores = replica_set.score(0, torch.arange(200))
    entropy = float(module.entropy)
    assert float(scores["negative_elbo"].mean()) == pytest.approx(entropy, rel=0.02)
    assert torch.allclose(scores["typicality"], (scores["negative_elbo"] - entropy).abs())


@pytest.mark.slow
def test_training_by_forward_kl_learns_and_reports_its_weights():
    _, before = trained(1, objective="forward_kl", samples=8, warm_start=0.0)
    replica_set, after = trained(12, objective="forward_kl", samples=8, warm_start=0.5)
    assert after["bound"] > before["bound"]
    assert 1 / 8 <= after["effective_share"] <= 1
    assert 0 <= after["forward_kl"] <= math.log(8)
    assert [stage.name for stage in replica_set.replicas[0].stages] == ["warm start", "train"]
    assert [stage.epochs for stage in replica_set.replicas[0].stages] == [6, 6], (
        "as long as the ELBO"
    )


def test_a_refit_moves_the_encoder_and_leaves_the_decoder():
    images = scaled(load("digits").train_images[:200], "unit")
    config = LikelihoodVAE.Config.released(
        SHAPE, latent_dim=16, width=0.25, epochs=2, batch_size=50, samples=4, refit=1.0
    )
    replica_set = ReplicaSet(
        LikelihoodVAE, config, images, [ReplicaSpec("all", 0, torch.arange(200))]
    )
    replica_set.train(2)
    module = replica_set.replicas[0].module
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    replica_set.train(2)
    moved = {
        name.partition(".")[0]
        for name, parameter in module.named_parameters()
        if not torch.equal(parameter, before[name])
    }
    assert moved == {"encoder", "mean", "log_variance"}


def test_a_learned_scale_never_falls_below_its_floor():
    started = {"likelihood": "gaussian_learned", "sigma": 0.7, "least_sigma": 0.5}
    replica_set, _ = trained(8, learning_rate=0.05, **started)
    scale = replica_set.replicas[0].module.decoder.likelihood.log_scale.detach().exp()
    assert 0.5 <= float(scale) < 0.6, "it falls towards the floor"
    module = module_of(likelihood="gaussian_learned", sigma=0.3)
    assert float(module.decoder.likelihood.log_scale.detach().exp()) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("settings", "in_bits"),
    [
        ({"likelihood": "categorical"}, True),
        ({"likelihood": "discretised_logistic"}, True),
        ({"likelihood": "gaussian"}, True),
        ({"likelihood": "gaussian", "dequantised": False}, False),
        ({"likelihood": "bernoulli"}, False),
        ({"likelihood": "categorical", "scaling": "minmax"}, False),
    ],
    ids=str,
)
def test_bits_per_dimension_are_given_where_they_mean_something(settings, in_bits):
    names = ("rate", "distortion", "negative_elbo", "negative_iwae") if in_bits else ()
    assert module_of(**settings).nats == names


def test_spread_pixels_stay_in_their_cells(digits):
    module = module_of(likelihood="gaussian")
    cell = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    spread = module.pixels(digits, cell)
    assert torch.equal((spread * GREYS).floor(), (digits * (GREYS - 1)).round())
    assert torch.equal(module_of(likelihood="categorical").pixels(digits, cell), digits)


def test_width_scales_channels_and_leaves_depth_and_code():
    small_, wide = (module_of(networks="dcgan"), build_wide())
    assert small_.mean.out_features == wide.mean.out_features
    kinds = [[type(m) for m in module.encoder.layers] for module in (small_, wide)]
    assert kinds[0] == kinds[1]
    assert dcgan_channels(SHAPE, 2.0) == (64, 128, 256)
    assert dcgan_channels(ImageShape(3, 32, 32)) == (64, 128, 256)


def build_wide():
    return build(LikelihoodVAE, small(LikelihoodVAE, SHAPE, width=1.0), SHAPE, 0)


def test_the_dcgan_trunk_halves_and_doubles_exactly():
    shape = ImageShape(3, 32, 32)
    encoder, decoder = DCGANEncoder(shape, (4, 6, 8)), DCGANDecoder(shape, (4, 6, 8), 5)
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, 8 * 4 * 4)
    assert decoder(torch.rand(2, 5)).shape == (2, 3, 32, 32)


def test_png_length_is_that_of_a_file_and_variance_that_of_numpy(digits):
    flat, wild = torch.zeros(1, 1, 32, 32), torch.rand(1, 1, 32, 32)
    assert float(png_bits(flat)) < 1200 < 8 * 32 * 32 <= float(png_bits(wild))
    assert float(pixel_variance(wild)) == pytest.approx(float(wild.double().numpy().var()))


def buffers_after(objective):
    """The batch statistics after one step, with the same images and codes."""
    module = module_of(objective=objective, samples=4).train()
    images = scaled(load("digits").test_images[:IMAGES], "unit")
    generator = torch.Generator().manual_seed(6)
    draws = module.noise("wake", len(images))
    noise = {name: draws[name].draw(generator) for name in ("code", *(set(draws) - {"code"}))}
    module.terms("wake", images, noise)
    return {name: values.clone() for name, values in module.named_buffers() if "running" in name}


def test_dreams_do_not_move_the_batch_statistics():
    wake, mixed = buffers_after("forward_kl"), buffers_after("mixed")
    assert all(torch.equal(wake[name], mixed[name]) for name in wake)


def test_the_decoder_follows_the_bound_and_the_encoder_the_weighted_log_density(digits):
    module = module_of(objective="forward_kl", samples=4).train()
    generator = torch.Generator().manual_seed(7)
    noise = {n: draw.draw(generator) for n, draw in module.noise("wake", len(digits)).items()}
    parts = {"decoder": [*module.decoder.parameters()], "encoder": [*module.mean.parameters()]}

    def slopes(of, part):
        terms = module.terms("wake", digits, noise)
        return torch.autograd.grad(of(terms).sum(), parts[part], allow_unused=True)

    for part, of_part, of_other in (
        ("decoder", lambda t: -t["bound"], lambda t: t["wake"]),
        ("encoder", lambda t: t["wake"], lambda t: t["bound"]),
    ):
        whole, alone = slopes(lambda t: t["loss"], part), slopes(of_part, part)
        assert all(
            torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(whole, alone, strict=True)
        )
        assert all(slope is None or not slope.any() for slope in slopes(of_other, part))


def test_decoding_goes_in_pieces_where_nothing_is_trained(digits, monkeypatch):
    whole, _ = scored(module_of(likelihood="categorical"), digits)
    module = module_of(likelihood="categorical")
    portion = Portion(cpu=3 * module.decoder.numbers, gpu=1)
    monkeypatch.setattr("tune_ad.detectors.likelihood_vae.decoder.ACTIVATIONS_AT_ONCE", portion)
    seen = []
    module.decoder.register_forward_hook(lambda m, inputs, out: seen.append(len(inputs[0])))
    pieces, _ = scored(module, digits)
    assert max(seen) == 3
    assert torch.allclose(whole["negative_iwae"], pieces["negative_iwae"])


def test_a_refit_counts_every_parameter_that_scores():
    plain, refitted = trained(1)[0], trained(1, samples=4, refit=1.0)[0]
    assert plain.parameters == refitted.parameters


def test_one_code_cannot_be_weighed():
    for settings in ({"objective": "forward_kl"}, {"objective": "mixed"}, {"refit": 1.0}):
        with pytest.raises(UserError, match="samples must be at least 2 for forward KL.*got 1"):
            module_of(**settings)
    assert module_of(objective="sleep").config.samples == 1


def until_the_plateau(**settings):
    """A replica set with patience, trained and watched to its end on few images."""
    images = scaled(load("digits").train_images[:80], "unit")
    config = LikelihoodVAE.Config.released(
        SHAPE, latent_dim=16, width=0.5, epochs=60, batch_size=10, learning_rate=1e-2, **settings
    )
    replica_specs = [ReplicaSpec("all", 0, torch.arange(10))]
    replica_set = ReplicaSet(LikelihoodVAE, config, images, replica_specs, patience=3)
    while not replica_set.finished:
        replica_set.train(2)
        replica_set.watch([torch.arange(40, 80)])
    return replica_set


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.slow
def test_the_refit_control_has_the_decoder_of_the_model_that_it_refits(components):
    plain = until_the_plateau(samples=4)
    control = until_the_plateau(samples=4, refit=0.2, mixture_components=components)
    assert plain.early_stopping[0].stopped < 60, "the plateau must come before the end"
    state, refitted = (c.replicas[0].module.state_dict() for c in (plain, control))
    decoder = [name for name in state if name.startswith("decoder")]
    assert all(torch.equal(state[name], refitted[name]) for name in decoder)
    assert not torch.equal(state["mean.weight"], refitted["mean.weight"])


def test_the_effective_share_is_recorded_at_every_step_of_the_weights():
    replica_set, terms = trained(4, objective="forward_kl", samples=4, warm_start=0.5)
    (steps,) = replica_set.take_steps()
    assert set(steps) == {"effective_share", "raw_effective_share"}
    for name, points in steps.items():
        numbers, values = zip(*points, strict=True)
        assert numbers == tuple(range(9, 17)), "two epochs of four steps of ELBO came before"
        assert sum(values[-4:]) / 4 == pytest.approx(terms[name])
        assert all(1 / 4 <= value <= 1 for value in values)
    assert replica_set.take_steps() == [{}], "taken once"


@pytest.mark.parametrize("epochs", [1, 2, 3, 6, 8])
def test_a_warm_start_is_a_part_of_the_epochs(epochs):
    settings = {"objective": "forward_kl", "samples": 4, "epochs": epochs}
    stages = module_of(**settings).stages()
    assert sum(stage.epochs for stage in stages) == epochs
    assert [stage.name for stage in stages] == (
        ["warm start", "train"] if epochs > 1 else ["train"]
    )
    cold = module_of(**settings, warm_start=0.0)
    assert [stage.name for stage in cold.stages()] == ["train"]


def named_stages(**settings):
    """The stages of a detector with three components, as (name, epochs, trained modules)."""
    settings = {"samples": 4, "mixture_components": 3, "epochs": 20, **settings}
    stages = module_of(**settings).stages()
    return [(s.name, s.epochs, s.phases[0].modules) for s in stages]


def test_components_are_added_one_by_one_in_epochs_of_their_own():
    first, second, third, last = named_stages(objective="forward_kl", warm_start=0.5)
    assert first == ("warm start", 10, ("encoder", "mean", "log_variance", "decoder"))
    assert second == ("component 2", 4, ("added.0",))
    assert third == ("component 3", 4, ("added.1",))
    assert last[:2] == ("train", 10) and "added" in last[2] and "decoder" in last[2]
    assert [s[1] for s in named_stages(objective="forward_kl", component_share=1e-3)][1:3] == [
        1,
        1,
    ]


def test_a_refit_adds_components_unless_they_are_there():
    control = named_stages(refit=0.5)
    names = ["train", "component 2", "component 3", "refit"]
    assert [stage[:2] for stage in control] == list(zip(names, (20, 4, 4, 10), strict=True))
    assert control[-1][2] == ("encoder", "mean", "log_variance", "added")
    again = named_stages(objective="forward_kl", refit=0.5)
    assert [stage[:2] for stage in again][-2:] == [("train", 15), ("refit", 10)]


def test_components_are_ignored_where_nothing_trains_them():
    assert named_stages(objective="elbo") == [
        ("train", 20, ("encoder", "mean", "log_variance", "decoder"))
    ]
    assert not module_of(mixture_components=3, objective="elbo").added


@pytest.mark.slow
def test_an_added_component_is_trained_alone_and_moves_nothing_else():
    settings = {
        "objective": "forward_kl",
        "samples": 4,
        "mixture_components": 2,
        "component_share": 0.5,
    }
    stages = module_of(**settings, epochs=4).stages()
    assert [stage.epochs for stage in stages] == [1, 2, 3]
    first, second = (
        trained(4, until=epochs, **settings)[0].replicas[0].module.state_dict()
        for epochs in (1, 3)
    )
    moved = {name for name in first if not torch.equal(first[name], second[name])}
    assert moved and all(name.startswith("added.0.") for name in moved)


def test_a_mixture_scores_by_its_own_density(digits):
    """The rate is estimated from the codes; sum, bound and gap are those of the mixture."""
    module = module_of(objective="forward_kl", samples=4, mixture_components=3)
    for head in module.added.parameters():
        torch.nn.init.normal_(head, std=0.1)
    scores, noise = scored(module, digits)
    with torch.no_grad():
        posterior, pixels = module.posterior(digits), module.pixels(digits, noise.get("cell"))
        uniform = noise["particle"].expand(-1, len(digits))
        codes = posterior.sample(noise["code"].expand(-1, len(digits), -1), uniform)
        _, logs = module.log_weights(posterior, codes, pixels)
    assert torch.allclose(scores["negative_elbo"], -logs.mean(0))
    assert torch.allclose(scores["negative_elbo"], scores["distortion"] + scores["rate"])
    assert torch.allclose(scores["negative_iwae"], math.log(len(logs)) - logs.logsumexp(0))


def test_the_bound_beside_another_score_is_shown_too():
    assert module_of().histograms == ()
    assert module_of(score_by="negative_iwae").histograms == ("negative_elbo",)
