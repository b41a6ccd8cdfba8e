"""The records of a study as one compressed file, `NAME.tar.xz`."""

import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tune_ad.atomic import replacing, temporary_folder
from tune_ad.errors import UserError, one_line

KIND = ".tar.xz"
READABLE = 0o644  # by everybody, and written by the owner
DAMAGED = (tarfile.TarError, lzma.LZMAError, EOFError)


def archive(folder: Path, study: str) -> Path:
    """The file with the records of a study.

    Args:
        folder: the folder of all records.
        study: the name of the study.
    """
    return folder / f"{study}{KIND}"


def pack(study: Path, folder: Path) -> Path:
    """Write the files of a study to its archive; the same files give the same bytes.

    Args:
        study: the folder of the study.
        folder: the folder of all records.

    Returns:
        the archive.

    Raises:
        OSError: if a file cannot be read or written.
    """
    place = archive(folder, study.name)
    with replacing(place) as partial, tarfile.open(partial, "w:xz", preset=9) as file:
        for path in sorted(study.rglob("*")):
            if path.is_file():
                name = f"{study.name}/{path.relative_to(study).as_posix()}"
                file.add(path, arcname=name, filter=_without_owner)
    return place


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file as anybody would have packed it at any time."""
    return member.replace(mtime=0, mode=READABLE, uid=0, gid=0, uname="", gname="", deep=False)


@contextmanager
def unpacked(folder: Path, study: str = "*") -> Iterator[Path]:
    """Context manager: a temporary folder with the records of each study in a folder `NAME/`.

    Args:
        folder: the folder of all records.
        study: the name of one study; "*" = all.

    Raises:
        UserError: if an archive is damaged.
    """
    with temporary_folder() as place:
        for path in sorted(folder.glob(f"{study}{KIND}")):
            try:
                with tarfile.open(path, "r:xz") as file:
                    file.extractall(place, filter="data")
            except DAMAGED as error:
                raise UserError(
                    f"{path} is damaged ({one_line(error)}); restore it from a backup"
                ) from error
        yield place
