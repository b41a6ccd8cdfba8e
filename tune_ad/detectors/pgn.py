"""PGN: a probabilistic encoder kept near its prior; its KL divergence is the anomaly score."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ad.detectors.base import Buffers, Noise, ScoreSpace, Terms, TrainedDetector, variant_name
from tune_ad.detectors.centre import away_from_zero, mean_code
from tune_ad.detectors.config import LOSS, MOST_DRAWS, NetworkConfig, choice, number, require
from tune_ad.detectors.dropout import exponential_excess
from tune_ad.detectors.gaussian import spread_divergence
from tune_ad.detectors.nets import ImageShape, LeNetEncoder, lenet_channels

NO_CLOSED_FORM = "where dropout_on is 'both' and spread 'softplus' (no closed form)"
LINEAR = 40.0  # beyond it softplus is its argument, below minus it exp, to float64
Samples = int | Literal["inf"]


@dataclass(frozen=True)
class PGNConfig(NetworkConfig):
    r"""Hyperparameters of `PGN`.

    Attributes:
        dropout: probability p of dropping a feature, in training and scoring.
        mc_samples: T, the number of stochastic passes that a score averages; 0 turns dropout off
            when scoring, "inf" is the exact limit. Acts only when scoring.
        extra_layer: an F x F linear layer, without nonlinearity, after the convolutions. The
            released code has it, the paper does not mention it.
        bias: bias terms in every layer, as in the released code; the paper says none.
        spread: how the output v of the second head makes the standard deviation s in units of the
            prior's: "log_variance", s^2 = exp(v), as released, or "softplus", s = log(1 + exp(v)),
            since the paper's encoder puts out sigma.
        dropout_on: the dropout mask acts before the "mean" head alone, as released, or "both".
        expected_loss: train without noise, on the loss's expectation over the masks.
        prior_variance: epsilon of the prior N(c, epsilon I); 1 as released.
        prior_centre: c is "zero", as released, or the "mean" code of the training images under
            the initial weights, as in Deep SVDD.
        centre_epsilon: least distance from 0 of a coordinate of the mean code.
    """

    dropout: float = number(0.5, "[0, 1)")
    mc_samples: Samples = number(20, f"[0, {MOST_DRAWS}]", word="inf")
    extra_layer: bool = True
    bias: bool = True
    reduction: str = "sum"
    spread: str = choice("log_variance", "softplus")
    dropout_on: str = choice("mean", "both")
    expected_loss: bool = False
    prior_variance: float = number(1.0, "(0, inf)", measures=(LOSS,))
    prior_centre: str = choice("zero", "mean")
    centre_epsilon: float = number(0.1, "[0, inf)", when={"prior_centre": "mean"})

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: naming the field, its value and the rule it breaks.
        """
        super().__post_init__()
        self.refuse_infinite(self.mc_samples)
        noisy = self.closed_form or not self.expected_loss
        require(noisy, "expected_loss", self.expected_loss, f"False {NO_CLOSED_FORM}")

    @property
    def closed_form(self) -> bool:
        """Whether the expectation of the KL over the masks can be written down."""
        return self.dropout_on == "mean" or self.spread == "log_variance"

    def refuse_infinite(self, samples: Samples) -> None:
        """Refuse T = inf where that limit has no closed form.

        Raises:
            UserError: if dropout acts before a softplus.
        """
        known = self.closed_form or samples != "inf"
        require(known, "mc_samples", samples, f"finite {NO_CLOSED_FORM}")


