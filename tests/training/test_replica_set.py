"""Replica sets: the order of hooks, phases that train only their modules, exact continuation."""

import copy
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.detectors.cases import is_first, quick, same, titled, variants
from tests.naming import short
from tune_ad.data import scaled
from tune_ad.detectors import base, every_detector
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import Buffers, Detector, Noise, ScoreSpace, Terms, TrainedDetector
from tune_ad.detectors.config import Config, NetworkConfig, number
from tune_ad.detectors.gpnd import GPND
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.schedule import Adam, Phase, Stage
from tune_ad.errors import DegenerateInputError, UserError
from tune_ad.randomness import derived_seed
from tune_ad.training.replicas import stack as stack_module
from tune_ad.training.replicas.adam import adam_step
from tune_ad.training.replicas.replica import ReplicaSpec, build
from tune_ad.training.replicas.replica_set import ReplicaSet

SHAPE = ImageShape(1, 8, 8)
COUNT = 20


# ------------------------------------------------------------------- detectors made for tests


@dataclass(frozen=True)
class TwinConfig(NetworkConfig):
    """Two stages need two lengths, two batch sizes and two learning rates."""

    latent_dim: int = 4
    pretrain_epochs: int = number(2, "[1, 99]")
    pretrain_batch: int = number(5, "[1, 99]")
    pretrain_rate: float = number(1e-2, "(0, inf)")


