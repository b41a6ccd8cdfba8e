"""The contract that every detector is held to, and the mathematics of each one."""

import inspect
import math
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tune_ad.cohort import Cohort, Member, build
from tune_ad.data import load, scaled
from tune_ad.detectors import every_detector
from tune_ad.detectors.ae import AE
from tune_ad.detectors.base import Config, Detector, Noise, variant_name
from tune_ad.detectors.deep_svdd import DeepSVDD, away_from_zero
from tune_ad.detectors.pgn import PGN, spread_divergence
from tune_ad.detectors.schedule import Adam, Stage
from tune_ad.errors import UserError
from tune_ad.metrics import auroc, ties
from tune_ad.nets import ImageShape
from tune_ad.randomness import derived_seed

DETECTORS = every_detector()
GREY, COLOUR = ImageShape(1, 8, 8), ImageShape(3, 8, 8)
MNIST, CIFAR = ImageShape(1, 28, 28), ImageShape(3, 32, 32)
SMALL = {"latent_dim": 16, "batch_size": 8, "epochs": 4, "learning_rate": 1e-3}
IMAGES = 20

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "DeepSVDD": [{"objective": "soft-boundary"}],
    "PGN": [{"extra_layer": False, "bias": False, "mc_samples": "inf"}],
}
"""Settings under which a detector is held to the contract besides its defaults."""

ALTERNATIVES = {
    "latent_dim": 32,
    "width": 2.0,
    "scaling": "minmax",
    "epochs": 3,
    "milestones": (0.5,),
    "reduction": "mean",
    "objective": "soft-boundary",
    "dropout": 0.25,
    "radius_warmup": 0.6,
}
"""Other values of a parameter; one that is missing here gets half or the opposite of its own."""

WHEN: dict[tuple[str, str], dict[str, Any]] = {
    ("DeepSVDD", "nu"): {"objective": "soft-boundary"},
    ("DeepSVDD", "radius_warmup"): {"objective": "soft-boundary"},
}
"""Settings of the others under which a parameter acts; its detector's defaults if missing."""

ILLEGAL: dict[type, tuple[Any, ...]] = {
    bool: (None, 1, "yes"),
    int: (None, "3", 2.5, True, -1),
    float: (None, "0.1", True, -1.0, math.nan, math.inf, -math.inf),
    str: (None, 3, "nonsense"),
    tuple: (None, 0.5, [0.5], (0.0,), (1.0,), (math.nan,), ("half",), (None,)),
}
"""Values that no parameter of a type may take."""

SELF_TYPED = {"mc_samples": (None, "20", "infinite", 2.5, math.inf, math.nan, True, -1, [0])}
"""Values that a parameter with a type of its own may not take."""


def settled() -> list[Any]:
    """Every detector under its defaults and its variants, on grey and colour images."""
    return [
        pytest.param(detector, shape, settings, id="-".join([name, kind, *map(str, settings)]))
        for name, detector in DETECTORS.items()
        for settings in [{}, *VARIANTS.get(name, [])]
        for kind, shape in (("grey", GREY), ("colour", COLOUR))
    ]


every_setting = pytest.mark.parametrize(("detector", "shape", "settings"), settled())
each_detector = pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS.keys())


def pixels(shape: ImageShape, count: int = IMAGES, seed: int = 5) -> torch.Tensor:
    """Random uint8 images that do not reach 255."""
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(0, 200, (count, *shape), generator=stream, dtype=torch.uint8)


def cohort_of(
    detector: type[Detector[Any]], config: Config, shape: ImageShape, **options: Any
) -> Cohort:
    """One replica on random images."""
    images = scaled(pixels(shape), config.scaling)
    return Cohort(detector, config, images, [Member("t", 0, torch.arange(IMAGES))], **options)


def small(detector: type[Detector[Any]], shape: ImageShape, **settings: Any) -> Config:
    return detector.Config.released(shape, **{**SMALL, **settings})


