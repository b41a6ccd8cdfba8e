"""The contract that every detector is held to, and the released sizes and settings."""

import functools
import inspect
import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis import frame
from analysis.report.study_report import write_report
from tests.detectors.cases import (
    CIFAR,
    COLOUR,
    GREY,
    IMAGES,
    MNIST,
    applicable,
    is_first,
    module_of,
    pixels,
    quick,
    replica_set_of,
    same,
    small,
    titled,
    trained,
    variants,
)
from tests.training.cases import score_part
from tune_ad.data import Split, Task, load, scaled
from tune_ad.data.groups import Groups
from tune_ad.detectors import every_detector
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.detectors.base import Detector, ScoreSpace, Terms, TrainedDetector, skeleton
from tune_ad.detectors.config import Config, Rule, interval_ends
from tune_ad.detectors.deep_svdd import DeepSVDD
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.detectors.schedule import Adam, Stage
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline
from tune_ad.storage.metric import LIKELIHOOD, LOSS, OTHER_CLASSES, Metric
from tune_ad.training.ranking import auroc, ties
from tune_ad.training.replicas.replica import ReplicaSpec, build
from tune_ad.training.replicas.replica_set import ReplicaSet
from tune_ad.training.score_metrics import SCORE
from tune_ad.training.suite import Suite

BATCH_STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}
DETECTORS = every_detector()
TRAINED = {
    name: detector for name, detector in DETECTORS.items() if issubclass(detector, TrainedDetector)
}
"""The detectors with stages; the others are fitted only."""

TELLING = {"KDE": {"components": 0.3}}
"""Settings under which 20 images show what every parameter does, where the defaults do not."""

ILLEGAL: dict[type, tuple[Any, ...]] = {
    bool: (None, 1, "yes"),
    int: (None, "3", 2.5, True, [3], math.nan, math.inf),
    float: (None, "0.1", True, [0.1], math.nan, math.inf, -math.inf),
    str: (None, 3, True, "nonsense"),
    tuple: (None, 0.5, [0.5], (math.nan,), ("half",), (None,), "half", (1,)),
}
"""Values that no parameter of a kind may take."""


def settled(detectors: dict[str, type[Detector[Any]]]) -> list[Any]:
    """Detectors under their defaults and their variants, on grey and colour images.

    `make test` tries the defaults, and one variant on grey images; `make check` all.
    """
    return [
        pytest.param(
            detector,
            shape,
            quick(detector, **settings),
            id=f"{name}-{kind}-{title}",
            marks=[]
            if not settings or (is_first(settings) and not shape.is_colour)
            else [pytest.mark.slow],
        )
        for name, detector in detectors.items()
        for title, settings in ((titled(variant), variant) for variant in variants(detector))
        for kind, shape in (("grey", GREY), ("colour", COLOUR))
    ]


every_setting = pytest.mark.parametrize(("detector", "shape", "settings"), settled(DETECTORS))
every_training = pytest.mark.parametrize(("detector", "shape", "settings"), settled(TRAINED))
each_detector = pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS.keys())
each_trained = pytest.mark.parametrize("detector", TRAINED.values(), ids=TRAINED.keys())


# ---------------------------------------------------------------------------- contract


def test_the_detectors_of_the_package_are_found():
    assert {"AE", "DeepSVDD", "PGN"} <= set(TRAINED)
    assert {"KDE", "OCSVM", "IsolationForest"} <= set(DETECTORS) - set(TRAINED)


@each_detector
def test_a_detector_says_what_it_is(detector):
    first = (detector.__doc__ or "").partition("\n")[0]
    assert first.endswith(".")
    assert "Source" in (detector.__doc__ or "")
    assert not inspect.isabstract(detector)
    names = {field.name for field in fields(detector.Config)}
    assert set(detector.score_parameters) <= names


