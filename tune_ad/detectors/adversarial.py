"""Parts that adversarial detectors share: a discriminator of codes, and adversarial losses."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.nets import Head


def code_discriminator(latent_dim: int, hidden: tuple[int, int], slope: float) -> list[nn.Module]:
    """The layers of a discriminator that distinguishes samples of the prior from codes of images.

    They map codes (batch, latent_dim) to logits (batch, 1) that a code is a sample of the prior.

    Args:
        latent_dim: length of a code.
        hidden: widths of the two hidden layers.
        slope: negative slope of LeakyReLU.
    """
    first, second = hidden
    return [
        nn.Linear(latent_dim, first),
        nn.LeakyReLU(slope),
        nn.Linear(first, second),
        nn.LeakyReLU(slope),
        Head(second, 1),
    ]


def adversarial_bce(logits: Tensor, real: bool) -> Tensor:
    """Binary cross-entropy of a discriminator's output: in nats, at least 0, shape (batch,).

    Args:
        logits: logits that a sample is real, shape (batch, 1).
        real: the target label: True for real, False for generated.
    """
    return functional.softplus(-logits if real else logits).squeeze(1)


def discriminator_loss(
    discriminator: nn.Module, real: Tensor, generator: nn.Module, inputs: Tensor
) -> Tensor:
    """The loss of a discriminator: the cross-entropy of real samples plus that of generated ones.

    Args:
        discriminator: a module from samples to logits (batch, 1) that they are real.
        real: real samples, shape (batch, ...).
        generator: a module that generates the other samples; it receives no gradient.
        inputs: inputs of the generator, shape (batch, ...).

    Returns:
        shape (batch,), in nats, at least 0.
    """
    with torch.no_grad():
        generated = generator(inputs)
    of_real = adversarial_bce(discriminator(real), real=True)
    return of_real + adversarial_bce(discriminator(generated), real=False)
