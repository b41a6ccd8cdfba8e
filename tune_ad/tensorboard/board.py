"""Writes event files: the columns of a study, and a run folder for each trial."""

import hashlib
import io
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.metadata import create_summary_metadata as histogram_metadata
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from tune_ad.tensorboard.domains import Choices, Domain, Interval, column_names, row
from tune_ad.tensorboard.pictures import Pixels, check_pixels, tiled

HISTOGRAM_BUCKETS = 30
NON_FINITE = "health/non_finite"
NON_FINITE_FIRST = "health/non_finite_first"
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_FILE_PREFIX = "events.out.tfevents"
_COLUMN_TYPES = {
    "bool": api_pb2.DATA_TYPE_BOOL,
    "number": api_pb2.DATA_TYPE_FLOAT64,
    "string": api_pb2.DATA_TYPE_STRING,
}


def write_study(
    folder: Path, domains: Mapping[str, Domain], metrics: Sequence[tuple[str, str]]
) -> None:
    """Declare the columns of the HPARAMS table, in the root folder of a study.

    TensorBoard shows five parameters and five metrics until the user selects more. Both are in the
    order of the arguments, but constant parameters come last, in alphabetical order.

    Writing the same columns again has no effect; different columns (of an extended study) replace
    the old ones. A running TensorBoard shows them after a restart. Earlier trials keep their cells
    if new varying parameters come after the old ones.

    Args:
        folder: the ``--logdir`` of TensorBoard, which contains the folders of the trials.
        domains: every parameter of every detector of the study, in order (see `merge_domains`).
        metrics: (tag of a scalar, name of its column), the most important first.
    """
    names = column_names(domains)
    experiment = api_pb2.Experiment(
        hparam_infos=[_column(names[name], name, domains[name]) for name in domains],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=column)
            for tag, column in metrics
        ],
    )
    summary = _hparams_summary(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))
    digest = hashlib.sha256(summary.SerializeToString(deterministic=True)).hexdigest()[:16]
    old = sorted(Path(folder).glob(f"{_FILE_PREFIX}.*.study-*"))
    if [path.name.rpartition("-")[2] for path in old] == [digest]:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    _write_file(Path(folder) / f"{_FILE_PREFIX}.{time.time_ns()}.study-{digest}", summary)
    for path in old:
        path.unlink()