@each_detector
def test_a_detector_is_trained_in_stages_or_fitted(detector):
    replica_set = replica_set_of(detector, small(detector, GREY), GREY)
    stages = module_of(replica_set).stages()
    assert bool(stages) == (detector in TRAINED.values()) == (replica_set.epochs > 0)
    if not stages:
        assert replica_set.finished
        assert replica_set.scorable
        assert replica_set.losses(0, torch.arange(3)) is None
        assert replica_set.train(2) == [{}]
        with pytest.raises(NotImplementedError, match=f"{detector.__name__} is fitted"):
            module_of(replica_set).loss_and_terms("train", replica_set.replicas[0].images, {})


@every_training
def test_losses_are_finite_and_one_per_image(detector, shape, settings):
    replica_set = replica_set_of(detector, small(detector, shape, **settings), shape)
    for _ in range(replica_set.epochs):
        (terms,) = replica_set.train(1)
        assert terms
        assert all(math.isfinite(value) for value in terms.values())
    module = module_of(replica_set)
    images = replica_set.replicas[0].images[:5]
    for phase, noise in phases(module, 5):
        terms = module.terms(phase.name, images, noise)
        assert {tuple(term.shape) for term in terms.values()} == {(5,)}
        reduce = torch.sum if module.config.reduction == "sum" else torch.mean
        assert torch.equal(
            module.loss_and_terms(phase.name, images, noise)[0], reduce(terms["loss"])
        )


def phases(module: Detector[Any], batch: int) -> list[Any]:
    """Every phase of every stage with its noise."""
    stream = torch.Generator().manual_seed(1)
    return [
        (phase, {k: draw.draw(stream) for k, draw in module.noise(phase.name, batch).items()})
        for stage in module.stages()
        for phase in stage.phases
    ]


@every_training
def test_terms_are_pure(detector, shape, settings):
    replica_set = replica_set_of(detector, small(detector, shape, **settings), shape)
    replica_set.train(1)
    module, images = module_of(replica_set).train(), replica_set.replicas[0].pick(torch.arange(8))
    for phase, noise in phases(module, 8):
        before = {name: value.clone() for name, value in module.state_dict().items()}
        arguments = {"images": images, **noise}
        copies = {name: tensor.clone() for name, tensor in arguments.items()}
        first, again = (module.terms(phase.name, images, noise) for _ in range(2))
        assert same(first, again)
        assert same(arguments, copies)
        after = module.state_dict()
        moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
        assert {name.rpartition(".")[2] for name in moved} <= BATCH_STATISTICS


@every_training
def test_every_trained_parameter_has_a_gradient(detector, shape, settings):
    replica_set = replica_set_of(detector, small(detector, shape, **settings), shape)
    module, images = module_of(replica_set), replica_set.replicas[0].images[:8]
    moved: set[str] = set()
    for phase, noise in phases(module, 8):
        names = [
            f"{name}.{inner}"
            for name in phase.modules
            for inner, _ in module.get_submodule(name).named_parameters()
        ]
        parameters = [module.get_parameter(name) for name in names]
        loss = module.loss_and_terms(phase.name, images, noise)[0]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        by_name = dict(zip(names, gradients, strict=True))
        assert [name for name, gradient in by_name.items() if gradient is None] == []
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)
        assert any(bool(gradient.abs().max() > 0) for gradient in gradients)
        moved.update(names)
    assert moved == {name for name, _ in module.named_parameters()}


@every_setting
def test_scores_are_finite_one_per_image_and_change_nothing(detector, shape, settings):
    replica_set = trained(detector, shape, **settings)
    module, before = module_of(replica_set), {}
    for name, value in module.state_dict().items():
        before[name] = value.clone()
    scores = replica_set.score(0, torch.arange(IMAGES), every_variant=True)
    assert "score" in scores
    for values in scores.values():
        assert values.shape == (IMAGES,)
        assert values.dtype == torch.float64
        assert bool(values.isfinite().all())
    assert ties(scores["score"]).distinct == IMAGES
    assert same(replica_set.score(0, torch.arange(IMAGES), every_variant=True), scores)
    assert same(dict(module.state_dict()), before)
    images = replica_set.replicas[0].pick(torch.arange(IMAGES))
    plain = module.score(images, replica_set.replicas[0].score_noise)
    torch.testing.assert_close(plain.double(), scores["score"], rtol=1e-5, atol=1e-7)


