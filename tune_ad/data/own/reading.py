"""Reads a user's own images: an image folder, a .npz or a .npy.

What is decoded from a folder is stored in a cache, keyed by the content of every file and by the
choices, so that the same images are decoded once.
"""

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_ad.data.declaration import Arrays
from tune_ad.data.fetch.progress import progress
from tune_ad.data.images import ImageSet, from_arrays
from tune_ad.data.npz_files import content_digest, of_images, read_npz, write_npz
from tune_ad.data.npz_headers import COPIES
from tune_ad.data.own.decoding import Pixels, Target, Unreadable, content_of, decode
from tune_ad.data.own.layouts import Item, Layout, by_class, is_tested, layout_of
from tune_ad.errors import UserError
from tune_ad.host import main_memory
from tune_ad.wording import count

VERSION = 1  # of what is decoded; a new one changes the digests that studies record
STORED = 2  # of the files in the cache, of which a new one makes earlier files unused
SHOWN = 3  # unreadable files and suffixes that are named
LEFT_OUT = "; left out: "
WITHOUT_PICTURES = ("thumbs.db", "desktop.ini")
SUFFIXES = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .dib .gif .tif .tiff .webp .ppm .pgm .pbm .pnm .jp2 .j2k "
    ".jpx .tga .ico .icns .sgi .rgb .bw .pcx .dds .avif .eps .ps .psd .xbm .im .fits".split()
)
"""The suffixes of the formats that Pillow reads."""
Say = Callable[[str], None]


class Choices(NamedTuple):
    """How images are read.

    Attributes:
        target: size, rule and colours.
        skip_unreadable: whether unreadable images, and test images that are equal to a training
            image, are left out and counted; otherwise the first ones are an error.
        workers: number of threads that decode.
    """

    target: Target
    skip_unreadable: bool
    workers: int


class OwnImages(NamedTuple):
    """A user's own images.

    Attributes:
        image_set: the images.
        digest: the SHA-256 of what was read: of the files and the choices, or of the arrays.
    """

    image_set: ImageSet
    digest: str


def read_own(path: Path, name: str, choices: Choices, cache: Path, say: Say) -> OwnImages:
    """The images at a path.

    Args:
        path: an image folder, a .npz or a .npy.
        name: the name of the data set.
        choices: how they are read.
        cache: the folder in which decoded images are stored.
        say: prints a line for the user.

    Raises:
        UserError: if they cannot be read; one line with the file, the fault and the remedy.
    """
    own = _read(path, name, choices, cache, say)
    return own._replace(image_set=replace(own.image_set, every_label=True))


def _read(path: Path, name: str, choices: Choices, cache: Path, say: Say) -> OwnImages:
    if path.is_dir():
        return _Folder(path, name, choices, cache, say).read()
    if path.suffix.casefold() == ".npz":
        images = read_npz(path, name)
    elif path.suffix.casefold() == ".npy":
        images = of_images(path, name)
    else:
        raise UserError(f"{path} is neither a folder nor a .npz nor a .npy; give one of them")
    target = choices.target
    if (target.size and target.size != images.shape[1:]) or target.colour != "auto":
        raise UserError(
            f"{path}: arrays are used as they are ({'x'.join(map(str, images.shape))}), so "
            "--image-size and --colour have no effect; leave them out"
        )
    trained = {image.numpy().tobytes() for image in images.train_images}
    equal = sum(image.numpy().tobytes() in trained for image in images.test_images)
    if equal:
        say(
            f"{path}: {count(equal, 'test image')} equal to a training image; if they are not "
            "meant to be, leave them out"
        )
    return OwnImages(images, content_digest(images))


def image_files(folder: Path) -> Iterator[PurePosixPath]:
    """The image files below a folder by their suffix; hidden files and folders are passed over.

    Raises:
        UserError: if a folder cannot be opened, or is a link.
    """
    return (path for path in _files(folder) if path.suffix.casefold() in SUFFIXES)