class Twin(TrainedDetector[TwinConfig]):
    """Like an adversarial autoencoder with pretraining: two stages, the second of two phases.

    "pretrain" lowers "guess", the error of a head that estimates the brightness. "train" lowers
    "reconstruct" by the encoder and the decoder, then "discriminate" by the discriminator.
    """

    Config = TwinConfig

    def __init__(self, config: TwinConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        size = math.prod(shape)
        self.encoder = nn.Sequential(
            nn.Conv2d(shape.channels, 2, 3, padding=1),
            nn.BatchNorm2d(2, affine=False),
            nn.LeakyReLU(),
            nn.Flatten(),
            nn.Linear(2 * shape.height * shape.width, config.latent_dim),
        )
        self.head = nn.Linear(config.latent_dim, 1)
        self.decoder = nn.Linear(config.latent_dim, size)
        self.discriminator = nn.Linear(config.latent_dim, 1)
        for name in ("mean_image", "spread", "smallest"):
            self.register_buffer(name, torch.zeros(size if name == "mean_image" else ()))
        self.register_buffer("steps", torch.zeros(2))

    def stages(self) -> tuple[Stage, ...]:
        config = self.config
        adam = Adam(config.pretrain_rate, (0.9, 0.99), 0.0)
        guess = Phase("guess", ("encoder", "head"))
        phases = (
            Phase("reconstruct", ("encoder", "decoder")),
            Phase("discriminate", ("discriminator",)),
        )
        epochs, size = config.pretrain_epochs, config.pretrain_batch
        return Stage("pretrain", epochs, (guess,), adam, size, (0.5,)), self.stage(*phases)

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        if phase == "discriminate":
            codes = (batch, self.config.latent_dim)
            return {"prior": Noise("normal", codes), "flip": Noise("uniform", (batch,))}
        return {"jitter": Noise("normal", (batch, *self.shape))} if phase == "reconstruct" else {}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        if phase == "guess":
            brightness = images.flatten(1).mean(1)
            return {"loss": (self.head(self.encoder(images)).squeeze(1) - brightness).square()}
        if phase == "reconstruct":
            codes = self.encoder(images + 0.01 * noise["jitter"])
            error = self.error(codes, images)
            return {"loss": error - self.discriminator(codes).squeeze(1), "error": error}
        codes = (noise["prior"], self.encoder(images))
        real, encoded = map(self.discriminator, codes)
        margin = (encoded - real).squeeze(1) * torch.where(noise["flip"] < 0.1, -1.0, 1.0)
        return {"loss": nn.functional.softplus(margin)}

    def error(self, codes: Tensor, images: Tensor) -> Tensor:
        offsets = self.decoder(codes) + self.get_buffer("mean_image") - images.flatten(1)
        return offsets.square().sum(1)

    def begin(self, stage: str, batches: Iterable[Tensor]) -> Buffers:
        everything = torch.cat(list(batches)).flatten(1)
        return {"mean_image": everything.mean(0)}

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        position = {"guess": 0, "reconstruct": 1}.get(phase)
        if position is None:
            return {}
        one = torch.nn.functional.one_hot(torch.tensor(position), 2).to(progress.dtype)
        return {"steps": self.get_buffer("steps") + one, "smallest": terms["loss"].amin()}

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        errors = torch.cat([self.error(self.encoder(images), images) for images in batches])
        return {"spread": errors.std()}

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        return {"tilt": Noise("normal", (self.config.latent_dim,))}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        codes = self.encoder(images)
        error = self.error(codes + 1e-3 * noise["tilt"], images)
        return {"score": error / (1 + self.get_buffer("spread")), "error": error}


@dataclass(frozen=True)
class LineConfig(NetworkConfig):
    """As `NetworkConfig`: `Line` needs nothing else."""


class Line(TrainedDetector[LineConfig]):
    """One number; "fall" and then "rise" have the constant gradients 1 and -1.

    Under a constant gradient a fresh Adam moves by its learning rate in every step.
    """

    Config = LineConfig

    def __init__(self, config: LineConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.line = nn.Linear(1, 1, bias=False)

    def stages(self) -> tuple[Stage, ...]:
        fall = replace(self.stage(Phase("fall", ("line",))), name="fall")
        adam = replace(fall.adam, learning_rate=fall.adam.learning_rate * 3)
        return fall, replace(fall, name="rise", phases=(Phase("rise", ("line",)),), adam=adam)

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        sign = 1.0 if phase == "fall" else -1.0
        return {"loss": sign * self.line.weight[0, 0].expand(len(images))}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        return {"score": images.flatten(1).mean(1) * self.line.weight[0, 0]}


class Faulty(Line):
    """A `Line` whose loss becomes NaN once a buffer reaches a given count.

    The buffer "steps" counts updates; the replica whose initial "mark" is `unlucky` fails in the
    update after `fails_after` of them.
    """

    unlucky: ClassVar[float] = math.inf
    fails_after: ClassVar[int] = 0

    def __init__(self, config: LineConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.register_buffer("mark", torch.rand(()))
        self.register_buffer("steps", torch.zeros(()))

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        struck = (self.get_buffer("mark") == self.unlucky) & (
            self.get_buffer("steps") >= self.fails_after
        )
        loss = super().terms(phase, images, noise)["loss"]
        return {"loss": torch.where(struck, torch.nan, loss)}

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        return {"steps": self.get_buffer("steps") + 1}


class Unfit(Line):
    """A `Line` whose scores are fitted to the contrast of the training images."""

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        contrast = torch.cat(list(batches)).std()
        if not contrast > 0:
            raise DegenerateInputError("the training images have no contrast")
        return {}


class Fitted(Detector[Config]):
    """Not trained: the score is the distance from a training image that is drawn in the fit."""

    Config = Config

    def __init__(self, config: Config, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.chosen: Tensor | None = None

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        images = torch.cat(list(batches))
        if not images.std() > 0:
            raise DegenerateInputError("the training images have no contrast")
        self.chosen = images[np.random.default_rng(seed).integers(len(images))]
        return {}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        assert self.chosen is not None
        return {"score": (images - self.chosen).square().sum((1, 2, 3))}


class Seen(Line):
    """Keeps the first pixel of every image that it is trained on."""

    def __init__(self, config: LineConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.batches: list[list[float]] = []

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        self.batches.append(images[:, 0, 0, 0].tolist())
        return super().terms(phase, images, noise)


class Watched(Line):
    """A `Line` whose loss is kept at every step."""

    watched = ("loss",)


class Bright(Line):
    """A `Line` that also records the first pixel of every image."""

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        return super().terms(phase, images, noise) | {"brightness": images[:, 0, 0, 0]}


class Simultaneous(Twin):
    """A `Twin` whose second stage is simultaneous."""

    def stages(self) -> tuple[Stage, ...]:
        pretrain, train = super().stages()
        return pretrain, replace(train, simultaneous=True)


class Logged(Twin):
    """Logs each call, and the modes and gradients in force."""

    def __init__(self, config: TwinConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.log: list[tuple[Any, ...]] = []
        self.handed: dict[str, Tensor] = {}
        self.progress: list[float] = []

    def begin(self, stage: str, batches: Iterable[Tensor]) -> Buffers:
        kept = list(batches)
        self.log.append(("begin", stage, self.training, torch.is_grad_enabled()))
        self.handed[stage] = torch.cat(kept)
        return super().begin(stage, kept)

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        shapes = tuple(tuple(tensor.shape) for tensor in noise.values())
        self.log.append(("terms", phase, self.training, shapes))
        return super().terms(phase, images, noise)

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        attached = any(term.requires_grad for term in terms.values())
        self.log.append(("after_step", stage, phase, attached))
        self.progress.append(float(progress))
        return super().after_step(stage, phase, terms, progress)

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        kept = list(batches)
        self.log.append(("finish", self.training, torch.is_grad_enabled()))
        self.handed["finish"] = torch.cat(kept)
        return super().finish(kept, seed)


# ------------------------------------------------------------------------------------- helpers


def images_of(count: int = COUNT, shape: ImageShape = SHAPE) -> Tensor:
    return torch.rand((count, *shape), generator=torch.Generator().manual_seed(2))


def specs_of(*seeds: int, tasks: Iterable[str] = ("t",)) -> list[ReplicaSpec]:
    return [ReplicaSpec(task, seed, torch.arange(COUNT)) for seed in seeds for task in tasks]


TWIN = TwinConfig(epochs=3, batch_size=8, learning_rate=1e-3, weight_decay=1e-3)
LINE = LineConfig(epochs=8, batch_size=7, learning_rate=1e-2, weight_decay=0.0)


def twins(*seeds: int, detector: type[Twin] = Twin, config: TwinConfig = TWIN) -> ReplicaSet:
    return ReplicaSet(detector, config, images_of(), specs_of(*seeds or (0,)))


def lines(detector: type[Line] = Line, *seeds: int, **settings: Any) -> ReplicaSet:
    config = replace(LINE, **settings)
    return ReplicaSet(detector, config, images_of(), specs_of(*seeds or (0,)))


def module_of(replica_set: ReplicaSet, replica: int = 0) -> Any:
    return replica_set.replicas[replica].module


def through_file(state: Any, folder: Any) -> Any:
    torch.save(state, folder / "state.pt")
    return torch.load(folder / "state.pt", weights_only=True)


# ------------------------------------------------------------------------- hooks and phases


def test_hooks_come_in_their_order():
    replica_set = twins(detector=Logged)
    replica_set.train(2)
    replica_set.train(1)
    replica_set.prepare_scoring()
    replica_set.score(0, torch.arange(3))
    replica_set.train(99)
    images = (8, *SHAPE)
    guess = [("terms", "guess", True, ()), ("after_step", "pretrain", "guess", False)]
    both = [
        ("terms", "reconstruct", True, (images,)),
        ("after_step", "train", "reconstruct", False),
        ("terms", "discriminate", True, ((8, 4), (8,))),
        ("after_step", "train", "discriminate", False),
    ]
    assert module_of(replica_set).log == [
        ("begin", "pretrain", False, False),
        *guess * 4 * 2,  # four batches, two epochs
        ("begin", "train", False, False),
        *both * 3,
        ("finish", False, False),
        *both * 3 * 2,
    ]
    assert module_of(replica_set).progress[:8] == [0.0] * 4 + [0.5] * 4
    assert module_of(replica_set).progress[8::6] == pytest.approx([0, 1 / 3, 2 / 3])


def test_hooks_see_all_training_images_in_order():
    train = torch.tensor([7, 3, 11, 5])
    replica_set = ReplicaSet(Logged, TWIN, images_of(), [ReplicaSpec("t", 0, train)])
    replica_set.train(5)
    replica_set.prepare_scoring()
    handed = module_of(replica_set).handed
    assert set(handed) == {"pretrain", "train", "finish"}
    for images in handed.values():
        assert torch.equal(images, images_of()[train])


def test_buffers_that_hooks_return_are_stored():
    replica_set = twins()
    replica_set.train(2)
    module = module_of(replica_set)
    torch.testing.assert_close(module.mean_image, images_of().flatten(1).mean(0))
    assert module.steps.tolist() == [8, 0]
    assert float(module.smallest) > 0
    replica_set.train(3)
    assert module.steps.tolist() == [8, 9]
    assert float(module.spread) == 0
    replica_set.prepare_scoring()
    module.eval()
    with torch.no_grad():
        errors = module.error(module.encoder(images_of()), images_of())
    torch.testing.assert_close(module.spread, errors.std())


def parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


class Sized(Twin):
    """Notes the size of every batch."""

    def __init__(self, config: TwinConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.sizes: list[tuple[str, int]] = []

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        self.sizes.append((phase, len(images)))
        return super().terms(phase, images, noise)


def test_each_stage_has_its_own_batch_size():
    replica_set = twins(detector=Sized)
    replica_set.train(5)
    both = [("reconstruct", 8), ("discriminate", 8)]
    assert module_of(replica_set).sizes == [("guess", 5)] * 4 * 2 + both * 3 * 3


def test_each_stage_has_its_own_optimisers(monkeypatch):
    calls: list[tuple[Any, ...]] = []

    def recorded(states: Any, gradients: Any, settings: Any, rate: float) -> None:
        calls.append((states, settings, rate))
        adam_step(states, gradients, settings, rate)

    monkeypatch.setattr(stack_module, "adam_step", recorded)
    replica_set = twins(config=replace(TWIN, epochs=4))
    first, second = Adam(1e-2, (0.9, 0.99), 0.0), Adam(1e-3, (0.5, 0.999), 1e-3)
    guess = {"guess": ("encoder", "head")}
    both = {"reconstruct": ("encoder", "decoder"), "discriminate": ("discriminator",)}
    for epochs, moved, settings, rate in (
        (1, guess, first, 1e-2),
        (1, guess, first, 1e-3),
        (1, both, second, 1e-3),
        (3, both, second, 1e-4),
    ):
        calls.clear()
        replica_set.train(epochs)
        optimisers = replica_set.replicas[0].optimisers
        assert set(optimisers) == set(moved)
        for phase, names in moved.items():
            modules = [module_of(replica_set).get_submodule(name) for name in names]
            expected = {id(p) for module in modules for p in module.parameters()}
            assert {id(parameter) for parameter in optimisers[phase].parameters} == expected
            (last,) = [c for c in calls if c[0] == [optimisers[phase]]][-1:]
            assert last[1:] == (settings, pytest.approx(rate))


def test_nothing_can_be_scored_before_the_last_stage_has_begun():
    replica_set, scorable = twins(), []
    while not replica_set.finished:
        scorable.append(replica_set.scorable)
        replica_set.train(1)
    assert [*scorable, replica_set.scorable] == [False] * 3 + [True] * 3
    single = ReplicaSet(AE, AE.Config(latent_dim=16, epochs=1), images_of(), specs_of(0))
    assert not single.scorable
    single.train(1)
    assert single.scorable
    assert ReplicaSet(Fitted, Config(), images_of(), specs_of(0)).scorable


def test_the_parameters_of_the_last_stage_are_counted():
    replica_set = twins(0, 1)
    module = module_of(replica_set)
    last = (module.encoder, module.decoder, module.discriminator)
    assert replica_set.parameters == sum(p.numel() for part in last for p in part.parameters())
    assert replica_set.parameters < sum(p.numel() for p in module.parameters())
    assert lines().parameters == 1
    assert ReplicaSet(Fitted, Config(), images_of(), specs_of(0)).parameters == 0


class Paused(Twin):
    """Keeps its parameters before and after the step of each phase."""

    def __init__(self, config: TwinConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.kept: list[tuple[str, str, dict[str, Tensor]]] = []

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        self.kept.append((phase, "before", parameters(self)))
        return super().terms(phase, images, noise)

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        self.kept.append((phase, "after", parameters(self)))
        return super().after_step(stage, phase, terms, progress)


def test_a_phase_trains_its_modules_and_no_other():
    replica_set = twins(detector=Paused)
    replica_set.train(5)
    kept = module_of(replica_set).kept
    assert len(kept) == 2 * (8 + 18)
    modules = {
        phase.name: phase.modules
        for stage in module_of(replica_set).stages()
        for phase in stage.phases
    }
    for (phase, _, before), (_, _, after) in zip(kept[::2], kept[1::2], strict=True):
        for name in before:
            moves = name.split(".")[0] in modules[phase]
            assert torch.equal(before[name], after[name]) is not moves, (phase, name)
    for (_, _, after), (_, _, before) in zip(kept[1:-1:2], kept[2::2], strict=True):
        assert same(before, after)


class Idle(Twin):
    """The discriminator is trained, but its loss depends on nothing, or on another module."""

    loss: ClassVar[str] = "constant"

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        terms = super().terms(phase, images, noise)
        if phase != "discriminate":
            return terms
        other = self.encoder(images).sum(1)
        return {**terms, "loss": torch.ones_like(other) if self.loss == "constant" else other}


@pytest.mark.parametrize("loss", ["constant", "of the encoder"])
@pytest.mark.parametrize("together", [1, 2])
def test_a_phase_whose_loss_depends_on_nothing_that_it_trains_is_named(
    loss, together, monkeypatch
):
    monkeypatch.setattr(Idle, "loss", loss)
    replica_set = ReplicaSet(Idle, TWIN, images_of(), specs_of(0, 1), together=together)
    replica_set.train(TWIN.pretrain_epochs)
    words = r"^Idle: the loss of the phase 'discriminate' depends on .* trains \(discriminator\)"
    with pytest.raises(UserError, match=words):
        replica_set.train(1)


class PausedTogether(Simultaneous, Paused):
    """A `Paused` twin whose second stage is simultaneous."""


def test_the_losses_of_a_simultaneous_stage_are_computed_before_its_steps():
    replica_set = twins(detector=PausedTogether)
    replica_set.train(2)
    kept = module_of(replica_set).kept
    kept.clear()
    replica_set.train(1)
    whens = ("before", "before", "after", "after")
    assert [(phase, when) for phase, when, _ in kept[:4]] == list(
        zip(("reconstruct", "discriminate") * 2, whens, strict=True)
    )
    for first, second, _, last in zip(*(kept[k::4] for k in range(4)), strict=True):
        assert same(first[2], second[2]), "both losses are those of the old parameters"
        assert not same(first[2], last[2])


@pytest.mark.parametrize(("detector", "updates"), [(Twin, 2), (Simultaneous, 1)])
@pytest.mark.parametrize("together", [1, 2])
def test_a_simultaneous_stage_updates_running_statistics_once_per_step(
    detector, updates, together
):
    """Both phases of a `Twin` run its encoder, in which batch normalisation is."""
    replica_set = ReplicaSet(detector, TWIN, images_of(), specs_of(0, 1), together=together)
    replica_set.train(2)
    norms = [replica.module.encoder[1] for replica in replica_set.replicas]
    before = [int(norm.num_batches_tracked) for norm in norms]
    replica_set.train(3)
    assert [int(n.num_batches_tracked) - b for n, b in zip(norms, before, strict=True)] == [
        updates * 3 * 3
    ] * 2
    assert all(norm.track_running_stats for norm in norms)


class Refitted(Twin):
    """A `Twin` whose second stage trains only the head; it keeps the modes of its modules."""

    modes: ClassVar[list[dict[str, bool]]] = []

    def stages(self) -> tuple[Stage, ...]:
        pretrain, train = super().stages()
        return pretrain, replace(train, phases=(Phase("guess", ("head",)),))

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        self.modes.append({name: child.training for name, child in self.named_children()})
        return super().terms(phase, images, noise)


def test_modules_that_a_stage_does_not_train_are_frozen_with_their_batch_statistics():
    replica_set = twins(detector=Refitted)
    Refitted.modes.clear()
    replica_set.train(2)
    before = {
        n: tensor.clone() for n, tensor in module_of(replica_set).encoder.state_dict().items()
    }
    assert {modes["encoder"] for modes in Refitted.modes} == {True}
    Refitted.modes.clear()
    replica_set.train(3)
    assert same(dict(module_of(replica_set).encoder.state_dict()), before)
    frozen = {"encoder": False, "head": True, "decoder": False, "discriminator": False}
    assert all(modes == frozen for modes in Refitted.modes)


def test_terms_of_earlier_stages_and_of_several_phases_have_distinct_names():
    replica_set = twins()
    assert set(short(replica_set.train(1)[0])) == {"train_pretrain/loss"}
    assert set(short(replica_set.train(2)[0])) == {
        "train_reconstruct/loss",
        "train_reconstruct/error",
        "train_discriminate/loss",
    }


def test_train_returns_the_means_of_the_last_epoch():
    one, other = lines(), lines()
    one.train(1)
    assert one.train(1) == other.train(2)
    # the loss is the weight as each of the three steps finds it
    end = float(module_of(one).line.weight.detach())
    assert short(one.train(1)[0])["train_fall/loss"] == pytest.approx(end - 0.01, rel=1e-5)


# -------------------------------------------------------------------------- schedule and steps


def moves(replica_set: ReplicaSet) -> list[float]:
    """How far the number of a `Line` moves per step in each epoch."""
    steps, at = [], [float(module_of(replica_set).line.weight.detach())]
    while not replica_set.finished:
        replica_set.train(1)
        at.append(float(module_of(replica_set).line.weight.detach()))
        steps.append((at[-1] - at[-2]) / 3)
    return steps


def test_the_optimiser_uses_the_learning_rate_of_the_epoch():
    rates = [-0.01] * 6 + [-0.001] * 2 + [0.03] * 6 + [0.003] * 2
    assert moves(lines()) == pytest.approx(rates, rel=1e-3)


def test_two_milestones_and_a_longer_stage():
    rates = moves(lines(epochs=10, milestones=(0.3, 0.55)))
    expected = [-0.01] * 3 + [-0.001] * 3 + [-0.0001] * 4
    assert rates[:10] == pytest.approx(expected, rel=5e-3)


def test_a_replica_set_has_the_learning_rate_of_its_last_epoch():
    replica_set = lines()
    shown = [replica_set.learning_rate]
    while not replica_set.finished:
        replica_set.train(1)
        shown.append(replica_set.learning_rate)
    rates = [0.01] * 6 + [0.001] * 2 + [0.03] * 6 + [0.003] * 2
    assert shown == pytest.approx([0.01, *rates])


def test_each_stage_starts_with_fresh_moments():
    # Stale first moments would make the first steps of "rise" fall short of the learning rate.
    replica_set = lines(beta1=0.9)
    replica_set.train(8)
    before = float(module_of(replica_set).line.weight.detach())
    replica_set.train(1)
    gone = float(module_of(replica_set).line.weight.detach()) - before
    assert gone == pytest.approx(3 * 0.03, rel=1e-4)


def test_weight_decay_and_betas_reach_adam():
    """The first steps of `Line` against `torch.optim.Adam`."""
    replica_set = lines(weight_decay=0.3, beta1=0.7, beta2=0.8)
    weight = module_of(replica_set).line.weight.detach().clone().requires_grad_()
    adam = torch.optim.Adam([weight], lr=0.01, betas=(0.7, 0.8), weight_decay=0.3)
    for _ in range(3):
        adam.zero_grad()
        weight.sum().backward()
        adam.step()
    replica_set.train(1)
    torch.testing.assert_close(module_of(replica_set).line.weight, weight)


def test_training_ends_with_the_schedule():
    replica_set = twins()
    assert (replica_set.epochs, replica_set.finished) == (5, False)
    replica_set.train(3)
    assert replica_set.epoch == 3
    replica_set.train(10)
    assert (replica_set.epoch, replica_set.finished) == (5, True)
    state = copy.deepcopy(replica_set.state_dict())
    assert replica_set.train(1) == [{}]
    assert same(state, replica_set.state_dict())


# --------------------------------------------------------------------------------- batches


def epochs_seen(
    count: int, size: int, train: Tensor | None = None, last: str = "filled"
) -> list[list[list[float]]]:
    """The batches of each epoch, as numbers of images."""
    images = torch.arange(64).float()[:, None, None, None].expand(64, *SHAPE) / 64
    train = torch.arange(count) if train is None else train
    config = replace(LINE, batch_size=size, last_batch=last)
    replica_set = ReplicaSet(Seen, config, images, [ReplicaSpec("t", 0, train)])
    seen = []
    for _ in range(3):
        module_of(replica_set).batches = []
        replica_set.train(1)
        seen.append([[round(64 * v) for v in batch] for batch in module_of(replica_set).batches])
    return seen


@pytest.mark.parametrize(
    ("count", "size", "expected"), [(10, 4, 3), (12, 4, 3), (3, 8, 1), (1, 5, 1), (9, 1, 9)]
)
def test_an_epoch_is_full_batches_of_one_permutation(count, size, expected):
    epochs = epochs_seen(count, size)
    for batches in epochs:
        assert [len(batch) for batch in batches] == [size] * expected
        flat = [number for batch in batches for number in batch]
        assert sorted(flat[:count]) == list(range(count))
        assert all(flat[k] == flat[k % count] for k in range(len(flat)))
    if count > 5:
        assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (10, 4, [4, 4, 2]),
        (12, 4, [4, 4, 4]),
        (3, 8, [3]),
        (1, 5, [1]),
        (9, 1, [1] * 9),
        (9, 4, [4, 4, 1]),
    ],
)
def test_a_short_last_batch_has_the_images_that_are_left(count, size, sizes):
    """The images come in the same order as if the last batch were filled."""
    short_epochs = epochs_seen(count, size, last="short")
    for batches, filled in zip(short_epochs, epochs_seen(count, size), strict=True):
        assert [len(batch) for batch in batches] == sizes
        assert sum(batches, []) == sum(filled, [])[:count]


@pytest.mark.parametrize("last", ["filled", "short"])
@pytest.mark.parametrize(("count", "steps"), [(20, 3), (16, 2), (3, 1)])
def test_the_number_of_steps_is_that_of_the_batches(last, count, steps):
    """An epoch of n images has ceil(n / size) batches, whatever is in the last one."""
    config = replace(LINE, batch_size=8, last_batch=last)
    replica_set = ReplicaSet(
        Watched, config, images_of(), [ReplicaSpec("t", 0, torch.arange(count))]
    )
    replica_set.train(3)
    (taken,) = replica_set.take_steps()
    assert [step for step, _ in taken["loss"]] == list(range(1, 3 * steps + 1))
    assert replica_set.replicas[0].steps_before(3) == 3 * steps
    assert replica_set.replicas[0].stages[0].batches(count) == steps


def test_the_mean_of_an_epoch_with_a_short_batch_weighs_every_image_alike():
    images = torch.arange(20).float()[:, None, None, None].expand(20, *SHAPE)
    config = replace(LINE, batch_size=8, last_batch="short")
    replica_set = ReplicaSet(Bright, config, images, [ReplicaSpec("t", 0, torch.arange(20))])
    (terms,) = replica_set.train(1)
    assert short(terms)["train_fall/brightness"] == pytest.approx(9.5)


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1.0), ("sum", 4.0)])
def test_the_loss_of_a_short_batch_is_reduced_over_its_own_images(reduction, factor):
    """Four images are left: the gradient of a Line is 1 for each of them."""
    replica_set = lines(batch_size=16, reduction=reduction, last_batch="short")
    replica_set.train(1)
    first = replica_set.replicas[0].optimisers["fall"].first[0]
    beta = LINE.beta1
    whole = 16.0 if reduction == "sum" else 1.0
    expected = (1 - beta) * (beta * whole + factor)
    assert float(first) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"batch_size": 19, "last_batch": "short"},
            "GPND: of 20 training images, one is left for the last batch of 19, and batch "
            "normalisation needs more than one value per channel; use another batch_size, another "
            "number of images, or last_batch=filled",
        ),
        ({"batch_size": 18, "last_batch": "short"}, ""),
        ({"batch_size": 19}, ""),
        ({"batch_size": 19, "last_batch": "short", "networks": "lenet"}, ""),
    ],
    ids=str,
)
def test_a_last_batch_of_one_image_is_refused_where_it_cannot_be_normalised(settings, words):
    """On images of 8x8 the smallest map of GPND's own networks has one pixel."""
    config = GPND.Config.released(SHAPE, latent_dim=16, width=0.25, epochs=1, **settings)
    if not words:
        ReplicaSet(GPND, config, images_of(), specs_of(0)).train(1)
        return
    with pytest.raises(UserError) as refusal:
        ReplicaSet(GPND, config, images_of(), specs_of(0))
    assert str(refusal.value) == words


