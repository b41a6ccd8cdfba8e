"""The base class of detectors: an `nn.Module` with pure functions.

A detector has networks and buffers, but no optimiser, no training loop and no random generator:
the training code has those, passes images and noise to the detector, and stores the buffers that
its hooks return. So the same code serves a single replica and replicas stacked with
`torch.func.vmap`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple

import torch
from torch import Tensor, nn

from tune_ad.data.image_statistics import ImageStatistics, Statistic
from tune_ad.detectors.answers import BUILD_SECONDS, answering
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
    """A request for random numbers: their shape, and "uniform" on [0, 1) or standard "normal"."""

    distribution: str
    shape: tuple[int, ...]

    def draw(self, generator: torch.Generator) -> Tensor:
        """A float32 tensor of `shape` on the generator's device."""
        draws = {"uniform": torch.rand, "normal": torch.randn}
        return draws[self.distribution](self.shape, generator=generator, device=generator.device)


class Detector(nn.Module, ABC, Generic[ConfigT]):
    """A method of anomaly detection with its networks, for one configuration and image shape.

    A subclass defines its hyperparameters (`Config`), its schedule (`stages`), its losses
    (`terms`) and its score (`score_variants`). These functions are pure: they depend only on the
    arguments, parameters and buffers, and change nothing except the running statistics of batch
    normalisation.

    Args:
        config: the hyperparameters.
        shape: the shape of the images.
    """

    Config: ClassVar[type[Config]]
    equivalent_in_bfloat16: ClassVar[bool] = False
    """Whether models trained in bfloat16 have been shown to detect as well as those trained in
    float32, by a test of equivalence (`benchmarks/precision.py`) at the published settings on two
    classes of CIFAR-10."""
    space: ClassVar[Mapping[str, Any]] = {}
    """The search space of `--detector`: distributions of Optuna by field of `Config`. If it is
    empty, the detector is evaluated at its default settings."""
    score_parameters: ClassVar[tuple[str, ...]] = ()
    """Fields of `Config` that affect scoring, so that they can be varied on a trained model."""
    image_statistics: ClassVar[Mapping[str, Statistic]] = {}
    """Functions of the images alone that scoring needs, by name: (images in [0, 1], before any
    scaling, shape (batch, c, h, w)) -> (batch,). They are computed once per image, on the CPU, and
    given to `score_variants` in `noise`."""
    watched: ClassVar[tuple[str, ...]] = ()
    """Terms whose batch mean is recorded at every step, not only as an average over an epoch."""
    histograms: tuple[str, ...] = ()
    """Components of the score whose histograms are stored in addition to that of the score."""
    nats: tuple[str, ...] = ()
    """Terms and components of the score, in nats, that are also reported in bits per dimension.

    Only minus log-probabilities of images, their bounds, and the rates that are parts of these:
    bits are the length of a code, so what they count must be probabilities that sum to one.
    """
    meanings: ClassVar[Mapping[str, str]] = {}
    """By its name, what each component of the score and each of `score_parameters` is: a short
    text for the report, with its unit."""
    main_score: str = ""
    """What the score is: the name of the component that is the score, or the name of a score that
    is computed only if it is asked for, and is no component; empty if the score has no other
    name."""

    def __init__(self, config: ConfigT, shape: ImageShape) -> None:
        super().__init__()
        self.config = config
        self.shape = shape

    @property
    def scoring_modules(self) -> tuple[str, ...]:
        """Names of the modules used for scoring: by default those trained in the last stage."""
        return tuple(sorted({n for s in self.stages()[-1:] for p in s.phases for n in p.modules}))

    @property
    def scoring_size(self) -> int:
        """How many times `score_variants` needs the memory of one pass of an image.

        A stack of replicas scores fewer images at once if it is large.
        """
        return 1

    @classmethod
    def reference(cls) -> str:
        """The text by which a kept model finds the class again, by default "module:Class"."""
        return f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def scales(cls, config: ConfigT) -> dict[str, str]:
        """For every quantity that selection may compare, a text that says what it measures.

        Two configurations may be compared by a quantity only if both have a text for it and the
        texts are equal. A field of `Config` on which the meaning of a quantity depends declares it
        (`Rule.measures`).

        Returns:
            the texts by quantity: `LOSS`, the detector's own training loss, averaged over
            validation images; `LIKELIHOOD`, only for a detector whose score has the component
            "negative_iwae", the tightest bound of the likelihood of an image, in nats; and any
            other quantity whose different meanings a report should not mix.
        """
        return {}

    def stages(self) -> tuple[Stage, ...]:
        """The stages of training, in order; empty for a detector that is only fitted."""
        return ()

    def noise(self, phase: str, batch: int) -> dict[str, Noise]:
        """The random numbers that `terms` needs for a batch of this number of images."""
        return {}

    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """The loss of a training phase and its terms, per image, each of shape (batch,).

        Args:
            phase: name of the phase.
            images: scaled images, in [0, 1] (fitted scalings: nearly), shape (batch, c, h, w).
            noise: the random tensors requested by `noise`.

        Returns:
            "loss", which the phase minimises, and any other terms to record.

        Raises:
            NotImplementedError: if the detector has no phases.
        """
        raise NotImplementedError(f"{type(self).__name__} is fitted, not trained")

    def loss_and_terms(self, phase: str, images: Tensor, noise: Terms) -> tuple[Tensor, Terms]:
        """The scalar that a phase minimises, which is `reduced` of the "loss", and the terms."""
        terms = self.terms(phase, images, noise)
        return self.reduced(terms["loss"]), terms

    def reduced(self, losses: Tensor) -> Tensor:
        """The losses of a batch, shape (batch,), reduced to a scalar."""
        return losses.mean()

    def held_out_phase(self, stage: Stage) -> str:
        """The phase of a stage whose terms are computed for held-out images."""
        return stage.phases[0].name

    def held_out_loss(self, phase: str, terms: Terms) -> Tensor:
        """The loss of held-out images, per image, shape (batch,).

        Early stopping monitors it, and `normal_only` ranks configurations by it. A loss against
        an opponent that is trained at the same time, such as a discriminator, measures neither.
        """
        return terms["loss"]

    def begin(self, stage: str, batches: Iterable[Tensor]) -> Buffers:
        """Buffers to set before a stage, such as a centre.

        Args:
            stage: name of the stage.
            batches: the training images; the detector is in evaluation mode.
        """
        return {}

    def after_step(self, stage: str, phase: str, terms: Terms, progress: Tensor) -> Buffers:
        """Buffers to set after an optimiser step.

        Args:
            stage: name of the stage.
            phase: name of the phase.
            terms: the terms of the step, detached, each of shape (batch,).
            progress: scalar in [0, 1), the fraction of the stage's epochs that are finished.
        """
        return {}

    def finish(self, batches: Iterable[Tensor], seed: int) -> Buffers:
        """Buffers that scoring needs, fitted to the training images before an evaluation.

        A detector without stages may store a fitted estimator instead: after a state has been
        loaded, it is fitted again to the same images with the same seed.

        Args:
            batches: the training images; the detector is in evaluation mode.
            seed: the seed of the replica, for a fit that uses random numbers.

        Raises:
            DegenerateInputError: if fitting fails; the replica then counts as failed.
        """
        return {}

    def score_noise(self, score_space: ScoreSpace) -> dict[str, Noise]:
        """The random numbers of scoring, drawn once per replica and shared by all images."""
        return {}

    @abstractmethod
    def score_variants(self, images: Tensor, noise: Terms, score_space: ScoreSpace) -> Terms:
        """The anomaly score of each image and its variants, finite, larger = more anomalous.

        Args:
            images: scaled images, in [0, 1] (fitted scalings: nearly), shape (batch, c, h, w).
            noise: the random tensors requested by `score_noise`, and the `image_statistics` of the
                original images by their names, each float64, shape (batch,).
            score_space: values of `score_parameters` to score with, one parameter at a time.

        Returns:
            "score", that of the configuration itself; its components by their names; and one entry
            `variant_name(parameter, value)` for each value of the score space. All have shape
            (batch,).
        """

    def score(self, images: Tensor, noise: Terms) -> Tensor:
        """The anomaly score of each image, shape (batch,), larger = more anomalous.

        Args:
            images: scaled images, shape (batch, c, h, w).
            noise: as in `score_variants`. Image statistics that it lacks are computed from
                `images`, which are the original images under the scaling "unit" alone.

        Raises:
            UserError: if the images have another shape than those trained on, or are not finite.
        """
        self.check(images)
        missing = {name: s for name, s in self.image_statistics.items() if name not in noise}
        statistics = ImageStatistics(images).of(missing, torch.arange(len(images)))
        known = {name: values.to(images.device) for name, values in statistics.items()}
        return self.score_variants(images, {**noise, **known}, {})["score"]

    def check(self, images: Tensor) -> None:
        """Check that this detector can score the images.

        Raises:
            UserError: if they have another shape than those trained on, or are not finite.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != tuple(self.shape):
            raise UserError(
                f"images of shape {tuple(images.shape)} given to a detector for images of shape "
                f"(n, {', '.join(map(str, self.shape))}); convert them to that shape"
            )
        check_finite(images)

    def diagnose(self, scored: Callable[[str], Terms]) -> Numbers:
        """Diagnostics of the trained model, recorded and reported under their names.

        Args:
            scored: a function that returns the score and its components, each float64 of shape
                (n,), of the normal images of "train" (as many as there are normal test images),
                "validation" or "test"; its result is empty if there are no such images.

        Returns:
            numbers by `Metric`, whose part is the name of the diagnostic (none of `PARTS`, which
            belong to the engine) and whose term is the quantity; quantities in `nats` are also
            reported in bits per dimension. An exception becomes a warning of the model.
        """
        return {}

    def inspect(self, batches: Iterable[Tensor], seed: int) -> Numbers:
        """Diagnostics of the trained model that need the training images themselves.

        Args:
            batches: the training images, as in `finish`; read only as far as they are needed.
            seed: the seed of the replica, for random numbers.

        Returns:
            numbers by `Metric`, as in `diagnose`; an exception becomes a warning of the model.
        """
        return {}

    def warnings(self, numbers: Mapping[Metric, float]) -> list[str]:
        """Warnings about the trained model, sentences without a full stop.

        Args:
            numbers: all final numbers of the model, including its diagnostics.

        An exception becomes a warning of the model itself.
        """
        return []

    def illustrate(self, images: Tensor) -> dict[str, Tensor]:
        """Images that the detector produces, e.g. reconstructions: (batch, c, h, w) in [0, 1]."""
        return {}

    def codes(self, images: Tensor) -> Tensor | None:
        """The codes of images, shape (batch, dimensions), for pictures; None if it has none."""
        return None

    def forward(self, function: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Call one of the functions above by name.

        `torch.func.functional_call` can only call `forward`. So it, and `torch.vmap` over stacked
        replicas, can call every function of the detector.
        """
        return getattr(self, function)(*arguments)


