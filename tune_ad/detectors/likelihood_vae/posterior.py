"""The encoder's distribution of codes: a mixture of Gaussians, built one component at a time.

In a sequential mixture, components are added one by one. Each is trained by the forward KL with
the mixture so far as proposal, so that it covers what the proposal misses (Jerfel et al., arXiv
2106.15980; there for one posterior, here for the posterior of every image).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors import gaussian
from tune_ad.detectors.nets import Head

LOG_VARIANCE = (-8.0, 4.0)  # bounds of the log-variances, so that weights stay finite
WIDER = 1.0  # log-variance of a new component minus that of the one before it, before training


class Mixture(NamedTuple):
    r"""The density $r(z) = \sum_c \pi_c N(z; \mu_c, \sigma_c^2)$ of codes of each image.

    Attributes:
        log_shares: $\log\pi_c$, shape (components, batch); their exponentials sum to 1.
        means: $\mu_c$, shape (components, batch, J).
        log_variances: $\log\sigma_c^2$, the same shape.
    """

    log_shares: Tensor
    means: Tensor
    log_variances: Tensor

    def detached(self) -> "Mixture":
        """The same mixture without gradient."""
        return Mixture(*(part.detach() for part in self))

    def defended(self, share: float) -> "Mixture":
        r"""The mixture $(1 - \lambda) r(z) + \lambda N(z; 0, I)$, with the prior as a component.

        With a share of the prior the weights stay bounded if r is too narrow (defensive importance
        sampling, Hesterberg 1995).

        Args:
            share: $\lambda$, in [0, 1); with 0, the mixture itself.
        """
        if share == 0:
            return self
        standard = torch.zeros_like(self.means[:1])
        prior = torch.full_like(self.log_shares[:1], math.log(share))
        return Mixture(
            torch.cat([self.log_shares + math.log1p(-share), prior]),
            torch.cat([self.means, standard]),
            torch.cat([self.log_variances, standard]),
        )

    def sample(self, normal: Tensor, uniform: Tensor | None) -> Tensor:
        """Codes, shape (K, batch, J), differentiable in the means and variances.

        Args:
            normal: standard normal noise, shape (K, batch or 1, J).
            uniform: random numbers on [0, 1) that choose the components, shape (K, batch or 1);
                None for a single component.
        """
        codes = gaussian.codes(self.means[0], self.log_variances[0], normal)
        if uniform is None:
            return codes
        reached = self.log_shares.exp().cumsum(0)
        for c in range(1, len(self.means)):
            later = (uniform >= reached[c - 1]).unsqueeze(-1)
            component = gaussian.codes(self.means[c], self.log_variances[c], normal)
            codes = torch.where(later, component, codes)
        return codes

    def log_density(self, codes: Tensor) -> Tensor:
        r"""$\log r(z)$ of codes (K, batch, J): shape (K, batch), in nats."""
        parts = [
            share + gaussian.log_density(codes, mean, log_variance)
            for share, mean, log_variance in zip(*self, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.logsumexp(torch.stack(parts), 0)


def single(mean: Tensor, log_variance: Tensor) -> Mixture:
    """A mixture of one Gaussian, with mean and log-variance of shape (batch, J)."""
    return Mixture(torch.zeros_like(mean[:, 0]).unsqueeze(0), mean[None], log_variance[None])


class AddedComponent(nn.Module):
    r"""The heads of a component that is added to a mixture of c - 1 components.

    With features h of the image, the component before it, and linear functions d, e and l of h
    that start at zero: $\mu_c = \mu_{c-1} + \sigma_{c-1} d(h)$, $\log\sigma_c^2 =
    \log\sigma_{c-1}^2 + 1 + e(h)$ and share $\lambda$ = sigmoid(l(h) - log(c - 1)), by
    $1 - \lambda$ of which the other shares are multiplied. So a new component starts as a wider
    copy of the one before, with share 1/c.

    Args:
        features: the number of features of an image.
        latent_dim: length of a code.
    """

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.shift = Head(features, latent_dim)
        self.width = Head(features, latent_dim)
        self.share = Head(features, 1)
        for head in (self.shift, self.width, self.share):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, features: Tensor, mixture: Mixture) -> Mixture:
        """The mixture with one component more.

        Args:
            features: features of the images, shape (batch, F).
            mixture: the mixture so far.
        """
        mean, log_variance = mixture.means[-1], mixture.log_variances[-1]
        added_mean = mean + (0.5 * log_variance).exp() * self.shift(features)
        added_width = (log_variance + WIDER + self.width(features)).clamp(*LOG_VARIANCE)
        shares = mixture.log_shares
        logit = self.share(features).squeeze(1) - math.log(len(shares))
        return Mixture(
            torch.cat(
                [shares + functional.logsigmoid(-logit), functional.logsigmoid(logit)[None]]
            ),
            torch.cat([mixture.means, added_mean[None]]),
            torch.cat([mixture.log_variances, added_width[None]]),
        )
