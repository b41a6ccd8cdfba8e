"""VAE and beta-VAE: an image is anomalous if it is reconstructed badly from sampled codes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tune_ad.detectors import gaussian
from tune_ad.detectors.autoencoders.priors import Posteriors, PseudoInputs, sampled_rate
from tune_ad.detectors.base import (
    Noise,
    Numbers,
    ScoreSpace,
    Terms,
    TrainedDetector,
    variant_name,
)
from tune_ad.detectors.config import MOST_DRAWS, choice, number
from tune_ad.detectors.information import Encoded, first_images, information
from tune_ad.detectors.nets import Head, ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels
from tune_ad.detectors.reconstruction import ReconstructionConfig
from tune_ad.detectors.train_test_gap import train_test_gap
from tune_ad.randomness import torch_stream
from tune_ad.storage.metric import DISTORTION, LOSS


@dataclass(frozen=True)
class VAEConfig(ReconstructionConfig):
    """Hyperparameters of `VAE`.

    Attributes:
        beta: weight of the rate in the loss; 1 is the VAE. "inf" is the limit of large weights:
            the loss is the rate alone, and the decoder is not trained.
        samples: L, the number of latent samples per image in training; 1 in the released code, 10
            in the paper.
        score_samples: number of latent samples when scoring, with the same noise for all images;
            0 scores the mean code. Affects only scoring. The released code uses 1.
        prior: "standard", N(0, I), or "vamp", a VampPrior: the mean of the posteriors of learned
            images.
        pseudo_inputs: K, the number of these images.
        saturated_target: whether the target of a pixel is 1 if it is exactly 1 and 0 otherwise, as
            in the released rate-distortion script, which converts the pixels to integers.
    """

    reconstruction: str = "bce"
    reduction: str = "sum"
    beta: float | Literal["inf"] = number(1.0, "[0, inf)", word="inf", measures=(LOSS,))
    samples: int = number(1, f"[1, {MOST_DRAWS}]")
    score_samples: int = number(1, f"[0, {MOST_DRAWS}]")
    prior: str = choice("standard", "vamp")
    pseudo_inputs: int = number(50, "[1, 10000]", when={"prior": "vamp"})
    saturated_target: bool = choice(False, True, measures=(LOSS, DISTORTION))


class VAE(TrainedDetector[VAEConfig]):
    r"""Variational autoencoder with a Gaussian code, on the LeNet-like networks.

    Two heads give the mean $\mu$ and $\log\sigma^2$ of $q(z|x)$; codes are
    $z_l = \mu + \sigma \epsilon_l$, $l = 1 \dots L$. The loss is $D + \beta R$ with

    - the distortion $D = \frac1L \sum_l \sum_i e(\hat x_i(z_l), x_i)$, by default the binary
      cross-entropy: minus the log-likelihood of a Bernoulli decoder, in nats, at least 0;
    - the rate $R = KL(q(z|x) \| N(0, I)) = \frac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 -
      \log\sigma_j^2)$, in nats, at least 0.

    With a VampPrior (Tomczak and Welling, AISTATS 2018) the prior is the mean of the posteriors of
    K learned images, and R is estimated with the same samples of the codes as D.

    For beta = inf the encoder is trained as in PGN, without its dropout and with its own networks
    (Park et al., section 3), and the decoder is not trained: the score is the rate, which is PGN's
    score at T = 0, and whatever depends on the decoder means nothing.

    Bits per dimension are reported as well only if D is minus the log-probability of an image:
    for cross-entropy with `saturated_target`, whose pixels are 0 or 1. The cross-entropy of grey
    values does not come from probabilities, which would sum to one over all images, and with
    squared error or L1, D is known only up to a constant (see
    `tune_ad.detectors.reconstruction`).

    The score is the squared error of the reconstruction, averaged over `score_samples` codes, in
    [0, c h w]. Its components are "distortion" (of the same codes), "rate", and "negative_elbo" =
    D + R for every beta. For beta = inf the score is the rate. For all of them larger = more
    anomalous.

    Sources: Kingma and Welling, arXiv 1312.6114, section 3; Higgins et al., beta-VAE, ICLR 2017,
    equation 4; settings as in the released code of Park, Adosoglou and Pardalos, arXiv 2005.01889,
    which trains on cross-entropy with L = 1 and scores by squared error.
    """

    Config = VAEConfig
    score_parameters = ("score_samples",)
    meanings: ClassVar[Mapping[str, str]] = {
        "distortion": "reconstruction error of the training loss, averaged over codes",
        "rate": "KL divergence of the code from the prior, in nats",
        "negative_elbo": "minus the ELBO: distortion plus rate",
        "score_samples": "number of codes over which the squared error is averaged; 0: the mean "
        "code alone",
    }

    def __init__(self, config: VAEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        if config.beta == "inf":
            self.main_score = "rate"
        if config.reconstruction == "bce" and config.saturated_target:
            self.nats = ("distortion", "rate", "negative_elbo")
        channels = lenet_channels(shape, config.width)
        self.encoder = LeNetEncoder(shape, channels)
        self.mean = Head(self.encoder.features, config.latent_dim)
        self.log_variance = Head(self.encoder.features, config.latent_dim)
        self.decoder = LeNetDecoder(shape, channels, config.latent_dim)
        if config.prior == "vamp":
            self.pseudo_inputs = PseudoInputs(config.pseudo_inputs, shape)

    @classmethod
    def scales(cls, config: VAEConfig) -> dict[str, str]:
        """As `Detector.scales`, plus the error used as distortion."""
        return super().scales(config) | {DISTORTION: config.scale(DISTORTION)}

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the codes, each of shape (batch, latent_dim)."""
        features = self.encoder(images)
        return self.mean(features), self.log_variance(features)

    def encode_with_prior(self, images: Tensor) -> tuple[Posteriors, Posteriors | None]:
        """The codes of images and of the pseudo-inputs of a VampPrior, encoded together.

        Together, so that batch normalisation treats both alike in training and in scoring.
        """
        if self.config.prior == "standard":
            return Posteriors(*self.encode(images)), None
        learned = self.pseudo_inputs().to(images.dtype)
        mean, log_variance = self.encode(torch.cat((images, learned)))
        count = len(images)
        ours = Posteriors(mean[:count], log_variance[:count])
        return ours, Posteriors(mean[count:], log_variance[count:])

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """Standard normal noise of each code, for every image and sample."""
        shape = (self.config.samples, batch, self.config.latent_dim)
        return {"code": Noise("normal", shape)}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The "loss", "distortion" and "rate" of each image; the last two in nats."""
        code, prior = self.encode_with_prior(images)
        targets = self.targets(images)
        logits = self.decoded(*code, noise["code"])
        distortion = torch.stack([self.config.distortion(x, targets) for x in logits]).mean(0)
        rate = rate_of(code, prior, noise["code"])
        error = self.config.trained_error(distortion, images)
        loss = self.weighted(error, rate)
        return {"loss": loss, "distortion": distortion, "rate": rate}

    def weighted(self, error: Tensor, rate: Tensor) -> Tensor:
        """The loss D + beta R; R for beta = inf, as the limit of (D + beta R) / beta."""
        if isinstance(self.config.beta, str):
            return rate + 0.0 * error
        return error + self.config.beta * rate

    def targets(self, images: Tensor) -> Tensor:
        """The targets of the reconstructions in training, shape (batch, c, h, w)."""
        return (images >= 1).to(images.dtype) if self.config.saturated_target else images

    def decoded(self, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """Logits of the reconstructions of each code, shape (samples, batch, c, h, w).

        Args:
            mean: mean of the codes, shape (batch, latent_dim).
            log_variance: log-variance of the codes, the same shape.
            noise: standard normal noise, shape (samples, batch or 1, latent_dim).
        """
        codes = gaussian.codes(mean, log_variance, noise)
        logits = self.decoder.logits(codes.flatten(0, 1))
        return logits.unflatten(0, (len(noise), -1))  # type: ignore[no-any-return]

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        """Noise for the largest number of samples, shared by all images."""
        least = 1 if self.config.prior == "vamp" else 0
        most = max((least, self.config.score_samples, *score_space.get("score_samples", ())))
        return {"code": Noise("normal", (most, 1, self.config.latent_dim))}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The score, its components, and the score at each number of samples of the space."""
        code, prior = self.encode_with_prior(images)
        mean, log_variance = code
        declared, tried = self.config.score_samples, score_space.get("score_samples", ())
        targets = self.targets(images)
        drawn = noise.get("code", mean)[: max(declared, 1)]  # unused by a standard prior
        rate = rate_of(code, prior, drawn)
        errors, distortions = {}, {}  # by the number of samples
        if 0 in (declared, *tried):
            logits = self.decoder.logits(mean)
            errors[0] = self.config.scored_error(logits, images)
            distortions[0] = self.config.distortion(logits, targets)
        error = distortion = torch.zeros_like(rate)
        for samples in range(1, max((declared, *tried)) + 1):
            sample = noise["code"][samples - 1 : samples]
            logits = self.decoded(mean, log_variance, sample)[0]
            error = error + self.config.scored_error(logits, images)
            distortion = distortion + self.config.distortion(logits, targets)
            errors[samples], distortions[samples] = error / samples, distortion / samples
        if self.config.beta == "inf":  # no decoder was trained
            errors = dict.fromkeys(errors, rate)
        scores = {
            "score": errors[declared],
            "distortion": distortions[declared],
            "rate": rate,
            "negative_elbo": distortions[declared] + rate,
        }
        names = {samples: variant_name("score_samples", samples) for samples in tried}
        return {**scores, **{name: errors[samples] for samples, name in names.items()}}

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        """The train-test gap of the ELBO, as in `tune_ad.detectors.train_test_gap`."""
        return train_test_gap(scored, ("negative_elbo",))

    def inspect(self, batches: Iterable[Tensor], seed: int) -> Numbers:
        """The parts of the rate of training images, as in `tune_ad.detectors.information`."""
        stream = torch_stream(seed, "rate")

        def encoded() -> Iterator[Encoded]:
            for images in batches:
                code, prior = self.encode_with_prior(images)
                noise = torch.randn(1, *code.mean.shape, generator=stream).to(images.device)
                yield Encoded(*code, rate_of(code, prior, noise))

        return information(first_images(encoded()), seed)

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """The reconstructions of the mean codes."""
        mean, _ = self.encode(images)
        return {"reconstruction": self.decoder(mean)}

    def codes(self, images: Tensor) -> Tensor:
        """The means of the codes, shape (batch, latent_dim)."""
        return self.encode(images)[0]


def rate_of(code: Posteriors, prior: Posteriors | None, noise: Tensor) -> Tensor:
    """The KL divergence of codes from the prior in nats, shape (batch,).

    Args:
        code: the posteriors of the images.
        prior: the components of a VampPrior, for which the rate is estimated; None = N(0, I).
        noise: standard normal noise, shape (L, batch or 1, latent_dim).
    """
    return gaussian.rate(*code) if prior is None else sampled_rate(code, prior, noise)
