"""Makes the folder of a kept model from the models of a study's evaluation."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from tune_ad.atomic import replaced
from tune_ad.data import Task
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import one_line
from tune_ad.models.conformal import Scores, cross_check, threshold
from tune_ad.models.ensemble import Ensemble, Standardisation, references
from tune_ad.models.examples import Judged, examples
from tune_ad.models.folder import (
    Auroc,
    Description,
    KeptTask,
    MemberFile,
    Preprocessing,
)
from tune_ad.models.member import Member
from tune_ad.models.writing import describe, kept_reference
from tune_ad.randomness import numpy_stream
from tune_ad.search.study import Study
from tune_ad.selection import RULES
from tune_ad.storage.examples import TaskExamples
from tune_ad.storage.kept_models import ESTIMATOR, WEIGHTS, digest_of
from tune_ad.storage.records import TrialRecord
from tune_ad.training.ranking import auroc, auroc_interval
from tune_ad.training.replicas.kept import Files, KeptState, model_name
from tune_ad.training.suite import Suite


class Source(NamedTuple):
    """The models of one seed of the evaluation.

    Attributes:
        record: the record of that seed.
        folder: the folder with its models, one file for each task of the suite in order.
    """

    record: TrialRecord
    folder: Path


class Making(NamedTuple):
    """What a kept model is made of, besides the models.

    Attributes:
        study: the study.
        suite: its tasks and images.
        preprocessing: how image files are read.
        classes: the names of the labels.
        false_alarms: the wished rate of false alarms.
        provenance: what `model.json` says about the origin of the model.
    """

    study: Study
    suite: Suite
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    false_alarms: float
    provenance: Mapping[str, Any]


class Built(NamedTuple):
    """What was made.

    Attributes:
        description: what `model.json` says.
        examples: test images of each task that has anomalies, with what the models make of them.
        faults: why there are none of a task, in sentences without a full stop.
    """

    description: Description
    examples: Sequence[TaskExamples]
    faults: Sequence[str]


def build(path: Path, making: Making, sources: Sequence[Source]) -> Built:
    """Write the folder of a kept model, in place of an earlier one.

    Args:
        path: the folder to write.
        making: what the model is made of.
        sources: the models of the complete seeds of one configuration, at least one.
    """
    with replaced(path) as folder:
        return _write(folder, making, sources)


def _write(folder: Path, making: Making, sources: Sequence[Source]) -> Built:
    study, record = making.study, sources[0].record
    detector = study.baselines[record.baseline].detector
    calibration, tasks = {}, []
    shown: list[TaskExamples] = []
    faults: list[str] = []
    for position, task in enumerate(making.suite.tasks):
        name = model_name(position, task)
        files = [_copied(source, name, folder) for source in sources]
        states = [KeptState.from_files(of_seed, name) for of_seed in files]
        shape = ImageShape(*making.suite.shape)
        members = [
            Member(detector, detector.Config(**source.record.scored_with), shape, state, name)
            for source, state in zip(sources, states, strict=True)
        ]
        written = [
            Written(source, name, digest_of(f)) for source, f in zip(sources, files, strict=True)
        ]
        made = _task(making, task, written, members)
        tasks.append(made.kept)
        shown += made.examples
        faults += made.faults
        calibration[task.name] = made.calibration
    description = Description(
        detector=kept_reference(folder, detector),
        config=record.params,
        preprocessing=making.preprocessing,
        classes=making.classes,
        tasks=tuple(tasks),
        provenance=making.provenance,
    )
    describe(folder, description, calibration)
    return Built(description, shown, faults)


class Written(NamedTuple):
    """A model in the folder: where it comes from, the name of its files, and their SHA-256."""

    source: Source
    name: str
    digest: str

    def member(self, standardisation: Standardisation) -> MemberFile:
        """What `model.json` says of it."""
        record = self.source.record
        seed = record.replicas[0].seed
        place = f"seed-{seed}/{self.name}"
        chosen = record.changed_at_scoring
        return MemberFile(seed, place, standardisation, self.digest, chosen)


def _copied(source: Source, name: str, folder: Path) -> Files:
    """Link the files of a model into the folder, or copy them, and read them."""
    seed = source.record.replicas[0].seed
    target = folder / f"seed-{seed}"
    target.mkdir(exist_ok=True)
    files = {}
    for suffix in (WEIGHTS, ESTIMATOR):
        file = source.folder / f"{name}{suffix}"
        if file.exists():
            files[suffix] = file.read_bytes()
            try:
                os.link(file, target / file.name)
            except OSError:  # another file system, or one without links
                shutil.copyfile(file, target / file.name)
    return files


class _Made(NamedTuple):
    """What is made of a task: its description, calibration scores, examples and their faults."""

    kept: KeptTask
    calibration: Scores
    examples: Sequence[TaskExamples]
    faults: Sequence[str]


def _task(
    making: Making,
    task: Task,
    written: Sequence[Written],
    members: Sequence[Member],
) -> _Made:
    """What is stored of a task.

    Scores are standardised by held-out normal images, or by training images if none is held out;
    the threshold comes from the normal test images, which neither training nor selection has seen.
    There is none if the rule has selected by test images.
    """
    suite, split = making.suite, making.suite.split(task.name)
    held_out = split.validation.normal if len(split.validation.normal) else split.train
    reference = suite.pixels[held_out[references(len(held_out))]]
    standardisations = [Standardisation.of(member.scores(reference)) for member in members]
    ensemble = Ensemble(members, standardisations)
    normal = ensemble.scores(suite.pixels[split.test.normal])
    unseen = RULES[making.study.selection].looks_at != "test images"
    order = numpy_stream(making.study.seed, "false alarms", task.name).permutation(len(normal))
    anomalous = {
        outsider: ensemble.scores(suite.pixels[positions])
        for outsider, positions in split.test.outsiders.items()
    }
    limit = threshold(normal, making.false_alarms) if unseen else None
    kept = KeptTask(
        name=task.name,
        title=task.title,
        normal=task.class_name or ("all" if task.normal_class is None else str(task.normal_class)),
        members=tuple(
            model.member(standard)
            for model, standard in zip(written, standardisations, strict=True)
        ),
        threshold=limit,
        check=cross_check(normal, making.false_alarms, order) if unseen else None,
        aurocs={outsider: _auroc(normal, scores) for outsider, scores in anomalous.items()},
    )
    judged = [
        Judged(
            task.name,
            outsider,
            suite.pixels,
            suite.labels,
            split.test.normal,
            split.test.outsiders[outsider],
            normal,
            scores,
            limit,
        )
        for outsider, scores in list(anomalous.items())[:1]  # those of the main AUROC
        if len(normal) and len(scores)
    ]
    stream = numpy_stream(making.study.seed, "examples", task.name)
    shown, faults = _examples(task, ensemble, judged, stream)
    return _Made(kept, normal if unseen else normal[:0], shown, faults)


def _examples(
    task: Task, ensemble: Ensemble, judged: Sequence[Judged], stream: np.random.Generator
) -> tuple[list[TaskExamples], list[str]]:
    """The examples of a task; a detector that fails at them has none, with the reason."""
    try:
        return [examples(ensemble, images, stream) for images in judged], []
    except Exception as error:  # a detector is a user's own code and may raise anything
        return [], [
            f"{task.title}: no pictures of examples, because making them raised {one_line(error)}"
        ]


def _auroc(normal: Scores, anomalous: Scores) -> Auroc:
    """The AUROC of scores, with its interval if either side has several images."""
    sides = torch.from_numpy(normal), torch.from_numpy(anomalous)
    low, high = auroc_interval(*sides) if min(map(len, sides)) > 1 else (None, None)
    return Auroc(auroc(*sides), low, high)
