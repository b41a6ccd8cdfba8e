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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tune_ad
from tune_ad.errors import UserError, did_you_mean
from tune_ad.search.search_file import Source

if TYPE_CHECKING:
    from types import ModuleType

HOME = "tune_ad.search"  # exports every name that a search file needs, except the detectors
PREFIX = "tune_ad_file_"  # of the names of files that are named by their paths


class OwnFile(NamedTuple):
    """A file as it was imported.

    Attributes:
        path: its path, resolved.
        content: its content.
    """

    path: Path
    content: bytes


_FILES: dict[str, OwnFile] = {}
"""The files of the modules that have been imported and forgotten, by the name of the module."""


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


def file_of(module: str) -> Path | None:
    """The file of a module that was imported from its path; None for other modules."""
    return None if module in sys.modules or module not in _FILES else _FILES[module].path


def contents(module: str) -> dict[str, bytes]:
    """The file of a module that was imported from its path, and the imported modules beside it.

    Args:
        module: the name of the module, for which `file_of` returns a path.

    Returns:
        the contents by the names of the files, as they were when they were imported last; that of
        the module itself as it was when this module was imported.
    """
    file = _FILES[module]
    files = [other for other in _FILES.values() if other.path.parent == file.path.parent]
    return {other.path.name: other.content for other in [*files, file]}


def from_file(path: Path) -> "ModuleType":
    """Import a Python file that is named by its path, and the modules beside it that it imports.

    Raises:
        UserError: if it cannot be imported: the file, the line, the reason and a remedy.
    """
    try:
        file = OwnFile(path.resolve(), path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check its rights") from error
    digest = hashlib.sha256(str(file.path).encode() + file.content).hexdigest()
    name = f"{PREFIX}{file.path.stem}_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, file.path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is no Python file; give it a name that ends with .py")
    module, loader = importlib.util.module_from_spec(spec), spec.loader

    def execute() -> "ModuleType":
        with _folder_on_path(file.path.parent):
            sys.modules[name] = module  # dataclasses look it up
            try:
                loader.exec_module(module)
            finally:
                del sys.modules[name]
                _forgotten(name, file)
        return module

    return imported(execute, Source(path, str(path)))


def imported(execute: "Callable[[], ModuleType]", source: Source) -> "ModuleType":
    """The module that a function imports.

    Args:
        execute: imports the module and returns it.
        source: the file of the module.

    Raises:
        UserError: if it cannot be imported: the file, the line, the reason and a remedy.
    """
    from tune_ad.search.distributions import any_choices

    try:
        with any_choices():
            return execute()
    except (Exception, SystemExit) as error:  # a user's own code may raise anything
        line, folder = getattr(error, "lineno", None), source.path.resolve().parent
        for frame in traceback.extract_tb(error.__traceback__):
            path = Path(frame.filename)
            if path.parent == folder:  # the file itself, or a module beside it
                shown = str(Path(source.shown).with_name(path.name))
                source, line = source._replace(shown=shown), frame.lineno
        raise UserError(f"{source.place(line)}: {_reason(error)}") from error


@contextmanager
def _folder_on_path(folder: Path) -> Iterator[None]:
    """Context manager: the modules of a folder can be imported, and are forgotten afterwards."""
    importlib.invalidate_caches()
    before, path = set(sys.modules), str(folder)
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)
        for name in {name.partition(".")[0] for name in sys.modules.keys() - before} - before:
            _forget_unless_found(name)


def _forget_unless_found(package: str) -> None:
    """Remove a module and its submodules, unless an import would find the same ones again."""
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
    if spec is None or (again is not None and again.origin == spec.origin):
        sys.modules.update(parts)
        return
    for name, module in parts.items():
        if path := getattr(module, "__file__", None):
            _forgotten(name, OwnFile(Path(path).resolve(), Path(path).read_bytes()))


def _forgotten(name: str, file: OwnFile) -> None:
    """Remember the file of a module that has been imported and forgotten, as the latest one."""
    _FILES.pop(name, None)
    _FILES[name] = file


def _reason(error: BaseException) -> str:
    """Why a file cannot be imported, and how to mend it, in one line."""
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
