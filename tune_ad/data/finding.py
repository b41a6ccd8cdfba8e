"""Finds the data root and locates data sets in it by name or alias."""

import os
import re
from pathlib import Path

from tune_ad.data.declaration import DataSet
from tune_ad.data.discovery import available, of_packages
from tune_ad.data.npz_headers import NpzHeader, validate_npz_header
from tune_ad.errors import UserError, did_you_mean
from tune_ad.local_paths import local_path

ROOT_VARIABLE = "TUNE_AD_DATA"
DEFAULT_ROOT = Path("data")
PLAIN_NAME = re.compile(r"\w[\w.-]*")
Root = str | os.PathLike[str] | None


def data_root(option: Root = None) -> Path:
    """The folder of the data sets: `option`, else the variable TUNE_AD_DATA, else `data`.

    The default folder is created when a data set is first stored in it; a chosen one must exist.

    Raises:
        UserError: the chosen folder does not exist or is not a folder.
    """
    variable = os.environ.get(ROOT_VARIABLE)
    if option is not None:
        return _existing(os.fspath(option), "--data-root")
    if variable:
        return _existing(variable, ROOT_VARIABLE)
    if DEFAULT_ROOT.exists():
        return _existing(str(DEFAULT_ROOT), "the default data root")
    return DEFAULT_ROOT


def _existing(chosen: str, origin: str) -> Path:
    root = local_path(chosen, origin).expanduser()
    if not chosen or not root.is_dir():
        fault = "is not a folder" if chosen and root.exists() else "does not exist"
        raise UserError(
            f"{origin}: {chosen!r} {fault}; create it, or choose another folder with --data-root"
        )
    return root


def find(name: str, root: Root = None) -> DataSet:
    """The data set of that name or alias; a user's own .npz gets a declaration with its name.

    Raises:
        UserError: neither a declared data set nor a file `<root>/<name>.npz` has this name. The
            message suggests similar names and lists all names.
    """
    declared = available()
    for data_set in declared.values():
        if name in (data_set.name, data_set.alias):
            return data_set
    folder = data_root(root)
    if PLAIN_NAME.fullmatch(name) and (folder / f"{name}.npz").is_file():
        return DataSet(name)
    full_names = {data_set.name for data_set in declared.values()}
    names = sorted({*declared, *full_names, *(path.stem for path in folder.glob("*.npz"))})
    question = did_you_mean(name, names)
    if fault := next((line for line in of_packages().faults if name in line), None):
        raise UserError(fault)
    raise UserError(
        f"unknown data set {name!r}{question and f' ({question})'}; choose one of "
        f"{', '.join(names)}, "
        f"or put your own images into {folder / 'NAME.npz'}"
    )


def npz_path(name: str, root: Root = None) -> Path:
    """The path of the data set's .npz file, whether or not it exists yet.

    Raises:
        UserError: the name is unknown, or the root is wrong.
    """
    return npz_file(find(name, root), data_root(root))


def npz_file(data_set: DataSet, folder: Path) -> Path:
    """The path of the data set's .npz file in a folder, whether or not it exists yet.

    Raises:
        UserError: only a file with the short name of the data set exists, which is never read.
    """
    path, misnamed = folder / f"{data_set.name}.npz", folder / f"{data_set.alias}.npz"
    if misnamed.exists() and not path.exists():
        raise UserError(f"{misnamed} is not read; rename it to {path.name}")
    return path


def has_torchvision_files(data_set: DataSet, folder: Path) -> bool:
    """Whether all of torchvision's files of the data set lie below `folder`."""
    torchvision = data_set.torchvision
    return torchvision is not None and all((folder / name).is_file() for name in torchvision.files)


def is_incomplete_copy(data_set: DataSet, path: Path) -> bool:
    """Whether the .npz file lacks training images although torchvision's files have them."""
    return has_torchvision_files(data_set, path.parent) and not (
        validate_npz_header(path).train_images
    )


def locate(name: str, root: Root = None) -> str | None:
    """Where `load` would read the data set from, without reading or fetching it.

    Returns:
        "npz", "embedded" or "torchvision", whichever comes first; None if the data set would have
        to be fetched.

    Raises:
        UserError: the name is unknown, or the root is wrong.
    """
    data_set, folder = find(name, root), data_root(root)
    path = npz_file(data_set, folder)
    if path.exists() and not is_incomplete_copy(data_set, path):
        return "npz"
    if data_set.embedded:
        return "embedded"
    return "torchvision" if has_torchvision_files(data_set, folder) else None


def check(name: str, root: Root = None) -> NpzHeader | None:
    """Check the .npz file of the data set, without decoding its arrays.

    Returns:
        The sizes in the file's headers; None if the data set does not come from a .npz file.

    Raises:
        UserError: the name is unknown, the root is wrong, or the file breaks the layout.
    """
    return validate_npz_header(npz_path(name, root)) if locate(name, root) == "npz" else None
