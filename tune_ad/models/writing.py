"""Writes the folder of a kept model: whole, or not at all."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tune_ad
from tune_ad.data.own.decoding import EXACT
from tune_ad.detectors.base import Detector
from tune_ad.models.card import card
from tune_ad.models.conformal import Scores, cross_check
from tune_ad.models.folder import (
    CARD,
    CODE,
    Description,
    KeptTask,
    MemberFile,
    Preprocessing,
)
from tune_ad.models.from_arrays.fitting import Fitted
from tune_ad.randomness import numpy_stream
from tune_ad.search.own_code import contents, file_of, place_of_class
from tune_ad.search.own_detector import reference_of
from tune_ad.storage.jsonl import to_text
from tune_ad.storage.kept_models import CALIBRATION, DESCRIPTION, digest_of

NORMAL = "normal"
"""The name of the normal class of a model that was trained on an array."""


def kept_reference(folder: Path, detector: type[Detector[Any]]) -> str:
    """The text by which the detector of a kept model is found; its own file is stored with it.

    Args:
        folder: the folder of the kept model.
        detector: the class of the detector.
    """
    file = file_of(detector)
    if file is None:
        return reference_of(detector)
    for place, code in contents(detector).items():
        path = folder / CODE / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(code.content)
    name, place = detector.__qualname__, place_of_class(detector)
    if place != file.name:  # a module of a package is imported by its full name
        place = f"kept_{name}.py"
        line = f"from {detector.__module__} import {name}\n"
        (folder / CODE / place).write_text(line, encoding="utf-8")
    return f"{CODE}/{place}:{name}"


def describe(folder: Path, description: Description, calibration: Mapping[str, Scores]) -> None:
    """Write the description, the model card and the calibration scores into a folder.

    Args:
        folder: the folder, which holds the models.
        description: what `model.json` says.
        calibration: the scores of unseen normal images, by the name of the task.
    """
    np.savez(folder / CALIBRATION, **calibration)  # type: ignore[arg-type]
    (folder / DESCRIPTION).write_text(to_text(description.to_json(), indent=2), encoding="utf-8")
    (folder / CARD).write_text(card(description), encoding="utf-8")


def write_fitted(folder: Path, model: Fitted, hardware: str) -> None:
    """Write models that were trained on an array into an empty folder.

    Args:
        folder: the folder.
        model: the models.
        hardware: where they were trained.
    """
    if model.origin is not None:
        _write_again(folder, model, *model.origin)
        return
    recipe, limit, check = model.recipe, model.limit, None
    if limit is not None:
        order = numpy_stream(0, "false alarms", recipe.task).permutation(len(model.calibration))
        check = cross_check(model.calibration, limit.wished, order)
    task = KeptTask(
        name=recipe.task,
        title=recipe.task,
        normal=NORMAL,
        members=tuple(_write_members(folder, model)),
        threshold=limit,
        check=check,
        aurocs={},
    )
    config = recipe.config
    description = Description(
        detector=kept_reference(folder, recipe.detector),
        config={field.name: getattr(config, field.name) for field in fields(config)},
        preprocessing=Preprocessing.of(recipe.shape, EXACT),
        classes=(NORMAL,),
        tasks=(task,),
        provenance=_provenance(model, hardware),
    )
    describe(folder, description, {task.name: model.calibration})


def _write_again(folder: Path, model: Fitted, origin: Description, task: KeptTask) -> None:
    """Write models that were read from a kept model, with all that it says of them."""
    members = tuple(_write_members(folder, model))
    kept = replace(task, members=members, threshold=model.limit)
    reference = kept_reference(folder, model.recipe.detector)
    description = replace(origin, detector=reference, tasks=(kept,))
    describe(folder, description, {task.name: model.calibration})


def _write_members(folder: Path, model: Fitted) -> Iterator[MemberFile]:
    """Write the files of every model."""
    chosen: Sequence[Mapping[str, Any]] = model.chosen or [{} for _ in model.seeds]
    entries = zip(model.seeds, model.states, model.ensemble.standardisations, chosen, strict=True)
    for seed, state, standardisation, values in entries:
        files = state.to_files()
        place = f"seed-{seed}/0-{NORMAL}"
        member = MemberFile(seed, place, standardisation, digest_of(files), values)
        (folder / f"seed-{seed}").mkdir()
        for suffix, content in files.items():
            (folder / f"{member.file}{suffix}").write_bytes(content)
        yield member


def _provenance(model: Fitted, hardware: str) -> dict[str, Any]:
    """What `model.json` says about the origin of the model; it has neither a study nor a rule."""
    return {
        "study": "",
        "search": "",
        "data": "an array",
        "rule": "",
        "levels": asdict(model.levels),
        "versions": {"tune_ad": tune_ad.__version__, "torch": torch.__version__},
        "hardware": hardware,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