class TrialBoard:
    """The run folder of one trial. Everything is visible to TensorBoard once a method returns.

    The row of the HPARAMS table exists from the start. Its status is "unknown", which TensorBoard
    shows for a trial that has not finished; `finish` changes it to success or failure. As a
    context manager, the board marks a failure if an exception is raised, and leaves the status
    unknown if the program is interrupted. When a killed or failed trial is run again, its folder
    is reused: points from `resume_step` on are deleted and its status is reset. (A TensorBoard
    that has already read the failure must be restarted.)

    Numbers that TensorBoard cannot show (NaN, infinite, too large for float32) are not written.
    The scalar `health/non_finite` counts them, over all tags since the folder was opened, and the
    text `health/non_finite_first` gives the first one of each tag.

    Args:
        folder: the folder of the run; its name is the name of the run, e.g. ``007-PGN-1a2b3c4d``.
        parameters: the parameters of this trial, and no others.
        domains: the columns and how values are shown in them, as in `write_study`.
        group: identity of the configuration without its seed. TensorBoard averages the runs of a
            group in one row, and shows this as "Trial ID".
        resume_step: the first step that will be written.

    Raises:
        ValueError: a parameter has no domain, or its value does not fit it.
    """

    def __init__(
        self,
        folder: Path,
        parameters: Mapping[str, object],
        domains: Mapping[str, Domain],
        group: str,
        resume_step: int = 0,
    ) -> None:
        cells = row(parameters, domains)
        self._path = _next_file(Path(folder))
        self._file = self._path.open("xb")
        self._writer = RecordWriter(self._file)
        self._written = 0.0
        self._non_finite: dict[str, int] = {}  # numbers that were not written, by tag
        start = SessionLog(status=SessionLog.START)
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(session_log=start, step=resume_step))
        self._write(Event(summary=hparams_pb(cells, trial_id=group)))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write one point of a curve; `step` is in the unit of the trial, e.g. epochs."""
        self.scalars({tag: value}, step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write one point of each curve."""
        points = {tag: float(value) for tag, value in values.items()}
        finite = {tag: value for tag, value in points.items() if abs(value) <= _LARGEST_FLOAT32}
        self._add([Summary.Value(tag=tag, simple_value=finite[tag]) for tag in finite], step)
        for tag in points:
            if tag not in finite:
                self._count_non_finite(tag, 1, points[tag], step)

    def histogram(self, tag: str, values: npt.ArrayLike, step: int) -> None:
        """Write the distribution of `values`, an array of any shape, in 30 buckets of equal width.

        If all values are equal, the last bucket has them. An empty array writes nothing.
        """
        array = np.asarray(values, dtype=np.float64).ravel()
        is_finite = np.abs(array) <= _LARGEST_FLOAT32
        if is_finite.any():
            tensor = make_tensor_proto(_buckets(array[is_finite]), dtype=np.float64)
            about = histogram_metadata(display_name=None, description=None)
            self._add([Summary.Value(tag=tag, tensor=tensor, metadata=about)], step)
        if not is_finite.all():
            example = float(array[~is_finite][0])
            self._count_non_finite(tag, int((~is_finite).sum()), example, step)

    def image(self, tag: str, pixels: Pixels, step: int) -> None:
        """Write one image without loss.

        TensorBoard shows ten steps of a tag; ``--samples_per_plugin images=100`` shows more.

        Args:
            tag: name of the image.
            pixels: uint8 pixels, shape (h, w) for grey or (h, w, 3) for red, green and blue.
            step: the step, in the unit of the trial.

        Raises:
            ValueError: `pixels` has another shape or another type.
        """
        check_pixels(pixels, 2)
        png = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(png, format="PNG")
        height, width, *channels = pixels.shape
        picture = Summary.Image(
            height=height,
            width=width,
            colorspace=3 if channels else 1,
            encoded_image_string=png.getvalue(),
        )
        self._add([Summary.Value(tag=tag, image=picture)], step)

    def image_grid(self, tag: str, rows: Sequence[Pixels], step: int) -> None:
        """Write rows of images as one image, e.g. inputs above their reconstructions.

        Args:
            tag: name of the image.
            rows: rows of images, each uint8 of shape (n, h, w) for grey or (n, h, w, 3) for
                colour, with the same n, h and w in every row.
            step: the step, in the unit of the trial.

        Raises:
            ValueError: the rows differ in shape, or have another shape or type.
        """
        self.image(tag, tiled(rows), step)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Write a text, which is shown as Markdown."""
        self._add(text_pb(tag, markdown).value, step)

    def flush(self) -> None:
        """Force the file to disk (fsync), so that it survives a power failure."""
        if not self._file.closed:
            os.fsync(self._file.fileno())

    def finish(self, succeeded: bool) -> None:
        """Mark the row as a success or a failure, and close; further calls have no effect."""
        if self._file.closed:
            return
        self.close()
        status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
        info = SessionEndInfo(status=status, end_time_secs=time.time())
        data = HParamsPluginData(session_end_info=info)
        end = self._path.with_name(self._path.name + ".end")
        _write_file(end, _hparams_summary(metadata.SESSION_END_INFO_TAG, data))

    def close(self) -> None:
        """Close the board but leave the status unknown, for a trial that will be continued."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, Exception):
            self.finish(succeeded=error is None)
        self.close()

    def _count_non_finite(self, tag: str, count: int, example: float, step: int) -> None:
        if tag not in self._non_finite:
            self.text(NON_FINITE_FIRST, f"`{tag}` was {example} at step {step}", step)
        self._non_finite[tag] = self._non_finite.get(tag, 0) + count
        self.scalar(NON_FINITE, sum(self._non_finite.values()), step)

    def _add(self, values: Iterable[Any], step: int) -> None:
        self._write(Event(summary=Summary(value=values), step=int(step)))

    def _write(self, event: Any) -> None:  # noqa: ANN401
        self._written = event.wall_time = max(self._written, time.time())  # clocks are set back
        self._writer.write(event.SerializeToString())
        self._file.flush()


def _column(name: str, label: str, domain: Domain) -> Any:  # noqa: ANN401
    info = api_pb2.HParamInfo(
        name=name, display_name=label, type=_COLUMN_TYPES[domain.kind], differs=domain.varies
    )
    if isinstance(domain, Interval):
        info.domain_interval.min_value = domain.low
        info.domain_interval.max_value = domain.high
        info.description = "whole number" if domain.is_int else "number"
    elif isinstance(domain, Choices):
        info.domain_discrete.extend(domain.cells)
    elif domain.kind == "bool":
        info.domain_discrete.extend([False, True])
    return info


def _hparams_summary(tag: str, data: Any) -> Any:  # noqa: ANN401
    about = metadata.create_summary_metadata(data)
    value = Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def _write_file(path: Path, summary: Any) -> None:  # noqa: ANN401
    """Write an event file atomically, so that no reader sees a part of it."""
    now = time.time()
    unfinished = path.with_name(f"unfinished-{time.time_ns()}")
    try:
        with unfinished.open("xb") as file:
            writer = RecordWriter(file)
            for event in (Event(file_version="brain.Event:2"), Event(summary=summary)):
                event.wall_time = now
                writer.write(event.SerializeToString())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _next_file(folder: Path) -> Path:
    """The path of a new event file, whose name sorts after those of earlier attempts.

    TensorBoard reads files in the order of their names and uses the first end marker of a run;
    therefore the end markers of earlier attempts are deleted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for end in folder.glob(f"{_FILE_PREFIX}.*.end"):
        end.unlink()
    numbers = [path.name[len(_FILE_PREFIX) + 1 :] for path in folder.glob(f"{_FILE_PREFIX}.*")]
    after = [int(number) + 1 for number in numbers if number.isdecimal()]  # clocks are set back
    return folder / f"{_FILE_PREFIX}.{max([time.time_ns(), *after])}"


def _buckets(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The left edge, right edge and count of each bucket, shape (buckets, 3)."""
    edges = np.linspace(values.min(), values.max(), HISTOGRAM_BUCKETS + 1)
    counts, _ = np.histogram(values, edges)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)
