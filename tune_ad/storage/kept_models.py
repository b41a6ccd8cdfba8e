"""Which trained models of a study are kept, and the description of kept ones."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_ad.array_files import read_arrays
from tune_ad.errors import UserError
from tune_ad.storage.json_files import NUMBER, Fault, Field, Kind, faults, read_object

KEEP_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "none": "no model",
        "best": "those of the winner on fresh seeds",
        "all": "those of every trial as well",
    }
)
"""Which trained models are kept, with what that means."""

FORMAT = 1
DESCRIPTION, CALIBRATION = "model.json", "calibration.npz"
WEIGHTS, ESTIMATOR = ".safetensors", ".joblib"
"""The suffixes of the files of a model."""
COPY = "copy the whole folder again"
MEMBER: Mapping[str, Kind] = MappingProxyType(
    {
        "seed": Field(int, "seed of the model"),
        "file": Field(str, "path of its files in the folder, without suffix"),
        "standardisation": Field(
            dict, "centre (median) and scale (interquartile range) of its scores of normal images"
        ),
        "digest": Field(str, "SHA-256 over the SHA-256 of its files, in the order of suffixes"),
        "chosen": Field(
            dict, "values of score-time parameters that were chosen for it, instead of config's"
        ),
    }
)
AUROC: Mapping[str, Kind] = MappingProxyType(
    {
        "value": Field(NUMBER, "test AUROC of the ensemble against a set of anomalies, in [0, 1]"),
        "low": Field((*NUMBER, NoneType), "lower end of its 95 % interval over test images"),
        "high": Field((*NUMBER, NoneType), "upper end of that interval"),
    }
)
FIELDS: Mapping[str, Kind] = MappingProxyType(
    {
        "format": Field(int, "version of the format of the folder"),
        "detector": Field(str, "class of the detector: module:Class, or code/file.py:Class"),
        "config": Field(dict, "all hyperparameters, by name"),
        "preprocessing": Field(
            dict, "how image files are read: height, width (pixels), colour, resize"
        ),
        "classes": Field([str], "names of the labels of the data set, by number"),
        "tasks": [
            {
                "name": Field(str, "name of the task, as the study has it"),
                "title": Field(str, "what the report calls it"),
                "normal": Field(str, "name of the normal class; all: the whole data set"),
                "members": [MEMBER],
                "threshold": Field((dict, NoneType), "the threshold, below; null: none"),
                "check": Field(
                    (dict, NoneType), "alarms of held-out normal images, below; null: too few"
                ),
                "aurocs": {"*": AUROC},
            }
        ],
        "provenance": Field(dict, "study, search, data, selection rule, versions, hardware, date"),
    }
)
"""The fields of the description of a kept model."""
THRESHOLD: Mapping[str, Kind] = MappingProxyType(
    {
        "value": Field(NUMBER, "the threshold: a larger score is an alarm; in units of the score"),
        "rate": Field(
            NUMBER,
            "guaranteed rate: at most this share of normal images raises an alarm, on "
            "average over calibration sets",
        ),
        "low": Field(NUMBER, "lower end of the 95 % interval of the rate of this calibration set"),
        "high": Field(NUMBER, "upper end of that interval"),
        "wished": Field(NUMBER, "rate of false alarms that was asked for, in (0, 1)"),
        "images": Field(int, "number of normal images from which the threshold follows"),
    }
)
CHECK: Mapping[str, Kind] = MappingProxyType(
    {
        "alarms": Field(int, "held-out normal images that raised an alarm"),
        "images": Field(int, "number of these images, each held out once"),
        "guaranteed": Field(NUMBER, "mean of the rates that the two thresholds guarantee"),
    }
)
"""The fields of a threshold, and of the alarms of held-out images, where there are some."""


def read_description(folder: Path) -> dict[str, Any] | None:
    """The content of the description of a kept model; None if the folder has none.

    Raises:
        UserError: if it is damaged, or of a newer format.
    """
    file = folder / DESCRIPTION
    if not os.path.lexists(file):
        return None
    content = read_object(file, COPY)
    version = content.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise UserError(
            f"{file} has format {version}, this version reads up to {FORMAT}; install a newer "
            "tune_ad"
        )
    if wrong := list(_faults(content)):
        raise UserError(
            f"{file} is damaged, {wrong[0].place} is missing or of the wrong type; {COPY}"
        )
    return content


def _faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """The fields of a description that are missing or of the wrong type."""
    wrong = list(faults(content, FIELDS))
    yield from wrong
    for number, task in enumerate([] if wrong else content["tasks"]):
        for name, kind in (("threshold", THRESHOLD), ("check", CHECK)):
            if task[name] is not None:
                yield from faults(task[name], kind, f"tasks.{number}.{name}")


def read_calibration(folder: Path) -> dict[str, NDArray[Any]]:
    """The scores of normal images from which the thresholds of a kept model follow, by task.

    Raises:
        UserError: if their file is missing or damaged.
    """
    if not os.path.lexists(folder / CALIBRATION):
        raise UserError(f"{folder / CALIBRATION} is missing; {COPY}")
    arrays = read_arrays(folder / CALIBRATION, COPY)
    for name, scores in arrays.items():
        if scores.ndim != 1 or scores.dtype.kind != "f" or not np.isfinite(scores).all():
            raise UserError(f"{folder / CALIBRATION}: the scores of {name} are damaged; {COPY}")
    return arrays


def check_files(folder: Path) -> None:
    """Check that a kept model has a description, and the files that it names.

    Raises:
        UserError: if a file is missing or damaged.
    """
    content = read_description(folder)
    if content is None:
        raise UserError(f"{folder / DESCRIPTION} is missing; {COPY}")
    read_calibration(folder)
    for task in content["tasks"]:
        for member in task["members"]:
            member_files(folder, member)


def digest_of(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of the contents of the files of a model, in the order of their suffixes."""
    digest = hashlib.sha256()
    for _, content in sorted(files.items()):
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def member_files(folder: Path, member: Mapping[str, Any]) -> dict[str, bytes]:
    """The contents of the files of a kept model by their suffixes: weights, and an estimator.

    Args:
        folder: the folder of the kept model.
        member: what its description says of the model: the `file` without suffix, and its
            `digest`.

    Raises:
        UserError: if the weights are missing, or the files are not those of the description.
    """
    place = folder / member["file"]
    try:
        files = {
            suffix: path.read_bytes()
            for suffix in (WEIGHTS, ESTIMATOR)
            if os.path.lexists(path := place.with_name(place.name + suffix))
        }
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}); {COPY}") from error
    if WEIGHTS not in files:
        raise UserError(f"{place}{WEIGHTS} is missing; {COPY}")
    if digest_of(files) != member["digest"]:
        raise UserError(
            f"{place}: damaged, its files are not those that {DESCRIPTION} names by their "
            f"SHA-256; {COPY}"
        )
    return files
