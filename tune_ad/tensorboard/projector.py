"""Codes with their images for the Projector tab of TensorBoard."""

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from tune_ad.tensorboard.pictures import Pixels, check_pixels

CONFIG = "projector_config.pbtxt"
FOLDER = "projector"


@dataclass(frozen=True, eq=False)
class Embedding:
    """The codes of some images.

    Attributes:
        title: the name in TensorBoard; no two in a folder are equal.
        codes: shape (n, dimensions).
        pixels: the images, uint8, shape (n, h, w) or (n, h, w, 3).
        labels: what is known of each image by the name of the column, n texts each.
    """

    title: str
    codes: npt.NDArray[np.floating]
    pixels: Pixels
    labels: Mapping[str, Sequence[str]]


def write_embeddings(folder: Path, embeddings: Sequence[Embedding]) -> None:
    """Write codes into the folder of a run, in place of those that it has.

    The configuration, which TensorBoard looks for, is written last, so that it names nothing
    that is not there. The run must have an event file as well.

    Args:
        folder: the folder of the run.
        embeddings: at least one.

    Raises:
        ValueError: numbers of codes, images and labels differ, or a code is not finite.
    """
    for one in embeddings:
        _check(one)
    config = ProjectorConfig()
    new = folder / f"unfinished-{time.time_ns()}"
    try:
        new.mkdir(parents=True)
        for k, one in enumerate(embeddings):
            _write(new, k, one)
            entry = config.embeddings.add(tensor_name=one.title)
            entry.tensor_path = f"{FOLDER}/{k}-codes.tsv"
            entry.metadata_path = f"{FOLDER}/{k}-labels.tsv"
            entry.sprite.image_path = f"{FOLDER}/{k}-images.png"
            entry.sprite.single_image_dim.extend([one.pixels.shape[2], one.pixels.shape[1]])
        (new / CONFIG).write_text(str(config), encoding="utf-8")
        remove_embeddings(folder)
        new.rename(folder / FOLDER)
        (folder / FOLDER / CONFIG).rename(folder / CONFIG)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def remove_embeddings(folder: Path) -> None:
    """Remove the codes of a run, if it has any."""
    (folder / CONFIG).unlink(missing_ok=True)
    if (folder / FOLDER).is_dir():
        shutil.rmtree(folder / FOLDER)


def sprites(pixels: Pixels) -> Pixels:
    """Images as the squares of one picture, row by row, as many in a row as there are rows.

    Args:
        pixels: uint8, shape (n, h, w) or (n, h, w, 3).
    """
    side = math.ceil(math.sqrt(len(pixels)))
    n, height, width, *channels = pixels.shape
    padded = np.pad(pixels, [(0, side**2 - n)] + [(0, 0)] * (pixels.ndim - 1))
    grid = padded.reshape(side, side, height, width, *channels)
    return grid.swapaxes(1, 2).reshape(side * height, side * width, *channels)


def _check(one: Embedding) -> None:
    check_pixels(one.pixels, 3)
    sizes = {len(one.codes), len(one.pixels), *map(len, one.labels.values())}
    if len(sizes) > 1 or one.codes.ndim != 2 or not np.isfinite(one.codes).all():
        raise ValueError(f"codes of shape {one.codes.shape} do not fit {sizes} images and labels")


def _write(folder: Path, number: int, one: Embedding) -> None:
    rows = ["\t".join(f"{value:.5g}" for value in code) for code in one.codes]
    (folder / f"{number}-codes.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    table = [list(one.labels), *zip(*one.labels.values(), strict=True)]
    lines = ["\t".join(" ".join(cell.split()) for cell in row) for row in table]
    if len(one.labels) == 1:  # TensorBoard takes a single column for one without a title
        lines = lines[1:]
    (folder / f"{number}-labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Image.fromarray(sprites(one.pixels)).save(folder / f"{number}-images.png")
