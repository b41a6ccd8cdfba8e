"""The contract that every detector is held to, and the mathematics of each one."""

import inspect
import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from tests.detectors.cases import (
    CIFAR,
    COLOUR,
    GREY,
    IMAGES,
    MNIST,
    cohort_of,
    module_of,
    same,
    small,
    trained,
)
from tune_ad.cohort import Cohort, Member, build
from tune_ad.data import load, scaled
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.schedule import Adam, Stage
from tune_ad.errors import UserError
from tune_ad.metrics import auroc, ties
from tune_ad.nets import ImageShape

DETECTORS = every_detector()

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
            stage = Stage("", epochs, (), adam, 1, (fraction,))
            rates = [stage.learning_rate(epoch) for epoch in range(epochs)]
            assert rates == [1.0] * k + [0.1] * (epochs - k)


def test_milestones_multiply():
    stage = Stage("", 8, (), Adam(1.0, (0.9, 0.999), 0.0), 1, (0.5, 0.75), decay=0.5)
    assert [stage.learning_rate(epoch) for epoch in (3, 4, 5, 6)] == [1.0, 0.5, 0.5, 0.25]