@torch.enable_grad()
def trained(
    detector: type[Detector[Any]], shape: ImageShape, epochs: int = 2, **settings: Any
) -> Cohort:
    cohort = cohort_of(detector, small(detector, shape, **settings), shape)
    cohort.train(epochs)
    cohort.prepare_scoring()
    return cohort


def module_of(cohort: Cohort) -> Any:
    return cohort.learners[0].module


def same(one: Any, other: Any) -> bool:
    """Whether two nested structures of tensors and plain values are bit-equal."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# ---------------------------------------------------------------------------- contract


def test_the_detectors_of_the_package_are_found():
    assert {"AE", "DeepSVDD", "PGN"} <= set(DETECTORS)


@each_detector
def test_a_detector_says_what_it_is(detector):
    first = (detector.__doc__ or "").partition("\n")[0]
    assert first.endswith(".")
    assert "Source" in (detector.__doc__ or "")
    assert not inspect.isabstract(detector)
    names = {each.name for each in fields(detector.Config)}
    assert set(detector.score_parameters) <= names


@every_setting
def test_losses_are_finite_and_one_per_image(detector, shape, settings):
    cohort = cohort_of(detector, small(detector, shape, **settings), shape)
    for _ in range(cohort.epochs):
        (terms,) = cohort.train(1)
        assert terms
        assert all(math.isfinite(value) for value in terms.values())
    module = module_of(cohort)
    images = cohort.learners[0].images[:5]
    for phase, noise in phases(module, 5):
        terms = module.terms(phase.name, images, noise)
        assert {tuple(term.shape) for term in terms.values()} == {(5,)}
        reduce = torch.sum if module.config.reduction == "sum" else torch.mean
        assert torch.equal(module.loss(phase.name, images, noise), reduce(terms["loss"]))


def phases(module: Detector[Any], batch: int) -> list[Any]:
    """Every phase of every stage with its noise."""
    stream = torch.Generator().manual_seed(1)
    return [
        (phase, {k: each.draw(stream) for k, each in module.noise(phase.name, batch).items()})
        for stage in module.stages()
        for phase in stage.phases
    ]


@every_setting
def test_every_trained_parameter_has_a_gradient(detector, shape, settings):
    cohort = cohort_of(detector, small(detector, shape, **settings), shape)
    module, images = module_of(cohort), cohort.learners[0].images[:8]
    moved: set[str] = set()
    for phase, noise in phases(module, 8):
        names = [
            f"{name}.{inner}"
            for name in phase.modules
            for inner, _ in module.get_submodule(name).named_parameters()
        ]
        own = [module.get_parameter(name) for name in names]
        loss = module.loss(phase.name, images, noise)
        gradients = torch.autograd.grad(loss, own, allow_unused=True)
        missing = [name for name, each in zip(names, gradients, strict=True) if each is None]
        assert missing == []
        assert all(bool(each.isfinite().all()) for each in gradients)
        assert any(bool(each.abs().max() > 0) for each in gradients)
        moved.update(names)
    assert moved == {name for name, _ in module.named_parameters()}


@every_setting
def test_scores_are_finite_one_per_image_and_change_nothing(detector, shape, settings):
    cohort = trained(detector, shape, **settings)
    module, before = module_of(cohort), {}
    for name, value in module.state_dict().items():
        before[name] = value.clone()
    scores = cohort.score(0, torch.arange(IMAGES), every_variant=True)
    assert "score" in scores
    for values in scores.values():
        assert values.shape == (IMAGES,)
        assert values.dtype == torch.float64
        assert bool(values.isfinite().all())
    assert ties(scores["score"]).distinct == IMAGES
    assert same(cohort.score(0, torch.arange(IMAGES), every_variant=True), scores)
    assert same(dict(module.state_dict()), before)
    plain = module.score(cohort.learners[0].images, cohort.learners[0].score_noise)
    torch.testing.assert_close(plain.double(), scores["score"], rtol=1e-5, atol=1e-7)


@every_setting
def test_scores_depend_on_neither_batch_order_nor_batch_size(detector, shape, settings):
    cohort = trained(detector, shape, **settings)
    everything = torch.arange(IMAGES)
    whole = cohort.score(0, everything)
    order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(3))
    shuffled = cohort.score(0, order)
    single = [cohort.score(0, each) for each in everything.split(1)]
    thirds = [cohort.score(0, each) for each in everything.split(7)]
    for name, values in whole.items():
        back = torch.empty_like(values)
        back[order] = shuffled[name]
        others = [back, *(torch.cat([part[name] for part in cut]) for cut in (single, thirds))]
        for other in others:
            torch.testing.assert_close(other, values, rtol=1e-5, atol=1e-7)
            if name == "score":
                assert torch.equal(other.argsort(), values.argsort())


@every_setting
def test_saved_and_loaded_it_goes_on_the_same(detector, shape, settings, tmp_path):
    config = small(detector, shape, **settings)
    first, second = (cohort_of(detector, config, shape) for _ in range(2))
    first.train(2)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.epoch == 2
    assert same(first.score(0, torch.arange(9)), second.score(0, torch.arange(9)))
    assert first.train(2) == second.train(2)
    for cohort in (first, second):
        cohort.prepare_scoring()
    assert same(first.score(0, torch.arange(9)), second.score(0, torch.arange(9)))
    assert same(first.state_dict(), second.state_dict())


def observed(detector: type[Detector[Any]], settings: dict[str, Any]) -> Any:
    """All that a configuration can change: numbers of parameters, curves, weights, scores."""
    cohort = cohort_of(detector, small(detector, GREY, **settings), GREY)
    curve = [cohort.train(1) for _ in range(cohort.epochs)]
    cohort.prepare_scoring()
    state = dict(module_of(cohort).state_dict())
    return cohort.parameters, curve, state, cohort.score(0, torch.arange(IMAGES))


def alternative(name: str, value: Any) -> Any:
    """Another legal value of a parameter."""
    if name in ALTERNATIVES and ALTERNATIVES[name] != value:
        return ALTERNATIVES[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value // 2 if isinstance(value, int) else value / 2
    if name == "reduction":
        return "sum"
    raise AssertionError(f"ALTERNATIVES names no other value for {name}")


def knobs() -> list[Any]:
    return [
        pytest.param(detector, each.name, id=f"{name}-{each.name}")
        for name, detector in DETECTORS.items()
        for each in fields(detector.Config)
    ]


@pytest.mark.parametrize(("detector", "name"), knobs())
def test_no_knob_is_dead(detector, name):
    settings = WHEN.get((detector.__name__, name), {})
    value = getattr(small(detector, GREY, **settings), name)
    other = alternative(name, value)
    assert other != value
    plain = observed(detector, settings)
    assert same(plain, observed(detector, {**settings, name: value}))
    assert not same(plain, observed(detector, {**settings, name: other}))


def illegal(config: type[Config], name: str) -> tuple[Any, ...]:
    if name in config.self_typed:
        return SELF_TYPED[name]
    default = next(each.default for each in fields(config) if each.name == name)
    return ILLEGAL[type(default)]


@pytest.mark.parametrize(("detector", "name"), knobs())
def test_every_parameter_is_validated(detector, name):
    for value in illegal(detector.Config, name):
        with pytest.raises(UserError) as error:
            detector.Config(**{name: value})
        message = str(error.value)
        assert "\n" not in message
        assert name in message
        assert repr(value) in message


@each_detector
def test_an_unknown_parameter_is_refused_with_the_known_ones(detector):
    with pytest.raises(UserError, match=r"latent_dim.*got 'latent'") as error:
        detector.Config.released(GREY, latent=3)
    assert "\n" not in str(error.value)


@each_detector
def test_an_integer_may_stand_for_a_float(detector):
    assert detector.Config(width=2).width == 2


@pytest.fixture(scope="module")
def digits() -> Any:
    return load("digits", "data")


@each_detector
def test_beats_chance_on_digits(detector, digits):
    shape = ImageShape(*digits.shape)
    config = detector.Config.released(shape, epochs=12, learning_rate=1e-3, batch_size=50)
    images = scaled(torch.cat((digits.train_images, digits.test_images)), config.scaling)
    count = len(digits.train_images)
    classes = (0, 2, 8)
    members = [
        Member(str(k), 0, torch.nonzero(digits.train_labels == k).flatten()) for k in classes
    ]
    cohort = Cohort(detector, config, images, members)
    cohort.train(config.epochs)
    cohort.prepare_scoring()
    found = []
    for k, label in enumerate(classes):
        normal = digits.test_labels == label
        sides = [torch.nonzero(each).flatten() + count for each in (normal, ~normal)]
        found.append(auroc(*(cohort.score(k, side)["score"] for side in sides)))
    assert np.mean(found) > 0.6


# ------------------------------------------------------------- released sizes and settings

SIZES = {"AE": (8_529, 805_123), "DeepSVDD": (7_284, 520_768), "PGN": (52_232, 4_979_520)}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("position", [0, 1])
def test_parameter_counts_are_the_released_ones(name, position):
    detector, shape = DETECTORS[name], (MNIST, CIFAR)[position]
    module = build(detector, detector.Config.released(shape), shape, 0)
    assert sum(each.numel() for each in module.parameters()) == SIZES[name][position]


def test_the_cohort_counts_one_replica():
    config = PGN.Config.released(MNIST)
    members = [Member("t", seed, torch.arange(2)) for seed in (0, 1)]
    assert Cohort(PGN, config, torch.zeros(2, *MNIST), members).parameters == SIZES["PGN"][0]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        # convolutions without bias, then two heads of 196 x 32 and 2048 x 128
        (MNIST, 25 * (1 * 8 + 8 * 4) + 2 * (4 * 7 * 7) * 32),
        (CIFAR, 25 * (3 * 32 + 32 * 64 + 64 * 128) + 2 * (128 * 4 * 4) * 128),
    ],
)
def test_the_papers_pgn_has_no_extra_layer_and_no_biases(shape, expected):
    config = PGN.Config.released(shape, extra_layer=False, bias=False)
    module = build(PGN, config, shape, 0)
    assert sum(each.numel() for each in module.parameters()) == expected
    assert not [name for name, _ in module.named_parameters() if "bias" in name]


@pytest.mark.parametrize("name", SIZES)
def test_released_settings_follow_the_channels(name):
    for shape, latent, scaling in ((MNIST, 32, "unit"), (CIFAR, 128, "minmax")):
        config = DETECTORS[name].Config.released(shape)
        assert (config.latent_dim, config.scaling) == (latent, scaling)
        assert (config.epochs, config.batch_size, config.learning_rate) == (100, 200, 1e-4)
        assert (config.beta1, config.beta2, config.weight_decay) == (0.5, 0.999, 1e-4)
        assert config.reduction == ("sum" if name == "PGN" else "mean")
    assert DETECTORS[name].Config.released(CIFAR, latent_dim=64).latent_dim == 64


def test_released_score_settings():
    config = PGN.Config.released(MNIST)
    assert (config.dropout, config.mc_samples) == (0.5, 20)
    assert DeepSVDD.Config.released(MNIST).centre_epsilon == 0.1


@pytest.mark.parametrize("name", SIZES)
def test_released_learning_rate_falls_at_epoch_75(name):
    detector = DETECTORS[name]
    module = detector(detector.Config.released(MNIST), MNIST)
    (stage,) = module.stages()
    assert stage.epochs == 100
    assert stage.learning_rate(0) == stage.learning_rate(74) == 1e-4
    assert stage.learning_rate(75) == stage.learning_rate(99) == pytest.approx(1e-5)
    assert stage.adam == Adam(1e-4, (0.5, 0.999), 1e-4)


@pytest.mark.parametrize("epochs", [8, 10, 100, 150])
def test_a_milestone_of_k_of_n_epochs_acts_in_epoch_k(epochs):
    adam = Adam(1.0, (0.9, 0.999), 0.0)
    for k in range(1, epochs):
        for fraction in (k / epochs, round(k / epochs, 2)):
            if abs(fraction * epochs - k) > 1e-6:
                continue
            stage = Stage("", epochs, (), adam, (fraction,))
            rates = [stage.learning_rate(epoch) for epoch in range(epochs)]
            assert rates == [1.0] * k + [0.1] * (epochs - k)


def test_milestones_multiply():
    stage = Stage("", 8, (), Adam(1.0, (0.9, 0.999), 0.0), (0.5, 0.75), decay=0.5)
    assert [stage.learning_rate(epoch) for epoch in (3, 4, 5, 6)] == [1.0, 0.5, 0.5, 0.25]


# --------------------------------------------------------------------------------- PGN


def pgn(shape: ImageShape = GREY, seed: int = 0, **settings: Any) -> PGN:
    """A PGN in float64 and evaluation mode, with heads large enough to matter."""
    config = PGN.Config.released(shape, **{"latent_dim": 6, **settings})
    module = build(PGN, config, shape, seed).double().eval()
    assert isinstance(module, PGN)
    with torch.no_grad():
        module.mean.weight.mul_(4)
        module.log_variance.weight.mul_(3)
    return module


def doubles(shape: ImageShape, count: int = 7) -> torch.Tensor:
    return pixels(shape, count).double() / 255


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


def exact(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-13)


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


# --------------------------------------------------------------------------- Deep SVDD


def test_the_centre_is_kept_off_zero_and_an_exact_zero_stays():
    centre = torch.tensor([0.0, -0.0, 1e-9, -1e-9, 0.05, -0.05, 0.1, -0.1, 0.3, -0.3])
    pushed = torch.tensor([0.0, 0.0, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.3, -0.3])
    assert torch.equal(away_from_zero(centre, 0.1), pushed)
    assert torch.equal(away_from_zero(centre, 0.0), centre)


def svdd(shape: ImageShape = GREY, **settings: Any) -> Cohort:
    return cohort_of(DeepSVDD, small(DeepSVDD, shape, **settings), shape)


@torch.no_grad()
@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_the_centre_is_the_mean_code_under_untrained_statistics(shape, epsilon):
    cohort = svdd(shape, centre_epsilon=epsilon)
    initial = build(DeepSVDD, module_of(cohort).config, shape, derived_seed(0, "t"))
    for each in initial.modules():
        if isinstance(each, nn.BatchNorm2d):
            assert float(each.running_mean.abs().max()) == 0
            assert float((each.running_var - 1).abs().max()) == 0
    codes = initial.eval().encoder(cohort.learners[0].images)
    with torch.enable_grad():
        cohort.train(1)
    centre = module_of(cohort).centre.clone()
    expected = codes.double().mean(0).numpy()
    near = np.abs(expected) < epsilon
    expected = np.where(near, np.sign(expected) * epsilon, expected)
    np.testing.assert_allclose(centre.numpy(), expected, rtol=1e-5, atol=1e-6)
    with torch.enable_grad():
        cohort.train(2)
    assert torch.equal(module_of(cohort).centre, centre)


@torch.no_grad()
def test_the_centre_does_not_depend_on_how_images_are_handed_over():
    module = build(DeepSVDD, small(DeepSVDD, GREY), GREY, 0).eval()
    images = pixels(GREY, 17).float() / 255
    whole = module.begin("train", [images])["centre"]
    parts = module.begin("train", iter(images.split(5)))["centre"]
    torch.testing.assert_close(parts, whole)


@torch.no_grad()
def test_one_class_loss_and_score_are_the_squared_distance():
    cohort = trained(DeepSVDD, GREY)
    module, images = module_of(cohort).eval(), cohort.learners[0].images
    expected = (module.encoder(images) - module.centre).square().sum(1)
    torch.testing.assert_close(module.terms("train", images, {})["loss"], expected)
    torch.testing.assert_close(module.score(images, {}), expected)
    assert module.encoder[1].bias is None


@torch.no_grad()
@pytest.mark.parametrize("nu", [0.1, 0.5, 1.0])
def test_soft_boundary_loss_and_score(nu):
    cohort = trained(DeepSVDD, GREY, objective="soft-boundary", nu=nu)
    module, images = module_of(cohort).eval(), cohort.learners[0].images
    distance = (module.encoder(images) - module.centre).square().sum(1).numpy()
    radius = float(np.sqrt(np.median(distance)))
    module.radius.fill_(radius)
    expected = radius**2 + np.maximum(0, distance - radius**2).mean() / nu
    assert float(module.loss("train", images, {})) == pytest.approx(expected, rel=1e-5)
    score = module.score(images, {}).numpy()
    np.testing.assert_allclose(score, distance - radius**2, rtol=1e-4, atol=1e-5)
    assert score.min() < 0 < score.max()


class Watched(DeepSVDD):
    """Keeps the distances that `after_step` was given."""

    def after_step(self, stage, phase, terms, progress):
        self.last = terms["distance"].clone()
        return super().after_step(stage, phase, terms, progress)


@pytest.mark.parametrize("nu", [0.1, 0.35])
def test_the_radius_waits_and_then_follows_the_last_batch(nu):
    cohort = cohort_of(
        Watched,
        small(DeepSVDD, GREY, epochs=10, objective="soft-boundary", nu=nu, radius_warmup=0.3),
        GREY,
    )
    module = module_of(cohort)
    for _ in range(3):
        cohort.train(1)
        assert float(module.radius) == 0
    radii = []
    for _ in range(3):
        cohort.train(1)
        expected = np.quantile(np.sqrt(module.last.double().numpy()), 1 - nu)
        assert float(module.radius) == pytest.approx(expected, rel=1e-6)
        radii.append(float(module.radius))
    assert len(set(radii)) == 3
    assert len(module.last) == 8


@pytest.mark.parametrize(
    ("epochs", "warmup", "first"),
    [(150, 10 / 150, 10), (100, 0.07, 7), (100, 0.55, 55), (30, 0.1, 3), (5, 0.0, 0)],
)
def test_the_warm_up_ends_in_its_epoch(epochs, warmup, first):
    config = small(DeepSVDD, GREY, epochs=epochs, objective="soft-boundary", radius_warmup=warmup)
    module = DeepSVDD(config, GREY)
    terms = {"distance": torch.ones(8)}
    radii = [
        float(module.after_step("train", "train", terms, torch.tensor(k / epochs))["radius"])
        for k in range(epochs)
    ]
    assert radii == [0.0] * first + [1.0] * (epochs - first)


def test_one_class_keeps_no_radius():
    cohort = trained(DeepSVDD, GREY, epochs=4)
    assert float(module_of(cohort).radius) == 0


# ---------------------------------------------------------------------------------- AE


@torch.no_grad()
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_ae_loss_and_score_are_the_squared_error(shape):
    cohort = trained(AE, shape)
    module, images = module_of(cohort).eval(), cohort.learners[0].images
    made = module.decoder(module.encoder(images))
    expected = functional.mse_loss(made, images, reduction="none").sum((1, 2, 3))
    torch.testing.assert_close(module.score(images, {}), expected)
    torch.testing.assert_close(module.loss("train", images, {}), expected.mean())
    torch.testing.assert_close(module.illustrate(images)["reconstruction"], made)
    assert float(expected.min()) > 0


def test_ae_refuses_a_latent_that_makes_no_map():
    with pytest.raises(UserError, match="got 24; use 16 or 32"):
        build(AE, small(AE, GREY, latent_dim=24), GREY, 0)
