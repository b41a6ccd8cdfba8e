"""Files of NumPy arrays, .npz and .npy: sized by their headers before anything is read.

A file of a few megabytes may hold arrays of many gigabytes, and any file may be damaged.
"""

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tune_ad.errors import UserError, cut
from tune_ad.host import main_memory

DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    SyntaxError,
    EOFError,
    RuntimeError,
    OverflowError,
    MemoryError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged file of arrays raises; RuntimeError: it seems encrypted."""
PREFIX = 12  # bytes in front of the text of a header, at most
LONGEST_HEADER = 10_000  # bytes, as NumPy allows
VERSIONS: dict[tuple[int, int], tuple[str, Callable[[IO[bytes]], Any]]] = {
    (1, 0): ("<H", np.lib.format.read_array_header_1_0),
    (2, 0): ("<I", np.lib.format.read_array_header_2_0),
}
"""How the length of a header is written, and what reads it, by the version of the format."""


class StoredArray(NamedTuple):
    """An array of a file that this project writes.

    Attributes:
        types: the names of its types, as NumPy calls them; text of any length is "text".
        shape: the sizes of its axes in words, with a comma between them; empty for a single value.
        meaning: what it holds, with its unit or range.
    """

    types: str
    shape: str
    meaning: str


class ArrayHeader(NamedTuple):
    """Type and shape of one array, as its header in the file declares them."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def items(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of the array in memory, in bytes."""
        return self.dtype.itemsize * self.items


def header_of(file: IO[bytes], size: int) -> ArrayHeader:
    """The header of the array in an open .npy file.

    Args:
        file: the file, at its beginning; afterwards it is at the values.
        size: the size of the whole file in bytes.

    Raises:
        ValueError: if it is damaged, or its size is not that which the header says.
    """
    prefix = file.read(PREFIX)
    version = prefix[6], prefix[7]
    if version not in VERSIONS:
        raise ValueError(f"the unknown format version {version}")
    form, read = VERSIONS[version]
    (length,) = struct.unpack_from(form, prefix, 8)
    if length > LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    file.seek(0)
    np.lib.format.read_magic(file)
    shape, _, dtype = read(file)
    header, begin = ArrayHeader(dtype, shape), file.tell()
    if dtype.hasobject:
        return header
    if not dtype.itemsize and header.items:
        raise ValueError(f"values of the type {dtype}, which holds nothing")
    if size != begin + header.nbytes:
        raise ValueError(f"has {size} bytes, but its header says {begin + header.nbytes}")
    return header


def headers_of(path: Path, keys: Collection[str] | None = None) -> dict[str, ArrayHeader]:
    """The headers of the arrays in a .npz file, by their names.

    Args:
        path: the file.
        keys: the names of the arrays; None = all. Those that it lacks are left out.

    Raises:
        ValueError: if an array is damaged; with its name.
        Exception: another of `DAMAGE`, if the file is damaged.
    """
    headers = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if keys is None or name in keys:
                with archive.open(info) as file:
                    try:
                        headers[name] = header_of(file, info.file_size)
                    except ValueError as error:
                        raise ValueError(f"{info.filename} {error}") from error
    return headers


def check_memory(path: Path, needed: int, remedy: str) -> None:
    """Check that what a file holds fits into memory.

    Args:
        path: the file.
        needed: the size of its content in memory, in bytes.
        remedy: what to do if it does not.

    Raises:
        UserError: if it does not.
    """
    if needed > (memory := main_memory()):
        raise UserError(
            f"{path} needs {needed / 1e9:.1f} GB of memory, and there are {memory / 1e9:.1f} GB; "
            f"{remedy}"
        )


def read_arrays(path: Path, remedy: str) -> dict[str, NDArray[Any]]:
    """All arrays of a .npz file of this program, by their names.

    Args:
        path: the file.
        remedy: what mends a damaged file, for the message.

    Raises:
        UserError: if the file cannot be read, is damaged, or does not fit into memory.
    """
    try:
        needed = sum(header.nbytes for header in headers_of(path).values())
        check_memory(path, needed, remedy)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except DAMAGE as error:
        fault = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{path} cannot be read ({cut(fault)}); {remedy}") from error
