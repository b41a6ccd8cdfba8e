"""Decodes an image file to a uint8 array, or says in a line why that is not possible.

Pixels are read as they are stored, after the rotation that the camera noted (EXIF). Transparent
pixels are laid over black. Refused are files that do not say how they would have to be converted:
CMYK and Lab (they need a colour profile), 16 and 32 bits (which range of values matters is up to
the user), and files with several pictures. PostScript is a program and is never run.
"""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Pixels = NDArray[np.uint8]
SMALLEST_SIDE = 8
LARGEST_PIXELS = 89_000_000  # below the number from which Pillow warns
LARGEST_FILE = 5 * LARGEST_PIXELS  # bytes: more than as many pixels of 4 bytes
RESIZINGS = {
    "stretch": "to the size, whatever the proportions",
    "pad": "as large as fits, the rest filled with black",
    "crop": "as small as covers, the middle kept",
}
"""The rules by which images are brought to a size."""
EXACT = "exact"
"""The rule that refuses images of another size."""
ONE_PICTURE = ("MPO",)
"""Formats whose further frames are previews of the first."""
PROGRAMS = ("EPS",)
"""Formats that an interpreter would have to run."""
DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
PRINTED = ("CMYK", "LAB", "HSV")
DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What the decoders of Pillow raise for damaged files."""
TO_8_BITS = "convert it to 8 bits, with the range of values that matters"
TO_RGB = "convert it to RGB with its colour profile"


class Unreadable(Exception):
    """An image that cannot be read; the message has the fault and the remedy."""


class _Quiet:
    """Ignores the warnings of Pillow while at least one thread decodes.

    The filters of warnings belong to the process. If every thread set and restored them, one could
    restore what another had set; so the first sets them, and the last restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._filters = warnings.catch_warnings()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Ignore the warnings in this context."""
        with self._lock:
            if not self._threads:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")  # e.g. damaged notes of a camera
            self._threads += 1
        try:
            yield
        finally:
            with self._lock:
                self._threads -= 1
                if not self._threads:
                    self._filters.__exit__(None, None, None)


_QUIET = _Quiet()


class Target(NamedTuple):
    """What images are brought to.

    Attributes:
        size: height and width; None = the size of the file.
        resize: a key of `RESIZINGS`, or `EXACT`.
        colour: "grey", "rgb", or "auto": as the image is.
    """

    size: tuple[int, int] | None
    resize: str
    colour: str


class Decoded(NamedTuple):
    """An image that could be read.

    Attributes:
        pixels: shape (h, w) if it is grey, otherwise (h, w, 3).
        lost_colour: whether it was in colour and is grey because the target is.
    """

    pixels: Pixels
    lost_colour: bool


def decode(content: bytes, target: Target) -> Decoded:
    """The pixels of an image file.

    An image in colour whose three channels are equal is grey, unless the target is "rgb".

    Args:
        content: the content of the file.
        target: what the image is brought to.

    Raises:
        Unreadable: with the fault and the remedy.
    """
    if not content:
        raise Unreadable("is empty; copy it again")
    try:
        with _QUIET.entered():
            image = Image.open(io.BytesIO(content))
            _refuse(image)
            if image.format == "PNG":  # its checksums, which loading does not compare
                Image.open(io.BytesIO(content)).verify()
            image.load()
            upright = ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise Unreadable(f"is huge ({error}); cut or reduce it") from error
    except UnidentifiedImageError as error:
        raise Unreadable("is no image of a known format; remove or convert it") from error
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unreadable(f"is damaged ({reason}); copy it again") from error
    plain = _plain(upright)
    lost_colour = target.colour == "grey" and _is_coloured(plain)
    plain = plain.convert({"grey": "L", "rgb": "RGB"}.get(target.colour, plain.mode))
    if target.size is not None:
        plain = _brought_to(plain, target.size, target.resize)
    pixels = _without_equal_channels(np.asarray(plain, np.uint8), target.colour)
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise Unreadable(
            f"has {pixels.shape[0]} x {pixels.shape[1]} pixels; the smallest side is "
            f"{SMALLEST_SIDE}, bring it to a larger size with --image-size"
        )
    return Decoded(pixels, lost_colour)


def read(path: Path, target: Target) -> Decoded:
    """The pixels of an image file, as `decode` returns them.

    Raises:
        Unreadable: with the fault and the remedy.
    """
    return decode(content_of(path), target)


def content_of(path: Path) -> bytes:
    """The content of a file.

    Raises:
        Unreadable: if it cannot be opened, or is larger than any image that is read.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise Unreadable(f"is huge ({path.stat().st_size / 1e6:.0f} MB); cut or reduce it")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be opened ({error.strerror}); make it readable") from error


def _refuse(image: Image.Image) -> None:
    """Refuse what would have to be converted by a choice of the user.

    Raises:
        Unreadable: with the fault and the remedy.
    """
    if image.format in PROGRAMS:
        raise Unreadable(f"is a program ({image.format}); convert it to PNG")
    width, height = image.size
    if width * height > LARGEST_PIXELS:
        raise Unreadable(f"is huge ({height} x {width} pixels); cut or reduce it")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in ONE_PICTURE:
        raise Unreadable(f"contains {frames} pictures; save each as a file of its own")
    if image.mode in PRINTED:
        raise Unreadable(f"has the colours {image.mode}; {TO_RGB}")
    rawmodes = [str(tile[3]) for tile in getattr(image, "tile", ())]
    if image.mode not in DEEP and any(";16" in rawmode for rawmode in rawmodes):
        raise Unreadable(f"has 16 bits per channel; {TO_8_BITS}")  # which loading would cut to 8
    if image.mode in DEEP:
        bits = 16 if image.mode.startswith("I;16") else 32
        raise Unreadable(f"has {bits} bits per channel; {TO_8_BITS}")


def _plain(image: Image.Image) -> Image.Image:
    """The image in the mode L or RGB, transparent pixels laid over black."""
    if image.mode in ("1", "L"):
        return image.convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    plain = Image.new("RGB", image.size)
    plain.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return plain


def _is_coloured(image: Image.Image) -> bool:
    """Whether the channels of an image in the mode L or RGB differ."""
    pixels = np.asarray(image)
    return pixels.ndim == 3 and not bool((pixels == pixels[..., :1]).all())


def _brought_to(image: Image.Image, size: tuple[int, int], rule: str) -> Image.Image:
    """The image at a height and width, by bilinear interpolation over all pixels it covers.

    Raises:
        Unreadable: if the rule is `EXACT` and the image has another size.
    """
    target = size[1], size[0]
    if image.size == target:
        return image
    if rule == EXACT:
        raise Unreadable(
            f"has {image.size[1]} x {image.size[0]} pixels, but {size[0]} x {size[1]} are needed, "
            "since the model was trained on images of that size as they were; bring it to that "
            "size, or train with --image-size"
        )
    how: Any = Image.Resampling.BILINEAR
    if rule == "pad":
        return ImageOps.pad(image, target, method=how, color=0)
    if rule == "crop":
        return ImageOps.fit(image, target, method=how)
    return image.resize(target, how)


def _without_equal_channels(pixels: Pixels, colour: str) -> Pixels:
    """Grey pixels, shape (h, w), if all channels are equal and colour is not asked for."""
    if colour == "rgb" or pixels.ndim == 2:
        return pixels
    first = pixels[..., :1]
    return pixels[..., 0] if bool((pixels == first).all()) else pixels
