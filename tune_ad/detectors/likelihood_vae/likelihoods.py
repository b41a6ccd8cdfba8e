"""Likelihoods of an image given its code; their parameters are the outputs of a decoder.

All log-probabilities are in nats per pixel and channel, of a pixel with 256 possible values:

- A probability mass function gives the probability of the value itself.
- A density of pixels in [0, 1] is multiplied by 1/256, the width of the cell of a value. With
  uniform dequantisation, x = (value + u) / 256 with u in [0, 1), its expected logarithm is a lower
  bound of a log-probability of the value (Theis, van den Oord and Bethge, arXiv 1511.01844,
  section 3.1). Therefore bits per dimension have the same meaning for both.

A Bernoulli on grey values is neither, since it does not sum to one: it is reported only in nats.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

GREYS = 256  # possible values of a pixel
CELL_NATS = math.log(GREYS)  # minus the logarithm of the width of a cell
LEAST_LOG_SCALE = -7.0  # minimum for the discretised logistic, in units of the pixel in [0, 1]
SMALL_LOGIT = 1e-2  # below it, the continuous Bernoulli is expanded around 0


class Likelihood(ABC):
    """The distribution of each pixel and channel given the outputs of a decoder.

    Outputs have shape (batch, c * `outputs`, h, w), images (batch, c, h, w). The outputs for one
    channel are adjacent.
    """

    outputs: ClassVar[int] = 1
    """Number of decoder outputs for each pixel and channel."""
    dequantised: ClassVar[bool] = False
    """Whether it is a density (of dequantised pixels) and not a probability mass function."""
    proper: ClassVar[bool] = True
    """Whether it sums or integrates to one, so that bits per dimension are meaningful."""

    @abstractmethod
    def log_prob(self, outputs: Tensor, images: Tensor) -> Tensor:
        """Log-probability of each pixel and channel, shape (batch, c, h, w), in nats."""

    @abstractmethod
    def mean(self, outputs: Tensor) -> Tensor:
        """The expected value of each pixel, in [0, 1], shape (batch, c, h, w)."""

    @abstractmethod
    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """Random pixels in [0, 1], shape (batch, c, h, w).

        Args:
            outputs: the outputs of the decoder.
            uniform: random numbers on [0, 1), with the shape of the result.
        """


class Bernoulli(Likelihood):
    r"""$x \log p + (1 - x) \log(1 - p)$ of grey values x: a cross-entropy, not a probability."""

    proper = False

    def log_prob(self, outputs: Tensor, images: Tensor) -> Tensor:
        """As in `Likelihood.log_prob`, at most 0; a log-probability only up to a constant."""
        return -functional.binary_cross_entropy_with_logits(outputs, images, reduction="none")

    def mean(self, outputs: Tensor) -> Tensor:
        """As in `Likelihood.mean`."""
        return outputs.sigmoid()

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """As in `Likelihood.sample`: 0 or 1."""
        return (uniform < outputs.sigmoid()).to(outputs.dtype)


class ContinuousBernoulli(Likelihood):
    r"""Density $C(p)\, p^x (1-p)^{1-x}$ on [0, 1] with $C = 2 \tanh^{-1}(1 - 2p) / (1 - 2p)$.

    In terms of the logit $\ell$ of p, $C = \ell / \tanh(\ell / 2)$; its limit at $\ell = 0$ is
    2. Source: Loaiza-Ganem and Cunningham, arXiv 1907.06845, section 3.
    """

    dequantised = True

    def log_prob(self, outputs: Tensor, images: Tensor) -> Tensor:
        """As in `Likelihood.log_prob`."""
        bernoulli = -functional.binary_cross_entropy_with_logits(outputs, images, reduction="none")
        return bernoulli + _log_constant(outputs) - CELL_NATS

    def mean(self, outputs: Tensor) -> Tensor:
        r"""As in `Likelihood.mean`: $1 / (1 - e^{-\ell}) - 1 / \ell$."""
        small = outputs.abs() < SMALL_LOGIT
        safe = torch.where(small, torch.ones_like(outputs), outputs)
        exact = -1 / torch.expm1(-safe) - 1 / safe
        return torch.where(small, 0.5 + outputs / 12, exact)

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        r"""As in `Likelihood.sample`: the inverse of $(e^{\ell x} - 1) / (e^\ell - 1)$."""
        small = outputs.abs() < SMALL_LOGIT
        safe = torch.where(small, torch.ones_like(outputs), outputs)
        # log(1 + u (e^l - 1)) / l, written so that a large logit does not overflow
        positive = torch.where(safe > 0, safe, -safe)
        u = torch.where(safe > 0, uniform, 1 - uniform)
        x = 1 + torch.log(u + (1 - u) * torch.exp(-positive)) / positive
        x = torch.where(safe > 0, x, 1 - x)
        pixels: Tensor = torch.where(small, uniform, x)
        return pixels.clamp(0, 1)


class Gaussian(Likelihood):
    r"""Density $N(x; \hat x, s^2)$ of a pixel in [0, 1], with one scale $s$ for all pixels.

    Args:
        log_scale: $\log s$, a scalar tensor.
    """

    dequantised = True

    def __init__(self, log_scale: Tensor) -> None:
        self.log_scale = log_scale

    def log_prob(self, outputs: Tensor, images: Tensor) -> Tensor:
        """As in `Likelihood.log_prob`."""
        error = (images - outputs.sigmoid()) * (-self.log_scale).exp()
        return -0.5 * error.square() - self.log_scale - 0.5 * math.log(2 * math.pi) - CELL_NATS

    def mean(self, outputs: Tensor) -> Tensor:
        """As in `Likelihood.mean`."""
        return outputs.sigmoid()

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """As in `Likelihood.sample`; values outside [0, 1] are clipped."""
        normal: Tensor = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))
        return (outputs.sigmoid() + self.log_scale.exp() * normal).clamp(0, 1)


class DiscretisedLogistic(Likelihood):
    r"""Probability mass of a logistic distribution on 256 values, with the tails at 0 and 255.

    $P(v) = \sigma((v + \frac12 - m) / s) - \sigma((v - \frac12 - m) / s)$ in units of grey
    values, with a mean m and a scale s for each pixel. Source: Salimans et al., PixelCNN++, arXiv
    1701.05517, section 2.1.
    """

    outputs = 2

    def log_prob(self, outputs: Tensor, images: Tensor) -> Tensor:
        """As in `Likelihood.log_prob`."""
        mean, log_scale = _split(outputs, images.shape[1])
        values = (images * (GREYS - 1)).round() / (GREYS - 1)
        half = 0.5 / (GREYS - 1)
        centred, inverse = values - mean.sigmoid(), (-log_scale).exp()
        above, below = (centred + half) * inverse, (centred - half) * inverse
        # log(sigmoid(b) - sigmoid(a)) = log sigmoid(b) + log sigmoid(-a) + log(1 - exp(a - b))
        inside = torch.log(-torch.expm1(-2 * half * inverse))
        lowest, highest = functional.logsigmoid(above), functional.logsigmoid(-below)
        middle = lowest + highest + inside
        return torch.where(values <= 0, lowest, torch.where(values >= 1, highest, middle))

    def mean(self, outputs: Tensor) -> Tensor:
        """As in `Likelihood.mean`: the mean of the logistic before it is discretised."""
        return _split(outputs, outputs.shape[1] // 2)[0].sigmoid()

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """As in `Likelihood.sample`, rounded to grey values."""
        mean, log_scale = _split(outputs, outputs.shape[1] // 2)
        pixels = mean.sigmoid() + log_scale.exp() * torch.logit(uniform, eps=1e-6)
        return (pixels.clamp(0, 1) * (GREYS - 1)).round() / (GREYS - 1)


class Categorical(Likelihood):
    """A categorical distribution over the 256 grey values."""

    outputs = GREYS

    def log_prob(self, outputs: Tensor, images: Tensor) -> Tensor:
        """As in `Likelihood.log_prob`."""
        values = (images * (GREYS - 1)).round().long().movedim(1, -1)
        logits = outputs.movedim(1, -1).unflatten(-1, (-1, GREYS))  # in the order of memory
        nats = functional.cross_entropy(logits.flatten(0, -2), values.flatten(), reduction="none")
        return -nats.view(values.shape).movedim(-1, 1)

    def mean(self, outputs: Tensor) -> Tensor:
        """As in `Likelihood.mean`."""
        greys = torch.arange(GREYS, device=outputs.device, dtype=outputs.dtype) / (GREYS - 1)
        weights = outputs.unflatten(1, (-1, GREYS)).softmax(2)
        return torch.einsum("bcghw,g->bchw", weights, greys)

    def sample(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """As in `Likelihood.sample`: a grey value."""
        cumulated = outputs.unflatten(1, (-1, GREYS)).softmax(2).cumsum(2)
        values: Tensor = (cumulated < uniform.unsqueeze(2)).sum(2).clamp(max=GREYS - 1)
        return values.to(outputs.dtype) / (GREYS - 1)


LIKELIHOODS: Mapping[str, type[Likelihood]] = MappingProxyType(
    {
        "bernoulli": Bernoulli,
        "continuous_bernoulli": ContinuousBernoulli,
        "gaussian": Gaussian,
        "gaussian_learned": Gaussian,
        "discretised_logistic": DiscretisedLogistic,
        "categorical": Categorical,
    }
)
"""By name; the scale of "gaussian" is fixed, that of "gaussian_learned" is trained."""


def _split(outputs: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """The logits of the means, and the log-scales, of a discretised logistic."""
    mean, log_scale = outputs.unflatten(1, (channels, 2)).unbind(2)
    return mean, log_scale.clamp(min=LEAST_LOG_SCALE)


def _log_constant(logits: Tensor) -> Tensor:
    r"""$\log C = \log(\ell / \tanh(\ell / 2))$; near 0 its expansion $\log 2 + \ell^2 / 12$."""
    small = logits.abs() < SMALL_LOGIT
    safe = torch.where(small, torch.ones_like(logits), logits).abs()
    exact = torch.log(safe) + torch.log1p(torch.exp(-safe)) - torch.log(-torch.expm1(-safe))
    return torch.where(small, math.log(2) + logits.square() / 12, exact)
