"""Shows in TensorBoard what the kept models of the winner judge best and worst."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tune_ad.errors import UserError
from tune_ad.storage.examples import ROWS, Codes, TaskExamples, read
from tune_ad.storage.metric import outsider_title
from tune_ad.tensorboard.pictures import aligned, tiled
from tune_ad.tensorboard.projector import Embedding
from tune_ad.tensorboard.showcase import write_showcase

if TYPE_CHECKING:
    from tune_ad.app.session import Session

RUN = "winner examples"
SHOWN_TASKS = 20
"""The largest number of tasks that are shown."""
ABOUT = """Test images that the models of the winner judge best and worst
(configuration {identity}, file {digest}).

In each image there are, from top to bottom for every task: {parts}. The tasks: {tasks}.

The Projector tab has the codes of the first model; choose *Color by* kind or class."""


def show_winner(session: "Session") -> None:
    """Write the run `RUN` from `examples.npz`; nothing if there is no such file.

    A file that cannot be read is said, and nothing is written.

    Raises:
        OSError: if the folder cannot be written.
    """
    path = session.folder.examples
    if not path.is_file():
        return
    try:
        identity, tasks = read(path)
    except UserError as error:
        session.say(str(error))
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    tasks = tasks[:SHOWN_TASKS]
    if not tasks:
        return
    names = {task.name: task.title for task in session.tasks}
    titles = [_title(task, names) for task in tasks]
    first = next(iter(tasks[0].rows.values()))
    parts = ", ".join(first.pictures)
    text = ABOUT.format(identity=identity, digest=digest, parts=parts, tasks="; ".join(titles))
    images = {
        f"examples/{name}": tiled(
            aligned([p for task in tasks for p in task.rows[name].pictures.values()])
        )
        for name in ROWS
        if all(len(task.rows[name].scores) for task in tasks)
    }
    classes = session.sources[0].classes
    embeddings = [
        _embedding(title, task.codes, () if task.outsider else classes)
        for title, task in zip(titles, tasks, strict=True)
        if task.codes is not None and task.codes.values is not None
    ]
    write_showcase(session.folder.tensorboard / RUN, text, images, embeddings)


def _title(task: TaskExamples, names: Mapping[str, str]) -> str:
    """The title of a task with its anomalies, if those are not the other classes."""
    title = names.get(task.task, task.task)
    return f"{title} against {outsider_title(task.outsider)}" if task.outsider else title


def _embedding(title: str, codes: Codes, classes: Sequence[str]) -> Embedding:
    """The codes of a task for the projector; classes are numbers where names are unknown."""
    values, images = codes.values, codes.images
    assert values is not None and images is not None
    kinds = ["anomaly" if is_anomaly else "normal" for is_anomaly in codes.is_anomaly]
    return Embedding(
        title, values, images, {"class": _names(codes.classes, classes), "kind": kinds}
    )


def _names(numbers: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    return [classes[k] if 0 <= k < len(classes) else str(k) for k in numbers.tolist()]
