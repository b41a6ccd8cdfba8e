"""Event files: their names, and how whole ones are written."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

PREFIX = "events.out.tfevents"


def write_once(folder: Path, kind: str, values: Sequence[Any], step: int = 0) -> None:
    """Write values into a file of their own, unless it has them already.

    Other values replace those of the same kind; a running TensorBoard shows them after a restart.

    Args:
        folder: the folder of a run; it is created.
        kind: what the values are; letters.
        values: values of a summary.
        step: their step.
    """
    if is_written(folder, kind, values):
        return
    old = _files(folder, kind)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{PREFIX}.{time.time_ns()}.{kind}-{_digest(values)}"
    write_file(folder / name, Summary(value=values), step)
    for path in old:
        path.unlink()


def is_written(folder: Path, kind: str, values: Sequence[Any]) -> bool:
    """Whether a file of `write_once` has these values already."""
    digests = [path.name.rpartition("-")[2] for path in _files(folder, kind)]
    return digests == [_digest(values)]


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{PREFIX}.*.{kind}-*"))


def _digest(values: Sequence[Any]) -> str:
    content = Summary(value=values).SerializeToString(deterministic=True)
    return hashlib.sha256(content).hexdigest()[:16]


def write_file(path: Path, summary: Any, step: int = 0) -> None:  # noqa: ANN401
    """Write an event file atomically, so that no reader sees a part of it."""
    now = time.time()
    unfinished = path.with_name(f"unfinished-{time.time_ns()}")
    try:
        with unfinished.open("xb") as file:
            write_events(
                file, now, [Event(file_version="brain.Event:2"), Event(summary=summary, step=step)]
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_events(file: Any, wall_time: float, events: Iterable[Any]) -> None:  # noqa: ANN401
    """Write events of one time to an open file."""
    writer = RecordWriter(file)
    for event in events:
        event.wall_time = wall_time
        writer.write(event.SerializeToString())


def next_file(folder: Path) -> Path:
    """The path of a new event file, whose name sorts after those of earlier attempts.

    TensorBoard reads files in the order of their names and uses the first end marker of a run;
    therefore the end markers of earlier attempts are deleted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for end in folder.glob(f"{PREFIX}.*.end"):
        end.unlink()
    numbers = [path.name[len(PREFIX) + 1 :] for path in folder.glob(f"{PREFIX}.*")]
    after = [int(number) + 1 for number in numbers if number.isdecimal()]  # clocks are set back
    return folder / f"{PREFIX}.{max([time.time_ns(), *after])}"