@every_setting
def test_scores_depend_on_neither_batch_order_nor_batch_size(detector, shape, settings):
    replica_set = trained(detector, shape, **settings)
    everything = torch.arange(IMAGES)
    whole = replica_set.score(0, everything)
    order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(3))
    shuffled = replica_set.score(0, order)
    single = [replica_set.score(0, indices) for indices in everything.split(1)]
    thirds = [replica_set.score(0, indices) for indices in everything.split(7)]
    sizes = torch.stack(list(whole.values())).abs().amax(0)  # a sum rounds as its largest part
    for name, values in whole.items():
        back = torch.empty_like(values)
        back[order] = shuffled[name]
        others = [back, *(torch.cat([part[name] for part in cut]) for cut in (single, thirds))]
        for other in others:
            assert bool(((other - values).abs() <= 1e-7 + 1e-5 * sizes).all()), name
            if name == "score":
                assert torch.equal(other.argsort(), values.argsort())


@every_setting
def test_saved_and_loaded_it_goes_on_the_same(detector, shape, settings, tmp_path):
    config = small(detector, shape, **settings)
    first, second = (replica_set_of(detector, config, shape) for _ in range(2))
    first.train(2)
    first.prepare_scoring()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert second.epoch == min(2, second.epochs)
    assert same(first.score(0, torch.arange(9)), second.score(0, torch.arange(9)))
    assert first.train(2) == second.train(2)
    for replica_set in (first, second):
        replica_set.prepare_scoring()
    assert same(first.score(0, torch.arange(9)), second.score(0, torch.arange(9)))
    assert same(first.state_dict(), second.state_dict())


def observed(detector: type[Detector[Any]], settings: dict[str, Any]) -> Any:
    """All that a configuration can change: numbers of parameters, curves, weights, scores."""
    replica_set = replica_set_of(detector, small(detector, GREY, **settings), GREY)
    curve = [replica_set.train(1) for _ in range(replica_set.epochs)]
    replica_set.prepare_scoring()
    state = dict(module_of(replica_set).state_dict())
    return replica_set.parameters, curve, state, replica_set.score(0, torch.arange(IMAGES))


@functools.cache
def plain_of(detector: type[Detector[Any]], **settings: Any) -> Any:
    """What is observed with settings that many knobs share."""
    return observed(detector, settings)


def others(detector: type[Detector[Any]], name: str, settings: dict[str, Any]) -> list[Any]:
    """Other legal values of a parameter: every option, and other numbers."""
    rule = detector.Config.rules()[name]
    value = getattr(small(detector, GREY, **settings), name)
    possible = (n for n in scaled_numbers(value) if can_be(detector, {**settings, name: n}))
    numbers = rule.others or [*possible][:1]
    return [other for other in (*rule.options, *numbers) if other != value]


