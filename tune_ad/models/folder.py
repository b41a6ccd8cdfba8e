"""The folder of a kept model: what is in it, and how it is read.

    model.json           detector, configuration, preprocessing, tasks, thresholds, AUROCs,
                         provenance
    seed-<seed>/<task>.safetensors, .joblib
                         the model of a task and seed: weights, and a fitted estimator if any
    calibration.npz      scores of normal test images by task, from which the thresholds follow
    code/                the file of a detector of one's own, and the modules beside it
    README.md            the model card

`.joblib` files and those in `code/` run code when a model is read: only read folders from people
whom you trust.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from tune_ad.detectors.base import Detector
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError, did_you_mean, one_line
from tune_ad.local_paths import local_path
from tune_ad.models.conformal import Checked, Scores, Threshold
from tune_ad.models.ensemble import Ensemble, Standardisation
from tune_ad.models.member import Member, detector_of
from tune_ad.storage.jsonl import CONVERSION
from tune_ad.storage.kept_models import (
    CALIBRATION,
    DESCRIPTION,
    FORMAT,
    member_files,
    read_calibration,
    read_description,
)
from tune_ad.storage.values import decode, encode
from tune_ad.training.replicas.kept import KeptState

CARD = "README.md"
CODE = "code"


@dataclass(frozen=True)
class MemberFile:
    """The model of one seed.

    Attributes:
        seed: its seed.
        file: its file without suffix.
        standardisation: how its scores are standardised.
        digest: the SHA-256 of its files, `storage.kept_models.digest_of`.
        chosen: values of score-time parameters that were chosen for this seed on held-out images,
            which replace those of the configuration.
    """

    seed: int
    file: str
    standardisation: Standardisation
    digest: str
    chosen: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The model as plain data."""
        return {**asdict(self), "chosen": encode(self.chosen)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        standardisation = Standardisation(**entry["standardisation"])
        digest, chosen = entry["digest"], decode(entry["chosen"])
        return cls(entry["seed"], entry["file"], standardisation, digest, chosen)


class Auroc(NamedTuple):
    """An AUROC with its 95 % interval that is due to the sampling of test images.

    The ends are None if a side has a single image.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class KeptTask:
    """What is stored of a task.

    Attributes:
        name: the name of the task, as in `Task`.
        title: its title.
        normal: the name of the normal class; "all" if the whole data set is normal.
        members: the models, one for each seed.
        threshold: the threshold of the ensemble; None if there is no unseen normal image.
        check: the alarms of held-out normal images; None if there are too few.
        aurocs: the test AUROC of the ensemble against each outsider set, by its name.
    """

    name: str
    title: str
    normal: str
    members: tuple[MemberFile, ...]
    threshold: Threshold | None
    check: Checked | None
    aurocs: Mapping[str, Auroc]

    def to_json(self) -> dict[str, Any]:
        """The task as plain data."""
        limit, check = self.threshold, self.check
        return {
            **asdict(self),
            "members": [member.to_json() for member in self.members],
            "threshold": limit and limit._asdict(),
            "check": check and check._asdict(),
            "aurocs": {name: auroc._asdict() for name, auroc in self.aurocs.items()},
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        members = tuple(map(MemberFile.from_json, entry["members"]))
        limit, check = entry["threshold"], entry["check"]
        return cls(
            name=entry["name"],
            title=entry["title"],
            normal=entry["normal"],
            members=members,
            threshold=Threshold(**limit) if limit else None,
            check=Checked(**check) if check else None,
            aurocs={name: Auroc(**values) for name, values in entry["aurocs"].items()},
        )


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes the array that the models score.

    Attributes:
        height: height in pixels.
        width: width in pixels.
        colour: "grey" or "rgb".
        resize: the rule by which images of another size are brought to this one.
    """

    height: int
    width: int
    colour: str
    resize: str

    @classmethod
    def of(cls, shape: ImageShape, resize: str) -> Self:
        """That of images of a shape, with a rule for others."""
        return cls(shape.height, shape.width, "rgb" if shape.is_colour else "grey", resize)

    @property
    def shape(self) -> ImageShape:
        """The shape of an image."""
        return ImageShape(3 if self.colour == "rgb" else 1, self.height, self.width)


@dataclass(frozen=True)
class Description:
    """The content of `model.json`.

    Attributes:
        detector: the class of the detector, as in "module:Class", or "code/file.py:Class".
        config: every hyperparameter; a model may have other score-time parameters, which were
            chosen for its seed (`MemberFile.chosen`).
        preprocessing: how image files are read.
        classes: the names of the labels of the data set.
        tasks: the tasks.
        provenance: study, search, selection rule, versions, hardware, date.
    """

    detector: str
    config: Mapping[str, Any]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    tasks: tuple[KeptTask, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content as plain data."""
        tasks = [task.to_json() for task in self.tasks]
        return {"format": FORMAT, **asdict(self), "config": encode(self.config), "tasks": tasks}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            detector=content["detector"],
            config=decode(content["config"]),
            preprocessing=Preprocessing(**content["preprocessing"]),
            classes=tuple(content["classes"]),
            tasks=tuple(map(KeptTask.from_json, content["tasks"])),
            provenance=content["provenance"],
        )


class ModelFolder:
    """A kept model on disk.

    Args:
        path: the folder with `model.json`.

    Raises:
        UserError: if there is none, or it is damaged or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = local_path(path)
        self.description = _read(path)

    def task(self, normal: str | None = None) -> KeptTask:
        """The task with that normal class; the only one if no class is named.

        Args:
            normal: the name of the normal class, or the title of the task.

        Raises:
            UserError: if there is no such task, or several and none is named.
        """
        tasks = self.description.tasks
        names = [task.normal for task in tasks]
        if normal is None:
            if len(tasks) == 1:
                return tasks[0]
            raise UserError(
                f"{self.path} has a model for each of {len(tasks)} normal classes; choose one "
                f"with --classes: {', '.join(names)}"
            )
        for task in tasks:
            names_of = (task.normal, task.title, task.name)
            if normal.casefold() in map(str.casefold, names_of):
                return task
        hint = did_you_mean(normal, names)
        raise UserError(
            f"{self.path} has no model for the normal class {normal!r}; "
            f"{hint or 'choose one of ' + ', '.join(names)}"
        )

    def require_pixels(self) -> None:
        """Check that the models score pixels, as those of a study do.

        Raises:
            UserError: if they were trained on numbers that are mapped from a range of their own.
        """
        levels = self.description.provenance.get("levels")
        if levels and (levels["low"], levels["high"]) != ([0.0], [1.0]):
            raise UserError(
                f"{self.path} was trained on numbers with a range of their own, not on pixels; "
                "score with AnomalyDetector.load, or train it on uint8 images"
            )

    def ensemble(self, task: KeptTask) -> Ensemble:
        """The models of a task.

        Raises:
            UserError: if a file is missing or damaged, or the detector cannot be imported.
        """
        members = [self.member(member) for member in task.members]
        return Ensemble(members, [member.standardisation for member in task.members])

    @property
    def reference(self) -> str:
        """The text by which `find_detector` finds the detector, wherever the folder lies."""
        text = self.description.detector
        is_own = text.startswith(f"{CODE}/")
        return f"{self.path.resolve()}/{text}" if is_own else text

    @cached_property
    def detector(self) -> type[Detector[Any]]:
        """The class of the detector.

        Raises:
            UserError: if it cannot be imported.
        """
        return detector_of(self.reference)

    def state(self, member: MemberFile) -> KeptState:
        """The stored state of a model.

        Raises:
            UserError: if a file is missing or damaged.
        """
        files = member_files(self.path, {"file": member.file, "digest": member.digest})
        return KeptState.from_files(files, str(self.path / member.file))

    def member(self, member: MemberFile) -> Member:
        """The model of one seed.

        Raises:
            UserError: as in `ensemble`.
        """
        shape, place = self.description.preprocessing.shape, str(self.path / member.file)
        state = self.state(member)
        config = self.config(member.chosen)
        try:
            return Member(self.detector, config, shape, state, place)
        except UserError:
            raise
        except Exception as error:  # a detector may raise anything
            raise self._misfit(error) from error

    def config(self, chosen: Mapping[str, Any]) -> Config:
        """The configuration of the models, with score-time parameters of one of them.

        Raises:
            UserError: if it does not fit the detector.
        """
        detector = self.detector
        try:
            config: Config = detector.Config(**{**self.description.config, **chosen})
        except Exception as error:  # a detector may raise anything
            raise self._misfit(error) from error
        return config

    def _misfit(self, error: Exception) -> UserError:
        """What a detector has raised for a configuration that does not fit it."""
        reason = error if isinstance(error, UserError) else one_line(error)
        return UserError(
            f"{self.path / DESCRIPTION} is damaged: its configuration does not fit the detector "
            f"({reason}); copy the whole folder again"
        )

    def calibration(self, task: KeptTask) -> Scores:
        """The scores of the normal images from which the threshold follows, shape (n,).

        Raises:
            UserError: if their file is missing or damaged, or has none of this task.
        """
        if task.name not in self._calibration:
            raise UserError(
                f"{self.path / CALIBRATION} has no scores of {task.name}; copy the folder again"
            )
        return self._calibration[task.name]

    @cached_property
    def _calibration(self) -> dict[str, Scores]:
        return read_calibration(self.path)


def _read(path: Path) -> Description:
    """The description of a kept model.

    Raises:
        UserError: if there is none, or it is damaged or of a newer format.
    """
    content = read_description(path)
    if content is None:
        raise UserError(
            f"{path} is no kept model, it has no {DESCRIPTION}; give the folder best/ of a study "
            "that has ended"
        )
    try:
        return Description.from_json(content)
    except CONVERSION as error:
        raise UserError(
            f"{path / DESCRIPTION} is damaged ({one_line(error)}); copy the folder again"
        ) from error
