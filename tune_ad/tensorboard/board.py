"""Writes event files: a run folder for each trial."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from tune_ad.tensorboard.curves import precision_recall, summary_value
from tune_ad.tensorboard.domains import Domain, row
from tune_ad.tensorboard.event_files import next_file, write_file
from tune_ad.tensorboard.pictures import Pixels, image_value, tiled
from tune_ad.tensorboard.score_picture import Panel, score_picture
from tune_ad.tensorboard.study import hparams_value

NON_FINITE = "health/non_finite"
NON_FINITE_FIRST = "health/non_finite_first"
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


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
        folder: the folder of the run; its name is that of the run, e.g. ``007 lr=3e-4 width=2``.
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
        self._path = next_file(Path(folder))
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

    def precision_recall(
        self, tag: str, normal: npt.ArrayLike, anomalous: npt.ArrayLike, step: int
    ) -> None:
        """Write a curve of precision over recall, with anomalies as the positive images.

        Args:
            tag: name of the curve.
            normal: scores of normal images, or their ranks; larger = more anomalous.
            anomalous: those of anomalies; without any, nothing is written.
            step: the step, in the unit of the trial.

        Raises:
            ValueError: a score is NaN.
        """
        if np.size(anomalous):
            self._add([summary_value(tag, precision_recall(normal, anomalous))], step)

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
        self._add([image_value(tag, pixels)], step)

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

    def scores(self, tag: str, panels: Sequence[Panel], step: int) -> None:
        """Write the scores of normal and of anomalous images as one image (`score_picture`)."""
        self.image(tag, score_picture(panels), step)
        for panel in panels:
            for name, scores in panel.groups.items():
                lost = scores[~np.isfinite(scores)]
                if len(lost):
                    of = f"{tag}/{panel.title}/{name}"
                    self._count_non_finite(of, len(lost), float(lost[0]), step)

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
        value = hparams_value(metadata.SESSION_END_INFO_TAG, data)
        write_file(end, Summary(value=[value]))

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
