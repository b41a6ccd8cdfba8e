"""New images in batches, read as they are needed: a folder, an image file, a .npz or a .npy."""

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_ad.data.images import channels_first
from tune_ad.data.npz_files import load_images, uint8_images
from tune_ad.data.own.decoding import Decoded, Target, Unreadable, read
from tune_ad.data.own.reading import image_files
from tune_ad.errors import UserError
from tune_ad.models.folder import Preprocessing
from tune_ad.models.scoring import Batch

BATCH = 200  # images that are scored at once
READ_AHEAD = 2  # batches that are decoded while one is scored
KEYS = ("images", "test_images")
"""The names under which a .npz holds the images to score; the first that it has."""


class Inputs:
    """The images below a path, in a fixed order; iterate over it to read them in batches.

    An iterator that is not taken to its end must be closed, which ends its threads.

    Args:
        path: a folder (also nested), an image file, a .npz or a .npy.
        preprocessing: how images are brought to the shape that the model takes.
        skip_unreadable: whether images that cannot be read are named in their batch; otherwise the
            first one ends the iteration with an error.
        workers: number of threads that decode.

    Raises:
        UserError: if the path does not exist or holds no image, or an array does not fit.
    """

    def __init__(
        self, path: Path, preprocessing: Preprocessing, skip_unreadable: bool, workers: int
    ) -> None:
        if not path.exists():
            raise UserError(f"--input {path} does not exist; give a folder, a file or an array")
        self.path, self.preprocessing = path, preprocessing
        self.skip_unreadable, self.workers = skip_unreadable, workers
        self.array: NDArray[Any] | None = None
        self.files: list[Path] = []
        if path.suffix.casefold() in (".npy", ".npz") and not path.is_dir():
            self.array = _fitting(path, preprocessing)
        elif path.is_dir():
            self.files = [path / file for file in image_files(path)]
            if not self.files:
                raise UserError(f"--input {path} contains no image file; give another folder")
        else:
            self.files = [path]

    def __len__(self) -> int:
        """The number of images, unreadable ones included."""
        return len(self.files) if self.array is None else len(self.array)

    def __iter__(self) -> Generator[Batch, None, None]:
        """The batches, in order.

        Raises:
            UserError: for the first image that cannot be read, unless these are skipped.
        """
        return self._of_array(self.array) if self.array is not None else self._of_files()

    def _of_array(self, array: NDArray[Any]) -> Generator[Batch, None, None]:
        for start in range(0, len(array), BATCH):
            images = uint8_images(self.path, "the array", array[start : start + BATCH])
            names = [str(k) for k in range(start, start + len(images))]
            yield Batch(names, channels_first(images), [])

    def _of_files(self) -> Generator[Batch, None, None]:
        """Batches of files: a few are decoded in advance, so that memory stays constant."""
        taken = self.preprocessing
        target = Target((taken.height, taken.width), taken.resize, taken.colour)

        def attempt(file: Path) -> Decoded | str:
            try:
                return read(file, target)
            except Unreadable as error:
                return str(error)

        starts = iter(range(0, len(self.files), BATCH))
        waiting: list[tuple[list[Path], list[Future[Decoded | str]]]] = []
        pool = ThreadPoolExecutor(self.workers)
        try:
            while True:
                while len(waiting) <= READ_AHEAD and (start := next(starts, None)) is not None:
                    files = self.files[start : start + BATCH]
                    waiting.append((files, [pool.submit(attempt, file) for file in files]))
                if not waiting:
                    return
                files, futures = waiting.pop(0)
                yield self._batch(files, [future.result() for future in futures])
        finally:
            pool.shutdown(cancel_futures=True)

    def _batch(self, files: Sequence[Path], results: Sequence[Decoded | str]) -> Batch:
        """A batch of decoded files.

        Raises:
            UserError: if one cannot be read and these are not skipped.
        """
        names, images, refused = [], list[Decoded](), []
        for file, result in zip(files, results, strict=True):
            name = file.relative_to(self.path).as_posix() if file != self.path else file.name
            if not isinstance(result, str):
                names.append(name)
                images.append(result)
            elif self.skip_unreadable:
                refused.append((name, result))
            else:
                raise UserError(f"{file} {result}, or leave such files out with --skip-unreadable")
        shape = self.preprocessing.height, self.preprocessing.width
        in_colour = self.preprocessing.colour == "rgb"
        pixels = np.empty((len(images), *shape, *([3] if in_colour else [])), np.uint8)
        for k, image in enumerate(images):
            pixels[k] = image.pixels
        made_grey = sum(image.lost_colour for image in images)
        return Batch(names, channels_first(pixels), refused, made_grey)


def _fitting(path: Path, preprocessing: Preprocessing) -> NDArray[Any]:
    """The array of images of a file, which has the shape that the model takes.

    Raises:
        UserError: if it has another.
    """
    array = load_images(path, KEYS)
    channels = 3 if preprocessing.colour == "rgb" else 1
    given = (*array.shape[1:3], array.shape[3] if array.ndim == 4 else 1)
    wanted = (preprocessing.height, preprocessing.width, channels)
    if given != wanted:
        raise UserError(
            f"{path}: images of {'x'.join(map(str, given))} (height, width, channels), but the "
            f"model takes {'x'.join(map(str, wanted))}; bring them to that shape, or give image "
            "files, which are brought to it"
        )
    return array
