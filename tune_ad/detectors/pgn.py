"""PGN: a probabilistic encoder kept near the prior; its KL divergence is the anomaly score."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.base import Noise, ScoreSpace, Terms, TrainedDetector, variant_name
from tune_ad.detectors.config import NetworkConfig, require
from tune_ad.nets import ImageShape, LeNetEncoder, lenet_channels

Samples = int | Literal["inf"]


@dataclass(frozen=True)
class PGNConfig(NetworkConfig):
    """Hyperparameters of `PGN`.

    Attributes:
        dropout: probability p of dropping a feature before the mean head, in training and scoring.
        mc_samples: T, the number of stochastic passes that a score averages; 0 turns dropout off
            when scoring, "inf" is the exact limit. Acts only when scoring.
        extra_layer: an F x F linear layer, without nonlinearity, after the convolutions. The
            released code has it, the paper does not mention it.
        bias: bias terms in every layer, as in the released code; the paper says none.
    """

    dropout: float = 0.5
    mc_samples: Samples = 20
    extra_layer: bool = True
    bias: bool = True
    reduction: str = "sum"

    self_typed: ClassVar[frozenset[str]] = frozenset({"mc_samples"})

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: naming the field, its value and the rule it breaks.
        """
        super().__post_init__()
        samples = self.mc_samples
        counts = isinstance(samples, int) and not isinstance(samples, bool) and samples >= 0
        require(counts or samples == "inf", "mc_samples", samples, "an integer >= 0 or 'inf'")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "in [0, 1)")


class PGN(TrainedDetector[PGNConfig]):
    r"""Pseudo-generative network: an encoder trained to its prior, without a decoder.

    Features h(x) of size F feed two linear heads: the mean
    $\mu = W_\mu (m \odot h) / (1-p) + b_\mu$ with dropout mask m, and $\log\sigma^2$ without
    dropout. The loss is $KL = \frac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log\sigma_j^2)$ in
    nats, in [0, inf).

    The score at T passes is the mean of the KL over T masks, the same masks for every image. At
    T = 0 dropout is off. At T = inf it is exact, since the KL is quadratic in $\mu$ and the mask
    acts before a linear layer:
    $KL(\bar\mu, \sigma) + \frac12 \frac{p}{1-p} \sum_k h_k^2 \lVert W_\mu[:, k] \rVert^2$.
    Its two parts are the variants "kl" and "model_uncertainty". The sums are taken in float64:
    a nearly collapsed encoder ranks by small residuals.

    Source: Park, Adosoglou and Pardalos, arXiv 2005.01889, section 4, theorem 2 (with
    alpha = 1/2), and their released code, which is the default where it differs from the text.
    """

    Config = PGNConfig
    score_parameters = ("mc_samples", "dropout")

    def __init__(self, config: PGNConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        convolutions = LeNetEncoder(shape, lenet_channels(shape, config.width), config.bias)
        size = convolutions.features
        layers = [nn.Linear(size, size, config.bias)] if config.extra_layer else []
        self.encoder = nn.Sequential(convolutions, *layers)
        self.mean = nn.Linear(size, config.latent_dim, config.bias)
        self.log_variance = nn.Linear(size, config.latent_dim, config.bias)

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """One dropout mask per image."""
        return {"dropout": Noise("uniform", (batch, self.mean.in_features))}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The KL of each image under one dropout mask, as "loss"."""
        features = self.encoder(images)
        mean = self.mean(features * self.mask(noise["dropout"], self.config.dropout))
        squares = 0.5 * mean.square().sum(1)
        return {"loss": squares + spread_divergence(self.log_variance(features))}

    @staticmethod
    def mask(uniform: Tensor, dropout: float) -> Tensor:
        """Dropout masks with mean 1, of the shape of `uniform`: 0 or 1 / (1 - dropout)."""
        return (uniform >= dropout).to(uniform.dtype) / (1 - dropout)

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        """Dropout masks for the largest finite T of the configuration and the score_space."""
        wanted = (self.config.mc_samples, *score_space.get("mc_samples", ()))
        return {"dropout": Noise("uniform", (largest(wanted), self.mean.in_features))}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The score, its parts at T = inf, and the score at each T and p of the space; in nats."""
        config, features = self.config, self.encoder(images)
        spread = spread_divergence(self.log_variance(features).double())
        exact = self.exact_squares(features)
        drawn: dict[float, Tensor] = {}
        passes = largest((config.mc_samples, *score_space.get("mc_samples", ())))

        def score(samples: Samples, dropout: float) -> Tensor:
            if samples == 0 or dropout == 0:
                return exact["mean"] + spread
            if samples == "inf":
                return exact["mean"] + exact["variance"] * dropout / (1 - dropout) + spread
            if dropout not in drawn:
                masks = noise["dropout"][: passes if dropout == config.dropout else samples]
                drawn[dropout] = self.sampled_squares(features, masks, dropout)
            return drawn[dropout][:samples].mean(0) + spread

        scores = {
            "score": score(config.mc_samples, config.dropout),
            "kl": score(0, config.dropout),
            "model_uncertainty": exact["variance"] * config.dropout / (1 - config.dropout),
        }
        for samples in score_space.get("mc_samples", ()):
            scores[variant_name("mc_samples", samples)] = score(samples, config.dropout)
        for dropout in score_space.get("dropout", ()):
            scores[variant_name("dropout", dropout)] = score(config.mc_samples, dropout)
        return scores

    def exact_squares(self, features: Tensor) -> Terms:
        """Half the squared norm of the mean head's output, each (batch,), float64.

        "mean": of the output without dropout. "variance": what dropout adds to its expectation,
        per unit of p / (1 - p).
        """
        norms = self.mean.weight.double().square().sum(0)
        return {
            "mean": 0.5 * self.mean(features).double().square().sum(1),
            "variance": 0.5 * features.double().square() @ norms,
        }

    def sampled_squares(self, features: Tensor, uniform: Tensor, dropout: float) -> Tensor:
        """Half the squared norm of the mean head's output under each mask, (T, batch), float64.

        A mask is shared by all images, so it is applied to the weights instead of the features.
        """
        masks = self.mask(uniform, dropout)
        outputs = (
            functional.linear(features, self.mean.weight * mask, self.mean.bias) for mask in masks
        )
        return torch.stack([0.5 * output.double().square().sum(1) for output in outputs])


def largest(samples: Iterable[Samples]) -> int:
    """The largest finite number of passes, 0 if there is none."""
    return max((each for each in samples if isinstance(each, int)), default=0)


def spread_divergence(log_variance: Tensor) -> Tensor:
    r"""The part of the KL that $\sigma$ makes: $\frac12\sum_j (\sigma_j^2 - 1 - \log\sigma_j^2)$.

    `log_variance` has shape (batch, J); the result has shape (batch,), is >= 0, in nats.
    """
    return 0.5 * (log_variance.expm1() - log_variance).sum(1)