def test_only_the_training_images_of_the_replica_are_seen():
    train = torch.tensor([40, 9, 63])
    for batches in epochs_seen(0, 2, train):
        assert {number for batch in batches for number in batch} == {9, 40, 63}


# -------------------------------------------------------------------------- random streams


def trained(*seeds: int, tasks: Iterable[str] = ("t",)) -> ReplicaSet:
    replica_set = ReplicaSet(Twin, TWIN, images_of(), specs_of(*seeds, tasks=tasks))
    replica_set.train(5)
    replica_set.prepare_scoring()
    return replica_set


def results(replica_set: ReplicaSet, replica: int = 0) -> Any:
    return (
        replica_set.state_dict()["replicas"][replica],
        replica_set.score(replica, torch.arange(COUNT)),
    )


def test_a_replica_does_not_depend_on_the_others():
    together, alone = trained(5, 1, 8), trained(1)
    assert same(results(together, 1), results(alone))
    assert not same(results(together, 0), results(alone))


def test_replicas_trained_at_once_or_by_intervals_are_equal():
    stepped = ReplicaSet(Twin, TWIN, images_of(), specs_of(3, 4))
    while not stepped.finished:
        stepped.train(1)
    stepped.prepare_scoring()
    whole = trained(3, 4)
    for k in range(2):
        assert same(results(stepped, k), results(whole, k))


