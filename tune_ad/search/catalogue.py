"""The searches by name, read from the syntax trees of the files in `search_spaces`.

Listing them imports none of these files.
"""

import ast
import importlib
import importlib.util
import re
import traceback
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import tune_ad
from tune_ad.errors import UserError, did_you_mean
from tune_ad.search.checks.fields import (
    check_folder_name,
    check_instance,
    check_mapping,
    check_names,
)

if TYPE_CHECKING:
    from types import ModuleType

    from tune_ad.search.declaration import Search

PACKAGE = "search_spaces"
LITERALS = {
    "name": 'name="mine_{data}"',
    "data": 'data=("mnist", "cifar")',
    "name_on": 'name_on={"cifar": "mine"}',
}
"""The arguments of a `Search` that are read without running the file, each with an example."""
HOME = "tune_ad.search"  # exports every name that a search file needs, except the detectors


class Entry(NamedTuple):
    """A search on one data set.

    Attributes:
        name: name of the search, as in `--search`.
        data: short name of the data set.
        module: name of the search file, without its suffix.
        title: first line of the file's docstring.
    """

    name: str
    data: str
    module: str
    title: str


class Catalogue(NamedTuple):
    """The searches that the search files declare.

    Attributes:
        entries: an entry for each search on each of its data sets, by name.
        faults: a line for each file that cannot be read, and for each name that is declared
            twice; such a name is not among the entries.
    """

    entries: dict[str, Entry]
    faults: tuple[str, ...]


def read_catalogue() -> Catalogue:
    """Read all search files; a faulty file does not hide the searches of the others.

    Raises:
        UserError: if the package of search files is not installed.
    """
    entries: dict[str, Entry] = {}
    faults, duplicates = [], set()
    for path in sorted(_folder().glob("[!_]*.py")):
        try:
            declared = list(_declared(path))
        except UserError as error:
            faults.append(str(error))
            continue
        for entry in declared:
            first = entries.setdefault(entry.name, entry)
            if first is not entry:
                duplicates.add(entry.name)
                faults.append(_declared_twice(first, entry))
    unique = {name: entry for name, entry in entries.items() if name not in duplicates}
    return Catalogue(unique, tuple(faults))


def entries() -> dict[str, Entry]:
    """An entry for each search on each of its data sets, by name."""
    return read_catalogue().entries


def find_entry(name: str) -> Entry:
    """The entry of a search.

    Raises:
        UserError: if there is none, with the nearest names, or if its name is declared twice.
    """
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

    Raises:
        UserError: if there is no such search.
    """
    known = entries()
    if name in known:
        return name
    return next((n for n, entry in known.items() if _family(entry) == name), name)


def _family(entry: Entry) -> str:
    """The name of a search without "_" and the short name of its data set at its end."""
    return entry.name.removesuffix(f"_{entry.data}")


def find(name: str) -> "tuple[Search, str]":
    """The search of that name and the short name of its data set.

    Raises:
        UserError: if there is none, or its file cannot be imported.
    """
    from tune_ad.search.declaration import Search

    entry = find_entry(name)
    for value in vars(_load(entry.module)).values():
        if isinstance(value, Search) and name in value.names():
            return value, entry.data
    raise UserError(
        f"{_place(entry.module)}: the search {name!r} must be assigned to a variable of the "
        "module, as in mine = Search(...), not inside a function or a list"
    )


def _folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the package {PACKAGE} cannot be found; install the project with pip")
    return Path(next(iter(spec.submodule_search_locations)))


def _place(module: str, line: int | None = None) -> str:
    """The path of a search file, and the line, for messages."""
    return f"{PACKAGE}/{module}.py" + ("" if line is None else f", line {line}")


def _declared_twice(first: Entry, second: Entry) -> str:
    return (
        f"the search {first.name!r} is declared twice, in {_place(first.module)} and in "
        f"{_place(second.module)}; rename one of them"
    )


def _declared(path: Path) -> Iterator[Entry]:
    """The searches of a file.

    Raises:
        UserError: if the file is not Python, or a name is not written as plain text.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        line = _place(path.stem, error.lineno)
        raise UserError(f"{line}: {error.msg}; correct the file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{_place(path.stem)}: {error}; correct the file") from error
    title = (ast.get_docstring(tree) or "").partition("\n")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == "Search":
            for name, data in _names(node, path.stem).items():
                yield Entry(name, data, path.stem, title)


