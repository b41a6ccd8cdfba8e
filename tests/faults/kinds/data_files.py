"""Own images of every odd kind, and damaged files of them."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from tests.faults.case import INPUT, Case, Kind, Result
from tests.faults.inputs import checked, damage
from tests.faults.kinds.options import prepare_only
from tests.faults.processes import run
from tests.faults.studies import RESULTS, SEARCH, Variety

TITLE = "damaged and odd data files"
DTYPES = ("u1", "i1", "u2", "i8", "f2", "f4", "f8", "c8", "?", "U3", "S2", "M8[s]", ">f4", "O")
SHAPES = (
    (),
    (0,),
    (12,),
    (12, 8),
    (12, 8, 8),
    (12, 8, 8, 1),
    (12, 8, 8, 3),
    (12, 8, 8, 4),
    (0, 8, 8),
    (12, 0, 8),
    (12, 1, 1),
    (1, 8, 8),
    (12, 3, 8, 8),
)
NAMES = (
    "images",
    "labels",
    "train_images",
    "train_labels",
    "test_images",
    "test_labels",
    "classes",
    "normal",
    "about",
    "other",
)


def odd_array(stream: Random) -> np.ndarray:
    """An array of any type and shape, also with NaN and infinities."""
    dtype, shape = stream.choice(DTYPES), stream.choice(SHAPES)
    if stream.random() < 0.5:
        dtype, shape = stream.choice(("u1", "f4")), (12, 8, 8)
    values = np.array(stream.choices((0, 1, 2, 255, 0.5), k=int(np.prod(shape))))
    array: np.ndarray = values.reshape(shape).astype(dtype)
    if dtype in ("f4", "f8") and array.size and stream.random() < 0.5:
        array.flat[0] = stream.choice((np.nan, np.inf, -1.0, 1e30))
    return array


def _npz(path: Path, stream: Random) -> None:
    arrays = {name: odd_array(stream) for name in stream.sample(NAMES, stream.randrange(6))}
    if stream.random() < 0.6:
        images = np.arange(40 * 64).reshape(40, 8, 8) % 251
        arrays |= {"images": images.astype("u1"), "labels": np.arange(40) % 2}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _npy(path: Path, stream: Random) -> None:
    np.save(path, odd_array(stream), allow_pickle=True)


def _picture(stream: Random) -> bytes:
    mode = stream.choice(("L", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "LA", "F"))
    size = stream.choice(((8, 8), (8, 8), (8, 8), (1, 1), (16, 8)))
    file = io.BytesIO()
    kind = stream.choice(("PNG", "JPEG", "BMP", "GIF", "TIFF"))
    try:
        Image.new(mode, size, stream.choice((0, 1))).save(file, kind)
    except (OSError, TypeError, ValueError):  # the format does not know this mode
        Image.new("L", size).save(file, "PNG")
    return file.getvalue()


def _folder(path: Path, stream: Random) -> None:
    layouts = (("train/good", "test/good", "test/bad"), ("normal", "anomalous"), ("a", "b", "c"))
    for place in stream.choice((*layouts, ("",), ("train",), ("test/good",))):
        folder = path / place
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(stream.choice((0, 1, 12, 24))):
            suffix = stream.choice((".png", ".png", ".PNG", ".jpg", ".txt", "", ".gif"))
            (folder / f"{number}{suffix}").write_bytes(_picture(stream))
    if stream.random() < 0.3:
        (path / stream.choice(("loop.png", "normal"))).with_suffix(".lnk").symlink_to("loop.lnk")


MAKERS: Mapping[str, Callable[[Path, Random], None]] = {
    "own.npz": _npz,
    "own.npy": _npy,
    "own": _folder,
}


def _case(name: str, seed: str) -> Case:
    def run_case(place: Path, varieties: Mapping[str, Variety]) -> Result:
        stream: Any = Random(seed)
        MAKERS[name](place / name, stream)
        files = sorted(p for p in [place / name, *(place / name).rglob("*")] if p.is_file())
        what = damage(stream.choice(files), seed) if files and stream.random() < 0.6 else "intact"
        more = stream.choice(
            ((), ("--image-size", "8"), ("--image-size", "8", "--skip-unreadable"))
        )
        words = ["--search", str(SEARCH), "--backend", "serial", "--results", RESULTS]
        result = checked(run([*words, "--data", f"./{name}", *more], place, prepare_only))
        return result._replace(problems=[f"{what}: {text}" for text in result.problems])

    return Case(TITLE, f"{name}, {seed}", run_case)


def cases(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    names = sorted(MAKERS)
    return [_case(names[k % len(names)], f"{seed} {k}") for k in range(number)]


KINDS = (Kind(TITLE, INPUT, cases),)
