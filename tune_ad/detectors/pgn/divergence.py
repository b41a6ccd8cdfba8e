r"""The KL divergence of PGN's posterior from its prior, with and without dropout.

The posterior is $N(\mu, \epsilon s^2)$ and the prior $N(c, \epsilon I)$, so that the divergence is
$\frac12 [\lVert \mu - c \rVert^2 / \epsilon + \sum_j (s_j^2 - 1 - \log s_j^2)]$, in nats.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.base import Terms
from tune_ad.detectors.gaussian import variance_divergence
from tune_ad.detectors.pgn.config import PGNConfig, Samples
from tune_ad.detectors.pgn.dropout import dropout_mask, exponential_excess

LINEAR_FROM = 40.0  # in float64 softplus(v) equals v above it, and exp(v) below its negative


class Heads(NamedTuple):
    """The two linear heads of a PGN, and the centre of its prior.

    Attributes:
        mean: the layer from features to the mean of the posterior.
        scale: the layer from features to v, which determines the posterior's standard deviation.
        centre: c, the centre of the prior, shape (J,).
    """

    mean: nn.Linear
    scale: nn.Linear
    centre: Tensor


def mean_divergence(mean: Tensor, centre: Tensor, prior_variance: float) -> Tensor:
    r"""The part of the divergence due to the mean, $\frac12 \lVert \mu - c \rVert^2 / \epsilon$.

    Args:
        mean: $\mu$, shape (batch, J).
        centre: c, shape (J,).
        prior_variance: $\epsilon$.

    Returns:
        shape (batch,), in nats, at least 0.
    """
    return 0.5 * (mean - centre).square().sum(1) / prior_variance


def relative_log_variance(outputs: Tensor, spread: str) -> Tensor:
    r"""$\log s^2$, the log-variance of the posterior relative to the prior's.

    Args:
        outputs: v, the output of the scale head, shape (batch, J).
        spread: the setting `PGNConfig.spread`.

    Returns:
        shape (batch, J).
    """
    return 2 * log_softplus(outputs) if spread == "softplus" else outputs


class DropoutDivergence:
    """The divergence of each image of a batch for any T and p: shape (batch,), float64, in nats.

    Intermediate results are shared between values of T and p.

    Args:
        config: the hyperparameters of the PGN.
        heads: the heads of the PGN.
        features: the features of the images, shape (batch, F).
        noise: random numbers "dropout", uniform on [0, 1), shape (passes, F), for finite T.
        passes: by p, the largest finite T that will be needed, so that every pass is run once.
    """

    def __init__(
        self,
        config: PGNConfig,
        heads: Heads,
        features: Tensor,
        noise: Terms,
        passes: Mapping[float, int] | None = None,
    ) -> None:
        self.config, self.heads, self.features, self.noise = config, heads, features, noise
        self.passes = passes or {}
        self.drops_both = config.dropout_on == "both"
        self.scale_outputs = heads.scale(features).double()
        self.of_variance = self._of_variance(self.scale_outputs)
        self.of_mean = self._of_mean(heads.mean(features))
        norms = heads.mean.weight.double().square().sum(0)
        half_squares: Tensor = 0.5 * features.double().square() @ norms
        self.half_squares = half_squares / config.prior_variance
        self.random_parts: dict[float, Tensor] = {}  # by p; shape (passes, batch)
        self.variance_excess: dict[float, Tensor] = {}  # by p

    def at(self, samples: Samples, dropout: float) -> Tensor:
        """The mean over T passes; for T = 0 without dropout, for T = inf the expectation."""
        if samples == 0 or dropout == 0:
            return self.of_mean + self.of_variance
        if samples == "inf":
            return self.of_mean + self.model_uncertainty(dropout) + self.of_variance
        if dropout not in self.random_parts:
            count = max(samples, self.passes.get(dropout, 0))
            masks = dropout_mask(self.noise["dropout"][:count], dropout)
            self.random_parts[dropout] = torch.stack([self.random_part(mask) for mask in masks])
        mean = self.random_parts[dropout][:samples].mean(0)
        return mean if self.drops_both else mean + self.of_variance

    def random_part(self, mask: Tensor) -> Tensor:
        """The part of the divergence that depends on the dropout mask, which has shape (F,).

        All images share the mask, so it multiplies the weights and not the features.
        """
        of_mean = self._of_mean(masked_linear(self.heads.mean, mask, self.features))
        if not self.drops_both:
            return of_mean
        outputs = masked_linear(self.heads.scale, mask, self.features).double()
        return of_mean + self._of_variance(outputs)

    def model_uncertainty(self, dropout: float) -> Tensor:
        """The expected increase of the divergence due to dropout, at least 0.

        There is no closed form if dropout acts before a softplus.
        """
        of_mean = self.half_squares * dropout / (1 - dropout)
        if not self.drops_both or dropout == 0:
            return of_mean
        if dropout not in self.variance_excess:
            weight = self.heads.scale.weight.double()
            excess = exponential_excess(self.features.double(), weight, dropout)
            of_variance = 0.5 * (self.scale_outputs.exp() * excess.expm1()).sum(1)
            self.variance_excess[dropout] = of_variance
        return of_mean + self.variance_excess[dropout]

    def _of_mean(self, mean: Tensor) -> Tensor:
        return mean_divergence(mean.double(), self.heads.centre, self.config.prior_variance)

    def _of_variance(self, outputs: Tensor) -> Tensor:
        return variance_divergence(relative_log_variance(outputs, self.config.spread))


def masked_linear(head: nn.Linear, mask: Tensor, features: Tensor) -> Tensor:
    """The output of a linear layer for features times a mask of shape (F,)."""
    return functional.linear(features, head.weight * mask, head.bias)


def head_norm(head: nn.Linear) -> float:
    """The Euclidean norm of all weights and biases of a layer."""
    return math.hypot(*(float(p.detach().double().norm()) for p in head.parameters()))


def largest_finite(samples: Iterable[Samples]) -> int:
    """The largest finite number of passes; 0 if there is none."""
    return max((count for count in samples if isinstance(count, int)), default=0)


def log_softplus(values: Tensor) -> Tensor:
    """log(log(1 + exp(v))) of each element, computed without underflow; far below 0 it is v."""
    logs = functional.softplus(values.clamp(min=-LINEAR_FROM), threshold=LINEAR_FROM).log()
    return torch.where(values < -LINEAR_FROM, values, logs)
