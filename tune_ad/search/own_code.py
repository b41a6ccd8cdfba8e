"""Imports files of searches and detectors, and says in one line why one cannot be imported.

A file that is named by its path is imported under a name that no other module has, and with its
folder on the path, so that it can import the modules beside it. Neither the file nor those modules
stay among the modules of the process: so two folders may have modules of the same name, and Ray
sends their classes to its workers by value, as those of a notebook.
"""

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from weakref import WeakKeyDictionary

import tune_ad
from tune_ad.errors import UserError, did_you_mean
from tune_ad.extensions import is_of_extension
from tune_ad.own_imports import (
    file_of_module,
    is_own,
    own_imports,
    package_of,
    place_of,
    source_of,
)
from tune_ad.search.search_file import Source
from tune_ad.signals import IMPORT_SECONDS, ForeignError, alarm, foreign_code

HOME = "tune_ad.search"  # exports every name that a search file needs, except the detectors
PREFIX = "tune_ad_file_"  # of the names of files that are named by their paths


class Code(NamedTuple):
    """A file of Python code.

    Attributes:
        path: its path, resolved.
        content: its content.
    """

    path: Path
    content: bytes


class OwnFile(NamedTuple):
    """A file that was imported from its path, or a module that such a file imported.

    Attributes:
        path: its path, resolved.
        place: its place in `code`.
        code: the file that was named by its path and the own modules that it imports, as they
            were imported, by their places below the folder of the import.
    """

    path: Path
    place: str
    code: Mapping[str, Code]


_FILES: dict[Path, OwnFile] = {}
"""The files that have been imported from their paths, as they were imported last."""
_BY_MODULE: dict[str, OwnFile] = {}
"""The same and the modules beside them that were forgotten, by the name of the module."""
_BY_CLASS: "WeakKeyDictionary[type, OwnFile]" = WeakKeyDictionary()
"""The same by the classes of the modules: those of two folders may have modules of one name."""


def checked_file(option: str, path: Path) -> Path:
    """The path of a file, if there is one.

    Args:
        option: the option that names the file, for the message.
        path: its path.

    Raises:
        UserError: naming the path, and the nearest files of the folder.
    """
    if path.is_file():
        return path
    near = did_you_mean(path.name, [other.name for other in path.parent.glob("*.py")])
    raise UserError(
        f"{option}: there is no file {str(path)!r}; {near or 'give the path of a Python file'}"
    )


def file_of(declared: type) -> Path | None:
    """The file of a class that was imported from a path; None for other classes."""
    file = _imported_file(declared)
    return None if file is None else file.path


def contents(declared: type) -> Mapping[str, Code]:
    """The own code on which a class depends.

    Args:
        declared: the class.

    Returns:
        the files by their places below the folder from which they are imported; for a class of a
        file that was imported from its path, as they were then. Of a package that is installed,
        every Python file; otherwise the files that are imported. Empty for classes of this project
        and of the standard library.
    """
    if (known := _imported_file(declared)) is not None:
        return known.code
    name = declared.__module__
    top, file = name.partition(".")[0], file_of_module(name)
    if file is None or not (is_own(file) or is_of_package(declared)):
        return {}
    if is_of_package(declared):
        return _whole(top, file, len(name.split(".")) - (file.stem != "__init__"))
    code = Code(file, file.read_bytes())
    return {place_of(name, file): code, **_imports(code.content, package_of(name, file))}


def is_of_package(declared: type) -> bool:
    """Whether a class is one of an installed package, and not of the user's own files."""
    name = declared.__module__
    file = None if _imported_file(declared) else file_of_module(name)
    if file is None or file.is_relative_to(Path(tune_ad.__file__).resolve().parent):
        return False
    return name.partition(".")[0] not in sys.stdlib_module_names and (
        not is_own(file) or is_of_extension(name)
    )


def place_of_class(declared: type) -> str:
    """The place in `contents` of the file of a class that was imported from a path."""
    file = _imported_file(declared)
    return "" if file is None else file.place


def contents_of_file(path: Path) -> Mapping[str, Code]:
    """A Python file and the own modules that it imports, by their places; as `contents`.

    Args:
        path: the file, as it is named by an option.
    """
    if (known := _FILES.get(path.resolve())) is not None:
        return known.code
    code = Code(path.resolve(), path.read_bytes())
    with _folder_on_path(code.path.parent):
        return {path.name: code, **_imports(code.content)}


def _whole(top: str, file: Path, depth: int) -> dict[str, Code]:
    """Every Python file of a package, or the one file of a module that is in none.

    Args:
        top: the name of the package.
        file: a file of it.
        depth: the number of folders of the package above that file.
    """
    if not depth:
        return {file.name: Code(file, file.read_bytes())}
    folder = file.parents[depth - 1]
    return {
        f"{top}/{path.relative_to(folder).as_posix()}": Code(path, path.read_bytes())
        for path in sorted(folder.rglob("*.py"))
    }