def _files(folder: Path) -> Iterator[PurePosixPath]:
    """All files below a folder but hidden ones and those that systems add.

    A link to a file is that file. Links to folders are refused, not followed: one may lead back to
    a folder above it, or show the same images twice, as training and as test images.

    Raises:
        UserError: if a folder cannot be opened, or is a link.
    """

    def refuse(error: OSError) -> None:
        raise UserError(
            f"{error.filename} cannot be opened ({error.strerror}); make it readable, or move it "
            "elsewhere"
        ) from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        if linked := next((f for f in folders if os.path.islink(os.path.join(place, f))), None):
            raise UserError(
                f"{Path(place, linked)} is a link to a folder; such links are not followed, so "
                "put the folder itself there, or links to its files"
            )
        for file in sorted(files):
            if not file.startswith(".") and file.casefold() not in WITHOUT_PICTURES:
                yield PurePosixPath(Path(place, file).relative_to(folder).as_posix())


class _Labelled(NamedTuple):
    """An image that could be read, with its place in the layout."""

    item: Item
    pixels: Pixels


class _Folder:
    """Reads one image folder."""

    def __init__(self, path: Path, name: str, choices: Choices, cache: Path, say: Say) -> None:
        self.path, self.name, self.choices, self.cache, self.say = path, name, choices, cache, say
        self.refused: list[str] = []

    def read(self) -> OwnImages:
        files = list(_files(self.path))
        pictures = [file for file in files if file.suffix.casefold() in SUFFIXES]
        layout = layout_of(pictures, str(self.path))
        ignored = f", {count(layout.ignored, 'other image')} ignored" if layout.ignored else ""
        self.say(f"{self.path}: {layout.title}: {_listed(layout.items)}{ignored}")
        self._say_passed_over([file for file in files if file.suffix.casefold() not in SUFFIXES])
        hashes = self._hashes(layout.items)
        digest = self._digest(layout, hashes)
        stored = self.cache / f"{self.name}-{digest[:16]}-{STORED}.npz"
        if stored.is_file():
            try:
                images = replace(read_npz(stored), name=self.name)
                self._say_left_out(images.about)
                return OwnImages(images, digest)
            except UserError as error:
                self.say(f"{error}; the images are decoded again")
        images = self._image_set(layout, hashes)
        try:
            stored.parent.mkdir(parents=True, exist_ok=True)
            write_npz(stored, images, named=True)
        except OSError as error:
            self.say(f"{stored}: not written ({error.strerror}), so a later run decodes again")
        return OwnImages(images, digest)

    def _say_passed_over(self, files: Sequence[PurePosixPath]) -> None:
        """Count the files that are no images by their suffix, since some may be meant to be."""
        if files:
            suffixes = sorted({file.suffix or "none" for file in files})
            more = ", ..." if suffixes[SHOWN:] else ""
            self.say(
                f"{self.path}: {count(len(files), 'file')} passed over, with a suffix of no known "
                f"image format: {', '.join(suffixes[:SHOWN])}{more}"
            )

    def _say_left_out(self, about: str) -> None:
        """Say what was left out, as the sentence about the images has it."""
        left_out = about.partition(LEFT_OUT)[2]
        if left_out:
            self.say(f"{self.path}: left out: {left_out}")

    def _parallel(
        self, function: Callable[[Item], Any], items: Sequence[Item]
    ) -> Generator[Any, None, None]:
        """What a function makes of each item, in order; close it if not all of that is taken.

        Its threads would otherwise go on until it is collected, which may happen in any thread,
        also in one that holds a lock which they need to end.
        """
        with ThreadPoolExecutor(self.choices.workers) as pool:
            yield from pool.map(function, items)

    def _hashes(self, items: Sequence[Item]) -> list[str]:
        """The SHA-256 of the content of each file; of an unreadable one, of nothing."""

        def hashed(item: Item) -> str:
            try:
                return hashlib.sha256(content_of(self.path / item.path)).hexdigest()
            except Unreadable:
                return hashlib.sha256().hexdigest()

        return list(self._parallel(hashed, items))

    def _digest(self, layout: Layout, hashes: Sequence[str]) -> str:
        """The SHA-256 of paths, contents and choices."""
        target, digest = self.choices.target, hashlib.sha256()
        digest.update(f"{VERSION} {target} {self.choices.skip_unreadable}\n".encode())
        for item, of_file in zip(layout.items, hashes, strict=True):
            digest.update(f"{item.path} {of_file}\n".encode())
        return digest.hexdigest()

    def _image_set(self, layout: Layout, hashes: Sequence[str]) -> ImageSet:
        """Decode the images, and divide them into training and test images."""
        decoded, parts, checked = [], [], 0
        with (
            progress(f"decoding {self.path}", " images", len(layout.items)) as show,
            closing(self._parallel(self._attempt, layout.items)) as results,
        ):
            for number, (result, item, of_file) in enumerate(
                zip(results, layout.items, hashes, strict=True), 1
            ):
                show(number)
                if isinstance(result, str):
                    self.refused.append(result)
                else:
                    decoded.append(_Labelled(item, result))
                    self._refuse_different_sizes(decoded[0], decoded[-1])
                    if result.nbytes > checked:  # the first image, and the first in colour
                        checked = result.nbytes
                        self._refuse_too_large(len(layout.items), result)
                    parts.append(item.part or _part(item.label, layout.normal, of_file))
        self._refuse_unreadable()
        self._refuse_without_normal(layout, decoded, parts)
        decoded, parts, duplicates = self._without_duplicates(decoded, parts)
        classes = tuple(sorted({one.item.label for one in decoded}))
        self._refuse_one_sided(parts)
        arrays = _stacked(decoded, parts, classes, self.choices.target.colour)
        left_out = [
            *([count(len(self.refused), "unreadable file")] if self.refused else []),
            *([count(duplicates, "duplicate")] if duplicates else []),
        ]
        about = f"own images: {layout.title}"
        if left_out:
            about += f"{LEFT_OUT}{' and '.join(left_out)}"
        for line in self.refused[:SHOWN]:
            self.say(f"{line}; left out")
        self._say_left_out(about)
        images = from_arrays(self.name, classes, arrays, about)
        normal = None if layout.normal is None else (classes.index(layout.normal),)
        return replace(images, normal=normal)

    def _attempt(self, item: Item) -> Pixels | str:
        """The pixels of an image, or the line that refuses it."""
        try:
            return decode(content_of(self.path / item.path), self.choices.target).pixels
        except Unreadable as error:
            return f"{self.path / item.path} {error}"

    def _refuse_unreadable(self) -> None:
        if self.refused and not self.choices.skip_unreadable:
            raise UserError(
                f"{self.refused[0]}{_others(self.refused[1:])}, or leave such files out with "
                "--skip-unreadable"
            )

    def _refuse_without_normal(
        self, layout: Layout, decoded: Sequence[_Labelled], parts: Sequence[str]
    ) -> None:
        """Refuse images of which none can be read, or no training image of the normal class."""
        if not decoded:
            raise UserError(f"{self.path}: none of its images can be read; give other images")
        trained = {
            one.item.label for one, part in zip(decoded, parts, strict=True) if part == "train"
        }
        if self.refused and layout.normal is not None and layout.normal not in trained:
            raise UserError(
                f"{self.path}: no training image of the normal class {layout.normal!r} can be "
                "read; give other images"
            )

    def _refuse_different_sizes(self, first: _Labelled, other: _Labelled) -> None:
        if other.pixels.shape[:2] != first.pixels.shape[:2]:
            sizes = [
                f"{self.path / one.item.path} has {'x'.join(map(str, one.pixels.shape[:2]))}"
                for one in (first, other)
            ]
            raise UserError(
                f"images of different sizes: {' pixels, '.join(sizes)}; give the size to "
                "which all are brought, as in --image-size 64"
            )

    def _refuse_too_large(self, images: int, pixels: Pixels) -> None:
        """Refuse images that do not fit into memory if each is as large as one of them."""
        needed, memory = COPIES * images * pixels.nbytes, main_memory()
        if needed > memory:
            size = "x".join(map(str, pixels.shape[:2]))
            raise UserError(
                f"{self.path}: {count(images, 'image')} of {size} pixels need "
                f"{needed / 1e9:.1f} GB of memory, and this machine has {memory / 1e9:.1f} GB; "
                "bring them to a smaller size, as in --image-size 64"
            )

    def _without_duplicates(
        self, decoded: Sequence[_Labelled], parts: Sequence[str]
    ) -> tuple[list[_Labelled], list[str], int]:
        """The images without test images that are equal to a training image, and their number."""
        hashes = [hashlib.sha256(one.pixels.tobytes()).digest() for one in decoded]
        trained = {
            h: one for h, one, part in zip(hashes, decoded, parts, strict=True) if part == "train"
        }
        doubles = [k for k, h in enumerate(hashes) if parts[k] == "test" and h in trained]
        if doubles and not self.choices.skip_unreadable:
            k = doubles[0]
            more = f" (and {count(len(doubles) - 1, 'other pair')})" if doubles[1:] else ""
            raise UserError(
                f"{self.path / decoded[k].item.path} is a test image and equal to the training "
                f"image {self.path / trained[hashes[k]].item.path}{more}; remove one of them, or "
                "leave such test images out with --skip-unreadable"
            )
        left_out = set(doubles)
        kept = [k for k in range(len(decoded)) if k not in left_out]
        return [decoded[k] for k in kept], [parts[k] for k in kept], len(doubles)

    def _refuse_one_sided(self, parts: Sequence[str]) -> None:
        for part, noun in (("train", "training"), ("test", "test")):
            if part not in parts:
                raise UserError(f"{self.path} has no {noun} image; add images, at least 10")


