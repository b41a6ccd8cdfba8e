"""AAE: an image is anomalous if an adversarial autoencoder reconstructs it badly."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from tune_ad.detectors.adversarial import adversarial_bce, code_discriminator, discriminator_loss
from tune_ad.detectors.autoencoders.base import Autoencoder
from tune_ad.detectors.base import Noise, Terms
from tune_ad.detectors.config import choice, number
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.reconstruction import ReconstructionConfig
from tune_ad.detectors.schedule import Phase, Stage

DISCRIMINATOR_WIDTHS = (512, 256)  # widths of the hidden layers, as released
DISCRIMINATOR_SLOPE = 0.1  # negative slope of LeakyReLU


@dataclass(frozen=True)
class AAEConfig(ReconstructionConfig):
    """Hyperparameters of `AAE`.

    Attributes:
        adversarial_weight: weight w of the adversarial loss of the encoder; the reconstruction has
            weight 1 - w. Used only in joint updates. Released: 0.001.
        joint: whether encoder and decoder minimise both losses in one step, as released. Otherwise
            the reconstruction and the adversarial loss have separate steps and optimisers, as in
            the original AAE.
        leaky_output: whether LeakyReLU also follows the last layer of the discriminator, before
            the sigmoid. The paper has LeakyReLU after every layer, the released code not after
            the last.
        updates: whether the steps of an update are "simultaneous", so that the losses of all of
            them are computed before the first step, as released, or "alternating", each computed
            after the steps before it.
    """

    reconstruction: str = "l1"
    pixel_reduction: str = "mean"
    adversarial_weight: float = number(0.001, "[0, 1)")
    joint: bool = True
    leaky_output: bool = False
    updates: str = choice("alternating", "simultaneous", is_ablated=True)


class AAE(Autoencoder[AAEConfig]):
    r"""Adversarial autoencoder on the LeNet-like networks.

    A discriminator D with layers of J, 512, 256 and 1 units distinguishes samples of the prior
    from codes of images. The encoder E is trained to deceive it, so that its codes approach the
    prior. With decoder G, an update has two steps:

    - "autoencoder": E and G minimise $(1 - w) |\hat x - x| + w \, BCE(D(E(x)), 1)$, where the
      error is the mean over pixels and channels;
    - "discriminator": D minimises $\frac12 [BCE(D(z), 1) + BCE(D(E(x)), 0)]$ with
      $z \sim N(0, I)$ and the encoder after the first step, or, with simultaneous `updates`,
      before it.

    Without `joint` there are three steps: "reconstruction", "discriminator", and "encoder", which
    minimises the adversarial loss. Cross-entropies are in nats. The score
    is the squared error $\sum_i (\hat x_i - x_i)^2$, in [0, c h w]; larger = more anomalous.

    Sources: Makhzani et al., Adversarial Autoencoders, arXiv 1511.05644, section 2; settings as in
    the released code of Park, Adosoglou and Pardalos, arXiv 2005.01889.
    """

    Config = AAEConfig

    def __init__(self, config: AAEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        layers = code_discriminator(config.latent_dim, DISCRIMINATOR_WIDTHS, DISCRIMINATOR_SLOPE)
        output = [nn.LeakyReLU(DISCRIMINATOR_SLOPE)] if config.leaky_output else []
        self.discriminator = nn.Sequential(*layers, *output)

    def stages(self) -> tuple[Stage, ...]:
        """One stage, with two phases if updates are joint, otherwise three."""
        both, discriminator = ("encoder", "decoder"), Phase("discriminator", ("discriminator",))
        if self.config.joint:
            stage = self.stage(Phase("autoencoder", both), discriminator)
        else:
            encoder = Phase("encoder", ("encoder",))
            stage = self.stage(Phase("reconstruction", both), discriminator, encoder)
        return (replace(stage, simultaneous=self.config.updates == "simultaneous"),)

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """One sample of the prior per image, for the discriminator."""
        if phase != "discriminator":
            return {}
        return {"code": Noise("normal", (batch, self.config.latent_dim))}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The "loss" of each image in a phase; in a joint update also the two losses in it."""
        if phase == "discriminator":
            loss = discriminator_loss(self.discriminator, noise["code"], self.encoder, images)
            return {"loss": 0.5 * loss}
        codes = self.encoder(images)
        if phase == "encoder":
            return {"loss": adversarial_bce(self.discriminator(codes), real=True)}
        logits = self.decoder.logits(codes)
        reconstruction = self.config.trained_error(self.config.distortion(logits, images), images)
        if phase == "reconstruction":
            return {"loss": reconstruction}
        adversarial = adversarial_bce(self.discriminator(codes), real=True)
        weight = self.config.adversarial_weight
        loss = weight * adversarial + (1 - weight) * reconstruction
        return {"loss": loss, "reconstruction": reconstruction, "adversarial": adversarial}

    def held_out_loss(self, phase: str, terms: Terms) -> Tensor:
        """The reconstruction error without the adversarial loss, which depends on an opponent."""
        return terms["reconstruction"] if phase == "autoencoder" else terms["loss"]
