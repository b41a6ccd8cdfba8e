"""PGN: an image is anomalous if its probabilistic code diverges from the prior."""

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from tune_ad.detectors.base import (
    Buffers,
    Noise,
    Numbers,
    ScoreSpace,
    Terms,
    TrainedDetector,
    variant_name,
)
from tune_ad.detectors.centre import away_from_zero, mean_code
from tune_ad.detectors.gaussian import rate, variance_divergence
from tune_ad.detectors.information import Encoded, first_images, information
from tune_ad.detectors.nets import Head, ImageShape, LeNetEncoder, lenet_channels
from tune_ad.detectors.pgn.config import PGNConfig
from tune_ad.detectors.pgn.divergence import (
    DropoutDivergence,
    Heads,
    head_norm,
    largest_finite,
    mean_divergence,
    relative_log_variance,
)
from tune_ad.detectors.pgn.dropout import dropout_mask
from tune_ad.storage.metric import Metric

HEAD, SPREAD = "head", "spread"
"""The parts of the diagnostics of a collapse."""


class PGN(TrainedDetector[PGNConfig]):
    r"""Prior generating network: a probabilistic encoder, trained to approximate its prior.

    There is no decoder. F features h(x) are the input of two linear heads. The first gives the
    mean $\mu = W_\mu (m \odot h) / (1-p) + b_\mu$ with a dropout mask m; the second gives v,
    without dropout, and $\log s^2 = v$ or $s = \log(1 + e^v)$. With the posterior
    $N(\mu, \epsilon s^2)$ and the prior $N(c, \epsilon I)$ the loss is
    $KL = \frac12 [\lVert \mu - c \rVert^2 / \epsilon + \sum_j (s_j^2 - 1 - \log s_j^2)]$ in nats,
    in [0, inf). As released, $\epsilon = 1$ and c = 0. For $\epsilon \to 0$, $2 \epsilon\,KL$
    approaches the loss of Deep SVDD.

    The score is the mean of the KL over T dropout masks, which are the same for every image; it is
    in nats, in [0, inf), larger = more anomalous. T = 0 means no dropout. T = inf is exact, since
    the KL is quadratic in $\mu$ and the mask acts before a linear layer: it is the KL without
    dropout, the variant "kl", plus the variant "model_uncertainty",
    $\frac{1}{2 \epsilon} \frac{p}{1-p} \sum_k h_k^2 \lVert W_\mu[:, k] \rVert^2$.

    If both heads have dropout, they share a mask. With $\log s^2 = v$, "model_uncertainty" then
    also has the term $\frac12 \sum_j (E[e^{v_j}] - e^{\bar v_j})$, where
    $E[e^{v_j}] = e^{b_j} \prod_k [p + (1-p) e^{h_k W_{jk} / (1-p)}]$, at the cost of F x J
    exponentials per image. With softplus there is no closed form: T must be finite, and
    "model_uncertainty" is omitted.

    Sums are computed in float64, since scores of a nearly collapsed encoder differ only by small
    residuals.

    Source: Park, Adosoglou and Pardalos, arXiv 2005.01889, section 4, theorem 2 (with
    alpha = 1/2) and equation 22, and their released code, which is the default where it differs
    from the text.
    """

    Config = PGNConfig
    equivalent_in_bfloat16 = True
    score_parameters = ("mc_samples", "dropout")
    meanings: ClassVar[Mapping[str, str]] = {
        "kl": "KL divergence of the code from the prior without dropout, in nats; mc_samples = 0",
        "model_uncertainty": "increase of the expected KL divergence due to dropout, in nats; its "
        "sum with kl is mc_samples = inf",
        "mc_samples": "T, the number of dropout masks over which the KL divergence is averaged; "
        "0: no dropout, inf: the exact expectation",
        "dropout": "probability p of dropping a feature when scoring",
    }
    centre: Tensor

    def __init__(self, config: PGNConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        convolutions = LeNetEncoder(shape, lenet_channels(shape, config.width), config.bias)
        size = convolutions.features
        layers = [nn.Linear(size, size, config.bias)] if config.extra_layer else []
        self.encoder = nn.Sequential(convolutions, *layers)
        self.mean = Head(size, config.latent_dim, config.bias)
        self.scale = Head(size, config.latent_dim, config.bias)
        self.register_buffer("centre", torch.zeros(config.latent_dim))

    def begin(self, stage: str, batches: Iterable[Tensor]) -> Buffers:
        """The centre of the prior, unless it is 0: the mean code, moved away from 0."""
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
        """The KL of each image as "loss", for one dropout mask or in expectation over all."""
        config, features = self.config, self.encoder(images)
        if config.expected_loss:
            divergence = DropoutDivergence(config, self.heads, features, {})
            return {"loss": divergence.at("inf", config.dropout)}
        dropped = features * dropout_mask(noise["dropout"], config.dropout)
        of_mean = mean_divergence(self.mean(dropped), self.centre, config.prior_variance)
        outputs = self.scale(dropped if config.dropout_on == "both" else features)
        of_variance = variance_divergence(relative_log_variance(outputs, config.spread))
        return {"loss": of_mean + of_variance}

    @property
    def heads(self) -> Heads:
        """Both heads and the centre of the prior."""
        return Heads(self.mean, self.scale, self.centre)

    @property
    def scoring_size(self) -> int:
        """If both heads have dropout, the features are multiplied by each row of the weights."""
        multiplies = self.config.dropout_on == "both" and self.config.closed_form
        return self.config.latent_dim if multiplies else 1

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        """Dropout masks for the largest finite T of the configuration and the score space.

        Raises:
            UserError: if the score space contains T = inf but that limit has no closed form.
        """
        for samples in score_space.get("mc_samples", ()):
            self.config.refuse_infinite(samples)
        all_samples = (self.config.mc_samples, *score_space.get("mc_samples", ()))
        shape = (largest_finite(all_samples), self.mean.in_features)
        return {"dropout": Noise("uniform", shape)}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The score, its components at T = inf, and the score at each T and p of the score space.

        All are in nats.

        Raises:
            UserError: if the score space contains T = inf but that limit has no closed form.
        """
        config = self.config
        passes = {config.dropout: self.score_noise(score_space)["dropout"].shape[0]}
        divergence = DropoutDivergence(config, self.heads, self.encoder(images), noise, passes)
        scores = {
            "score": divergence.at(config.mc_samples, config.dropout),
            "kl": divergence.at(0, config.dropout),
        }
        if config.closed_form:
            scores["model_uncertainty"] = divergence.model_uncertainty(config.dropout)
        for samples in score_space.get("mc_samples", ()):
            score = divergence.at(samples, config.dropout)
            scores[variant_name("mc_samples", samples)] = score
        for dropout in score_space.get("dropout", ()):
            score = divergence.at(config.mc_samples, dropout)
            scores[variant_name("dropout", dropout)] = score
        return scores

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the codes without dropout, each of shape (batch, latent_dim).

        In units of the prior: relative to its centre and its standard deviation.
        """
        features = self.encoder(images)
        mean = (self.mean(features) - self.centre) / self.config.prior_variance**0.5
        return mean, relative_log_variance(self.scale(features), self.config.spread)

    def codes(self, images: Tensor) -> Tensor:
        """The means of the codes without dropout, relative to the prior: (batch, latent_dim)."""
        return self.encode(images)[0]

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        """The Euclidean norms of the weights and biases of both heads.

        At 0 every image has the same code.
        """
        return {
            Metric(HEAD, f"{name}_norm"): head_norm(head)
            for name, head in (("mean", self.mean), ("scale", self.scale))
        }

    def inspect(self, batches: Iterable[Tensor], seed: int) -> Numbers:
        """The parts of the rate of training images, and how much it differs between images.

        The parts are those of `tune_ad.detectors.information`; "spread_kl" is the standard
        deviation of the rate over these images, divided by its mean; 0 if every rate is 0.
        """
        encoded = first_images(map(self._encoded, batches))
        numbers = information(encoded, seed)
        if len(encoded.rate) > 1:
            average = float(encoded.rate.mean())
            spread = float(encoded.rate.std()) / average if average > 0 else 0.0
            numbers = {**numbers, Metric(SPREAD, "kl"): spread}
        return numbers

    def _encoded(self, images: Tensor) -> Encoded:
        """The codes of a batch and their rates, both in float64."""
        mean, log_variance = (values.double() for values in self.encode(images))
        return Encoded(mean, log_variance, rate(mean, log_variance))
