"""What every detector is: an `nn.Module` with pure functions, and its hyperparameters.

A detector holds networks and buffers. It holds no optimiser, no loop and no random generator: the
cohort owns those, hands in images and noise, and stores the buffers that the hooks return. So one
replica in a loop and a stack of replicas under `torch.func.vmap` share every line.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from tune_ad.data.scaling import SCALINGS
from tune_ad.detectors.schedule import Adam, Phase, Stage
from tune_ad.errors import UserError
from tune_ad.nets import ImageShape

LARGEST_BATCH = 10_000
WIDEST = 10_000
Terms = dict[str, Tensor]
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


def require(condition: bool, name: str, value: object, rule: str) -> None:
    """Refuse the value of a hyperparameter.

    Raises:
        UserError: unless `condition` holds.
    """
    if not condition:
        raise UserError(f"{name} must be {rule}, got {value!r}")


@dataclass(frozen=True)
class Config:
    """Hyperparameters that every detector has; the defaults are the released ones on grey images.

    Attributes:
        latent_dim: size of the code.
        width: factor on every hidden channel count (capacity at fixed depth and code size).
        scaling: how uint8 pixels become [0, 1]: a name in `tune_ad.data.scaling`.
        epochs: passes over the training images of the main stage.
        batch_size: images per update.
        learning_rate: of Adam, before the milestones.
        milestones: fractions of the epochs at which the learning rate falls tenfold.
        weight_decay: L2 penalty inside Adam.
        beta1: decay rate of Adam's first moment.
        beta2: decay rate of Adam's second moment.
        reduction: "sum" or "mean" of the loss over a batch. Adam cancels the scale of the loss but
            not against weight decay, which the sum makes weaker.
    """

    latent_dim: int = 32
    width: float = 1.0
    scaling: str = "unit"
    epochs: int = 100
    batch_size: int = 200
    learning_rate: float = 1e-4
    milestones: tuple[float, ...] = (0.75,)
    weight_decay: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.999
    reduction: str = "mean"

    self_typed: ClassVar[frozenset[str]] = frozenset()
    """Fields whose type is not that of their default; the subclass checks them."""

    def __post_init__(self) -> None:
        """Validate every field.

        Raises:
            UserError: naming the field, its value and the rule it breaks.
        """
        for each in fields(self):
            if each.name not in self.self_typed:
                check_type(each.name, getattr(self, each.name), each.default)
        for name in ("latent_dim", "width", "epochs", "batch_size", "learning_rate"):
            require(getattr(self, name) > 0, name, getattr(self, name), "positive")
        require(self.width <= WIDEST, "width", self.width, f"at most {WIDEST}")
        require(
            self.batch_size <= LARGEST_BATCH,
            "batch_size",
            self.batch_size,
            f"at most {LARGEST_BATCH} (a smaller training set is repeated to fill a batch)",
        )
        for name in ("beta1", "beta2"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        require(
            all(isinstance(m, float) and 0 < m < 1 for m in self.milestones),
            "milestones",
            self.milestones,
            "fractions of the epochs in (0, 1)",
        )
        require(self.scaling in SCALINGS, "scaling", self.scaling, f"one of {sorted(SCALINGS)}")
        require(self.reduction in ("sum", "mean"), "reduction", self.reduction, "'sum' or 'mean'")

    @classmethod
    def released(cls, shape: ImageShape, **settings: Any) -> Self:  # noqa: ANN401
        """The published settings for images of `shape`, with `settings` in their place.

        Raises:
            UserError: if a setting has no such name or an illegal value.
        """
        names = [each.name for each in fields(cls)]
        for name in settings:
            require(name in names, "a parameter's name", name, f"one of {', '.join(names)}")
        return cls(**{**cls.released_settings(shape), **settings})

    @classmethod
    def released_settings(cls, shape: ImageShape) -> dict[str, Any]:
        """The published settings for images of `shape` that differ from the defaults."""
        return {"latent_dim": 128, "scaling": "minmax"} if shape.is_colour else {}


def check_type(name: str, value: object, default: object) -> None:
    """Refuse a value of another type than the default's, and a float that is not finite.

    An int may stand for a float.

    Raises:
        UserError: naming the field, its value and the type expected.
    """
    kinds: dict[type, tuple[type, ...]] = {
        bool: (bool,),
        int: (int,),
        float: (int, float),
        str: (str,),
        tuple: (tuple,),
    }
    kind = kinds[type(default)]
    fits = isinstance(value, kind) and (bool in kind or not isinstance(value, bool))
    require(fits, name, value, f"of type {type(default).__name__}")
    require(not isinstance(value, float) or math.isfinite(value), name, value, "finite")


ConfigT = TypeVar("ConfigT", bound=Config)


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

    def __init__(self, config: ConfigT, shape: ImageShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape

    def stages(self) -> tuple[Stage, ...]:
        """The stages of training, in order; none for a detector that is only fitted."""
        return (self.stage(Phase("train", tuple(name for name, _ in self.named_children()))),)

    def stage(self, *phases: Phase, name: str = "train") -> Stage:
        """A stage with the optimiser and schedule of the configuration."""
        config = self.config
        adam = Adam(config.learning_rate, (config.beta1, config.beta2), config.weight_decay)
        return Stage(name, config.epochs, phases, adam, config.milestones)

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """The random numbers that `terms` wants for a batch of that many images."""
        return {}

    @abstractmethod
    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """What one phase looks at, per image, each of shape (batch,).

        Args:
            phase: name of the phase.
            images: float in [0, 1], shape (batch, c, h, w).
            noise: the tensors that `noise` asked for.

        Returns:
            "loss", which the phase minimises, and any further terms worth a curve.
        """

    def loss(self, phase: str, images: Tensor, noise: Terms) -> Tensor:
        """The scalar that one phase minimises: `terms(...)["loss"]` summed or averaged."""
        return self.reduced(self.terms(phase, images, noise)["loss"])

    def reduced(self, losses: Tensor) -> Tensor:
        """Losses of shape (batch,) as one scalar, by `Config.reduction`."""
        return losses.sum() if self.config.reduction == "sum" else losses.mean()

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

    def finish(self, batches: Iterable[Tensor]) -> Buffers:
        """Buffers that scoring needs, fitted on the training images before an evaluation."""
        return {}

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        """The random numbers of scoring, drawn once per replica and shared by all images."""
        return {}

    @abstractmethod
    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The anomaly score and its variants of each image, larger = more anomalous, finite.

        Args:
            images: float in [0, 1], shape (batch, c, h, w).
            noise: the tensors that `score_noise` asked for.
            score_space: values of `score_parameters` to score with, one parameter at a time.

        Returns:
            "score" under the configuration itself; its parts by their names; one entry
            `variant_name(parameter, value)` for each value of the score space. All (batch,).
        """

    def score(self, images: Tensor, noise: Terms) -> Tensor:
        """The anomaly score of each image, shape (batch,), larger = more anomalous."""
        return self.score_variants(images, noise, {})["score"]

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """Pictures of what the detector makes of images, each (batch, c, h, w) in [0, 1]."""
        return {}

    def forward(self, function: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Call one of the functions above by name: the way in for `torch.func.functional_call`."""
        return getattr(self, function)(*arguments)


def variant_name(parameter: str, value: object) -> str:
    """The name of a score under another value of a score-time parameter, as in "mc_samples=0"."""
    return f"{parameter}={value}"