class PGN(TrainedDetector[PGNConfig]):
    r"""Prior generating network: an encoder trained to its prior, without a decoder.

    Features h(x) of size F feed two linear heads: the mean
    $\mu = W_\mu (m \odot h) / (1-p) + b_\mu$ with dropout mask m, and v without dropout, from
    which $\log s^2 = v$ or $s = \log(1 + e^v)$. With the posterior $N(\mu, \epsilon s^2)$ and the
    prior $N(c, \epsilon I)$ the loss is
    $KL = \frac12 [\lVert \mu - c \rVert^2 / \epsilon + \sum_j (s_j^2 - 1 - \log s_j^2)]$ in nats,
    in [0, inf). Released: $\epsilon = 1$ and c = 0. For $\epsilon \to 0$, $2 \epsilon\,KL$ becomes
    the loss of Deep SVDD.

    The score at T passes is the mean of the KL over T masks, the same masks for every image. At
    T = 0 dropout is off. At T = inf it is exact, since the KL is quadratic in $\mu$ and the mask
    acts before a linear layer: the KL without dropout plus
    $\frac{1}{2 \epsilon} \frac{p}{1-p} \sum_k h_k^2 \lVert W_\mu[:, k] \rVert^2$. These two parts
    are the variants "kl" and "model_uncertainty".

    If dropout acts on both heads they share a mask, and with $\log s^2 = v$ the latter gains
    $\frac12 \sum_j (E[e^{v_j}] - e^{\bar v_j})$, where
    $E[e^{v_j}] = e^{b_j} \prod_k [p + (1-p) e^{h_k W_{jk} / (1-p)}]$. That takes F x J
    exponentials per image. With softplus there is no closed form: T is finite,
    "model_uncertainty" is left out.

    The sums are taken in float64: a nearly collapsed encoder ranks by small residuals.

    Source: Park, Adosoglou and Pardalos, arXiv 2005.01889, section 4, theorem 2 (with
    alpha = 1/2) and equation 22, and their released code, which is the default where it differs
    from the text.
    """

    Config = PGNConfig
    score_parameters = ("mc_samples", "dropout")
    centre: Tensor

    def __init__(self, config: PGNConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        convolutions = LeNetEncoder(shape, lenet_channels(shape, config.width), config.bias)
        size = convolutions.features
        layers = [nn.Linear(size, size, config.bias)] if config.extra_layer else []
        self.encoder = nn.Sequential(convolutions, *layers)
        self.mean = nn.Linear(size, config.latent_dim, config.bias)
        self.spread = nn.Linear(size, config.latent_dim, config.bias)
        self.register_buffer("centre", torch.zeros(config.latent_dim))

    def begin(self, stage: str, batches: Iterable[Tensor]) -> Buffers:
        """The centre of the prior, unless it is 0: the mean code, its coordinates kept off 0."""
        if self.config.prior_centre == "zero":
            return {}
        centre = mean_code(lambda images: self.mean(self.encoder(images)), batches)
        return {"centre": away_from_zero(centre, self.config.centre_epsilon)}

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """One dropout mask per image; none for the expected loss."""
        if self.config.expected_loss:
            return {}
        return {"dropout": Noise("uniform", (batch, self.mean.in_features))}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The KL of each image, under one dropout mask or expected over all, as "loss"."""
        features = self.encoder(images)
        if self.config.expected_loss:
            return {"loss": Divergence(self, features, {}).at("inf", self.config.dropout)}
        kept = features * self.mask(noise["dropout"], self.config.dropout)
        squares = self.distance(self.mean(kept))
        spread = self.spread(kept if self.config.dropout_on == "both" else features)
        return {"loss": squares + spread_divergence(self.log_variance(spread))}

    def distance(self, mean: Tensor) -> Tensor:
        """The part of the KL that means of shape (batch, J) make: (batch,), in nats, >= 0."""
        return 0.5 * (mean - self.centre).square().sum(1) / self.config.prior_variance

    def log_variance(self, outputs: Tensor) -> Tensor:
        """Logarithm of the posterior's variance over the prior's, from the second head's output.

        Both have shape (batch, J).
        """
        return 2 * log_softplus(outputs) if self.config.spread == "softplus" else outputs

    @staticmethod
    def mask(uniform: Tensor, dropout: float) -> Tensor:
        """Dropout masks with mean 1, of the shape of `uniform`: 0 or 1 / (1 - dropout)."""
        return (uniform >= dropout).to(uniform.dtype) / (1 - dropout)

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        """Dropout masks for the largest finite T of the configuration and the score space.

        Raises:
            UserError: if the score space holds T = inf where that limit has no closed form.
        """
        for samples in score_space.get("mc_samples", ()):
            self.config.refuse_infinite(samples)
        wanted = (self.config.mc_samples, *score_space.get("mc_samples", ()))
        return {"dropout": Noise("uniform", (largest(wanted), self.mean.in_features))}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The score, its parts at T = inf, and the score at each T and p of the space; in nats.

        Raises:
            UserError: if the score space holds T = inf where that limit has no closed form.
        """
        config = self.config
        passes = self.score_noise(score_space)["dropout"].shape[0]
        divergence = Divergence(self, self.encoder(images), noise, {config.dropout: passes})
        scores = {
            "score": divergence.at(config.mc_samples, config.dropout),
            "kl": divergence.at(0, config.dropout),
        }
        if config.closed_form:
            scores["model_uncertainty"] = divergence.added(config.dropout)
        for samples in score_space.get("mc_samples", ()):
            score = divergence.at(samples, config.dropout)
            scores[variant_name("mc_samples", samples)] = score
        for dropout in score_space.get("dropout", ()):
            score = divergence.at(config.mc_samples, dropout)
            scores[variant_name("dropout", dropout)] = score
        return scores


class Divergence:
    """The KL of each image of a batch under any T and p: shape (batch,), float64, in nats.

    Args:
        detector: a PGN.
        features: of the images, shape (batch, F).
        noise: "dropout", uniform on [0, 1), shape (passes, F); only a finite T needs it.
        passes: by p, the largest T that will be asked for, to go through them once.
    """

    def __init__(
        self,
        detector: PGN,
        features: Tensor,
        noise: Terms,
        passes: Mapping[float, int] | None = None,
    ) -> None:
        self.detector, self.features, self.noise = detector, features, noise
        self.passes = passes or {}
        self.both = detector.config.dropout_on == "both"
        self.outputs = detector.spread(features).double()
        self.spread = spread_divergence(detector.log_variance(self.outputs))
        self.squares = detector.distance(detector.mean(features).double())
        norms = detector.mean.weight.double().square().sum(0)
        variance: Tensor = 0.5 * features.double().square() @ norms
        self.variance = variance / detector.config.prior_variance
        self.drawn: dict[float, Tensor] = {}
        self.excess: dict[float, Tensor] = {}

    def at(self, samples: Samples, dropout: float) -> Tensor:
        """The mean over T passes, without dropout for T = 0, the expectation for T = inf."""
        if samples == 0 or dropout == 0:
            return self.squares + self.spread
        if samples == "inf":
            return self.squares + self.added(dropout) + self.spread
        if dropout not in self.drawn:
            count = max(samples, self.passes.get(dropout, 0))
            masks = PGN.mask(self.noise["dropout"][:count], dropout)
            self.drawn[dropout] = torch.stack([self.under(mask) for mask in masks])
        mean = self.drawn[dropout][:samples].mean(0)
        return mean if self.both else mean + self.spread

    def under(self, mask: Tensor) -> Tensor:
        """What is random of the KL, under one mask of shape (F,).

        The mask is shared by all images, so it is applied to the weights and not the features.
        """
        detector = self.detector
        squares = detector.distance(masked(detector.mean, mask, self.features).double())
        if not self.both:
            return squares
        outputs = masked(detector.spread, mask, self.features).double()
        return squares + spread_divergence(detector.log_variance(outputs))

    def added(self, dropout: float) -> Tensor:
        """What dropout adds to the KL in expectation, >= 0; none is known before a softplus."""
        squares = self.variance * dropout / (1 - dropout)
        if not self.both or dropout == 0:
            return squares
        if dropout not in self.excess:
            weight = self.detector.spread.weight.double()
            excess = exponential_excess(self.features.double(), weight, dropout)
            self.excess[dropout] = 0.5 * (self.outputs.exp() * excess.expm1()).sum(1)
        return squares + self.excess[dropout]


def masked(head: nn.Linear, mask: Tensor, features: Tensor) -> Tensor:
    """The output of a linear layer on the features times a mask of shape (F,)."""
    return functional.linear(features, head.weight * mask, head.bias)


def largest(samples: Iterable[Samples]) -> int:
    """The largest finite number of passes, 0 if there is none."""
    return max((each for each in samples if isinstance(each, int)), default=0)


def log_softplus(values: Tensor) -> Tensor:
    """The logarithm of log(1 + exp(v)) of each element: v itself far below 0, no underflow."""
    logs = functional.softplus(values.clamp(min=-LINEAR), threshold=LINEAR).log()
    return torch.where(values < -LINEAR, values, logs)
