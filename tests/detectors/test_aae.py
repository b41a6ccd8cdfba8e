"""The mathematics of the adversarial autoencoder."""

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
from tune_ad.training.replicas.replica import build


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


@torch.no_grad()
def test_separate_phases_lower_the_parts_of_the_joint_loss():
    module, images = aae(joint=False), doubles(GREY)
    joint = aae().terms("autoencoder", images, {})
    exact(module.terms("reconstruction", images, {})["loss"], joint["reconstruction"])
    exact(module.terms("encoder", images, {})["loss"], joint["adversarial"])


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