def scaled_numbers(value: Any) -> list[Any]:
    """Half and twice a number, or numbers."""
    if isinstance(value, tuple):
        return [tuple(number / 2 for number in value)]
    if isinstance(value, str | bool):
        return []
    return [value // 2, 2 * value] if isinstance(value, int) else [value / 2, 2 * value]


def can_be(detector: type[Detector[Any]], settings: dict[str, Any]) -> bool:
    try:
        skeleton(detector, small(detector, GREY, **settings), GREY)
    except UserError:
        return False
    return True


def knobs() -> list[Any]:
    return [
        pytest.param(detector, field.name, id=f"{name}-{field.name}")
        for name, detector in DETECTORS.items()
        for field in fields(detector.Config)
    ]


@pytest.mark.parametrize(("detector", "name"), knobs())
@pytest.mark.slow
def test_no_knob_is_dead(detector, name):
    telling = {**TELLING.get(detector.__name__, {}), **detector.Config.rules()[name].when}
    settings = quick(detector, **telling)
    value = getattr(small(detector, GREY, **settings), name)
    plain, tried = plain_of(detector, **settings), others(detector, name, settings)
    assert same(plain, observed(detector, {**settings, name: value}))
    assert tried, f"give {name} a value in `others`: neither half nor twice {value!r} can be"
    for other in tried:
        assert not same(plain, observed(detector, {**settings, name: other})), other


def illegal(rule: Rule) -> list[Any]:
    """Values of the wrong kind, and those just outside the interval."""
    if not rule.interval:
        return [value for value in ILLEGAL[type(rule.options[0])] if value not in rule.options]
    outside = [number for number in beyond(rule.interval, rule.kind) if math.isfinite(number)]
    if rule.kind is tuple:
        return [*ILLEGAL[tuple], *((number,) for number in outside)]
    return [*ILLEGAL[rule.kind], *outside]


def beyond(interval: str, kind: type) -> list[float]:
    """The last numbers below and above an interval."""
    low, high = interval_ends(interval)
    if kind is int:
        return [int(end) for end in (low - 1, high + 1) if math.isfinite(end)]
    below = low if interval[0] == "(" else math.nextafter(low, -math.inf)
    return [below, high if interval[-1] == ")" else math.nextafter(high, math.inf)]


@pytest.mark.parametrize(("detector", "name"), knobs())
def test_every_parameter_is_validated(detector, name):
    rule = detector.Config.rules()[name]
    for value in illegal(rule):
        with pytest.raises(UserError) as error:
            detector.Config(**{name: value})
        assert str(error.value) == f"{name} must be {rule}, got {value!r}"
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rule", "words", "legal", "wrong"),
    [
        (Rule(("a", "b")), "one of a, b", ["a"], ["c", None, 1, ["a"]]),
        (Rule((False, True)), "one of False, True", [True], [0, 1, "True", None]),
        (Rule((), "[1, 3]", int), "an integer in [1, 3]", [1, 3], [0, 4, 1.0, True, "1"]),
        (Rule((), "(0, 1]"), "a number in (0, 1]", [1, 0.5, 5e-324], [0, -0.0, 1.1, math.nan]),
        (Rule((), "[0, inf)"), "a finite number of at least 0", [0, 1e308], [math.inf, -5e-324]),
        (
            Rule(("all",), "[0, 2]", int),
            "'all' or an integer in [0, 2]",
            ["all", 0],
            ["0", 3, True],
        ),
        (
            Rule((), "(0, 1)", tuple),
            "a tuple of numbers in (0, 1)",
            [(), (0.5, 0.1)],
            [0.5, (1,), (0.5, 1.0), [0.5], ("a",), (True,)],
        ),
    ],
    ids=str,
)
def test_a_rule_says_what_may_be(rule, words, legal, wrong):
    assert str(rule) == words
    assert all(rule.allows(value) for value in legal)
    assert not any(rule.allows(value) for value in wrong)


@dataclass(frozen=True)
class Loose(Config):
    """One field says nothing of itself."""

    scaling: str = "gcn"
    size: int = 3


def test_a_field_without_a_rule_is_an_error_and_another_default_keeps_its_rule():
    with pytest.raises(TypeError, match="Loose.size has no rule; make it size = number"):
        Loose()
    assert VAE.Config.rules()["reconstruction"] == AE.Config.rules()["reconstruction"]


@each_detector
def test_scoring_fits_what_it_needs_to_the_weights_as_they_are(detector):
    """Forgetting to prepare gives the same numbers, also after more training."""
    config = small(detector, GREY)
    plain, prepared = (replica_set_of(detector, config, GREY) for _ in range(2))
    for _ in range(2):
        for replica_set in (plain, prepared):
            replica_set.train(1)
        prepared.prepare_scoring()
        indices = torch.arange(IMAGES)
        assert same(plain.score(0, indices), prepared.score(0, indices))


@each_detector
def test_an_unknown_parameter_is_refused_with_the_known_ones(detector):
    with pytest.raises(UserError, match="got 'latent'") as error:
        detector.Config.released(GREY, latent=3)
    assert "\n" not in str(error.value)
    names = str(error.value).partition("one of ")[2].partition(", got")[0]
    assert names.split(", ") == [field.name for field in fields(detector.Config)]


def is_legal(config: type[Config], name: str, value: object) -> bool:
    try:
        return getattr(config(**{name: value}), name) == value
    except UserError:
        return False