class TrainedDetector(Detector[NetworkConfigT]):
    """A detector that trains networks, by default in one stage with one phase."""

    @classmethod
    def scales(cls, config: NetworkConfigT) -> dict[str, str]:
        """What the loss measures; losses are comparable only within this detector."""
        return {LOSS: f"{cls.__name__}, {config.scale(LOSS)}"}

    def stages(self) -> tuple[Stage, ...]:
        """One stage with one phase, which trains all modules."""
        return (self.stage(Phase("train", tuple(name for name, _ in self.named_children()))),)

    def stage(self, *phases: Phase) -> Stage:
        """The main stage, with the optimiser and the schedule of the configuration."""
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
            last_batch=config.last_batch,
        )

    @abstractmethod
    def terms(self, phase: str, images: Tensor, noise: Terms) -> Terms:
        """As in `Detector.terms`."""

    def reduced(self, losses: Tensor) -> Tensor:
        """The losses of a batch, shape (batch,), reduced to a scalar by `Config.reduction`."""
        return losses.sum() if self.config.reduction == "sum" else losses.mean()


def skeleton(detector: type[Detector[Any]], config: Config, shape: ImageShape) -> Detector[Any]:
    """A detector on the meta device, with its stages and shapes but without memory for weights.

    Raises:
        UserError: if the configuration cannot be built for the images.
    """
    with answering(detector, "cannot be built", BUILD_SECONDS), torch.device("meta"):
        module = detector(config, shape)
        module.stages()  # of a user's own detector it may fail as well
    return module


def check_finite(images: Tensor) -> None:
    """Check that no image has a NaN or an infinite pixel.

    Raises:
        UserError: with the number of such images and the index of the first.
    """
    bad = [~chunk.isfinite().flatten(1).all(1) for chunk in images.split(FINITE_CHUNK)]
    numbers = torch.cat(bad).nonzero().flatten() if bad else torch.empty(0)
    if len(numbers):
        raise UserError(
            f"{len(numbers)} of {len(images)} images have a NaN or infinite pixel, the first is "
            f"image {int(numbers[0])}; correct or remove these images"
        )


def variant_name(parameter: str, value: object) -> str:
    """The name of the score at another value of a score-time parameter, e.g. "mc_samples=0"."""
    return f"{parameter}={value}"
