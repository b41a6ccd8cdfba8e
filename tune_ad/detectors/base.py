"""What every detector is: an `nn.Module` with pure functions.

A detector holds networks and buffers. It holds no optimiser, no loop and no random generator:
training owns those, hands in images and noise, and stores the buffers that the hooks return. So
one replica in a loop and a stack of replicas under `torch.func.vmap` share every line.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple

import torch
from torch import Tensor, nn

from tune_ad.detectors.config import Config, ConfigT, NetworkConfigT
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.schedule import Adam, Phase, Stage
from tune_ad.errors import UserError
from tune_ad.storage.metric import LOSS, Metric

FINITE_CHUNK = 4096
Terms = dict[str, Tensor]
Numbers = dict[Metric, float]
Buffers = dict[str, Tensor]
ScoreSpace = Mapping[str, Sequence[Any]]


class Noise(NamedTuple):
    """What a detector asks of the random stream: "uniform" on [0, 1) or standard "normal"."""

    distribution: str
    shape: tuple[int, ...]

    def draw(self, generator: torch.Generator) -> Tensor:
        """A float32 tensor of `shape` on the generator's device."""
        draws = {"uniform": torch.rand, "normal": torch.randn}
        return draws[self.distribution](self.shape, generator=generator, device=generator.device)


