"""Test images that the kept models judge best and worst, with their scores, for the report.

One file of a study, `examples.npz`, has them for every task, so that reports need neither models
nor data sets.
"""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_ad.array_files import StoredArray, read_arrays
from tune_ad.errors import UserError, one_line
from tune_ad.storage.jsonl import CONVERSION

REMEDY = "remove it (--resume makes it anew if the models are kept)"
NORMALS, ANOMALIES, RANDOM = "most anomalous normals", "least anomalous anomalies", "random"
ROWS = (NORMALS, ANOMALIES, RANDOM)
"""The rows of images: the largest scores of normal images, the smallest of anomalies, any."""
NORMAL = ""
"""The name of the group of normal images in `Example.groups` and `TaskExamples.counts`."""

ARRAYS: Mapping[str, StoredArray] = {
    "identity": StoredArray("text", "", "hash of the configuration of the models"),
    "K.names": StoredArray(
        "text", "2", "name of the task, and of the set of anomalies; empty: the other classes"
    ),
    "K.edges": StoredArray(
        "float64",
        "bins + 1",
        "edges of the bins of the scores of all test images, in units of the ensemble's score",
    ),
    "K.counts.GROUP": StoredArray(
        "int64", "bins", 'number of images in each bin; GROUP is empty (normal) or "anomalies"'
    ),
    "K.threshold": StoredArray(
        "float64",
        "4",
        "threshold in units of the score, wished and guaranteed rate of false alarms in [0, 1], "
        "number of normal images; NaN without a threshold",
    ),
    "K.alarms": StoredArray(
        "float64", "", "share of the anomalies above the threshold, in [0, 1]; NaN without one"
    ),
    "K.rows.ROW.images": StoredArray(
        "uint8",
        "images, height, width",
        "pixels from 0 to 255, large images reduced; colour images have a last axis of 3",
    ),
    "K.rows.ROW.scores": StoredArray(
        "float64", "images", "score of the ensemble, larger = more anomalous"
    ),
    "K.rows.ROW.is_anomaly": StoredArray("bool", "images", "whether the image is anomalous"),
    "K.rows.ROW.classes": StoredArray("int64", "images", "its class within its data set"),
    "K.rows.ROW.reconstructions": StoredArray(
        "uint8",
        "images, height, width",
        "reconstructions by the first model, as images; missing if it makes none",
    ),
    "K.rows.ROW.maps": StoredArray(
        "uint8",
        "images, height, width",
        "where the image is anomalous, 255 = most; missing if there are no maps",
    ),
    "K.codes.values": StoredArray(
        "float32",
        "images, dimensions",
        "codes by the first model; missing if they are too large. All arrays K.codes are missing "
        "if the detector has no codes",
    ),
    "K.codes.images": StoredArray(
        "uint8", "images, height, width", "their images, reduced; as images of a row"
    ),
    "K.codes.is_anomaly": StoredArray("bool", "images", "whether the image is anomalous"),
    "K.codes.classes": StoredArray("int64", "images", "its class within its data set"),
    "K.codes.dimensions": StoredArray("int64", "", "number of dimensions of a code"),
    "K.codes.explained": StoredArray(
        "float64", "2", "shares of the variance of both principal components, in [0, 1]"
    ),
    "K.codes.positions.METHOD": StoredArray(
        "float64", "images, 2", "positions in the plane by PCA or t-SNE, without a unit"
    ),
}
"""The arrays of the file: K counts tasks from 0, ROW is a name of `ROWS`."""


