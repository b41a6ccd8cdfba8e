"""GPND: an image is anomalous if its density under an adversarial autoencoder is low."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from tune_ad.detectors.base import Buffers, ScoreSpace, Terms, variant_name
from tune_ad.detectors.gpnd.adversarial_autoencoder import AdversarialAutoencoder, GPNDConfig
from tune_ad.detectors.gpnd.densities import (
    LEAST_DISTANCE,
    GeneralisedGaussian,
    Histogram,
    fitted_gaussian,
    fitted_histogram,
)
from tune_ad.detectors.gpnd.volume import decoder_log_volumes, encoder_log_volumes
from tune_ad.detectors.nets import ImageShape

VOLUME_SIGNS = {"decoder": -1, "encoder": 1}
"""Sign with which the log-volume of the Jacobian of each network enters log D."""


class GPND(AdversarialAutoencoder):
    r"""Generative probabilistic novelty detection with an adversarial autoencoder.

    An encoder g and a decoder f are trained as an adversarial autoencoder (see
    `AdversarialAutoencoder`). Normal images are assumed to lie near the manifold f(z), which has
    n = `latent_dim` dimensions in the space of the m pixel values. Let z = g(x) be the code of an
    image, d = |x - f(z)| the norm of its residual, $J_f$ and $J_g$ the Jacobians of the networks,
    and N = (m - n) times `residual_share`. The density of the image is

    $\log p(x) = \log D + \sum_i \log p_i(z_i) + \log p_\perp(d)$, where

    - $\log D = -\frac12 \log\det J_f^T J_f$ measures how f changes volumes; it equals
      $+\frac12 \log\det J_g J_g^T$ if $J_g$ is the pseudoinverse of $J_f$;
    - $p_i$ is a generalised Gaussian, fitted to the codes of the training images;
    - $\log p_\perp = \log\Gamma(N/2) - \log 2 - \frac N2 \log\pi - (N-1) \log d + \log h(d)$,
      where the density h is a histogram of the residual norms of the training images, and the
      directions of residuals are uniform on a sphere in N dimensions.

    The score is $-\log p(x)$ in nats, any real number, in float64; larger = more anomalous. Its
    components are "volume" ($-\log D$), "latent" and "residual", all in nats, and "distance",
    which is d, in [0, sqrt(m)]. Nothing is reported in bits per dimension: the density is not a
    probability of an 8-bit image, for which it lacks the volume of the cell of an image,
    $256^{-m}$ under `scaling` "unit". Pixels are the scaled pixels. Singular values that float32
    cannot distinguish from 0 are replaced by a floor (see `log_volume`), and d is at least 2^-23.

    Sources: Pidhorskyi, Almohsen and Doretto, Generative Probabilistic Novelty Detection with
    Adversarial Autoencoders, NeurIPS 2018, and their code of 2018 and 2020. The defaults are the
    settings of 2020, but `jacobian`, `volume_sign` and `residual_share` follow the paper.

    Park, Adosoglou and Pardalos (arXiv 2005.01889) report average AUROCs of 75.0, 83.2 and 59.4 %
    for GPND on MNIST, Fashion-MNIST and CIFAR-10. The script behind them has five defects:

    1. The encoder and the image discriminator share all layers but the last, and both optimisers
       update the shared layers in turn.
    2. Therefore the batch statistics used for scoring are those of real and generated images.
    3. The histogram and the generalised Gaussians are fitted to the test set, 90 % of which are
       anomalies.
    4. The Jacobian is not flattened: each of its n rows is treated as a matrix of the image's
       shape, and the singular values of all these matrices are multiplied.
    5. d is the squared norm, although the density is that of the norm.

    `benchmarks/gpnd_as_published.py` measures the effect of each.
    """

    Config = GPNDConfig
    score_parameters = ("jacobian", "volume_sign", "residual_share")
    meanings: ClassVar[Mapping[str, str]] = {
        "volume": "minus the log of the change of volume by the decoder, in nats",
        "latent": "minus the log-density of the code, in nats",
        "residual": "minus the log-density of the reconstruction's residual, in nats",
        "distance": "norm of that residual",
        "jacobian": "network from which the change of volume is computed",
        "volume_sign": "sign of the change of volume: as derived, or reversed",
        "residual_share": "factor on the number of dimensions of the residual",
    }
    latent_shape: Tensor
    latent_location: Tensor
    latent_scale: Tensor
    residual_ends: Tensor
    residual_density: Tensor

    def __init__(self, config: GPNDConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.register_densities()

    def register_densities(self) -> None:
        """Densities before any fit: the prior for codes, a uniform density for residual norms."""
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

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        """Fit the densities of the codes and of the residual norms to the training images.

        Raises:
            DegenerateInputError: if a coordinate of the codes or the norm of the residuals is the
                same for all images, or not finite.
        """
        pairs = [self.code_and_distance(images) for images in batches]
        codes, distances = (torch.cat(values) for values in zip(*pairs, strict=True))
        latent = fitted_gaussian(codes.double())
        residual = fitted_histogram(self.residual_norm(distances), self.config.bins)
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

    @property
    def scoring_size(self) -> int:
        """One derivative of the network for each coordinate of the code."""
        return self.config.latent_dim

    def residual_norm(self, distances: Tensor) -> Tensor:
        """The norms for the density: at least 2^-23, and squared if `squared_distance` is set."""
        distances = distances.clamp(min=LEAST_DISTANCE)
        return distances.square() if self.config.squared_distance else distances

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The score, its components, and the score at each value of the score space."""
        codes, distances = self.code_and_distance(images)
        gaussian = GeneralisedGaussian(self.latent_shape, self.latent_location, self.latent_scale)
        latent = -gaussian.log_density(codes.double())
        log_volumes: Terms = {}  # of the Jacobian of each network

        def components(config: GPNDConfig) -> Terms:
            if config.jacobian not in log_volumes:
                log_volumes[config.jacobian] = self.log_volumes(config.jacobian, images, codes)
            sign = VOLUME_SIGNS[config.jacobian] * (1 if config.volume_sign == "theory" else -1)
            return {
                "volume": -sign * log_volumes[config.jacobian],
                "latent": latent,
                "residual": -self.residual_log_density(distances, config.residual_share),
            }

        configured = components(self.config)
        scores = {"score": total(configured), **configured, "distance": distances}
        for name in self.score_parameters:
            for value in score_space.get(name, ()):
                variant = replace(self.config, **{name: value})
                scores[variant_name(name, value)] = total(components(variant))
        return scores

    def log_volumes(self, jacobian: str, images: Tensor, codes: Tensor) -> Tensor:
        """The log-volumes of the Jacobians of the "decoder" or the "encoder", shape (batch,)."""
        if jacobian == "decoder":
            return decoder_log_volumes(self.decoder, codes)
        return encoder_log_volumes(self.encoder, images, self.config.latent_dim)

    def residual_log_density(self, distances: Tensor, share: float) -> Tensor:
        r"""$\log p_\perp$ in nats, shape (batch,).

        Args:
            distances: norms of the residuals, shape (batch,).
            share: `residual_share`, the factor on the number of dimensions of the residual.
        """
        size = (math.prod(self.shape) - self.config.latent_dim) * share
        constant = math.lgamma(size / 2) - math.log(2) - size / 2 * math.log(math.pi)
        norms = self.residual_norm(distances)
        histogram = Histogram(self.residual_ends, self.residual_density)
        return constant - (size - 1) * norms.log() + histogram.log_density(norms)


def total(components: Terms) -> Tensor:
    """The sum of the components of a score."""
    return torch.stack(list(components.values())).sum(0)
