"""Files and folders that are written whole or not at all, whatever interrupts the writing."""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tune_ad.errors import UserError
from tune_ad.signals import signals_afterwards


@contextmanager
def replacing(path: Path, makes_folder: bool = True) -> Iterator[Path]:
    """Context manager: a temporary file in the same folder that replaces `path` once complete.

    Args:
        path: the file.
        makes_folder: whether its folder is made if there is none.

    Raises:
        OSError: if it cannot be written, or something other than a file is there, such as a
            device, which would be replaced.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EEXIST, "a device or a pipe is there, and no file", str(path))
    if makes_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        partial.touch()  # with the default permissions of the user's files
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: str | bytes, makes_folder: bool = True) -> None:
    """Write a file atomically: a temporary file in the same folder, which is then renamed.

    Args:
        path: the file.
        content: its new content.
        makes_folder: whether its folder is made if there is none.
    """
    with replacing(path, makes_folder) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, which takes its place when the context ends without an error.

    So no half-written folder is left, and an earlier one stays until the new one is in its place.

    Raises:
        UserError: if `path` is a file.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; give the path of a folder, which may not exist yet")
    mark = uuid.uuid4().hex
    unfinished, earlier = (path.with_name(f".{path.name}.{mark}.{k}") for k in ("new", "old"))
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        with signals_afterwards():  # between two steps there is no folder at the path
            _exchange(path, unfinished, earlier)
    finally:
        with signals_afterwards():
            shutil.rmtree(unfinished, ignore_errors=True)


def _exchange(path: Path, new: Path, earlier: Path) -> None:
    """Put a folder at a path, and remove the one that was there, which stays if that fails."""
    if path.exists():
        path.rename(earlier)
    try:
        new.rename(path)
    except OSError:
        if earlier.exists():
            earlier.rename(path)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


@contextmanager
def temporary_folder(parent: Path | None = None, prefix: str = "tmp") -> Iterator[Path]:
    """Context manager: a new folder, removed afterwards with all that is in it.

    Args:
        parent: where; None: where the system has temporary files.
        prefix: how its name begins.
    """
    with signals_afterwards():  # a folder whose name nobody knows could not be removed
        made = tempfile.TemporaryDirectory(prefix=prefix, dir=parent)
    try:
        yield Path(made.name)
    finally:
        with signals_afterwards():
            made.cleanup()