@dataclass(frozen=True, eq=False)
class Row:
    """Some test images of a task, the most telling first.

    Attributes:
        images: uint8, shape (k, h, w) or (k, h, w, 3); large ones are reduced.
        scores: the score of the ensemble, shape (k,), larger = more anomalous.
        is_anomaly: whether an image is anomalous, shape (k,).
        classes: its class within its data set, shape (k,).
        reconstructions: those of the first model, as `images`; None if it makes none.
        maps: where the images are anomalous, uint8, shape (k, h, w); None if there are no maps.
    """

    images: NDArray[np.uint8]
    scores: NDArray[np.float64]
    is_anomaly: NDArray[np.bool_]
    classes: NDArray[np.int64]
    reconstructions: NDArray[np.uint8] | None = None
    maps: NDArray[np.uint8] | None = None

    @property
    def pictures(self) -> dict[str, NDArray[np.uint8]]:
        """The arrays of pictures that exist, by what they show."""
        pictures = {
            "images": self.images,
            "their reconstructions": self.reconstructions,
            "maps of where they are anomalous": self.maps,
        }
        return {name: pixels for name, pixels in pictures.items() if pixels is not None}


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of test images by the first model, in two dimensions.

    Attributes:
        is_anomaly: whether an image is anomalous, shape (n,).
        classes: its class within its data set, shape (n,).
        dimensions: the number of dimensions of a code.
        explained: the shares of the variance of both principal components, in [0, 1], shape (2,).
        positions: the positions of the images by the name of the method, shape (n, 2).
        values: the codes themselves, shape (n, dimensions); None in files of earlier versions, and
            if they have too many dimensions or are too large.
        images: the images, uint8, shape (n, h, w) or (n, h, w, 3), reduced; None if there are no
            values.
    """

    is_anomaly: NDArray[np.bool_]
    classes: NDArray[np.int64]
    dimensions: int
    explained: NDArray[np.float64]
    positions: Mapping[str, NDArray[np.float64]]
    values: NDArray[np.float32] | None = None
    images: NDArray[np.uint8] | None = None


@dataclass(frozen=True, eq=False)
class TaskExamples:
    """What is stored of a task.

    Attributes:
        task: the name of the task.
        outsider: the name of the set of anomalies; empty for the other classes.
        rows: the images, by a name of `ROWS`.
        edges: the edges of the bins of the scores of all test images, shape (bins + 1,).
        counts: the numbers of `NORMAL` images and of anomalies in them, shape (bins,) each, by
            "" and "anomalies".
        threshold: threshold, wished rate, guaranteed rate and number of normal images; NaN
            without a threshold. Shape (4,).
        alarms: the share of the anomalies above the threshold, in [0, 1]; NaN without one.
        codes: None if the detector has no codes.
    """

    task: str
    outsider: str
    rows: Mapping[str, Row]
    edges: NDArray[np.float64]
    counts: Mapping[str, NDArray[np.int64]]
    threshold: NDArray[np.float64]
    alarms: float
    codes: Codes | None = field(default=None)


def to_bytes(tasks: Sequence[TaskExamples], identity: str) -> bytes:
    """The content of the file.

    Args:
        tasks: what is stored of each task.
        identity: the hash of the configuration of the models.
    """
    arrays: dict[str, Any] = {"identity": np.array(identity)}
    for k, task in enumerate(tasks):
        arrays[f"{k}.names"] = np.array([task.task, task.outsider])
        arrays[f"{k}.edges"], arrays[f"{k}.threshold"] = task.edges, task.threshold
        arrays[f"{k}.alarms"] = np.array(task.alarms)
        for name, counts in task.counts.items():
            arrays[f"{k}.counts.{name}"] = counts
        for name, row in task.rows.items():
            arrays |= {
                f"{k}.rows.{name}.{key}": value
                for key, value in vars(row).items()
                if value is not None
            }
        if task.codes is not None:
            arrays |= _of_codes(f"{k}.codes", task.codes)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _of_codes(key: str, codes: Codes) -> dict[str, Any]:
    known = {"values": codes.values, "images": codes.images}
    return {
        **{f"{key}.{name}": array for name, array in known.items() if array is not None},
        f"{key}.is_anomaly": codes.is_anomaly,
        f"{key}.classes": codes.classes,
        f"{key}.dimensions": np.array(codes.dimensions),
        f"{key}.explained": codes.explained,
        **{f"{key}.positions.{name}": at for name, at in codes.positions.items()},
    }


def read(path: Path) -> tuple[str, list[TaskExamples]]:
    """Identity of the configuration, and the examples of each task; empty if there is no file.

    Raises:
        UserError: if the file is damaged.
    """
    if not os.path.lexists(path):
        return "", []
    arrays = read_arrays(path, REMEDY)
    try:
        count = sum(name.endswith(".names") for name in arrays)
        tasks = [_task(arrays, k) for k in range(count)]
        for task in tasks:
            _check(task)
        return str(arrays["identity"]), tasks
    except CONVERSION as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}); {REMEDY}") from error


def _below(arrays: Mapping[str, NDArray[Any]], key: str) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin with a key and a dot, by the rest of their names."""
    start = f"{key}."
    return {name[len(start) :]: a for name, a in arrays.items() if name.startswith(start)}


