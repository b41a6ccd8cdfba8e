"""Names of own data: what `--data` may be, and how a study on it is called."""

import re
from pathlib import Path

from tune_ad.data.declaration import DataSet
from tune_ad.data.discovery import available
from tune_ad.data.finding import PLAIN_NAME, Root, data_root, find
from tune_ad.errors import UserError, did_you_mean

LAYOUTS = "an image folder, a .npz or a .npy"


def declared(data: str, root: Root = None) -> DataSet | None:
    """The declared data set of a name or alias, or of `<root>/NAME.npz`; None for others."""
    names = {name for d in available().values() for name in (d.name, d.alias)}
    is_file = PLAIN_NAME.fullmatch(data) and (data_root(root) / f"{data}.npz").is_file()
    return find(data, root) if data in names or is_file else None


def own_path(data: str, root: Root = None) -> Path | None:
    """The path of own data; None if `data` is the name of a declared data set.

    `<root>/NAME.npz` is own data as well as any other path.

    Raises:
        UserError: if it is neither a name nor a path that exists.
    """
    known = declared(data, root)
    if known is not None:
        return None if known.classes else data_root(root) / f"{known.name}.npz"
    path = Path(data).expanduser()
    if path.exists():
        return path
    names = sorted({d.alias for d in available().values()})
    near = did_you_mean(data, names)
    raise UserError(
        f"--data {data!r} is neither a data set ({', '.join(names)}) nor a path that exists"
        f"{near and f'; {near}'}; give the path of {LAYOUTS}"
    )


def short_name(data: str, root: Root = None) -> str:
    """The name of the data in names of studies and tasks.

    The name as it is, or the last part of a path, in which every character but letters, digits,
    "_", "-" and "." becomes "_". A path whose name is that of a declared data set gets "own_"
    before it, since it holds other images.

    >>> short_name("fmnist"), short_name("photos/My bags.npz")
    ('fmnist', 'My_bags')

    Raises:
        UserError: if nothing of the name is left.
    """
    if known := declared(data, root):
        return known.alias
    path = Path(data).expanduser()
    plain = path.stem if path.suffix in (".npz", ".npy") else path.resolve().name
    name = re.sub(r"[^\w.-]", "_", plain).lstrip(".-_")
    if not name:
        raise UserError(f"--data {data!r}: no name can be made of this path; rename the folder")
    taken = {taken for d in available().values() for taken in (d.name, d.alias)}
    return f"own_{name}" if name in taken else name
