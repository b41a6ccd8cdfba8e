"""The mathematics of Deep SVDD."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.detectors.cases import (
    CIFAR,
    COLOUR,
    GREY,
    MNIST,
    module_of,
    pixels,
    replica_set_of,
    small,
    trained,
)
from tune_ad.detectors.deep_svdd import DeepSVDD, away_from_zero
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.randomness import derived_seed
from tune_ad.storage.metric import Metric
from tune_ad.training.replicas.replica import build
from tune_ad.training.replicas.replica_set import ReplicaSet


def test_the_centre_is_kept_off_zero_and_an_exact_zero_stays():
    centre = torch.tensor([0.0, -0.0, 1e-9, -1e-9, 0.05, -0.05, 0.1, -0.1, 0.3, -0.3])
    pushed = torch.tensor([0.0, 0.0, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.3, -0.3])
    assert torch.equal(away_from_zero(centre, 0.1), pushed)
    assert torch.equal(away_from_zero(centre, 0.0), centre)


def svdd(shape: ImageShape = GREY, **settings: Any) -> ReplicaSet:
    return replica_set_of(DeepSVDD, small(DeepSVDD, shape, **settings), shape)


@torch.no_grad()
@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_the_centre_is_the_mean_code_under_untrained_statistics(shape, epsilon):
    replica_set = svdd(shape, centre_epsilon=epsilon)
    initial = build(DeepSVDD, module_of(replica_set).config, shape, derived_seed(0, "t"))
    for layer in initial.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert float(layer.running_mean.abs().max()) == 0
            assert float((layer.running_var - 1).abs().max()) == 0
    codes = initial.eval().encoder(replica_set.replicas[0].images)
    with torch.enable_grad():
        replica_set.train(1)
    centre = module_of(replica_set).centre.clone()
    expected = codes.double().mean(0).numpy()
    near = np.abs(expected) < epsilon
    expected = np.where(near, np.sign(expected) * epsilon, expected)
    np.testing.assert_allclose(centre.numpy(), expected, rtol=1e-5, atol=1e-6)
    with torch.enable_grad():
        replica_set.train(2)
    assert torch.equal(module_of(replica_set).centre, centre)


@torch.no_grad()
def test_the_centre_does_not_depend_on_how_images_are_handed_over():
    module = build(DeepSVDD, small(DeepSVDD, GREY), GREY, 0).eval()
    images = pixels(GREY, 17).float() / 255
    whole = module.begin("train", [images])["centre"]
    parts = module.begin("train", iter(images.split(5)))["centre"]
    torch.testing.assert_close(parts, whole)


@torch.no_grad()
def test_one_class_loss_and_score_are_the_squared_distance():
    replica_set = trained(DeepSVDD, GREY)
    module, images = module_of(replica_set).eval(), replica_set.replicas[0].images
    expected = (module.encoder(images) - module.centre).square().sum(1)
    torch.testing.assert_close(module.terms("train", images, {})["loss"], expected)
    torch.testing.assert_close(module.score(images, {}), expected)
    assert module.encoder[1].bias is None


@torch.no_grad()
@pytest.mark.parametrize("nu", [0.1, 0.5, 1.0])
def test_soft_boundary_loss_and_score(nu):
    replica_set = trained(DeepSVDD, GREY, objective="soft-boundary", nu=nu)
    module, images = module_of(replica_set).eval(), replica_set.replicas[0].images
    distance = (module.encoder(images) - module.centre).square().sum(1).numpy()
    radius = float(np.sqrt(np.median(distance)))
    module.radius.fill_(radius)
    expected = radius**2 + np.maximum(0, distance - radius**2).mean() / nu
    assert float(module.loss_and_terms("train", images, {})[0]) == pytest.approx(
        expected, rel=1e-5
    )
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
    replica_set = replica_set_of(
        Watched,
        small(DeepSVDD, GREY, epochs=10, objective="soft-boundary", nu=nu, radius_warmup=0.3),
        GREY,
    )
    module = module_of(replica_set)
    for _ in range(3):
        replica_set.train(1)
        assert float(module.radius) == 0
    radii = []
    for _ in range(3):
        replica_set.train(1)
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
    replica_set = trained(DeepSVDD, GREY, epochs=4)
    assert float(module_of(replica_set).radius) == 0


# ------------------------------------------------------------------------- pretraining


def test_pretraining_is_a_stage_of_its_own_schedule():
    config = DeepSVDD.Config.released(MNIST, pretraining=1.5, epochs=100)
    first, main = DeepSVDD(config, MNIST).stages()
    assert (first.name, first.epochs, first.milestones) == ("pretraining", 150, (50 / 150,))
    assert first.adam.weight_decay == 5e-4
    assert [set(phase.modules) for phase in first.phases] == [{"encoder", "decoder"}]
    assert (main.name, main.epochs, main.adam.weight_decay) == ("train", 100, 1e-4)
    assert [set(phase.modules) for phase in main.phases] == [{"encoder"}]
    colour = DeepSVDD.Config.released(CIFAR, pretraining=350 / 150, epochs=150)
    first, main = DeepSVDD(colour, CIFAR).stages()
    assert (first.epochs, first.milestones) == (350, (250 / 350,))
    assert first.adam.weight_decay == 5e-7


@pytest.mark.parametrize(
    ("ratio", "epochs", "expected"), [(0.0, 4, 0), (0.01, 4, 1), (2.5, 4, 10)]
)
def test_pretraining_epochs(ratio, epochs, expected):
    assert DeepSVDD.Config(pretraining=ratio, epochs=epochs).pretraining_epochs == expected


def test_the_decoder_exists_for_pretraining_alone_and_is_not_counted():
    plain = svdd()
    pretrained = svdd(pretraining=1.0)
    assert not hasattr(module_of(plain), "decoder")
    assert pretrained.parameters == plain.parameters
    assert pretrained.epochs == 2 * plain.epochs


@torch.no_grad()
def test_pretraining_lowers_the_squared_error_of_the_reconstruction():
    replica_set = svdd(pretraining=1.0)
    module, images = module_of(replica_set), replica_set.replicas[0].images[:8]
    reconstructions = module.decoder(module.encoder(images))
    expected = (reconstructions - images).square().sum((1, 2, 3))
    torch.testing.assert_close(module.terms("pretraining", images, {})["loss"], expected)
    assert not [name for name, _ in module.decoder.named_parameters() if "bias" in name]


@torch.no_grad()
def test_the_centre_is_set_after_pretraining_and_the_decoder_then_rests():
    replica_set = svdd(pretraining=1.0, centre_epsilon=0.0)
    module = module_of(replica_set)
    with torch.enable_grad():
        replica_set.train(4)
    assert float(module.centre.abs().max()) == 0
    assert not replica_set.scorable
    codes = module.eval().encoder(replica_set.replicas[0].images)
    expected, before = codes.mean(0), [p.clone() for p in module.decoder.parameters()]
    with torch.enable_grad():
        (terms,) = replica_set.train(1)
    assert replica_set.scorable
    assert set(terms) == {Metric("train", "loss")}
    torch.testing.assert_close(module.centre, expected)
    after = list(module.decoder.parameters())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_terms_of_pretraining_have_names_of_their_own():
    replica_set = svdd(pretraining=1.0)
    (terms,) = replica_set.train(2)
    assert set(terms) == {Metric("train", "loss", stage="pretraining")}


def test_pretraining_needs_a_code_that_makes_a_map():
    config = small(DeepSVDD, GREY, latent_dim=20)
    DeepSVDD(config, GREY)
    with pytest.raises(UserError, match="multiple of 16"):
        DeepSVDD(replace(config, pretraining=1.0), GREY)
