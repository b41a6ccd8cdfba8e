"""The searches by name, read from the syntax trees of the search files.

They are the files in `search_spaces`, the modules that installed packages declare as entry points,
and any file that is named by its path. Listing them imports none of these files.
"""

import importlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tune_ad.errors import UserError, did_you_mean
from tune_ad.extensions import SEARCHES, Extension, extensions
from tune_ad.search.own_code import checked_file, from_file, imported
from tune_ad.search.search_file import Entry, Source, declared

if TYPE_CHECKING:
    from types import ModuleType

    from tune_ad.search.declaration import Search

PACKAGE = "search_spaces"
FILE = re.compile(r"(?P<path>.+\.py)(:(?P<name>[^:]*))?")
"""A file that is named by its path, and a name in it, as in "mine.py:mine_mnist"."""


class Catalogue(NamedTuple):
    """The searches of the project and of installed packages.

    Attributes:
        entries: an entry for each search on each of its data sets, by name.
        faults: a line for each file or package that cannot be read, and for each name that is
            declared twice. Such a name is not among the entries, unless one of the two is the
            project's own.
    """

    entries: dict[str, Entry]
    faults: tuple[str, ...]


def file_and_name(reference: str) -> tuple[Path, str] | None:
    """The path and the name in a text such as "mine.py:mine_mnist"; None if it names no file.

    >>> file_and_name("mine.py:mine_mnist"), file_and_name("pgn_mnist")
    ((PosixPath('mine.py'), 'mine_mnist'), None)
    """
    match = FILE.fullmatch(reference)
    return (Path(match["path"]), match["name"] or "") if match else None


def plain_name(reference: str) -> str:
    """The name of a search without that of its file.

    >>> plain_name("mine.py:mine_mnist"), plain_name("pgn_mnist")
    ('mine_mnist', 'pgn_mnist')
    """
    in_file = file_and_name(reference)
    return in_file[1] if in_file else reference


def read_catalogue() -> Catalogue:
    """Read all search files; a faulty file does not hide the searches of the others.

    Raises:
        UserError: if the package of search files is not installed.
    """
    sources, faults = _sources()
    entries: dict[str, Entry] = {}
    duplicates = set()
    for source in sources:
        try:
            of_file = list(declared(source))
        except UserError as error:
            faults.append(str(error))
            continue
        for entry in of_file:
            first = entries.setdefault(entry.name, entry)
            if first is not entry:
                faults.append(_declared_twice(first, entry))
                if first.source.package or not entry.source.package:
                    duplicates.add(entry.name)
    unique = {name: entry for name, entry in entries.items() if name not in duplicates}
    return Catalogue(unique, tuple(faults))


def entries() -> dict[str, Entry]:
    """An entry for each search on each of its data sets, by name."""
    return read_catalogue().entries


def find_entry(name: str) -> Entry:
    """The entry of a search.

    Args:
        name: the name of the search, or its file, as in "mine.py:mine_mnist"; the name in a file
            may be left out if the file declares a single search.

    Raises:
        UserError: if there is none, with the nearest names, or if its name is declared twice.
    """
    if in_file := file_and_name(name):
        return _entry_of_file(*in_file)
    catalogue = read_catalogue()
    if name in catalogue.entries:
        return catalogue.entries[name]
    message = f"there is no search {name!r}"
    if catalogue.faults:
        fault = next((line for line in catalogue.faults if repr(name) in line), None)
        broken = f"{message} in the readable files; one file cannot be read: {catalogue.faults[0]}"
        raise UserError(fault or broken)
    near = did_you_mean(name, catalogue.entries)
    raise UserError(f"{message}; {near}{' ' if near else ''}--list shows every search")


def family(name: str) -> str:
    """The name of a search without that of its data set, as in "vae" for "vae_fmnist".

    Args:
        name: the name of a search on one of its data sets, or already that of its family.

    Raises:
        UserError: if there is no such search.
    """
    known = entries()
    families = {_family(entry) for entry in known.values()}
    return name if name in families else _family(find_entry(name))


def member(name: str) -> str:
    """The name of the first search of a family; the name itself if it is that of a search.

    The name of the family may be left out of a file that declares a single one.

    Raises:
        UserError: if there is no such file, or it cannot be read.
    """
    in_file = file_and_name(name)
    known = _entries_of_file(in_file[0]) if in_file else entries()
    wanted = plain_name(name)
    if wanted in known:
        return name
    families = {_family(entry) for entry in known.values()}
    if in_file and not wanted and len(families) == 1:
        wanted = families.pop()
    first = next((n for n, entry in known.items() if _family(entry) == wanted), None)
    if first is None:
        return name
    return f"{in_file[0]}:{first}" if in_file else first


