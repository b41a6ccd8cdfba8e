"""The adversarial autoencoder of GPND: its hyperparameters, networks and training."""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from tune_ad.detectors.adversarial import adversarial_bce, code_discriminator, discriminator_loss
from tune_ad.detectors.base import Noise, Terms, TrainedDetector
from tune_ad.detectors.config import NetworkConfig, choice, number
from tune_ad.detectors.gpnd.networks import (
    DISCRIMINATOR_CHANNELS,
    ENCODER_CHANNELS,
    GPND_SLOPE,
    LATENT_DISCRIMINATOR_WIDTHS,
    CroppedDecoder,
    PaddedEncoder,
    initialise,
    last_map,
)
from tune_ad.detectors.nets import Head, ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels
from tune_ad.detectors.reconstruction import bce
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.errors import UserError


@dataclass(frozen=True)
class GPNDConfig(NetworkConfig):
    """Hyperparameters of `GPND`.

    Attributes:
        latent_dim: length of the code; 32 on grey images in the official code of 2018, 16 in that
            of 2020.
        networks: "gpnd" for the official networks of 2020, "lenet" for those of Park et al.
        reconstruction_weight: weight of the reconstruction loss; the adversarial loss of the
            encoder has weight 1. It is 2 in the official code of 2020, and 1/2 in that of 2018 and
            in the script of Park et al.
        bins: number of bins of the histogram of residual norms.
        jacobian: the network from whose Jacobian log D is computed: "decoder", as in the paper, or
            "encoder", as in the official code. Affects only scoring.
        volume_sign: the sign of log D: "theory", as in the official code of 2018, or "reversed",
            as in one version of that of 2020. Affects only scoring.
        residual_share: factor on the number of dimensions of the residual; 1/5 in the official
            code of 2020. Affects only scoring.
        squared_distance: whether the squared norm of the residual replaces the norm, with the same
            exponent, as in the official code of 2018.
    """

    epochs: int = 80
    batch_size: int = 128
    learning_rate: float = 2e-3
    milestones: tuple[float, ...] = (30 / 80, 60 / 80)
    decay: float = 0.25
    weight_decay: float = 0.0
    networks: str = choice("gpnd", "lenet")
    reconstruction_weight: float = number(2.0, "(0, inf)")
    bins: int = number(30, "[1, 10000]")
    jacobian: str = choice("decoder", "encoder")
    volume_sign: str = choice("theory", "reversed")
    residual_share: float = number(1.0, "(0, 1]")
    squared_distance: bool = False


class AdversarialAutoencoder(TrainedDetector[GPNDConfig]):
    r"""An autoencoder with a discriminator of images and a discriminator of codes.

    An encoder g, a decoder f, a discriminator D of images and a discriminator $D_z$ of codes are
    trained in four steps per batch. With binary cross-entropies H in nats and codes
    $z \sim N(0, I)$:

    - "discriminator": D minimises $H(D(x), 1) + H(D(f(z)), 0)$;
    - "generator": f minimises $H(D(f(z)), 1)$;
    - "latent_discriminator": $D_z$ minimises $H(D_z(z), 1) + H(D_z(g(x)), 0)$;
    - "autoencoder": f and g minimise $H(D_z(g(x)), 1)$ plus the weighted mean cross-entropy of the
      pixels.

    Source: Pidhorskyi, Almohsen and Doretto, NeurIPS 2018, section 4, and their code of 2020.
    """

    decoder: CroppedDecoder | LeNetDecoder

    def __init__(self, config: GPNDConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.check_sizes()
        is_lenet = config.networks == "lenet"
        networks = self.build_lenet() if is_lenet else self.build_gpnd()
        self.encoder, self.decoder, self.image_discriminator = networks
        layers = code_discriminator(config.latent_dim, LATENT_DISCRIMINATOR_WIDTHS, GPND_SLOPE)
        self.latent_discriminator = nn.Sequential(*layers)
        if not is_lenet:
            initialise(self.latent_discriminator)

    def check_sizes(self) -> None:
        """Check that the images are large enough for the configuration.

        Raises:
            UserError: if they are too small; the message gives the sizes.
        """
        config, pixels = self.config, math.prod(self.shape)
        if config.latent_dim >= pixels:
            raise UserError(
                f"latent_dim must be smaller than {pixels}, the number of pixel values (otherwise "
                f"there is no residual), got {config.latent_dim}"
            )
        has_single_images = config.networks == "gpnd" and config.batch_size == 1
        if has_single_images and last_map(self.shape) == (1, 1):
            raise UserError(
                "with batch_size 1, batch normalisation has only one value per channel on images "
                f"of {self.shape.height}x{self.shape.width}; use at least 2"
            )

    def build_gpnd(self) -> tuple[nn.Module, CroppedDecoder, nn.Module]:
        """Encoder, decoder and image discriminator of the official code."""
        shape, latent_dim, width = self.shape, self.config.latent_dim, self.config.width
        return (
            PaddedEncoder(shape, ENCODER_CHANNELS, latent_dim, width),
            CroppedDecoder(shape, latent_dim, width),
            PaddedEncoder(shape, DISCRIMINATOR_CHANNELS, 1, width),
        )

    def build_lenet(self) -> tuple[nn.Module, LeNetDecoder, nn.Module]:
        """LeNet-like encoder, decoder and image discriminator."""
        shape, latent_dim = self.shape, self.config.latent_dim
        channels = lenet_channels(shape, self.config.width)
        trunks = [LeNetEncoder(shape, channels) for _ in range(2)]
        return (
            nn.Sequential(trunks[0], Head(trunks[0].features, latent_dim)),
            LeNetDecoder(shape, channels, latent_dim),
            nn.Sequential(trunks[1], Head(trunks[1].features, 1)),
        )

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
        """One sample of the prior per image; none in the step of the autoencoder."""
        codes = Noise("normal", (batch, self.config.latent_dim))
        return {} if phase == "autoencoder" else {"code": codes}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The "loss" of each image in a step, in nats.

        The step of the autoencoder also has the two terms of its loss: "reconstruction", a mean
        over pixels, and "adversarial".
        """
        if phase == "discriminator":
            discriminator, code = self.image_discriminator, noise["code"]
            return {"loss": discriminator_loss(discriminator, images, self.decoder, code)}
        if phase == "generator":
            logits = self.image_discriminator(self.decoder(noise["code"]))
            return {"loss": adversarial_bce(logits, real=True)}
        if phase == "latent_discriminator":
            discriminator, code = self.latent_discriminator, noise["code"]
            return {"loss": discriminator_loss(discriminator, code, self.encoder, images)}
        codes = self.encoder(images)
        reconstruction = bce(self.decoder.logits(codes), images).flatten(1).mean(1)
        adversarial = adversarial_bce(self.latent_discriminator(codes), real=True)
        loss = self.config.reconstruction_weight * reconstruction + adversarial
        return {"loss": loss, "reconstruction": reconstruction, "adversarial": adversarial}

    def held_out_phase(self, stage: Stage) -> str:
        """The step of the autoencoder, the last of the four."""
        return "autoencoder"

    def held_out_loss(self, phase: str, terms: Terms) -> Tensor:
        """The reconstruction error without the adversarial loss, which depends on an opponent."""
        return terms["reconstruction"]

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """The reconstructions."""
        return {"reconstruction": self.decoder(self.encoder(images))}

    def codes(self, images: Tensor) -> Tensor:
        """The codes, shape (batch, latent_dim)."""
        codes: Tensor = self.encoder(images)
        return codes
