"""Exports a kept model to ONNX, or to a program of PyTorch, which score without this project.

Both take pixels, uint8 of the shape (n, c, h, w), and return the score of the ensemble, float64 of
the shape (n,): larger = more anomalous. They hold the scaling of the pixels, the models and the
standardisation of their scores. What follows from the score, the threshold, is in the metadata.
"""

import io
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tune_ad
from tune_ad.atomic import write_atomically
from tune_ad.errors import UserError, one_line
from tune_ad.local_paths import local_path
from tune_ad.models.conformal import Scores
from tune_ad.models.folder import KeptTask, ModelFolder
from tune_ad.models.graph import require_equal, traced

INPUT, OUTPUT = "pixels", "score"
METADATA = "tune_ad.json"
"""The name of the metadata in a `.pt2` file."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""The variable by which ONNX Runtime sends nothing, and keeps no identifier in the home folder."""
PROGRAM = "a program of PyTorch"
UNTRACED = "PyTorch's exporter cannot follow how it scores"
NOT_RUN = "the exported model cannot be stored, loaded or run"
LOAD = "score with AnomalyDetector.load"


def export(folder: str | Path, path: str | Path, normal: str | None = None) -> Path:
    """Export a kept model; the suffix of the path chooses the format.

    Args:
        folder: the folder of the kept model, such as `best` of a study.
        path: the file to write, which ends in ".onnx" or ".pt2".
        normal: the name of the normal class; None if there is only one.

    Returns:
        the path of the file.

    Raises:
        UserError: if there is no such model, the suffix is another one, or the model cannot be
            exported to this format; then nothing is written.
    """
    path = local_path(path)
    suffix = path.suffix.casefold()
    if suffix not in EXPORTERS:
        raise UserError(
            f"{path} must end in {' or '.join(EXPORTERS)}, the formats that can be exported to"
        )
    kept = ModelFolder(Path(folder))
    kept.require_pixels()
    EXPORTERS[suffix](kept, kept.task(normal), path)
    return path


def export_onnx(folder: ModelFolder, task: KeptTask, path: Path) -> None:
    """Write the models of a task as an ONNX model, after its scores have been compared.

    Its metadata properties are those of `metadata`; a value that is no text is JSON.

    Args:
        folder: the kept model.
        task: one of its tasks.
        path: the file to write.

    Raises:
        UserError: if a package is missing, the model cannot be exported, or its scores differ.
    """
    onnx, runtime = _packages()
    ensemble = folder.ensemble(task)
    with _refusing(folder, "ONNX", UNTRACED, LOAD):
        # ONNX has none of PyTorch's composed operations; some are only translated in parts.
        program = torch.onnx.export(
            traced(ensemble).run_decompositions(),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamo=True,
            verbose=False,
        )
        assert program is not None  # it is None for the exporter before dynamo
    model = program.model_proto
    texts = {
        k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata(folder, task).items()
    }
    with _refusing(folder, "ONNX", NOT_RUN, f"export to .pt2, or {LOAD}"):
        onnx.helper.set_model_props(model, texts)
        content = model.SerializeToString()
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])

        def scores(pixels: Tensor) -> Scores:
            result: Scores = session.run([OUTPUT], {INPUT: pixels.numpy()})[0]
            return result

        require_equal(ensemble, scores, str(path))
    write_atomically(path, content)


def export_torch(folder: ModelFolder, task: KeptTask, path: Path) -> None:
    """Write the models of a task for `torch.export.load`, after its scores have been compared.

    The file has the extra file "tune_ad.json", with the `metadata`.

    Args:
        folder: the kept model.
        task: one of its tasks.
        path: the file to write.

    Raises:
        UserError: if the model cannot be exported, or its scores differ.
    """
    ensemble, buffer = folder.ensemble(task), io.BytesIO()
    with _refusing(folder, PROGRAM, UNTRACED, LOAD):
        program = traced(ensemble)
    extra = {METADATA: json.dumps(metadata(folder, task))}
    with _refusing(folder, PROGRAM, NOT_RUN, LOAD):
        torch.export.save(program, buffer, extra_files=extra)
        buffer.seek(0)
        module = torch.export.load(buffer).module()

        @torch.no_grad()
        def scores(pixels: Tensor) -> Scores:
            return np.asarray(module(pixels))

        require_equal(ensemble, scores, str(path))
    write_atomically(path, buffer.getvalue())


EXPORTERS = {".onnx": export_onnx, ".pt2": export_torch}
"""The function that writes a format, by the suffix of its files."""


def metadata(folder: ModelFolder, task: KeptTask) -> dict[str, Any]:
    """What an exported model says about itself.

    "threshold" is the largest score that raises no alarm, and "false_alarms" the share of normal
    images that do, at most; both are missing if the model has no threshold.
    """
    description, limit = folder.description, task.threshold
    alarms = {"threshold": limit.value, "false_alarms": limit.rate} if limit else {}
    return {
        "detector": description.detector,
        "normal": task.normal,
        "classes": list(description.classes),
        "shape": list(description.preprocessing.shape),
        "colour": description.preprocessing.colour,
        "resize": description.preprocessing.resize,
        **alarms,
        "score": "larger = more anomalous",
        "tune_ad": tune_ad.__version__,
    }


def _packages() -> tuple[Any, Any]:
    """The packages `onnx` and `onnxruntime`.

    Raises:
        UserError: if one that is needed is not installed.
    """
    os.environ.setdefault(NO_TELEMETRY, "1")
    try:
        onnx, _, runtime = map(import_module, PACKAGES)
    except ImportError as error:
        raise UserError(
            f"export to ONNX needs {', '.join(PACKAGES)} ({error}); install them by "
            "pip install 'tune_ad[export]'"
        ) from error
    return onnx, runtime


@contextmanager
def _refusing(folder: ModelFolder, format_name: str, reason: str, remedy: str) -> Iterator[None]:
    """Turn whatever an exporter or a runtime raises into one line; warnings concern themselves.

    Args:
        folder: the kept model.
        format_name: the format that is exported to.
        reason: what went wrong if an error is raised.
        remedy: what the user can do then.

    Raises:
        UserError: if the model cannot be exported.
    """
    name = folder.description.detector.partition(":")[2]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Exception as error:  # exporters and runtimes pass on whatever an operation raises
        raise UserError(
            f"{name} with this configuration cannot be exported to {format_name}: {reason} "
            f"({one_line(error)}); {remedy}"
        ) from error