def _task(arrays: Mapping[str, NDArray[Any]], k: int) -> TaskExamples:
    name, outsider = arrays[f"{k}.names"].tolist()
    codes = _below(arrays, f"{k}.codes")
    return TaskExamples(
        task=name,
        outsider=outsider,
        rows={row: Row(**_below(arrays, f"{k}.rows.{row}")) for row in ROWS},
        edges=arrays[f"{k}.edges"],
        counts=_below(arrays, f"{k}.counts"),
        threshold=arrays[f"{k}.threshold"],
        alarms=float(arrays[f"{k}.alarms"]),
        codes=_codes(codes) if codes else None,
    )


def _codes(arrays: Mapping[str, NDArray[Any]]) -> Codes:
    return Codes(
        is_anomaly=arrays["is_anomaly"],
        classes=arrays["classes"],
        dimensions=int(arrays["dimensions"]),
        explained=arrays["explained"],
        positions=_below(arrays, "positions"),
        values=arrays.get("values"),
        images=arrays.get("images"),
    )


def _check(task: TaskExamples) -> None:
    """Check that the arrays of a task fit each other.

    Raises:
        ValueError: if they do not.
    """
    for name, row in task.rows.items():
        _check_row(name, row)
    bins = len(task.edges) - 1
    if bins < 1 or not np.isfinite(task.edges).all() or not (np.diff(task.edges) > 0).all():
        raise ValueError("edges of bins are not ascending numbers")
    if NORMAL not in task.counts or any(a.shape != (bins,) for a in task.counts.values()):
        raise ValueError(f"counts do not fit {bins} bins")
    if task.threshold.shape != (4,):
        raise ValueError(f"a threshold of shape {task.threshold.shape}")
    if task.codes is not None:
        _check_codes(task.codes)


def _check_row(name: str, row: Row) -> None:
    k = len(row.scores)
    pictures = row.pictures.values()
    if any(a.dtype != np.uint8 or a.ndim not in (3, 4) or len(a) != k for a in pictures):
        raise ValueError(f"images of the row {name!r} do not fit its {k} scores")
    if len({a.shape[1:3] for a in pictures}) > 1:
        raise ValueError(f"images of the row {name!r} differ in size")
    if row.is_anomaly.shape != (k,) or row.classes.shape != (k,):
        raise ValueError(f"classes of the row {name!r} do not fit its {k} scores")
    if not np.isfinite(row.scores).all():
        raise ValueError(f"a score of the row {name!r} is not finite")


def _check_codes(codes: Codes) -> None:
    n = len(codes.classes)
    if codes.is_anomaly.shape != (n,) or codes.explained.shape != (2,):
        raise ValueError("codes do not fit their classes")
    for name, positions in codes.positions.items():
        if positions.shape != (n, 2) or not np.isfinite(positions).all():
            raise ValueError(f"positions by {name} do not fit {n} images")
    if (codes.values is None) != (codes.images is None):
        raise ValueError("codes without images, or images without codes")
    if codes.values is not None and codes.images is not None:
        _check_values(codes.values, codes.images, (n, codes.dimensions))


def _check_values(
    values: NDArray[np.float32], images: NDArray[np.uint8], shape: tuple[int, int]
) -> None:
    if values.shape != shape or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise ValueError(f"codes of shape {values.shape} instead of {shape}")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) != shape[0]:
        raise ValueError(f"images of codes of shape {images.shape} for {shape[0]} codes")