def _imports(content: bytes, package: str = "", besides: Iterable[str] = ()) -> dict[str, Code]:
    """The own modules that code imports, by their places."""
    modules = own_imports(content, package, besides)
    return {place_of(name, path): Code(path, path.read_bytes()) for name, path in modules.items()}


def _imported_file(declared: type) -> OwnFile | None:
    """The file of a class that was imported from a path; None for other classes."""
    if declared.__module__ in sys.modules:
        return None
    return _BY_CLASS.get(declared) or _BY_MODULE.get(declared.__module__)


def from_file(path: Path) -> ModuleType:
    """Import a Python file that is named by its path, and the modules beside it that it imports.

    Raises:
        UserError: if it cannot be imported, or not within `IMPORT_SECONDS`: the file, the line,
            the reason and a remedy.
    """
    try:
        file, content = path.resolve(), path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its rights") from error
    digest = hashlib.sha256(str(file).encode() + content).hexdigest()
    name = f"{PREFIX}{file.stem}_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is no Python file; give it a name that ends with .py")
    module, loader = importlib.util.module_from_spec(spec), spec.loader

    def execute() -> ModuleType:
        before = set(sys.modules)
        with _folder_on_path(file.parent) as forgotten:
            sys.modules[name] = module  # dataclasses look it up
            try:
                loader.exec_module(module)
            finally:
                del sys.modules[name]
            code = _imports(content, besides=sys.modules.keys() - before)
        code[file.name] = Code(file, content)
        _FILES[file] = OwnFile(file, file.name, code)
        _remember(module, _FILES[file])
        for other in forgotten:
            if path := source_of(other):
                place = place_of(other.__name__, path)
                _remember(other, OwnFile(path, place, code))
        return module

    return imported(execute, Source(path, str(path)))


def imported(execute: Callable[[], ModuleType], source: Source) -> ModuleType:
    """The module that a function imports.

    Args:
        execute: imports the module and returns it.
        source: the file of the module.

    Raises:
        UserError: if it cannot be imported: the file, the line, the reason and a remedy.
    """
    from tune_ad.search.distributions import any_choices

    try:
        with any_choices(), foreign_code(), alarm(IMPORT_SECONDS):
            return execute()
    except ForeignError as fault:
        error = fault.error
        line, folder = getattr(error, "lineno", None), source.path.resolve().parent
        for frame in traceback.extract_tb(error.__traceback__):
            path = Path(frame.filename)
            if path.parent == folder:  # the file itself, or a module beside it
                shown = str(Path(source.shown).with_name(path.name))
                source, line = source._replace(shown=shown), frame.lineno
        raise UserError(f"{source.place(line)}: {_reason(error)}") from error


@contextmanager
def _folder_on_path(folder: Path) -> Iterator[list[ModuleType]]:
    """Context manager: the modules of a folder can be imported, and are forgotten afterwards.

    Its value is a list that has the forgotten modules at the end.
    """
    importlib.invalidate_caches()
    before, path, forgotten = set(sys.modules), str(folder), list[ModuleType]()
    sys.path.insert(0, path)
    try:
        yield forgotten
    finally:
        sys.path.remove(path)
        for name in {name.partition(".")[0] for name in sys.modules.keys() - before} - before:
            forgotten += _forget_unless_found(name)


def _forget_unless_found(package: str) -> list[ModuleType]:
    """Remove a module and its submodules, unless an import would find the same ones again.

    Returns:
        the modules that have been removed.
    """
    parts = {
        name: module
        for name, module in sys.modules.items()
        if name == package or name.startswith(f"{package}.")
    }
    spec = getattr(parts.get(package), "__spec__", None)
    for name in parts:
        del sys.modules[name]
    try:
        again = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        again = None
    if spec is None or (again is not None and _place(again) == _place(spec)):
        sys.modules.update(parts)
        return []
    return list(parts.values())


def _place(spec: ModuleSpec) -> tuple[str | None, list[str]]:
    """Where a module lies; several folders may be packages without a file of their own."""
    return spec.origin, list(spec.submodule_search_locations or ())


def _remember(module: ModuleType, file: OwnFile) -> None:
    """Remember the file of a module that has been imported and forgotten, as the latest one."""
    _BY_MODULE[module.__name__] = file
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            _BY_CLASS[value] = file


def _reason(error: BaseException) -> str:
    """Why a file cannot be imported, and how to mend it, in one line."""
    message = (str(error).splitlines() or [""])[0]
    if isinstance(error, UserError):
        return message
    if not isinstance(error, ImportError) or error.name is None:
        remedy = _nearest_field(message) or "correct the file"
        what = ": ".join(filter(None, (type(error).__name__, message)))
        return f"{what}; {remedy}"
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