def _family(entry: Entry) -> str:
    """The name of a search without "_" and the short name of its data set at its end."""
    return entry.name.removesuffix(f"_{entry.data}")


def find(name: str) -> "tuple[Search, str]":
    """The search of that name and the short name of its data set.

    Args:
        name: as in `find_entry`.

    Raises:
        UserError: if there is none, or its file cannot be imported.
    """
    entry = find_entry(name)
    return declaration(entry), entry.data


def declaration(entry: Entry) -> "Search":
    """The search of an entry.

    Raises:
        UserError: if its file cannot be imported.
    """
    from tune_ad.search.declaration import Search

    for value in vars(_load(entry.source)).values():
        if isinstance(value, Search) and entry.name in value.names():
            return value
    raise UserError(
        f"{entry.source.place()}: the search {entry.name!r} must be assigned to a variable of the "
        "module, as in mine = Search(...), not inside a function or a list"
    )


def _entry_of_file(path: Path, name: str) -> Entry:
    """The search of that name in a file, or its only one if the name is empty.

    Raises:
        UserError: if the file does not exist, cannot be read, or has no such search.
    """
    entries = _entries_of_file(path)
    if name in entries:
        return entries[name]
    if not entries:
        raise UserError(f"{path} declares no search; assign one to a variable: mine = Search(...)")
    if len(entries) == 1 and not name:
        return next(iter(entries.values()))
    if name:
        near = did_you_mean(name, entries) or f"it declares {', '.join(entries)}"
        raise UserError(f"{path} declares no search {name!r}; {near}")
    raise UserError(
        f"{path} declares {len(entries)} searches, {', '.join(entries)}; choose one, as in "
        f"--search {path}:{next(iter(entries))}"
    )


def _entries_of_file(path: Path) -> dict[str, Entry]:
    """The searches of a file that is named by its path, by name.

    Raises:
        UserError: if the file does not exist or cannot be read.
    """
    file = checked_file("--search", path)
    return {entry.name: entry for entry in declared(Source(file, str(path)))}


def _sources() -> tuple[list[Source], list[str]]:
    """The search files of the project, then those of packages; a line for each unreadable one."""
    sources = [
        Source(path, f"{PACKAGE}/{path.name}", f"{PACKAGE}.{path.stem}")
        for path in sorted(_folder().glob("[!_]*.py"))
    ]
    faults = []
    for extension in extensions(SEARCHES):
        try:
            sources.append(_source(extension))
        except UserError as error:
            faults.append(str(error))
    return list(dict.fromkeys(sources)), faults


def _folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the package {PACKAGE} cannot be found; install the project with pip")
    return Path(next(iter(spec.submodule_search_locations)))


def _source(extension: Extension) -> Source:
    """The search file that an installed package declares.

    Raises:
        UserError: if there is no such module.
    """
    module = extension.target.partition(":")[0].strip()
    path = next((path for path in _module_files(module) if path.is_file()), None)
    if path is None:
        raise extension.fault(f"there is no module {module}")
    shown = "/".join([*module.split(".")[:-1], path.name])
    return Source(path, shown, module, extension.package)


def _module_files(module: str) -> Iterator[Path]:
    """Where the file of a module may be; its package, whose code may be slow, is not imported."""
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return
    if not inner and spec.origin:
        yield Path(spec.origin)
    for folder in spec.submodule_search_locations or ():
        path = Path(folder, *inner)
        yield path.with_name(f"{path.name}.py")
        yield path / "__init__.py"


def _declared_twice(first: Entry, second: Entry) -> str:
    return (
        f"the search {first.name!r} is declared twice, in {first.source.place()} and in "
        f"{second.source.place()}; rename one of them"
    )


def _load(source: Source) -> "ModuleType":
    """Import a search file.

    Raises:
        UserError: if it cannot be imported: the file, the line, the reason and a remedy.
    """
    if not source.module:
        return from_file(source.path)
    return imported(lambda: importlib.import_module(source.module), source)


def baselines_suffix(names: Sequence[str]) -> str:
    """The part of a study's name that stands for some baselines, whatever their order and case.

    >>> baselines_suffix(["PGN", "beta-VAE"]), baselines_suffix(["Beta-vae", "pgn"])
    ('only_beta-vae_pgn', 'only_beta-vae_pgn')
    """
    words = {re.sub(r"\W+", "-", name.lower()).strip("-") for name in names}
    return "_".join(["only", *sorted(words)])