class Detector(nn.Module, ABC, Generic[ConfigT]):
    """A method of anomaly detection with its networks, for one configuration and image shape.

    A subclass names its hyperparameters (`Config`), its schedule (`stages`), what it minimises
    (`terms`) and how it scores (`score_variants`). All of these are pure: they depend on the
    arguments, parameters and buffers alone and change nothing, save the running statistics of
    batch normalisation.

    Args:
        config: the hyperparameters.
        shape: of the images.
    """

    Config: ClassVar[type[Config]]
    score_parameters: ClassVar[tuple[str, ...]] = ()
    """Fields of `Config` that can be swept on a trained model: they act when scoring, too."""
    watched: ClassVar[tuple[str, ...]] = ()
    """Terms whose batch mean is told at every step, not only averaged over an epoch."""
    shown: tuple[str, ...] = ()
    """Parts of the score of which a histogram is kept beside the score's own."""
    nats: tuple[str, ...] = ()
    """Terms and parts of the score in nats that an image's dimensions share: also told in bits."""
    main_score: str = ""
    """The part of the score that is the score itself; empty where it is no part."""

    def __init__(self, config: ConfigT, shape: ImageShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape

    @property
    def scoring_modules(self) -> tuple[str, ...]:
        """Names of the modules that score: those that the last stage moves."""
        return tuple(sorted({n for s in self.stages()[-1:] for p in s.phases for n in p.modules}))

    @classmethod
    def scales(cls, config: ConfigT) -> dict[str, str]:
        """What the quantities are measured in by which configurations may be selected.

        Two configurations may be compared by a quantity only where both name it and the texts are
        equal. A field of `Config` that changes what a quantity means says so (`Rule.measures`).

        Returns:
            by quantity: `LOSS`, the mean training loss of held-out normals, which is the
            detector's own; `LIKELIHOOD`, only of a detector whose score has the part
            "negative_iwae", the tightest bound of the likelihood of an image, in nats; and any
            further quantity that a report should not mix.
        """
        return {}

    def stages(self) -> tuple[Stage, ...]:
        """The stages of training, in order; none for a detector that is only fitted."""
        return ()

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """The random numbers that `terms` wants for a batch of that many images."""
        return {}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """What one phase looks at, per image, each of shape (batch,).

        Args:
            phase: name of the phase.
            images: as scaled, in [0, 1] (fitted scalings: nearly), shape (batch, c, h, w).
            noise: the tensors that `noise` asked for.

        Returns:
            "loss", which the phase minimises, and any further terms worth a curve.

        Raises:
            NotImplementedError: if the detector has no phases.
        """
        raise NotImplementedError(f"{type(self).__name__} is fitted, not trained")

    def loss(self, phase: str, images: Tensor, noise: Terms) -> Tensor:
        """The scalar that one phase minimises: `terms(...)["loss"]` summed or averaged."""
        return self.reduced(self.terms(phase, images, noise)["loss"])

    def reduced(self, losses: Tensor) -> Tensor:
        """Losses of shape (batch,) as one scalar."""
        return losses.mean()

    def held_out_loss(self, phase: str, terms: Terms) -> Tensor:
        """What of held-out normals tells whether training still helps, shape (batch,)."""
        return terms["loss"]

    def begin(self, stage: str, batches: Iterable[Tensor]) -> Buffers:
        """Buffers to set before a stage, from the training images in evaluation mode."""
        return {}

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        """Buffers to set after an optimiser step.

        Args:
            stage: name of the stage.
            phase: name of the phase.
            terms: as the step saw them, detached, each of shape (batch,).
            progress: scalar in [0, 1), the share of the stage's epochs that are over.
        """
        return {}

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        """Buffers that scoring needs, fitted on the training images before an evaluation.

        A detector without stages may keep a fitted estimator instead: it is fitted again, from
        the same images and seed, after a state has been loaded.

        Args:
            batches: the training images, in evaluation mode.
            seed: of the replica, for a fit that draws.

        Raises:
            DegenerateInputError: if nothing can be fitted; it ends the replica.
        """
        return {}

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        """The random numbers of scoring, drawn once per replica and shared by all images."""
        return {}

    @abstractmethod
    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The anomaly score and its variants of each image, larger = more anomalous, finite.

        Args:
            images: as scaled, in [0, 1] (fitted scalings: nearly), shape (batch, c, h, w).
            noise: the tensors that `score_noise` asked for.
            score_space: values of `score_parameters` to score with, one parameter at a time.

        Returns:
            "score" under the configuration itself; its parts by their names; one entry
            `variant_name(parameter, value)` for each value of the score space. All (batch,).
        """

    def score(self, images: Tensor, noise: Terms) -> Tensor:
        """The anomaly score of each image, shape (batch,), larger = more anomalous.

        Raises:
            UserError: if the images have another shape than those trained on, or a NaN.
        """
        self.check(images)
        return self.score_variants(images, noise, {})["score"]

    def check(self, images: Tensor) -> None:
        """Refuse images that this detector cannot score.

        Raises:
            UserError: if they have another shape than those trained on, or a NaN.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != tuple(self.shape):
            raise UserError(
                f"images of shape {tuple(images.shape)} given to a detector for images of shape "
                f"(n, {', '.join(map(str, self.shape))}); bring them to that shape"
            )
        check_finite(images)

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        """Numbers about the trained model beside its score, recorded and shown by their names.

        Args:
            scored: gives the score and its parts, each of shape (n,), float64, of the normal
                images of "train" (as many as are tested), "validation" or "test"; no images, no
                terms.

        Returns:
            numbers by `Metric`, whose part names the diagnostic and whose term the quantity;
            quantities in `nats` are also told in bits per dimension.
        """
        return {}

    def warnings(self, numbers: Mapping[Metric, float]) -> list[str]:
        """What a reader should know about the trained model, in sentences without a full stop.

        Args:
            numbers: all final numbers of the model, diagnostics among them.
        """
        return []

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """Pictures of what the detector makes of images, each (batch, c, h, w) in [0, 1]."""
        return {}

    def forward(self, function: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Call one of the functions above by name: the way in for `torch.func.functional_call`."""
        return getattr(self, function)(*arguments)


class TrainedDetector(Detector[NetworkConfigT]):
    """A detector that trains networks: in one stage with one phase, unless it says otherwise."""

    @classmethod
    def scales(cls, config: NetworkConfigT) -> dict[str, str]:
        """Its loss, which compares between configurations of this detector alone."""
        return {LOSS: f"{cls.__name__}, {config.scale(LOSS)}"}

    def stages(self) -> tuple[Stage, ...]:
        """One stage, whose only phase moves every module."""
        return (self.stage(Phase("train", tuple(name for name, _ in self.named_children()))),)

    def stage(self, *phases: Phase) -> Stage:
        """The main stage: the optimiser and schedule of the configuration."""
        config = self.config
        adam = Adam(config.learning_rate, (config.beta1, config.beta2), config.weight_decay)
        return Stage(
            name="train",
            epochs=config.epochs,
            phases=phases,
            adam=adam,
            batch_size=config.batch_size,
            milestones=config.milestones,
            decay=config.decay,
        )

    @abstractmethod
    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """As in `Detector.terms`."""

    def reduced(self, losses: Tensor) -> Tensor:
        """Losses of shape (batch,) as one scalar, by `Config.reduction`."""
        return losses.sum() if self.config.reduction == "sum" else losses.mean()


def skeleton(detector: type[Detector[Any]], config: Config, shape: ImageShape) -> Detector[Any]:
    """A detector without numbers: its stages and sizes, at no cost.

    Raises:
        UserError: if the configuration cannot be built for the images.
    """
    with torch.device("meta"):
        return detector(config, shape)


def check_finite(images: Tensor) -> None:
    """Refuse images with a NaN or an infinite pixel.

    Raises:
        UserError: naming how many there are and the first of them.
    """
    bad = [~chunk.isfinite().flatten(1).all(1) for chunk in images.split(FINITE_CHUNK)]
    numbers = torch.cat(bad).nonzero().flatten() if bad else torch.empty(0)
    if len(numbers):
        raise UserError(
            f"{len(numbers)} of {len(images)} images have a NaN or infinite pixel, the first is "
            f"image {int(numbers[0])}; mend or drop them"
        )


def variant_name(parameter: str, value: object) -> str:
    """The name of a score under another value of a score-time parameter, as in "mc_samples=0"."""
    return f"{parameter}={value}"
