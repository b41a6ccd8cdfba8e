"""Scores new images by a kept model, with a progress line; and what is said afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from tune_ad.atomic import temporary_folder
from tune_ad.errors import MachineError, UserError
from tune_ad.execution.progress_line import ProgressLine
from tune_ad.host import usable_cores
from tune_ad.models.folder import ModelFolder
from tune_ad.models.heatmaps import heatmaps, write_pictures
from tune_ad.models.inputs import Inputs
from tune_ad.models.scoring import Judge, Scored, Summary, write_scores
from tune_ad.wording import count

SHOWN_REFUSALS = 3


class Order(NamedTuple):
    """What to score.

    Attributes:
        model: the folder of the kept model.
        images: a folder of images, a file, a .npz or a .npy.
        output: the CSV file to write.
        heatmaps: the folder of the pictures; None = no pictures.
        normal: the name of the normal class; None if the model has only one.
        false_alarms: the rate of false alarms; None = that of the kept model.
        skip_unreadable: whether images that cannot be read are left out and counted.
    """

    model: Path
    images: Path
    output: Path
    heatmaps: Path | None = None
    normal: str | None = None
    false_alarms: float | None = None
    skip_unreadable: bool = False


def score(order: Order, say: Callable[[str], None]) -> None:
    """Score the images and write the file; nothing is written if an image is refused.

    Raises:
        UserError: if the model or an image cannot be read, or a file cannot be written.
    """
    if order.output.is_dir():
        raise UserError(f"--output {order.output} is a folder; name a file, as in scores.csv")
    if order.heatmaps and order.heatmaps.exists() and not order.heatmaps.is_dir():
        raise UserError(f"--heatmaps {order.heatmaps} is a file; name a folder")
    for flag, path in (("--output", order.output), ("--heatmaps", order.heatmaps)):
        if path and path.resolve().is_relative_to(order.images.resolve()):
            raise UserError(
                f"{flag} {path} lies in --input {order.images}, whose images it could replace; "
                "choose a place outside"
            )
    folder, workers = ModelFolder(order.model), usable_cores()
    folder.require_pixels()
    preprocessing = folder.description.preprocessing
    inputs = Inputs(order.images, preprocessing, order.skip_unreadable, workers)
    judge = Judge(folder, order.normal, order.false_alarms)
    torch.set_num_threads(workers)
    say(
        f"{count(len(inputs), 'image')} of {order.images}, scored by "
        f"{count(len(judge.task.members), 'model')} for which {judge.task.normal} is normal"
    )
    line = ProgressLine(order.output.name, len(inputs), complete=not len(inputs))
    try:
        with _pictures(order.heatmaps) as pictures, closing(iter(inputs)) as batches:
            results = _shown(judge.judged(batches), line, judge, pictures)
            summary = write_scores(order.output, judge, results)
        line.complete = True
    except OSError as error:
        named = Path(error.filename or order.output)
        is_unfinished = named.name.startswith(f".{order.output.name}.")
        place = order.output if is_unfinished else named
        raise MachineError(
            f"{place}: cannot be written ({error.strerror}); choose another place, or free disk "
            "space"
        ) from error
    finally:
        line.close()
    for text in _said(summary, order):
        say(text)


@contextmanager
def _pictures(folder: Path | None) -> Iterator[Path | None]:
    """Context manager: a folder for the pictures, which are moved to theirs when it ends well."""
    if folder is None:
        yield None
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder.parent, f".{folder.name}-") as unfinished:
        yield unfinished
        for path in sorted(unfinished.rglob("*.png")):
            target = folder / path.relative_to(unfinished)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def _shown(
    results: Iterator[Scored], line: ProgressLine, judge: Judge, pictures: Path | None
) -> Iterator[Scored]:
    """The results, while the progress line advances and the heatmaps are written."""
    for result in results:
        if pictures is not None and result.batch.names:
            maps = heatmaps(judge.ensemble, result.batch.pixels)
            write_pictures(pictures, result.batch.names, result.batch.pixels, maps)
        line.advance(len(result.batch.names) + len(result.batch.refused))
        yield result


def _said(summary: Summary, order: Order) -> Iterator[str]:
    limit = summary.limit
    share = summary.alarms / summary.images if summary.images else 0.0
    yield (
        f"{count(summary.images, 'image')} scored, {count(summary.alarms, 'alarm')} "
        f"({share:.1%}); of normal images {limit.low:.2%} to {limit.high:.2%} raise an alarm with "
        f"this threshold (95 % interval, from {limit.images} normal images), on average over such "
        f"sets of images at most {limit.rate:.2%}"
    )
    if not limit.is_met:
        yield limit.shortfall
    if summary.made_grey:
        yield (
            f"{count(summary.made_grey, 'image')} in colour made grey, as the images of the model "
            "are: what only their colours show has no effect on the score"
        )
    if summary.refused:
        yield f"{count(len(summary.refused), 'image')} refused: {_named(summary.refused)}"
    yield f"scores: {order.output}" + (
        f"; pictures: {order.heatmaps}" if order.heatmaps is not None else ""
    )


def _named(refused: Sequence[tuple[str, str]]) -> str:
    """The first refused images with their reasons."""
    first = [f"{name} ({reason})" for name, reason in refused[:SHOWN_REFUSALS]]
    more = len(refused) - len(first)
    return "; ".join(first) + (f"; and {more} more" if more else "")