@each_detector
def test_an_integer_may_stand_for_a_float(detector):
    for name, rule in detector.Config.rules().items():
        if rule.interval and rule.kind is float:
            assert any(is_legal(detector.Config, name, value) for value in (0, 1)), name


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Any:
    """scikit-learn's digits, which need no folder."""
    return load("digits", tmp_path_factory.mktemp("no data"))


@each_detector
@pytest.mark.slow
def test_beats_chance_on_digits(detector, digits):
    shape = ImageShape(*digits.shape)
    brief = applicable(detector, {"epochs": 12, "learning_rate": 1e-3, "batch_size": 50})
    config = detector.Config.released(shape, **quick(detector), **brief)
    images = scaled(torch.cat((digits.train_images, digits.test_images)), config.scaling)
    count = len(digits.train_images)
    classes = (0, 2, 8)
    replica_specs = [
        ReplicaSpec(str(k), 0, torch.nonzero(digits.train_labels == k).flatten()) for k in classes
    ]
    replica_set = ReplicaSet(detector, config, images, replica_specs)
    replica_set.train(replica_set.epochs)
    replica_set.prepare_scoring()
    aurocs = []
    for k, label in enumerate(classes):
        normal = digits.test_labels == label
        sides = [torch.nonzero(side).flatten() + count for side in (normal, ~normal)]
        aurocs.append(auroc(*(replica_set.score(k, side)["score"] for side in sides)))
    assert np.mean(aurocs) > 0.6


@every_training
@pytest.mark.slow
def test_a_replica_that_lost_its_numbers_ends_alone(detector, shape, settings):
    config = small(detector, shape, **settings)
    images = pixels(shape)
    positions = np.arange(IMAGES)
    tested = Groups(positions[10:15], {OTHER_CLASSES: positions[15:]})
    split = Split(positions[:10], Groups(positions[:0], {}), tested)
    suite = Suite(
        images.numpy(),
        (Task("toy", "toy", 0, ()),),
        {"toy": split},
        {},
        *(np.zeros(len(images), int),) * 2,
    )
    replica_specs = [ReplicaSpec("toy", seed, suite.split("toy").train) for seed in (0, 1)]
    replica_set = ReplicaSet(detector, config, scaled(images, config.scaling), replica_specs)
    replica_set.train(2)
    with torch.no_grad():
        for parameter in module_of(replica_set).parameters():
            parameter.fill_(math.nan)
    replica_set.prepare_scoring()
    scores = score_part(replica_set, suite, "test", every_variant=True)
    reasons = {k: failure.reason for k, failure in replica_set.failures.items()} | scores.faults
    assert list(reasons) == [0]
    assert "NaN or infinite" in reasons[0]
    assert "\n" not in reasons[0]
    lost, sound = scores.metrics
    assert lost == {}
    assert sound
    assert all(math.isfinite(value) for value in sound.values())
    alone = ReplicaSet(detector, config, scaled(images, config.scaling), replica_specs[1:])
    alone.train(2)
    alone.prepare_scoring()
    assert same(replica_set.score(1, torch.arange(IMAGES)), alone.score(0, torch.arange(IMAGES)))


# ------------------------------------------------- what a detector says about itself


PARTS = {"train": range(10), "validation": range(10, 14), "test": range(14, IMAGES)}


def scored_by(replica_set: ReplicaSet, *scored: str) -> Any:
    """The scores of the images of some parts, as `Detector.diagnose` is given them."""

    def scores(part: str) -> Terms:
        return replica_set.score(0, torch.tensor(list(PARTS[part]))) if part in scored else {}

    return scores


@each_detector
def test_the_parts_that_a_detector_names_are_parts_of_its_score(detector):
    replica_set = trained(detector, GREY, **quick(detector))
    module, scores = module_of(replica_set), replica_set.score(0, torch.arange(IMAGES))
    parts = scores.keys() - {SCORE}
    assert set(module.histograms) <= parts
    assert module.main_score in {"", *parts}
    if module.main_score:
        assert torch.equal(scores[module.main_score], scores[SCORE])
    explained = set(module.meanings) - {"regret"}  # slow, and computed only if asked for
    assert explained == parts | set(module.score_parameters)
    terms = {metric.term for metric in replica_set.train(1)[0]}
    assert set(module.nats) <= scores.keys() | terms


