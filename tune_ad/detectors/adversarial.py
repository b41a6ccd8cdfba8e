"""What adversarial detectors share: a discriminator of codes, and the losses of verdicts."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def code_discriminator(latent_dim: int, hidden: tuple[int, int], slope: float) -> list[nn.Module]:
    """The layers that map codes (batch, latent_dim) to logits (batch, 1) of being the prior's.

    Args:
        latent_dim: length of a code.
        hidden: widths of the two hidden layers.
        slope: of LeakyReLU on its negative side.
    """
    first, second = hidden
    return [
        nn.Linear(latent_dim, first),
        nn.LeakyReLU(slope),
        nn.Linear(first, second),
        nn.LeakyReLU(slope),
        nn.Linear(second, 1),
    ]


def adversarial_bce(logits: Tensor, real: bool) -> Tensor:
    """How wrong a discriminator is about each sample, in nats, at least 0, shape (batch,).

    Args:
        logits: of the verdict that a sample is real, shape (batch, 1).
        real: what the verdict should be.
    """
    return functional.softplus(-logits if real else logits).squeeze(1)


def discriminator_loss(
    judge: nn.Module, real: Tensor, network: nn.Module, source: Tensor
) -> Tensor:
    """A discriminator's loss on `real` and on what `network` makes of `source`, (batch,).

    The sum of both cross-entropies, in nats; `network` gets no gradient.
    """
    with torch.no_grad():
        fake = network(source)
    return adversarial_bce(judge(real), real=True) + adversarial_bce(judge(fake), real=False)
