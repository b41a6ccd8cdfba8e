"""GPND: an image of low density under an adversarial autoencoder's manifold is anomalous."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tune_ad.detectors.adversarial import adversarial_bce, code_discriminator, discriminator_loss
from tune_ad.detectors.base import Buffers, Noise, ScoreSpace, Terms, TrainedDetector, variant_name
from tune_ad.detectors.config import LOSS, NetworkConfig, choice, number
from tune_ad.detectors.gpnd.densities import (
    LEAST_DISTANCE,
    GeneralisedGaussian,
    Histogram,
    fitted_gaussian,
    fitted_histogram,
)
from tune_ad.detectors.gpnd.networks import (
    DISCRIMINATOR,
    ENCODER,
    LATENT_DISCRIMINATOR,
    SLOPE,
    CroppedDecoder,
    PaddedEncoder,
    initialise,
    smallest_map,
)
from tune_ad.detectors.gpnd.volume import decoder_log_volumes, encoder_log_volumes
from tune_ad.detectors.nets import ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels
from tune_ad.detectors.reconstruction import bce
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.errors import UserError

SIGNS = {"decoder": -1, "encoder": 1}  # of log s in log D, by the map whose Jacobian is taken


@dataclass(frozen=True)
class GPNDConfig(NetworkConfig):
    """Hyperparameters of `GPND`.

    Attributes:
        latent_dim: as in `NetworkConfig`; 32 on grey images in the official code of 2018, 16 in
            that of 2020.
        networks: "gpnd" (the official ones of 2020) or "lenet" (those of Park et al.).
        reconstruction_weight: of the reconstruction against the adversarial loss of the encoder;
            2 in the official code of 2020, 1/2 in that of 2018 and in the script of Park et al.
        bins: of the histogram of residuals.
        jacobian: map whose Jacobian gives log D: "decoder" or "encoder" (official).
        volume_sign: "theory", or "reversed" as in a version of the official code of 2020. Those of
            2018 have the sign of theory.
        residual_share: factor on the dimensions of the residual; 1/5 in the official code of 2020.
        squared_distance: put the squared norm of the residual in place of the norm, with the
            same exponent, as the code of 2018.
    """

    epochs: int = 80
    batch_size: int = 128
    learning_rate: float = 2e-3
    milestones: tuple[float, ...] = (30 / 80, 60 / 80)
    decay: float = 0.25
    weight_decay: float = 0.0
    networks: str = choice("gpnd", "lenet")
    reconstruction_weight: float = number(2.0, "(0, inf)", measures=(LOSS,))
    bins: int = number(30, "[1, 10000]")
    jacobian: str = choice("decoder", "encoder")
    volume_sign: str = choice("theory", "reversed")
    residual_share: float = number(1.0, "(0, 1]")
    squared_distance: bool = False


class GPND(TrainedDetector[GPNDConfig]):
    r"""Generative probabilistic novelty detection with an adversarial autoencoder.

    An encoder g, a decoder f and discriminators of images and of codes are trained in four steps
    per batch. With cross-entropies H in nats and $z \sim N(0, I)$:

    - "discriminator" lowers $H(D(x), 1) + H(D(f(z)), 0)$; "generator" moves f, to lower
      $H(D(f(z)), 1)$;
    - "latent_discriminator" lowers $H(D_z(z), 1) + H(D_z(g(x)), 0)$; "autoencoder" moves f and g,
      to lower $H(D_z(g(x)), 1)$ plus the weighted cross-entropy of the pixels, their mean.

    Then the normal images lie near the manifold f(z) of n = `latent_dim` dimensions among m pixel
    values, and with code z = g(x), residual norm d = |x - f(z)|, Jacobians J and N = (m - n) times
    `residual_share`, the density of an image is

    $\log p(x) = \log D + \sum_i \log p_i(z_i) + \log p_\perp(d)$, where

    - $\log D = -\frac12 \log\det J_f^T J_f$, how f stretches volumes, or
      $+\frac12 \log\det J_g J_g^T$, equal where $J_g$ is the pseudoinverse of $J_f$;
    - $p_i$ is a generalised Gaussian, fitted to the codes of the training images;
    - $\log p_\perp = \log\Gamma(N/2) - \log 2 - \frac N2 \log\pi - (N-1) \log d + \log h(d)$: a
      histogram h of the training residuals, spread over a sphere of N dimensions.

    The score is $-\log p(x)$ in nats, any real number, in float64. Its parts are "volume"
    ($-\log D$), "latent" and "residual", all in nats, and "distance" is d, in [0, sqrt(m)].
    Jacobians are for pixels as scaled. Singular values and d have floors at what float32 resolves:
    see `log_volume`; d is at least 2^-23.

    Sources: Pidhorskyi, Almohsen and Doretto, Generative Probabilistic Novelty Detection with
    Adversarial Autoencoders, NeurIPS 2018, and their code of 2018 and 2020. The settings of 2020
    are the defaults, but for `jacobian`, `volume_sign` and `residual_share`, which follow theory.

    The averages of 75.0, 83.2 and 59.4 that Park, Adosoglou and Pardalos (arXiv 2005.01889) print
    for GPND on MNIST, Fashion-MNIST and CIFAR-10 are of a script with five defects:

    1. the encoder and the image discriminator are one module but for their last layers, which
       the optimisers of both move in turn;
    2. hence its batch statistics, used when scoring, mix real and generated images;
    3. the histogram and the generalised Gaussians are fitted on the test set, nine tenths of it
       anomalies;
    4. the Jacobian is not flattened: each of its rows is taken for an image-shaped matrix, and
       the singular values of these n matrices are multiplied;
    5. d is the squared norm, in a density for the norm.

    `benchmarks/gpnd_as_published.py` measures what each of them does.
    """

    Config = GPNDConfig
    score_parameters = ("jacobian", "volume_sign", "residual_share")
    nats = ("score", "volume", "latent", "residual")
    decoder: CroppedDecoder | LeNetDecoder
    latent_shape: Tensor
    latent_location: Tensor
    latent_scale: Tensor
    residual_ends: Tensor
    residual_density: Tensor

    def __init__(self, config: GPNDConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.check_sizes()
        lenet = config.networks == "lenet"
        networks = self.build_lenet() if lenet else self.build_gpnd()
        self.encoder, self.decoder, self.image_discriminator = networks
        layers = code_discriminator(config.latent_dim, LATENT_DISCRIMINATOR, SLOPE)
        self.latent_discriminator = nn.Sequential(*layers)
        if not lenet:
            initialise(self.latent_discriminator)
        self.register_densities()

    def check_sizes(self) -> None:
        """Refuse a configuration that the images are too small for.

        Raises:
            UserError: naming the sizes.
        """
        config, pixels = self.config, math.prod(self.shape)
        if config.latent_dim >= pixels:
            raise UserError(
                f"latent_dim {config.latent_dim} leaves no residual in images of {pixels} values; "
                "use less than that"
            )
        alone = config.networks == "gpnd" and config.batch_size == 1
        if alone and smallest_map(self.shape) == (1, 1):
            raise UserError(
                f"batch_size 1 gives batch normalisation one value per channel on images of "
                f"{self.shape.height}x{self.shape.width}; use at least 2"
            )

    def build_gpnd(self) -> tuple[nn.Module, CroppedDecoder, nn.Module]:
        """Encoder, decoder and image discriminator of the official code."""
        shape, latent_dim, width = self.shape, self.config.latent_dim, self.config.width
        return (
            PaddedEncoder(shape, ENCODER, latent_dim, width),
            CroppedDecoder(shape, latent_dim, width),
            PaddedEncoder(shape, DISCRIMINATOR, 1, width),
        )

    def build_lenet(self) -> tuple[nn.Module, LeNetDecoder, nn.Module]:
        """LeNet-like encoder, decoder and image discriminator."""
        shape, latent_dim = self.shape, self.config.latent_dim
        channels = lenet_channels(shape, self.config.width)
        trunks = [LeNetEncoder(shape, channels) for _ in range(2)]
        return (
            nn.Sequential(trunks[0], nn.Linear(trunks[0].features, latent_dim)),
            LeNetDecoder(shape, channels, latent_dim),
            nn.Sequential(trunks[1], nn.Linear(trunks[1].features, 1)),
        )

    def register_densities(self) -> None:
        """Densities before any fit: the prior of the codes, and any distance equally likely."""
        sizes, farthest = (self.config.latent_dim,), math.sqrt(math.prod(self.shape))
        densities = {
            "latent_shape": torch.full(sizes, 2.0),
            "latent_location": torch.zeros(sizes),
            "latent_scale": torch.full(sizes, math.sqrt(2)),
            "residual_ends": torch.tensor([0.0, farthest]),
            "residual_density": torch.full((self.config.bins,), 1 / farthest),
        }
        for name, values in densities.items():
            self.register_buffer(name, values.double())

    def stages(self) -> tuple[Stage, ...]:
        """One stage with the four steps, in the order of the official code."""
        phases = (
            Phase("discriminator", ("image_discriminator",)),
            Phase("generator", ("decoder",)),
            Phase("latent_discriminator", ("latent_discriminator",)),
            Phase("autoencoder", ("encoder", "decoder")),
        )
        return (self.stage(*phases),)

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """One code from the prior per image, but for the autoencoder's step."""
        codes = Noise("normal", (batch, self.config.latent_dim))
        return {} if phase == "autoencoder" else {"code": codes}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The "loss" of the step; the autoencoder's also has its two parts, in nats.

        "reconstruction" is a mean over pixels, "adversarial" a value per image.
        """
        if phase == "discriminator":
            code = noise["code"]
            return {
                "loss": discriminator_loss(self.image_discriminator, images, self.decoder, code)
            }
        if phase == "generator":
            made = self.image_discriminator(self.decoder(noise["code"]))
            return {"loss": adversarial_bce(made, real=True)}
        if phase == "latent_discriminator":
            code = noise["code"]
            return {
                "loss": discriminator_loss(self.latent_discriminator, code, self.encoder, images)
            }
        codes = self.encoder(images)
        error = bce(self.decoder.logits(codes), images).flatten(1).mean(1)
        fooled = adversarial_bce(self.latent_discriminator(codes), real=True)
        loss = self.config.reconstruction_weight * error + fooled
        return {"loss": loss, "reconstruction": error, "adversarial": fooled}

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        """The densities of the codes and of the residuals of the training images.

        Raises:
            DegenerateInputError: if a code's coordinate or the norm of the residuals is the same
                for all images, or not finite.
        """
        found = [self.code_and_distance(images) for images in batches]
        codes, distances = (torch.cat(each) for each in zip(*found, strict=True))
        latent = fitted_gaussian(codes.double())
        residual = fitted_histogram(self.abscissa(distances), self.config.bins)
        return {
            "latent_shape": latent.shape,
            "latent_location": latent.location,
            "latent_scale": latent.scale,
            "residual_ends": residual.ends,
            "residual_density": residual.density,
        }

    def code_and_distance(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (batch, latent_dim) and residual norms (batch,), the latter in float64."""
        codes = self.encoder(images)
        residuals = (images - self.decoder(codes)).flatten(1).double()
        return codes, residuals.norm(dim=1)

    def abscissa(self, distances: Tensor) -> Tensor:
        """What the density of residuals takes for a norm: that, or its square; above 0."""
        distances = distances.clamp(min=LEAST_DISTANCE)
        return distances.square() if self.config.squared_distance else distances

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The score, its parts, and the score at each value of the space."""
        codes, distances = self.code_and_distance(images)
        gaussian = GeneralisedGaussian(self.latent_shape, self.latent_location, self.latent_scale)
        latent = -gaussian.log_density(codes.double())
        volumes: Terms = {}

        def parts(config: GPNDConfig) -> Terms:
            if config.jacobian not in volumes:
                volumes[config.jacobian] = (
                    decoder_log_volumes(self.decoder, codes)
                    if config.jacobian == "decoder"
                    else encoder_log_volumes(self.encoder, images, config.latent_dim)
                )
            sign = SIGNS[config.jacobian] * (1 if config.volume_sign == "theory" else -1)
            return {
                "volume": -sign * volumes[config.jacobian],
                "latent": latent,
                "residual": -self.residual_log_density(distances, config.residual_share),
            }

        own = parts(self.config)
        scores = {"score": total(own), **own, "distance": distances}
        for name in self.score_parameters:
            for value in score_space.get(name, ()):
                other = replace(self.config, **{name: value})
                scores[variant_name(name, value)] = total(parts(other))
        return scores

    def residual_log_density(self, distances: Tensor, share: float) -> Tensor:
        r"""$\log p_\perp$ in nats, shape (batch,), from residual norms of that shape."""
        size = (math.prod(self.shape) - self.config.latent_dim) * share
        constant = math.lgamma(size / 2) - math.log(2) - size / 2 * math.log(math.pi)
        distances = self.abscissa(distances)
        histogram = Histogram(self.residual_ends, self.residual_density)
        return constant - (size - 1) * distances.log() + histogram.log_density(distances)

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """The reconstructions."""
        return {"reconstruction": self.decoder(self.encoder(images))}


def total(parts: Terms) -> Tensor:
    """The sum of the parts of a score."""
    return torch.stack(list(parts.values())).sum(0)