@each_detector
def test_an_image_statistic_is_finite_and_a_score_uses_it_by_its_name(detector):
    images = pixels(GREY).float() / 255
    for statistic in detector.image_statistics.values():
        values = statistic(images)
        assert values.shape == (IMAGES,)
        assert bool(values.isfinite().all())
    module = module_of(replica_set_of(detector, small(detector, GREY), GREY))
    assert not set(detector.image_statistics) & set(module.score_noise({}))


@each_detector
def test_a_diagnostic_is_finite_and_changes_nothing(detector):
    replica_set = trained(detector, GREY, **quick(detector))
    module = module_of(replica_set)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    for scored in (tuple(PARTS), ("train", "test"), ("train",), ()):
        numbers = module.diagnose(scored_by(replica_set, *scored))
        assert numbers == module.diagnose(scored_by(replica_set, *scored))
        for metric, value in numbers.items():
            assert isinstance(metric, Metric)
            assert metric.part
            assert metric.is_diagnostic
            assert isinstance(value, float)
            assert math.isfinite(value)
    assert same(dict(module.state_dict()), before)


@each_detector
def test_warnings_are_sentences_without_a_full_stop(detector):
    replica_set = trained(detector, GREY, **quick(detector))
    module = module_of(replica_set)
    numbers = {metric: -1.0 for metric in replica_set.train(1)[0]}
    for text in [*module.warnings({}), *module.warnings(numbers)]:
        assert text
        assert "\n" not in text
        assert not text.endswith(".")
    assert module.warnings({}) == [], "of what is not known nothing is said"


@each_detector
def test_a_quantity_is_measured_in_what_its_fields_say(detector):
    config = small(detector, GREY, **quick(detector))
    scales = detector.scales(config)
    assert all(isinstance(text, str) and "\n" not in text for text in scales.values())
    assert (LOSS in scales) == (detector in TRAINED.values()), "what is trained has a loss"
    parts = trained(detector, GREY, **quick(detector)).score(0, torch.arange(2))
    assert LIKELIHOOD not in scales or "negative_iwae" in parts
    for name, rule in detector.Config.rules().items():
        settings = quick(detector, **rule.when)
        plain = detector.scales(small(detector, GREY, **settings))
        for other in others(detector, name, settings) if rule.measures else ():
            changed = detector.scales(small(detector, GREY, **{**settings, name: other}))
            differing = {quantity for quantity in plain if plain[quantity] != changed[quantity]}
            assert differing == set(rule.measures) & set(plain), (name, other)


class Flat(Detector[Config]):
    """Collapsed: every image has one score."""

    Config = Config

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        return {"score": torch.full((len(images),), 0.25)}


class Faint(DeepSVDD):
    """Nearly collapsed: beside the centre, codes are so small that only roundings differ."""

    def squared_distance(self, images: Tensor) -> Tensor:
        return (1e-6 * self.encoder(images) - self.centre).square().sum(1)


@pytest.mark.parametrize("baseline", [Baseline(Flat), Baseline(Faint)], ids=["flat", "faint"])
def test_a_collapse_is_named_in_the_record_and_in_the_report(
    baseline, tiny, tiny_budget, open_study, tmp_path
):
    budgets = {"quick": replace(tiny_budget, trials=1)}
    search = replace(tiny, name="flat", baselines=(baseline,), budgets=budgets)
    session = open_study(search, tmp_path)
    session.run()
    (record,) = session.folder.read_trials()
    assert record.metrics[Metric("validation", "collapsed")] == [1.0, 1.0]
    assert frame.models_collapsed(record) == 2
    several = baseline.detector is Faint
    assert (min(record.metrics[Metric("validation", "distinct")]) > 1) is several
    for winner in session.folder.read_evaluation():
        assert winner.metrics[Metric("test", "collapsed")] == [1.0, 1.0]
        assert frame.models_collapsed(winner) == 2
    text = write_report(session.folder.path).path.with_suffix(".md").read_text()
    text = text.replace("\\", "")
    assert "trials: 2 models collapsed (same score for every image) in [0]" in text
    assert "models collapsed (same score for every image) in [0, 1" in text