def test_seed_and_task_own_every_number():
    assert same(results(trained(1)), results(trained(1)))
    one, other_seed = results(trained(1)), results(trained(2))
    other_task = results(trained(1, tasks=("u",)))
    for other in (other_seed, other_task):
        for name in ("order", "noise"):
            assert not torch.equal(one[0][name], other[0][name])
        assert not torch.equal(one[1]["score"], other[1]["score"])


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    first = build(Twin, TWIN, SHAPE, 3).state_dict()
    torch.manual_seed(1)
    assert same(dict(first), dict(build(Twin, TWIN, SHAPE, 3).state_dict()))
    assert not same(dict(first), dict(build(Twin, TWIN, SHAPE, 4).state_dict()))


def test_building_leaves_the_streams_of_gpus_alone(monkeypatch):
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    build(Twin, TWIN, SHAPE, 3)
    assert seeded == []


def test_global_streams_are_neither_read_nor_moved():
    def states() -> list[Any]:
        name, keys, *rest = np.random.get_state()
        return [torch.get_rng_state(), random.getstate(), name, keys.tolist(), rest]

    before = states()
    first = results(trained(6))
    assert same(before, states())
    torch.manual_seed(99)
    assert same(first, results(trained(6)))


# ---------------------------------------------------------------------------- continuation

