"""Adversarial autoencoder: codes are drawn to the prior by a discriminator."""

from dataclasses import dataclass

from torch import Tensor, nn

from tune_ad.detectors.adversarial import adversarial_bce, code_discriminator, discriminator_loss
from tune_ad.detectors.autoencoders.base import Autoencoder
from tune_ad.detectors.base import Noise, Terms
from tune_ad.detectors.config import LOSS, number
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.reconstruction import ReconstructionConfig
from tune_ad.detectors.schedule import Phase, Stage

HIDDEN = (512, 256)  # of the discriminator, as released
SLOPE = 0.1


@dataclass(frozen=True)
class AAEConfig(ReconstructionConfig):
    """Hyperparameters of `AAE`.

    Attributes:
        adversarial_weight: weight of the adversarial loss of the encoder; the reconstruction has
            the rest. Released .001 (joint updates only).
        joint: whether encoder and decoder lower both losses in one step, as released; otherwise
            the reconstruction and the adversarial loss have a step and an Adam each, as in the
            original AAE.
        leaky_output: LeakyReLU also after the discriminator's last layer, before the sigmoid. The
            paper's text has it after every layer; the released code only has the sigmoid there.
    """

    reconstruction: str = "l1"
    pixel_reduction: str = "mean"
    adversarial_weight: float = number(0.001, "[0, 1)", measures=(LOSS,))
    joint: bool = True
    leaky_output: bool = False


class AAE(Autoencoder[AAEConfig]):
    r"""Adversarial autoencoder on the LeNet-like networks.

    With encoder E, decoder G and a discriminator D of codes (J to 512 to 256 to 1), a step is

    - "autoencoder": E and G lower $(1 - w) |\hat x - x| + w \, BCE(D(E(x)), 1)$, the first a mean
      over pixels and channels;
    - "discriminator": D lowers $\frac12 [BCE(D(z), 1) + BCE(D(E(x)), 0)]$ with $z \sim N(0, I)$.

    Without `joint`, the first splits into "reconstruction" and, after the discriminator's step,
    "encoder". The discriminator sees codes of the encoder as it is after its own step.
    Cross-entropies are in nats. The score is the squared error
    $\sum_i (\hat x_i - x_i)^2$, in [0, c h w].

    Sources: Makhzani et al., Adversarial Autoencoders, arXiv 1511.05644, section 2; settings as in
    the released code of Park, Adosoglou and Pardalos, arXiv 2005.01889.
    """

    Config = AAEConfig

    def __init__(self, config: AAEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        layers = code_discriminator(config.latent_dim, HIDDEN, SLOPE)
        output = [nn.LeakyReLU(SLOPE)] if config.leaky_output else []
        self.discriminator = nn.Sequential(*layers, *output)

    def stages(self) -> tuple[Stage, ...]:
        """One stage of two phases, or of three where they are not joint."""
        both, discriminator = ("encoder", "decoder"), Phase("discriminator", ("discriminator",))
        if self.config.joint:
            return (self.stage(Phase("autoencoder", both), discriminator),)
        reconstruction, encoder = Phase("reconstruction", both), Phase("encoder", ("encoder",))
        return (self.stage(reconstruction, discriminator, encoder),)

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """Codes from the prior for the discriminator."""
        if phase != "discriminator":
            return {}
        return {"code": Noise("normal", (batch, self.config.latent_dim))}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The "loss" of each image in a phase; of joint updates also its two parts."""
        if phase == "discriminator":
            both = discriminator_loss(self.discriminator, noise["code"], self.encoder, images)
            return {"loss": 0.5 * both}
        codes = self.encoder(images)
        if phase == "encoder":
            return {"loss": adversarial_bce(self.discriminator(codes), real=True)}
        logits = self.decoder.logits(codes)
        error = self.config.trained_error(self.config.distortion(logits, images), images)
        if phase == "reconstruction":
            return {"loss": error}
        fooled = adversarial_bce(self.discriminator(codes), real=True)
        weight = self.config.adversarial_weight
        loss = weight * fooled + (1 - weight) * error
        return {"loss": loss, "reconstruction": error, "adversarial": fooled}
