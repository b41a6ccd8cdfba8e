"""The cross-entropy of a discriminator's verdicts."""

from torch import Tensor
from torch.nn import functional


def verdict_entropy(logits: Tensor, real: bool) -> Tensor:
    """How wrong a discriminator is about each sample, in nats, at least 0, shape (batch,).

    Args:
        logits: of the verdict that a sample is real, shape (batch, 1).
        real: what the verdict should be.
    """
    return functional.softplus(-logits if real else logits).squeeze(1)
