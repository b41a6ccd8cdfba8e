"""Trains the models of one configuration on the images of an array, without a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_ad.data import ScaledImages
from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.models.conformal import Scores, Threshold, threshold
from tune_ad.models.ensemble import Ensemble, Standardisation, references
from tune_ad.models.folder import Description, KeptTask, ModelFolder
from tune_ad.models.from_arrays.levels import Array, Levels, as_images, flat, rounded
from tune_ad.models.member import Member
from tune_ad.training.replicas.kept import KeptState
from tune_ad.training.replicas.paths import Load, limits
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet


class Recipe(NamedTuple):
    """What is trained.

    Attributes:
        detector: the class of the detector.
        config: its configuration.
        shape: the shape of an image.
        task: the name from which, with its seed, the random draws of a model follow.
    """

    detector: type[Detector[Any]]
    config: Config
    shape: ImageShape
    task: str

    def member(self, state: KeptState) -> Member:
        """The model with a stored state.

        Raises:
            UserError: if the state does not fit the detector.
        """
        return Member(self.detector, self.config, self.shape, state, self.task)

    def pixels(self, values: Array, levels: Levels) -> Tensor:
        """Grey levels of the images in an array, shape (n, c, h, w), uint8 or float32.

        Those of a detector that needs statistics of 8-bit images are rounded.

        Raises:
            UserError: if they have another shape than the recipe's, or another unit.
        """
        images = as_images(levels(flat(values, self.shape)), self.shape)
        return rounded(images) if self.detector.image_statistics else images


@dataclass(frozen=True)
class Fitted:
    """The models that are trained on an array.

    Attributes:
        recipe: what was trained.
        levels: how values become grey levels.
        seeds: the seed of each model.
        states: the stored state of each model.
        ensemble: the models, which score together.
        calibration: the scores of the normal images that no model was trained on, shape (n,).
        limit: the threshold; None if there is no such image.
        chosen: score-time parameters of each model that differ from the recipe's; empty if none
            does.
        origin: the kept model that they were read from, and its task; None if they were trained on
            an array.
    """

    recipe: Recipe
    levels: Levels
    seeds: tuple[int, ...]
    states: tuple[KeptState, ...]
    ensemble: Ensemble
    calibration: Scores
    limit: Threshold | None
    chosen: tuple[Mapping[str, Any], ...] = ()
    origin: tuple[Description, KeptTask] | None = None

    @classmethod
    def read(cls, folder: ModelFolder, task: KeptTask) -> "Fitted":
        """The models of a task of a kept model.

        Raises:
            UserError: if a file is missing or damaged, or the detector cannot be imported.
        """
        description = folder.description
        detector = folder.detector
        config, shape = folder.config({}), description.preprocessing.shape
        levels = description.provenance.get("levels")
        return cls(
            recipe=Recipe(detector, config, shape, task.name),
            levels=Levels.from_json(levels) if levels else Levels(),
            seeds=tuple(member.seed for member in task.members),
            states=tuple(map(folder.state, task.members)),
            ensemble=folder.ensemble(task),
            calibration=folder.calibration(task),
            limit=task.threshold,
            chosen=tuple(member.chosen for member in task.members),
            origin=(description, task),
        )

    @property
    def shortfall(self) -> str:
        """What is missing for the wished rate of false alarms; empty if nothing is."""
        return self.limit.shortfall if self.limit else ""

    def scores(self, values: Array) -> Scores:
        """The anomaly score of each image of an array, shape (n,), larger = more anomalous.

        Raises:
            UserError: as in `Recipe.pixels`.
        """
        return self.ensemble.scores(self.recipe.pixels(values, self.levels))


class Wish(NamedTuple):
    """How models are trained on an array, and which rate of false alarms is wished.

    Attributes:
        seeds: the seed of each model.
        held_out: ascending positions of the images that are kept back for the threshold.
        by_column: whether the columns of the array are quantities of their own.
        false_alarms: the wished rate of false alarms, in (0, 1).
        device: "cpu" or "cuda": where the models are trained.
    """

    seeds: tuple[int, ...]
    held_out: NDArray[np.int64]
    by_column: bool
    false_alarms: float
    device: str


def fit(recipe: Recipe, values: Array, wish: Wish) -> Fitted:
    """Train models on the images of an array, and set the threshold by those held out.

    Args:
        recipe: what is trained.
        values: rows or images, n >= 2.
        wish: how.

    Raises:
        UserError: as in `train`, or if the rate of false alarms is illegal.
        DegenerateInputError: as in `train`.
    """
    rest = np.setdiff1d(np.arange(len(values)), wish.held_out)
    levels = Levels.of(flat(values, recipe.shape)[rest], wish.by_column)
    training, unseen = (recipe.pixels(values[k], levels) for k in (rest, wish.held_out))
    states = train(recipe, training, wish.seeds, wish.device)
    ensemble = joined(recipe, states, training)
    calibration = ensemble.scores(unseen)
    limit = threshold(calibration, wish.false_alarms)
    return Fitted(recipe, levels, wish.seeds, tuple(states), ensemble, calibration, limit)


@torch.enable_grad()
def train(recipe: Recipe, pixels: Tensor, seeds: Sequence[int], device: str) -> list[KeptState]:
    """The states of the trained models, one for each seed, on the CPU.

    Args:
        recipe: what is trained.
        pixels: the training images: grey levels from 0 to 255, uint8 or float32, (n, c, h, w).
        seeds: the seeds.
        device: "cpu" or "cuda": where the models are trained.

    Raises:
        UserError: if the configuration cannot be trained on the images, or training fails.
        DegenerateInputError: if a detector that is only fitted cannot be fitted to the images.
    """
    detector, config = recipe.detector, recipe.config
    images = ScaledImages(pixels.to(device), config.scaling)
    most = limits(Load(detector, config, recipe.shape, {}, len(seeds), pixels.nbytes), device)
    specs = [ReplicaSpec(recipe.task, seed, torch.arange(len(pixels))) for seed in seeds]
    models = ReplicaSet(detector, config, images, specs, together=most.trained)
    models.train(models.epochs)
    for position, failure in models.failures.items():
        raise UserError(
            f"{detector.__name__} with the seed {seeds[position]} failed after {failure.epoch} "
            f"epochs: {failure.reason}; change its parameters, such as learning_rate"
        )
    return [_on_cpu(KeptState.of(replica)) for replica in models.replicas]


def _on_cpu(state: KeptState) -> KeptState:
    """A copy of a state that shares nothing with the replica."""
    return KeptState.from_files(state.to_files(), "")


def joined(recipe: Recipe, states: Sequence[KeptState], pixels: Tensor) -> Ensemble:
    """The models as one detector, whose scores are standardised by training images.

    Images for a threshold must play no part in the score, so none of them is used here.

    Args:
        recipe: what was trained.
        states: the states of the models.
        pixels: the training images, as in `train`.
    """
    members = [recipe.member(state) for state in states]
    reference = pixels[references(len(pixels))]
    return Ensemble(members, [Standardisation.of(member.scores(reference)) for member in members])