def one_line(error: pytest.ExceptionInfo[UserError], *words: object) -> None:
    """The message is one line and names every one of some words."""
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message


@each_detector
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 9, 8), (2, 1, 4, 16), (1, 8, 8), (64,)])
def test_images_of_another_shape_are_refused(detector, shape):
    replica_set = trained(detector, GREY, **quick(detector))
    with pytest.raises(UserError, match="convert them to that shape") as error:
        module_of(replica_set).score(torch.zeros(shape), replica_set.replicas[0].score_noise)
    one_line(error, shape, "(n, 1, 8, 8)")


@each_detector
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_images_with_a_pixel_that_is_no_number_are_refused(detector, value):
    replica_set = trained(detector, GREY, **quick(detector))
    images = replica_set.replicas[0].images.clone()
    images[[3, 7], 0, 2, 5] = value
    with pytest.raises(UserError, match="correct or remove these images") as error:
        module_of(replica_set).score(images, replica_set.replicas[0].score_noise)
    one_line(error, f"2 of {IMAGES} images", "image 3")
    with pytest.raises(UserError, match="correct or remove these images") as error:
        ReplicaSet(
            detector, small(detector, GREY), images, [ReplicaSpec("t", 0, torch.arange(IMAGES))]
        )
    one_line(error, f"2 of {IMAGES} images", "image 3")


@each_trained
def test_images_that_are_too_small_for_the_networks_are_refused(detector):
    shape, lenet = ImageShape(3, 4, 4), applicable(detector, {"networks": "lenet"})
    with pytest.raises(UserError, match="use") as error:
        skeleton(detector, small(detector, shape, **lenet), shape)
    one_line(error, "4x4")


@each_trained
def test_a_width_that_leaves_no_channel_is_refused(detector):
    for shape in (GREY, COLOUR):
        with pytest.raises(UserError, match="use a width of at least") as error:
            skeleton(detector, small(detector, shape, width=0.001), shape)
        one_line(error, 0.001)


# ------------------------------------------------------------- released sizes and settings

SIZES = {
    "AAE": (157_010, 1_002_756),
    "AE": (8_529, 805_123),
    "DeepSVDD": (7_284, 520_768),
    "PGN": (52_232, 4_979_520),
    "VAE": (14_833, 1_067_395),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("position", [0, 1])
def test_parameter_counts_are_the_released_ones(name, position):
    detector, shape = DETECTORS[name], (MNIST, CIFAR)[position]
    module = build(detector, detector.Config.released(shape), shape, 0)
    assert sum(p.numel() for p in module.parameters()) == SIZES[name][position]


def test_a_replica_set_counts_the_parameters_of_one_replica():
    config = PGN.Config.released(MNIST)
    replica_specs = [ReplicaSpec("t", seed, torch.arange(2)) for seed in (0, 1)]
    assert (
        ReplicaSet(PGN, config, torch.zeros(2, *MNIST), replica_specs).parameters
        == SIZES["PGN"][0]
    )


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
    assert sum(p.numel() for p in module.parameters()) == expected
    assert not [name for name, _ in module.named_parameters() if "bias" in name]


@pytest.mark.parametrize("name", SIZES)
def test_released_settings_follow_the_channels(name):
    for shape, latent, scaling in ((MNIST, 32, "unit"), (CIFAR, 128, "minmax")):
        config = DETECTORS[name].Config.released(shape)
        assert (config.latent_dim, config.scaling) == (latent, scaling)
        assert (config.epochs, config.batch_size, config.learning_rate) == (100, 200, 1e-4)
        assert (config.beta1, config.beta2, config.weight_decay) == (0.5, 0.999, 1e-4)
        assert config.reduction == ("sum" if name in ("PGN", "VAE") else "mean")
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