def _called(call: ast.Call) -> str:
    """The name of what is called, as in Search(...) or search.Search(...)."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _names(call: ast.Call, module: str) -> dict[str, str]:
    """The names of a search, each with the short name of its data set.

    Raises:
        UserError: if they cannot be read without running the file.
    """
    place = _place(module, call.lineno)
    values = _literals(call, place)
    names, data_sets, renamed = values["name"], values["data"], values.get("name_on", {})
    check_instance(f"{place}: name", names, str)
    check_names(f"{place}: data", data_sets)
    check_mapping(f"{place}: name_on", renamed)
    for data, title in renamed.items():
        check_instance(f"{place}: name_on[{data!r}]", title, str)
    try:
        by_name = {renamed.get(data, names.format(data=data)): data for data in data_sets}
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise UserError(
            f"{place}: name of a Search may contain {{data}} and no other braces, got {names!r}"
        ) from error
    for title in by_name:
        check_folder_name(f"{place}: name of a Search", title)
    if len(by_name) < len(data_sets):
        raise UserError(
            f"{place}: the search {names!r} has several data sets and one "
            'name; write {data} into its name, as in name="mine_{data}"'
        )
    return by_name


def _literals(call: ast.Call, place: str) -> dict[str, Any]:
    """The values of the arguments of a `Search` from which its names follow.

    Raises:
        UserError: if an argument is missing, or is not a literal.
    """
    values = {}
    for keyword in call.keywords:
        if keyword.arg in LITERALS:
            try:
                values[keyword.arg] = ast.literal_eval(keyword.value)
            except (ValueError, TypeError) as error:
                raise UserError(
                    f"{place}: {keyword.arg} of a Search is read without running the file, so it "
                    f"must be written out, as in {LITERALS[keyword.arg]}"
                ) from error
    for name in ("name", "data"):
        if name not in values:
            raise UserError(
                f"{place}: {name} is missing; give it to Search by keyword, as in {LITERALS[name]}"
            )
    return values


def _load(module: str) -> "ModuleType":
    """Import a search file.

    Raises:
        UserError: if it cannot be imported: the file, the line, the reason and a remedy.
    """
    from tune_ad.search.distributions import any_choices

    try:
        with any_choices():
            return importlib.import_module(f"{PACKAGE}.{module}")
    except (Exception, SystemExit) as error:  # a user's own code may raise anything
        file = f"{module}.py"
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).name == file and Path(frame.filename).parent.name == PACKAGE
        ]
        line = _place(module, lines[-1] if lines else getattr(error, "lineno", None))
        raise UserError(f"{line}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """Why a search file cannot be imported, and how to mend it, in one line."""
    message = (str(error).splitlines() or [""])[0]
    if isinstance(error, UserError):
        return message
    if not isinstance(error, ImportError) or error.name is None:
        remedy = _nearest_field(message) or "correct the file"
        return f"{type(error).__name__}: {message}; {remedy}"
    moved = isinstance(error, ModuleNotFoundError)
    if moved and (home := _home(error.name)):
        return f"{message.partition(' (')[0]}; import it from {home}"
    if error.name.partition(".")[0] == tune_ad.__name__:
        return f"{message.partition(' (')[0]}; correct the import"
    return f"{message}; install it with pip, or correct the import"


def _nearest_field(message: str) -> str:
    """A question with the nearest fields, if the message is about an unknown field of a class.

    >>> _nearest_field("Budget.__init__() got an unexpected keyword argument 'trial'")
    'did you mean trials?'
    """
    pattern = r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'"
    if not (match := re.match(pattern, message)):
        return ""
    declared = getattr(importlib.import_module(HOME), match[1], None)
    if declared is None or not is_dataclass(declared):
        return ""
    names = [field.name for field in fields(declared)]
    return did_you_mean(match[2], names) or f"choose from {', '.join(names)}"


def _home(module: str) -> str:
    """The module from which the names of a module that has moved are imported; empty if unknown.

    Args:
        module: full name of the module before it moved.
    """
    if not module.startswith(f"{tune_ad.__name__}."):
        return ""
    package = Path(tune_ad.__file__).parent
    path = package.parent.joinpath(*module.split("."))
    if path.is_relative_to(package / "search"):
        return HOME
    for moved in sorted(package.rglob(f"{path.name}.py")):
        home = ".".join(moved.relative_to(package.parent).with_suffix("").parts)
        return HOME if home.startswith(f"{HOME}.") else home
    return ""