TRIED = [
    *(
        pytest.param(
            detector,
            quick(detector, **settings),
            id=f"{name}-{titled(settings)}",
            marks=[] if is_first(settings) else [pytest.mark.slow],
        )
        for name, detector in every_detector().items()
        for settings in variants(detector)
    ),
    pytest.param(Twin, {"latent_dim": 4}, id="Twin"),
    pytest.param(Simultaneous, {"latent_dim": 4, "last_batch": "short"}, id="Simultaneous"),
    pytest.param(Fitted, {}, id="Fitted"),
]
EVERY = pytest.mark.parametrize(("detector", "settings"), TRIED)
TRAINED = pytest.mark.parametrize(
    ("detector", "settings"), [p for p in TRIED if issubclass(p.values[0], TrainedDetector)]
)


def config_of(detector: type[Detector[Any]], settings: dict[str, Any]) -> Config:
    small = {"latent_dim": 16, "batch_size": 8, "epochs": 3, "learning_rate": 1e-3}
    names = {entry.name for entry in fields(detector.Config)}
    usual = {name: value for name, value in small.items() if name in names}
    return detector.Config.released(SHAPE, **{**usual, **settings})


@EVERY
@pytest.mark.slow
def test_continuation_is_bit_equal(detector, settings, tmp_path):
    def replica_set() -> ReplicaSet:
        config = config_of(detector, settings)
        return ReplicaSet(detector, config, images_of(), specs_of(0, 1))

    straight = replica_set()
    curve = [straight.train(1) for _ in range(straight.epochs)]
    straight.prepare_scoring()
    for k in range(straight.epochs + 1):
        first, second = replica_set(), replica_set()
        first.train(k)
        if k % 2:
            first.prepare_scoring()
            first.score(0, torch.arange(3))
        second.load_state_dict(through_file(first.state_dict(), tmp_path))
        assert second.epoch == k
        assert [second.train(1) for _ in range(straight.epochs - k)] == curve[k:]
        second.prepare_scoring()
        assert same(second.state_dict(), straight.state_dict())
        for replica in range(2):
            ours, theirs = (c.score(replica, torch.arange(COUNT)) for c in (second, straight))
            assert same(ours, theirs)
            assert same(
                dict(module_of(second, replica).named_buffers()),
                dict(module_of(straight, replica).named_buffers()),
            )


