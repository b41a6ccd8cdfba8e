"""Scores new images by a kept model, a batch at a time, and writes them as CSV.

The columns of the file, one row for each image:

    path      the image: its path below the input folder, or its position in an array
    score     the score of the ensemble, larger = more anomalous; empty if the image was refused
    p_value   the conformal p-value, in (0, 1]
    alarm     1 if the score exceeds the threshold, otherwise 0
    problem   why the image was refused; empty otherwise

Control characters of texts are named, and a text that a spreadsheet would run begins with an
apostrophe (`tune_ad.wording.csv_cell`).
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from tune_ad.atomic import replacing
from tune_ad.errors import UserError
from tune_ad.models.conformal import Scores, Threshold, p_values, threshold
from tune_ad.models.ensemble import Ensemble
from tune_ad.models.folder import KeptTask, ModelFolder
from tune_ad.wording import csv_cell

COLUMNS = ("path", "score", "p_value", "alarm", "problem")


class Batch(NamedTuple):
    """Images that are scored together.

    Attributes:
        names: the name of each image.
        pixels: uint8, shape (n, c, h, w).
        refused: images that could not be read, with the reason.
        made_grey: the number of images in colour that were made grey, as the model's are.
    """

    names: list[str]
    pixels: Tensor
    refused: list[tuple[str, str]]
    made_grey: int = 0


class Scored(NamedTuple):
    """The results of a batch.

    Attributes:
        batch: the images.
        scores: the scores of the ensemble, shape (n,).
        p: the p-values, shape (n,).
        alarms: whether each raises an alarm, bool, shape (n,).
    """

    batch: Batch
    scores: Scores
    p: Scores
    alarms: np.ndarray


class Summary(NamedTuple):
    """What was written.

    Attributes:
        images: the number of scored images.
        alarms: the number of alarms among them.
        refused: the images that could not be read, with the reasons.
        limit: the threshold.
        made_grey: the number of images in colour that were made grey, as the model's are.
    """

    images: int
    alarms: int
    refused: list[tuple[str, str]]
    limit: Threshold
    made_grey: int


class Judge:
    """The models of one normal class with their threshold.

    Args:
        folder: the kept model.
        normal: the name of the normal class; None if there is only one.
        false_alarms: the rate of false alarms; None = that of the kept model.

    Raises:
        UserError: if there is no such class, a file is damaged, no threshold is known, or the
            models do not take pixels.
    """

    def __init__(
        self, folder: ModelFolder, normal: str | None = None, false_alarms: float | None = None
    ) -> None:
        folder.require_pixels()
        self.task: KeptTask = folder.task(normal)
        self.calibration = folder.calibration(self.task)
        self.ensemble: Ensemble = folder.ensemble(self.task)
        limit = self.task.threshold
        if false_alarms is not None:
            limit = threshold(self.calibration, false_alarms)
        if limit is None:
            raise UserError(
                f"{folder.path} has no threshold, because its configuration was selected by the "
                "test images; select by another rule (--selection)"
            )
        self.limit = limit

    def judged(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """The results of each batch, in order.

        Args:
            batches: batches of images of the shape that the model takes.
        """
        for batch in batches:
            scores = self.ensemble.scores(batch.pixels) if batch.names else np.zeros(0)
            p = p_values(self.calibration, scores)
            yield Scored(batch, scores, p, scores > self.limit.value)


def write_scores(path: Path, judge: Judge, results: Iterable[Scored]) -> Summary:
    """Write the results to a CSV file, which appears only once it is complete.

    Args:
        path: the file to write.
        judge: the models that made the results.
        results: the results, which are taken from the iterator one batch at a time.

    Raises:
        OSError: if the file cannot be written.
    """
    images = alarms = made_grey = 0
    refused: list[tuple[str, str]] = []
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for result in results:
            values = zip(result.batch.names, result.scores, result.p, result.alarms, strict=True)
            for name, score, p, alarm in values:
                row = [csv_cell(name), f"{score:.9g}", f"{p:.9g}", int(alarm), ""]
                rows.writerow(row)
            rows.writerows(
                [csv_cell(name), "", "", "", csv_cell(problem)]
                for name, problem in result.batch.refused
            )
            images += len(result.scores)
            alarms += int(result.alarms.sum())
            refused += result.batch.refused
            made_grey += result.batch.made_grey
    return Summary(images, alarms, refused, judge.limit, made_grey)