def _others(refused: Sequence[str]) -> str:
    """The further unreadable files in brackets: their number, and the lines of the first."""
    if not refused:
        return ""
    named = "; ".join(refused[: SHOWN - 1])
    unnamed = len(refused) - (SHOWN - 1)
    more = f"; and {unnamed:,} more" if unnamed > 0 else ""
    return f" ({count(len(refused), 'other file')} cannot be read either: {named}{more})"


def _part(label: str, normal: str | None, of_file: str) -> str:
    """The part of an image of a folder without splits, by the content of its file.

    It does not change if other images are added. All anomalies are test images.
    """
    if normal is not None and label != normal:
        return "test"
    return "test" if is_tested(bytes.fromhex(of_file)) else "train"


def _listed(items: Iterable[Item]) -> str:
    """The number of images of each class, by split if there are splits."""
    texts = []
    of_parts: dict[str, list[Item]] = {}
    for item in items:
        of_parts.setdefault(item.part, []).append(item)
    for part, of_part in sorted(of_parts.items(), reverse=True):
        counts = ", ".join(f"{n:,} {label}" for label, n in by_class(of_part).items())
        texts.append(f"{part} {counts}".strip())
    return "; ".join(texts)


def _stacked(
    decoded: Sequence[_Labelled], parts: Sequence[str], classes: Sequence[str], colour: str
) -> Arrays:
    """The arrays of training and test images; in colour if one image is."""
    in_colour = colour == "rgb" or any(one.pixels.ndim == 3 for one in decoded)
    arrays: list[NDArray[Any]] = []
    for part in ("train", "test"):
        of_part = [one for one, p in zip(decoded, parts, strict=True) if p == part]
        shape = decoded[0].pixels.shape[:2]
        images = np.empty((len(of_part), *shape, *([3] if in_colour else [])), np.uint8)
        for k, one in enumerate(of_part):
            images[k] = one.pixels[..., None] if in_colour and one.pixels.ndim == 2 else one.pixels
        labels = [classes.index(one.item.label) for one in of_part]
        arrays += [images, np.array(labels, np.int64)]
    return Arrays(*arrays)
