"""Deep SVDD: an image whose code lies far from the centre of the normal codes is anomalous."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from tune_ad.detectors.base import Buffers, ScoreSpace, Terms, TrainedDetector
from tune_ad.detectors.centre import away_from_zero, mean_code
from tune_ad.detectors.config import NetworkConfig, choice, fractions, number
from tune_ad.detectors.nets import Head, ImageShape, LeNetDecoder, LeNetEncoder, lenet_channels
from tune_ad.detectors.reconstruction import summed_error
from tune_ad.detectors.schedule import Phase, Stage
from tune_ad.storage.metric import LOSS

SOFT = {"objective": "soft-boundary"}
PRETRAINED = {"pretraining": 1.0}


@dataclass(frozen=True)
class DeepSVDDConfig(NetworkConfig):
    """Hyperparameters of `DeepSVDD`.

    Attributes:
        pretraining: number of epochs of autoencoder pretraining, as a multiple of `epochs`; 0 for
            none, as in the comparison of Park et al. The original code has 1 on MNIST and
            350 / 150 on CIFAR-10.
        pretraining_milestones: `milestones` of the pretraining; in the original code 50 of 150
            epochs on MNIST and 250 of 350 on CIFAR-10.
        pretraining_weight_decay: `weight_decay` of the pretraining; in the original code 5e-4 on
            MNIST and 5e-7 on CIFAR-10.
        objective: "one-class" or "soft-boundary".
        nu: fraction of training images that may lie outside the sphere (soft boundary only).
        radius_warmup: fraction of the epochs in which the radius stays 0 (soft boundary only); 10
            of 150 epochs in the original code.
        centre_epsilon: minimum absolute value of every nonzero coordinate of the centre.
    """

    pretraining: float = number(0.0, "[0, 100]", others=(1.0,))
    pretraining_milestones: tuple[float, ...] = fractions((50 / 150,), when=PRETRAINED)
    pretraining_weight_decay: float = number(5e-4, "[0, inf)", when=PRETRAINED)
    objective: str = choice("one-class", "soft-boundary", measures=(LOSS,))
    nu: float = number(0.1, "(0, 1]", when=SOFT, measures=(LOSS,))
    radius_warmup: float = number(10 / 150, "[0, 1]", when=SOFT, others=(0.6,))
    centre_epsilon: float = number(0.1, "[0, inf)")

    @classmethod
    def released_settings(cls, shape: ImageShape) -> dict[str, Any]:
        """The published settings for images of `shape` that differ from the defaults."""
        settings = super().released_settings(shape)
        if not shape.is_colour:
            return settings
        schedule = {"pretraining_milestones": (250 / 350,), "pretraining_weight_decay": 5e-7}
        return {**settings, **schedule}

    @property
    def pretraining_epochs(self) -> int:
        """The number of epochs of pretraining: 0 without pretraining, otherwise at least 1."""
        epochs = self.pretraining * self.epochs
        return max(1, round(epochs)) if epochs else 0


def quantile(values: Tensor, share: float) -> Tensor:
    """A quantile with linear interpolation; unlike `Tensor.quantile` it supports `vmap`.

    Args:
        values: a tensor of shape (n,), n >= 1.
        share: fraction of the values that lie below the quantile, in [0, 1].
    """
    position = share * (len(values) - 1)
    ordered = values.sort().values
    return ordered[math.floor(position)].lerp(ordered[math.ceil(position)], position % 1)


class DeepSVDD(TrainedDetector[DeepSVDDConfig]):
    r"""Deep support vector data description on the LeNet-like encoder.

    The encoder maps an image to a code; its last layer has no bias. The centre c is the mean code
    of the training images before training, or after pretraining, in evaluation mode, with
    coordinates near 0 moved away from 0; then it is fixed. With d(x) the squared distance of the
    code from c:

    - one-class: loss and score are d(x), in [0, inf).
    - soft-boundary: the loss is $R^2 + \max(0, d(x) - R^2) / \nu$, the score $d(x) - R^2$, in
      [-R^2, inf). After a warm-up R is the (1 - nu)-quantile of the distances in the last batch.

    Scores have the squared unit of the code; larger = more anomalous.

    With `pretraining`, the encoder and a mirrored decoder without biases first minimise the
    squared error of the reconstruction. Training continues with the encoder and its batch
    statistics; the decoder is not used again.

    Sources: Ruff et al., Deep One-Class Classification, ICML 2018, equations 3 and 4; architecture
    and settings as in the released code of Park, Adosoglou and Pardalos, arXiv 2005.01889.
    """

    Config = DeepSVDDConfig
    equivalent_in_bfloat16 = True
    centre: Tensor
    radius: Tensor

    def __init__(self, config: DeepSVDDConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        encoder = LeNetEncoder(shape, lenet_channels(shape, config.width))
        head = Head(encoder.features, config.latent_dim, bias=False)
        self.encoder = nn.Sequential(encoder, head)
        if config.pretraining_epochs:
            channels = lenet_channels(shape, config.width)
            self.decoder = LeNetDecoder(shape, channels, config.latent_dim, bias=False)
        self.register_buffer("centre", torch.zeros(config.latent_dim))
        self.register_buffer("radius", torch.zeros(()))

    def stages(self) -> tuple[Stage, ...]:
        """The main stage, preceded by a stage of pretraining if there is any."""
        config, main = self.config, self.stage(Phase("train", ("encoder",)))
        if not config.pretraining_epochs:
            return (main,)
        pretraining = replace(
            main,
            name="pretraining",
            epochs=config.pretraining_epochs,
            phases=(Phase("pretraining", ("encoder", "decoder")),),
            adam=replace(main.adam, weight_decay=config.pretraining_weight_decay),
            milestones=config.pretraining_milestones,
        )
        return pretraining, main

    def begin(self, stage: str, batches: Iterable[Tensor]) -> Buffers:
        """The centre: the mean code, moved away from 0; nothing before pretraining."""
        if stage == "pretraining":
            return {}
        centre = mean_code(self.encoder, batches)
        return {"centre": away_from_zero(centre, self.config.centre_epsilon)}

    def codes(self, images: Tensor) -> Tensor:
        """The codes, shape (batch, latent_dim)."""
        codes: Tensor = self.encoder(images)
        return codes

    def squared_distance(self, images: Tensor) -> Tensor:
        """Squared distance of each code from the centre, shape (batch,)."""
        offsets: Tensor = self.encoder(images) - self.centre
        return offsets.square().sum(1)

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The "loss" of each image; with a soft boundary also its squared "distance"."""
        if phase == "pretraining":
            logits = self.decoder.logits(self.encoder(images))
            return {"loss": summed_error("squared_error", logits, images)}
        distance = self.squared_distance(images)
        if self.config.objective == "one-class":
            return {"loss": distance}
        outside = (distance - self.radius**2).clamp(min=0)
        return {"loss": self.radius**2 + outside / self.config.nu, "distance": distance}

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        """The radius of the soft boundary, from the distances of the last batch."""
        if phase == "pretraining" or self.config.objective == "one-class":
            return {}
        radius = quantile(terms["distance"].sqrt(), 1 - self.config.nu)
        return {"radius": torch.where(progress < self.config.radius_warmup, self.radius, radius)}

    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The squared distance of each image (minus R^2 with a soft boundary) as "score"."""
        return {"score": self.squared_distance(images) - self.radius**2}
