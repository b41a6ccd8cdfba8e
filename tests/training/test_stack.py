"""Replicas that are trained together do what each does alone."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.marks import slow
from tests.training.test_replica_set import (
    TRAINED,
    Twin,
    TwinConfig,
    config_of,
    images_of,
    through_file,
)
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector, Noise, Terms
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.training.replicas import layout
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

COUNTS = (30, 23, 30, 9)  # numbers of training images: different numbers of batches of 8
TOLERANCE = 1e-7
"""In float64. The gradient of a bias before batch normalisation is 0 up to rounding errors of
about 1e-16, which Adam divides by epsilon = 1e-8."""


FIRST = {p.values[0]: p for p in reversed(TRAINED.args[1])}  # one configuration per detector
ONE_EACH = pytest.mark.parametrize(("detector", "settings"), list(FIRST.values()))
ALL = pytest.mark.parametrize(
    ("detector", "settings"),
    [
        *FIRST.values(),
        *(slow(*p.values, id=p.id) for p in TRAINED.args[1] if p not in FIRST.values()),
    ],
)


@pytest.fixture(autouse=True)
def _noise_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Noise.draw
    monkeypatch.setattr(Noise, "draw", lambda *arguments: draw(*arguments).double())


def specs(counts: tuple[int, ...] = COUNTS) -> list[ReplicaSpec]:
    return [ReplicaSpec(f"t{k}", k, torch.arange(n) + k) for k, n in enumerate(counts)]


def replica_set_of(
    detector: type[Detector[Any]],
    config: Config,
    together: int,
    counts: tuple[int, ...] = COUNTS,
    **options: Any,
) -> ReplicaSet:
    """Replicas in float64, so that rounding errors do not grow in training."""
    images, members = images_of(40).double(), specs(counts)
    replica_set = ReplicaSet(detector, config, images, members, together=together, **options)
    for replica in replica_set.replicas:
        replica.module.double()
    return replica_set


def close(actual: Any, expected: Any) -> None:
    """Check nested dictionaries and lists: tensors are equal relative to their largest element."""
    if isinstance(expected, Tensor):
        largest = float(expected.abs().max()) if expected.numel() else 0.0
        bound = TOLERANCE * max(1.0, largest)
        torch.testing.assert_close(actual, expected, rtol=TOLERANCE, atol=bound)
    elif isinstance(expected, dict):
        assert list(actual) == list(expected)
        for name, value in expected.items():
            close(actual[name], value)
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            close(one, other)
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE, nan_ok=True)
    else:
        assert actual == expected


def outcome(replica_set: ReplicaSet) -> Any:
    """The state, and the scores of all images by all replicas, each with its components."""
    state = replica_set.state_dict()
    scores = [replica_set.score(k, torch.arange(40)) for k in replica_set.living()]
    return state, [(list(terms), torch.stack(list(terms.values()))) for terms in scores]


@ALL
def test_losses_weights_and_scores_are_those_of_each_replica_alone(detector, settings):
    """Also running statistics, buffers, moments of Adam, and every watched step."""
    config = config_of(detector, settings)
    stacked, looped = (replica_set_of(detector, config, together) for together in (4, 1))
    while not looped.finished:
        close(stacked.train(1), looped.train(1))
        close(stacked.take_steps(), looped.take_steps())
    close(outcome(stacked), outcome(looped))


UNEQUAL = (30, 23, 30, 11, 30, 23)  # the last batches of 8 have 6, 7, 6, 3, 6 and 7 images


@ONE_EACH
@pytest.mark.slow
def test_replicas_with_short_last_batches_are_those_of_each_alone(detector, settings):
    """Only replicas with equally many training images are in one stack."""
    config = config_of(detector, {**settings, "epochs": 2, "last_batch": "short"})
    stacked, looped = (replica_set_of(detector, config, together, UNEQUAL) for together in (2, 1))
    while not looped.finished:
        close(stacked.train(1), looped.train(1))
        close(stacked.take_steps(), looped.take_steps())
    assert set(stacked.stacks) == {(0, 2), (4,), (1, 5), (3,)}
    close(outcome(stacked), outcome(looped))


@ALL
def test_scores_of_a_stack_are_those_of_each_replica(detector, settings):
    """Of different numbers of images, at every value of the score space."""
    config = config_of(detector, settings)
    space = {"mc_samples": (0, 3)} if detector is PGN else {}
    stacked, looped = (
        replica_set_of(detector, config, 4, score_space=space, scored_together=n) for n in (4, 1)
    )
    wanted = {k: torch.arange(n) + k for k, n in enumerate((12, 7, 12, 1))}
    for replica_set in (stacked, looped):
        replica_set.train(replica_set.epochs)
        replica_set.prepare_scoring()
    for every_variant in (True, False):
        ours, theirs = (r.scores(wanted, every_variant) for r in (stacked, looped))
        for k in wanted:
            assert list(ours[k]) == list(theirs[k])
            close(*(torch.stack(list(scores[k].values())) for scores in (ours, theirs)))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in ("LikelihoodVAE", "GPND")))
        for name in every_detector()
    ],
)
def test_replicas_of_every_detector_can_be_scored_together(name):
    """Also of a detector that is only fitted, whose replicas have no networks to join."""
    detector = every_detector()[name]
    settings = {"latent_dim": 16, "width": 0.25, "batch_size": 8, "epochs": 1}
    rules = detector.Config.rules()
    shape = ImageShape(1, 32, 32) if name == "LikelihoodVAE" else ImageShape(1, 28, 28)
    config = detector.Config.released(shape, **{n: v for n, v in settings.items() if n in rules})
    images = torch.rand(30, *shape, generator=torch.Generator().manual_seed(0)).double()
    members = [ReplicaSpec(f"t{k}", k, torch.arange(n)) for k, n in enumerate((30, 23, 27))]
    wanted = {k: torch.arange(n) for k, n in enumerate((12, 7, 12))}
    outcomes = []
    for count in (3, 1):
        replica_set = ReplicaSet(detector, config, images, members, scored_together=count)
        for replica in replica_set.replicas:
            replica.module.double()
        replica_set.train(replica_set.epochs)
        replica_set.prepare_scoring()
        outcomes.append(replica_set.scores(wanted))
    close(*outcomes)


@ONE_EACH
@pytest.mark.slow
def test_training_continues_from_a_state_in_either_mode(detector, settings, tmp_path):
    config = config_of(detector, settings)
    straight = replica_set_of(detector, config, 4)
    straight.train(2)
    saved = through_file(straight.state_dict(), tmp_path)
    straight.train(straight.epochs)
    expected = outcome(straight)
    for together in (4, 2, 1):
        continued = replica_set_of(detector, config, together)
        continued.load_state_dict(saved)
        continued.train(continued.epochs)
        close(outcome(continued), expected)


@pytest.mark.parametrize("together", [2, 3, 4, 9])
def test_any_number_of_replicas_can_be_trained_together(together):
    config = config_of(Twin, {"latent_dim": 4})
    stacked, looped = (replica_set_of(Twin, config, n) for n in (together, 1))
    close(stacked.train(2), looped.train(2))
    close(stacked.train(9), looped.train(9))
    close(outcome(stacked), outcome(looped))


class Tied(Twin):
    """A `Twin` whose head of the first stage is the discriminator of the second."""

    def __init__(self, config: TwinConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.head = self.discriminator


def test_a_layer_with_two_names_is_one_layer():
    config = config_of(Tied, {"latent_dim": 4})
    stacked, looped = (replica_set_of(Tied, config, n) for n in (4, 1))
    close(stacked.train(9), looped.train(9))
    close(outcome(stacked), outcome(looped))
    for replica in stacked.replicas:
        assert torch.equal(replica.module.head.weight, replica.module.discriminator.weight)


class Poisoned(Twin):
    """A `Twin` of which one replica has a loss of NaN in the last stage.

    It is the one whose brightest training image is darker than those of the others.
    """

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        terms = super().terms(phase, images, noise)
        if phase == "reconstruct":
            poison = torch.where(images.amax() < 0.5, math.nan, 1.0)
            terms["loss"] = terms["loss"] * poison
        return terms


@pytest.mark.parametrize("victim", [0, 1, 3])
def test_a_nan_of_one_replica_leaves_the_others_untouched(victim):
    config = config_of(Poisoned, {"latent_dim": 4})
    images = torch.cat([images_of(40), images_of(40) / 4]).double()
    members = specs()
    members[victim] = ReplicaSpec("v", victim, members[victim].train + 40)

    def poisoned(together: int) -> ReplicaSet:
        replica_set = ReplicaSet(Poisoned, config, images, members, together=together)
        for replica in replica_set.replicas:
            replica.module.double()
        return replica_set

    stacked, looped = poisoned(4), poisoned(1)
    while not looped.finished:
        close(stacked.train(2), looped.train(2))
    assert list(stacked.failures) == [victim]
    assert stacked.failures == looped.failures
    for k in stacked.living():
        close(stacked.replicas[k].state_dict(), looped.replicas[k].state_dict())


@pytest.mark.slow
def test_replicas_that_stop_early_leave_the_stack():
    config = config_of(Twin, {"latent_dim": 4, "epochs": 12, "learning_rate": 0.05})
    stacked, looped = (replica_set_of(Twin, config, n, patience=1) for n in (4, 1))
    held_out = [torch.arange(30, 40)] * 4
    while not looped.finished:
        close(stacked.train(1), looped.train(1))
        for replica_set in (stacked, looped):
            replica_set.watch(held_out)
        assert stacked.training() == looped.training()
    epochs = {looped.epoch_of(k) for k in range(4)}
    assert len(epochs) > 1
    close(outcome(stacked), outcome(looped))


def test_progress_counts_the_epochs_of_all_replicas():
    config = config_of(Twin, {"latent_dim": 4})
    training = replica_set_of(Twin, config, 3).train_by_epochs(3)
    assert list(training) == [2 * 3 + 3, 3 + 3, 3, 2, 1, 0]


def test_weights_keep_their_layout_in_memory():
    """Convolutions on channels-last images expect channels-last weights."""
    config = config_of(Twin, {"latent_dim": 4})
    looped, stacked = (replica_set_of(Twin, config, n) for n in (1, 4))
    looped.train(1)
    stacked.train(1)
    for ours, theirs in zip(stacked.replicas, looped.replicas, strict=True):
        for (name, one), (_, other) in zip(
            ours.module.state_dict().items(), theirs.module.state_dict().items(), strict=True
        ):
            assert one.stride() == other.stride(), name


@ONE_EACH
def test_gradients_of_matrices_have_the_layout_of_the_weights(detector, settings, monkeypatch):
    """Otherwise each step would copy them into another order, which takes as long as the step."""
    copied = []
    like = layout.like

    def watched(gradients: Any, leaves: Any) -> Any:
        gradients, leaves = list(gradients), list(leaves)
        copied.extend(
            tuple(leaf.shape)
            for gradient, leaf in zip(gradients, leaves, strict=True)
            if gradient is not None and min(leaf.shape[1:], default=1) > 1
            if leaf.dim() == 1 + layout.MATRIX and gradient.stride() != leaf.stride()
        )
        return like(gradients, leaves)

    monkeypatch.setattr(layout, "like", watched)
    replica_set_of(detector, config_of(detector, settings), 4).train(1)
    assert copied == []
