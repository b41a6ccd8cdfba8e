"""The mathematics of the adversarial autoencoder."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.detectors.cases import (
    CIFAR,
    GREY,
    MNIST,
    doubles,
    exact,
    module_of,
    replica_set_of,
    small,
)
from tune_ad.detectors.autoencoders.aae import AAE
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import Noise
from tune_ad.training.replicas.replica import ReplicaSpec, build
from tune_ad.training.replicas.replica_set import ReplicaSet


def aae(shape=GREY, **settings):
    config = AAE.Config.released(shape, **{"latent_dim": 16, **settings})
    return build(AAE, config, shape, 0).double().eval()


def prior(batch=7):
    return torch.randn(batch, 16, generator=torch.Generator().manual_seed(3)).double()


@pytest.mark.parametrize(("shape", "extra"), [(MNIST, 148_481), (CIFAR, 197_633)])
def test_the_discriminator_is_what_it_has_over_the_autoencoder(shape, extra):
    def count(detector):
        module = build(detector, detector.Config.released(shape), shape, 0)
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(AAE) - count(AE) == extra


@torch.no_grad()
@pytest.mark.parametrize("weight", [0.0, 0.001, 0.3])
def test_the_joint_loss_weighs_the_reconstruction_and_the_adversarial_loss(weight):
    module, images = aae(adversarial_weight=weight), doubles(GREY)
    codes = module.encoder(images)
    absolute = (module.decoder(codes) - images).abs().flatten(1).mean(1)
    chance = module.discriminator(codes).sigmoid().squeeze(1)
    ones = torch.ones(7).double()
    adversarial = functional.binary_cross_entropy(chance, ones, reduction="none")
    terms = module.terms("autoencoder", images, {})
    exact(terms["reconstruction"], absolute)
    exact(terms["adversarial"], adversarial)
    exact(terms["loss"], weight * adversarial + (1 - weight) * absolute)


@torch.no_grad()
def test_the_discriminator_tells_the_prior_from_codes():
    module, images = aae(), doubles(GREY)
    real, fake = (
        module.discriminator(codes).sigmoid().squeeze(1)
        for codes in (prior(), module.encoder(images))
    )
    entropy = functional.binary_cross_entropy
    ones, zeros = torch.ones(7).double(), torch.zeros(7).double()
    expected = 0.5 * (
        entropy(real, ones, reduction="none") + entropy(fake, zeros, reduction="none")
    )
    exact(module.terms("discriminator", images, {"code": prior()})["loss"], expected)


def test_a_discriminator_that_cannot_tell_has_a_loss_of_ln_2():
    module = aae()
    with torch.no_grad():
        module.discriminator[-1].weight.zero_()
        module.discriminator[-1].bias.zero_()
    loss = module.terms("discriminator", doubles(GREY), {"code": prior()})["loss"]
    exact(loss.detach(), torch.full((7,), math.log(2), dtype=torch.float64))


def test_the_discriminators_step_sends_no_gradient_to_the_encoder():
    module = aae()
    module.terms("discriminator", doubles(GREY), {"code": prior()})["loss"].sum().backward()
    assert all(parameter.grad is None for parameter in module.encoder.parameters())
    assert all(parameter.grad is not None for parameter in module.discriminator.parameters())


def test_each_phase_moves_its_own_modules():
    for joint, expected in (
        (True, {"autoencoder": {"encoder", "decoder"}, "discriminator": {"discriminator"}}),
        (
            False,
            {
                "reconstruction": {"encoder", "decoder"},
                "discriminator": {"discriminator"},
                "encoder": {"encoder"},
            },
        ),
    ):
        (stage,) = aae(joint=joint).stages()
        assert {phase.name: set(phase.modules) for phase in stage.phases} == expected


def test_simultaneous_phases_update_the_running_statistics_of_a_module_once():
    (stage,) = aae(joint=False, updates="simultaneous").stages()
    assert {phase.name: stage.untracked(phase) for phase in stage.phases} == {
        "reconstruction": ("discriminator",),
        "discriminator": ("encoder", "decoder"),
        "encoder": ("encoder", "decoder", "discriminator"),
    }
    (alternating,) = aae(joint=False).stages()
    assert {alternating.untracked(phase) for phase in alternating.phases} == {()}


@torch.no_grad()
def test_separate_phases_lower_the_parts_of_the_joint_loss():
    module, images = aae(joint=False), doubles(GREY)
    joint = aae().terms("autoencoder", images, {})
    exact(module.terms("reconstruction", images, {})["loss"], joint["reconstruction"])
    exact(module.terms("encoder", images, {})["loss"], joint["adversarial"])


class Released(nn.Module):
    """The released update in plain PyTorch: both optimisers use losses of the old parameters.

    The encoder runs once per batch, and the discriminator sees those codes.

    Args:
        module: a copy of an `AAE`, of which only the networks are used.
    """

    def __init__(self, module):
        super().__init__()
        self.encoder, self.decoder = module.encoder, module.decoder
        self.discriminator, config = module.discriminator, module.config
        self.weight = config.adversarial_weight
        settings = {
            "lr": config.learning_rate,
            "betas": (config.beta1, config.beta2),
            "weight_decay": config.weight_decay,
        }
        both = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.of_autoencoder = torch.optim.Adam(both, **settings)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), **settings)

    def update(self, images, code):
        codes, entropy = self.encoder(images), functional.binary_cross_entropy_with_logits
        reconstruction = functional.l1_loss(self.decoder(codes), images)
        chance = self.discriminator(codes)
        loss = (1 - self.weight) * reconstruction
        loss = loss + self.weight * entropy(chance, torch.ones_like(chance))
        self.of_autoencoder.zero_grad()
        loss.backward()
        self.of_autoencoder.step()
        real, fake = self.discriminator(code), self.discriminator(codes.detach())
        loss = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
        self.of_discriminator.zero_grad()
        (0.5 * loss).backward()
        self.of_discriminator.step()


@pytest.mark.parametrize("together", [1, 2])
def test_two_released_updates_are_those_of_plain_pytorch(monkeypatch, together):
    """Of 12 training images in batches of 8: a full batch, then a short one of 4.

    In float64, because Adam enlarges the rounding errors of gradients that are 0.
    """
    draw = Noise.draw
    monkeypatch.setattr(Noise, "draw", lambda *arguments: draw(*arguments).double())
    settings = {"updates": "simultaneous", "last_batch": "short", "adversarial_weight": 0.3}
    config = small(AAE, GREY, milestones=(), **settings)
    members = [ReplicaSpec("t", seed, torch.arange(12)) for seed in (0, 1)]
    images = torch.rand(12, *GREY, generator=torch.Generator().manual_seed(4)).double()
    ours, other = (ReplicaSet(AAE, config, images, members, together=together) for _ in range(2))
    for replica in (*ours.replicas, *other.replicas):
        replica.module.double()
    replica = other.replicas[0]
    plain = Released(copy.deepcopy(replica.module)).train()
    order = torch.randperm(12, generator=replica.order)
    for batch in order.split(8):
        (noise,) = replica.module.noise("discriminator", len(batch)).values()
        plain.update(replica.images[batch], noise.draw(replica.noise))
    ours.train(1)
    trained = dict(module_of(ours).state_dict())
    expected = {n: v for n, v in plain.state_dict().items() if n in trained}
    assert expected.keys() == trained.keys()
    for name, value in expected.items():
        torch.testing.assert_close(trained[name], value, rtol=1e-7, atol=1e-7)
    counts = {int(v) for name, v in trained.items() if name.endswith("num_batches_tracked")}
    assert counts == {2}, "running statistics are updated once per step"


def test_alternating_updates_are_others():
    alternating, simultaneous = (
        replica_set_of(AAE, small(AAE, GREY, updates=updates), GREY)
        for updates in ("alternating", "simultaneous")
    )
    for replica_set in (alternating, simultaneous):
        replica_set.train(1)
    one, other = (dict(module_of(r).state_dict()) for r in (alternating, simultaneous))
    names = [name for name, _ in module_of(alternating).discriminator.named_parameters()]
    assert not any(torch.equal(one[n], other[n]) for n in (f"discriminator.{n}" for n in names))
    tracked = {
        module: int(next(v for n, v in one.items() if n.startswith(module) and "tracked" in n))
        for module in ("encoder", "decoder")
    }
    assert tracked == {"encoder": 6, "decoder": 3}, "the encoder runs twice per step"


def test_without_weight_the_autoencoder_ignores_the_discriminator():
    """Its weights are then those of an autoencoder with the same error and schedule."""
    settings = {"reconstruction": "l1", "pixel_reduction": "mean"}
    adversarial = replica_set_of(AAE, small(AAE, GREY, adversarial_weight=0.0), GREY)
    plain = replica_set_of(AE, small(AE, GREY, **settings), GREY)
    weights = {n: v for n, v in module_of(plain).state_dict().items() if "num_batches" not in n}
    module = module_of(adversarial)
    module.load_state_dict({**module.state_dict(), **{n: v.clone() for n, v in weights.items()}})
    for replica_set in (adversarial, plain):
        replica_set.train(3)
    for name, value in module_of(plain).named_parameters():
        torch.testing.assert_close(module.get_parameter(name), value)


@pytest.mark.parametrize("leaky", [False, True])
def test_the_papers_text_has_a_leaky_relu_after_the_last_layer(leaky):
    layers = aae(leaky_output=leaky).discriminator
    assert isinstance(layers[-1], nn.LeakyReLU) == leaky
    widths = [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]
    assert widths == [512, 256, 1]


@torch.no_grad()
def test_the_score_is_the_squared_error_though_l1_was_trained():
    module, images = aae(), doubles(GREY)
    reconstructions = module.decoder(module.encoder(images))
    exact(module.score(images, {}), (reconstructions - images).square().flatten(1).sum(1))
    exact(module.illustrate(images)["reconstruction"], reconstructions)


@pytest.mark.parametrize("factor", [0.2, 4.0])
@pytest.mark.slow
def test_the_adversarial_loss_pulls_codes_from_either_side_to_the_prior(factor: float):
    """The mean squared norm of a code per dimension is 1 under the prior.

    The initial codes are `factor` times as large as usual.
    """
    settings = {"learning_rate": 2e-3, "milestones": (), "reduction": "mean", "weight_decay": 0.0}
    distances = {}
    for weight in (0.0, 0.9):
        config = small(AAE, GREY, epochs=150, adversarial_weight=weight, **settings)
        replica_set = replica_set_of(AAE, config, GREY)
        with torch.no_grad():
            for parameter in module_of(replica_set).encoder[-1].parameters():
                parameter.mul_(factor)
        replica_set.train(150)
        module = module_of(replica_set).eval()
        with torch.no_grad():
            codes = module.encoder(replica_set.replicas[0].images)
        distances[weight] = abs(math.log(float(codes.square().mean())))
    assert distances[0.9] < 0.5 * distances[0.0]