def test_loading_undoes_what_a_replica_set_did_since(tmp_path):
    replica_set = twins(0, 1)
    replica_set.train(3)
    saved = through_file(replica_set.state_dict(), tmp_path)
    rest = replica_set.train(2)
    replica_set.load_state_dict(saved)
    assert replica_set.epoch == 3
    assert replica_set.train(2) == rest


# ------------------------------------------------------------------------------- failures


def mark_of(seed: int, task: str = "t") -> float:
    module = build(Faulty, LINE, SHAPE, derived_seed(seed, task))
    return float(module.get_buffer("mark"))


@pytest.fixture
def unlucky(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes the replica of a seed fail after a number of updates."""

    def choose(seed: int, fails_after: int) -> None:
        monkeypatch.setattr(Faulty, "unlucky", mark_of(seed))
        monkeypatch.setattr(Faulty, "fails_after", fails_after)

    return choose


@pytest.mark.parametrize("epochs", [1, 4, 16])
def test_a_replica_that_diverges_fails_and_the_others_go_on(epochs, unlucky):
    unlucky(1, 3 * 4)  # three batches an epoch: in the fifth epoch
    replica_set = lines(Faulty, 0, 1, 2)
    while not replica_set.finished:
        means = replica_set.train(epochs)
    assert replica_set.epoch == 16
    assert list(replica_set.failures) == [1]
    assert replica_set.failures[1].epoch == 4
    assert replica_set.failures[1].reason == "fall/loss became nan in epoch 5"
    assert replica_set.living() == [0, 2]
    assert means[1] == {}
    assert means[0]
    assert means[2]
    unlucky(99, 0)
    fine = lines(Faulty, 0, 2)
    fine.train(16)
    for ours, theirs in ((0, 0), (2, 1)):
        assert same(
            replica_set.state_dict()["replicas"][ours], fine.state_dict()["replicas"][theirs]
        )


def test_a_replica_set_of_failures_is_finished(unlucky):
    unlucky(0, 0)
    replica_set = lines(Faulty, 0)
    assert replica_set.train(2) == [{}]
    assert replica_set.finished
    assert replica_set.failures[0].epoch == 0
    replica_set.prepare_scoring()


@pytest.mark.parametrize("fails_after", [0, 3 * 3, 3 * 8])
def test_failures_are_saved_and_stay(fails_after, unlucky, tmp_path):
    """Also where a replica failed in the first epoch of a stage."""
    unlucky(1, fails_after)
    first, second, straight = (lines(Faulty, 0, 1) for _ in range(3))
    straight.train(16)
    first.train(10)
    assert list(first.failures) == [1]
    second.load_state_dict(through_file(first.state_dict(), tmp_path))
    assert second.failures == first.failures
    second.train(6)
    assert same(second.state_dict(), straight.state_dict())


def test_a_replica_can_be_failed_from_outside():
    replica_set = twins(0, 1)
    replica_set.train(1)
    replica_set.fail(0, 1, "no reason")
    before = copy.deepcopy(replica_set.state_dict()["replicas"][0])
    assert replica_set.train(2)[0] == {}
    assert same(before, replica_set.state_dict()["replicas"][0])
    assert not replica_set.finished


def test_a_fit_that_fails_ends_its_replica_and_the_others_go_on():
    images = images_of()
    images[:5] = 0.5
    constant, varied = torch.arange(5), torch.arange(5, COUNT)
    replica_specs = [
        ReplicaSpec("t", seed, train) for seed, train in enumerate((varied, constant, varied))
    ]
    replica_set = ReplicaSet(Unfit, LINE, images, replica_specs)
    replica_set.train(9)
    assert replica_set.failures == {}
    replica_set.prepare_scoring()
    assert replica_set.failures == {1: (9, "the training images have no contrast")}
    assert replica_set.living() == [0, 2]
    assert [bool(means) for means in replica_set.train(2)] == [True, False, True]
    assert replica_set.epoch == 11


# ------------------------------------------------------------------------ invalid input


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("chunk", [3, 4096])
def test_images_that_are_not_finite_are_refused(value, chunk, monkeypatch):
    monkeypatch.setattr(base, "FINITE_CHUNK", chunk)
    images = images_of()
    images[13, 0, 7, 7] = value
    images[17] = value
    with pytest.raises(UserError, match=r"2 of 20 images have a NaN .* the first is image 13;"):
        ReplicaSet(Line, LINE, images, specs_of(0))


def test_a_replica_without_training_images_is_refused():
    replica_specs = [*specs_of(0), ReplicaSpec("u", 3, torch.arange(0))]
    with pytest.raises(UserError, match="task u with seed 3 has no training image"):
        ReplicaSet(Line, LINE, images_of(), replica_specs)
    titled = ReplicaSpec("u/0", 3, torch.arange(0), "u/cat")
    with pytest.raises(UserError, match="task u/cat with seed 3 has no training image"):
        ReplicaSet(Line, LINE, images_of(), [titled])


# ---------------------------------------------------------------------------- fitted scalings


def contrasts() -> Tensor:
    """Grey images of growing contrast under "gcn", the first of which is constant."""
    spread = torch.arange(COUNT)[:, None, None, None] / 4
    pixels = (128 + 60 * (images_of() - 0.5) ** 3 * spread).round()
    pixels[0] = 7
    return scaled(pixels.to(torch.uint8), "gcn")


GCN = AE.Config(scaling="gcn", latent_dim=16, epochs=2, batch_size=4, learning_rate=1e-3)
FIRST, SECOND = torch.arange(8), torch.arange(9, 14)


def test_training_images_reach_0_and_1_under_a_fitted_scaling():
    images = contrasts()
    replica_specs = [ReplicaSpec("t", k, train) for k, train in enumerate((FIRST, SECOND))]
    replica_set = ReplicaSet(AE, GCN, images, replica_specs)
    assert len({replica.range for replica in replica_set.replicas}) == 2
    beyond = 0
    for replica, train in zip(replica_set.replicas, (FIRST, SECOND), strict=True):
        trained_on, others = replica.pick(train), replica.pick(torch.arange(COUNT))
        assert (float(trained_on.min()), float(trained_on.max())) == (0.0, 1.0)
        low, high = images[train].min(), images[train].max()
        torch.testing.assert_close(others, (images - low) / (high - low))
        beyond += int(others.min() < 0) + int(others.max() > 1)
        assert bool(others.isfinite().all())
    assert beyond, "images that were not trained on may go beyond"


def test_a_fitted_scaling_does_not_depend_on_the_other_replicas():
    def results(*replica_specs: ReplicaSpec) -> Any:
        replica_set = ReplicaSet(AE, GCN, contrasts(), replica_specs)
        replica_set.train(2)
        return replica_set.score(len(replica_specs) - 1, torch.arange(COUNT))

    first, second = ReplicaSpec("t", 0, FIRST), ReplicaSpec("t", 0, SECOND)
    assert same(results(first, second), results(second))
    assert not same(results(first), results(second))


def test_constant_training_images_are_refused_by_a_fitted_scaling_alone():
    images = torch.zeros_like(contrasts())
    with pytest.raises(UserError, match="'gcn' cannot be used, because all 20 training images"):
        ReplicaSet(AE, GCN, images, specs_of(0))
    ReplicaSet(AE, replace(GCN, scaling="unit"), images, specs_of(0))


# ------------------------------------------------------------------- detectors that are fitted


def fitted(*seeds: int, train: Tensor | None = None) -> ReplicaSet:
    train = torch.arange(COUNT) if train is None else train
    replica_specs = [ReplicaSpec("t", seed, train) for seed in seeds]
    return ReplicaSet(Fitted, Config(), images_of(), replica_specs)


def test_a_detector_without_stages_is_fitted_and_not_trained():
    replica_set = fitted(0, 1)
    assert (replica_set.epochs, replica_set.epoch, replica_set.finished) == (0, 0, True)
    assert replica_set.learning_rate == 0.0
    assert replica_set.train(3) == [{}, {}]
    assert replica_set.losses(0, torch.arange(3)) is None
    replica_set.prepare_scoring()
    scores = replica_set.score(0, torch.arange(COUNT))["score"]
    assert int((scores == 0).sum()) == 1, "the score is the distance from one training image"
    with pytest.raises(NotImplementedError, match="Fitted is fitted, not trained"):
        module_of(replica_set).terms("train", images_of(), {})


def test_seed_and_task_own_the_draws_of_a_fit():
    def scores_of(*seeds: int) -> list[Tensor]:
        replica_set = fitted(*seeds)
        replica_set.prepare_scoring()
        everything = torch.arange(COUNT)
        return [replica_set.score(k, everything)["score"] for k in range(len(seeds))]

    several = scores_of(0, 1, 2, 3)
    assert same(several, scores_of(0, 1, 2, 3))
    assert same(several[2:3], scores_of(2))
    assert len({tuple(scores.tolist()) for scores in several}) > 1


def test_a_loaded_state_is_fitted_again(tmp_path):
    first, second = fitted(0, 1), fitted(0, 1)
    first.prepare_scoring()
    second.load_state_dict(through_file(first.state_dict(), tmp_path))
    for k in range(2):
        ours, theirs = (
            replica_set.score(k, torch.arange(COUNT)) for replica_set in (first, second)
        )
        assert same(ours, theirs)


def test_a_fit_that_failed_is_not_tried_again(tmp_path):
    first = fitted(0, 1)
    first.fail(0, 0, "no reason")
    second = fitted(0, 1)
    second.load_state_dict(through_file(first.state_dict(), tmp_path))
    assert second.failures == {0: (0, "no reason")}
    assert module_of(second, 0).chosen is None
    assert module_of(second, 1).chosen is not None


# -------------------------------------------------------------------------------- patience


class Course(Line):
    """A `Line` whose validation loss falls to a turning point and rises again.

    The turn is twenty updates times the brightness of the image.
    """

    def __init__(self, config: LineConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.register_buffer("steps", torch.zeros(()))

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        if self.training:
            return super().terms(phase, images, noise)
        return {"loss": (self.get_buffer("steps") - 20 * images[:, 0, 0, 0]).abs()}

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        return {"steps": self.get_buffer("steps") + 1}


TURNS = (10, 16, 4)  # of eight epochs of one stage and eight of another, an update each


def patient(patience: int = 2) -> ReplicaSet:
    images = images_of().clone()
    for k, turn in enumerate(TURNS):
        images[k] = turn / 20
    config = replace(LINE, batch_size=COUNT)
    replica_specs = specs_of(*range(len(TURNS)))
    return ReplicaSet(Course, config, images, replica_specs, patience=patience)


def watched(replica_set: ReplicaSet, epochs: int = 99) -> list[Any]:
    """Train and watch by single epochs to the end: the weight of each replica after each."""
    weights = []
    for _ in range(epochs):
        if replica_set.finished:
            break
        replica_set.train(1)
        replica_set.watch([torch.tensor([k]) for k in range(len(TURNS))])
        weights.append([module_of(replica_set, k).line.weight.item() for k in range(len(TURNS))])
    return weights


def test_each_replica_stops_on_its_own_with_its_best_weights():
    replica_set, free = patient(), patient(0)
    weights, reference = watched(replica_set), watched(free)
    assert (replica_set.epoch, replica_set.finished, free.early_stopping) == (16, True, [])
    assert [stopping.stopped for stopping in replica_set.early_stopping] == [12, None, 11]
    assert [stopping.epoch for stopping in replica_set.early_stopping] == [10, 16, 9], (
        "each stage counts anew"
    )
    assert [replica_set.epoch_of(k) for k in range(3)] == [12, 16, 11]
    assert [free.epoch_of(k) for k in range(3)] == [16, 16, 16]
    assert {after[2] for after in weights[5:8]} == {reference[3][2]}, "done with its first stage"
    for k, stopping in enumerate(replica_set.early_stopping[:2]):
        stopped = stopping.stopped or 16
        assert [after[k] for after in weights[: stopped - 1]] == [
            after[k] for after in reference[: stopped - 1]
        ]
        best = reference[stopping.epoch - 1][k]
        assert {after[k] for after in weights[stopped - 1 :]} == {best}
        assert float(module_of(replica_set, k).get_buffer("steps")) == stopping.epoch


def test_a_replica_set_is_finished_when_no_replica_trains_any_more():
    replica_set = patient(1)
    replica_set.fail(1, 0, "made to")
    watched(replica_set)
    assert [stopping.stopped for stopping in replica_set.early_stopping] == [11, None, 10]
    assert (replica_set.epoch, replica_set.training()) == (11, [])
    assert replica_set.train(3) == [
        replica_set.early_stopping[0].terms,
        {},
        replica_set.early_stopping[2].terms,
    ]


def test_a_replica_that_has_stopped_keeps_the_terms_of_its_last_epoch():
    replica_set = patient()
    watched(replica_set, 12)
    kept = dict(replica_set.early_stopping[0].terms)
    assert replica_set.train(1)[0] == kept
    assert set(short(kept)) == {"train_loss"}


@pytest.mark.parametrize("after", [5, 9, 11, 13])
def test_patience_goes_on_bit_equal(after, tmp_path):
    straight, first, second = patient(), patient(), patient()
    curve = watched(straight)
    assert watched(first, after) == curve[:after]
    second.load_state_dict(through_file(first.state_dict(), tmp_path))
    assert watched(second) == curve[after:]
    assert same(second.state_dict(), straight.state_dict())


class LateStop(Course):
    """Stages of four epochs in which the validation loss is 3, 1, 2, 2: patience 2 ends at 4."""

    count: ClassVar[int] = 2

    def stages(self) -> tuple[Stage, ...]:
        fall = super().stages()[0]
        return tuple(replace(fall, name=f"stage {k}") for k in range(self.count))

    def begin(self, stage: str, batches: Any) -> Buffers:
        return {"steps": torch.zeros(())}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        if self.training:
            return super().terms(phase, images, noise)
        losses = torch.tensor([0.0, 3.0, 1.0, 2.0, 2.0])
        return {"loss": losses[self.get_buffer("steps").long()].expand(len(images))}


@pytest.mark.parametrize("count", [2, 3])
def test_no_stage_is_left_out_if_the_last_replica_stops_at_the_end_of_one(count, monkeypatch):
    monkeypatch.setattr(LateStop, "count", count)
    config = replace(LINE, batch_size=COUNT, epochs=4)
    replica_set = ReplicaSet(LateStop, config, images_of(), specs_of(0, 1), patience=2)
    began = []
    while not replica_set.finished:
        replica_set.train(1)
        began.append(replica_set.replicas[0].optimised)
        replica_set.watch([torch.tensor([0])] * 2)
    assert began == [f"stage {k}" for k in range(count) for _ in range(4)]
    assert replica_set.epoch == 4 * count
    stopped = [(s.epoch, s.stopped) for s in replica_set.early_stopping]
    assert stopped == [(4 * count - 2, 4 * count)] * 2
