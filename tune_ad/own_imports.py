"""The files of a user's own code that Python code imports, directly or through one another.

Own code is neither of the standard library nor of an installed package nor of this project. What
is loaded is asked first, because only that says which of two files of the same name was meant.
"""

import ast
import importlib.util
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from itertools import accumulate
from pathlib import Path
from types import ModuleType

INSTALLED = {"site-packages", "dist-packages"}
"""The names of folders of installed packages."""
PROJECT = Path(__file__).resolve().parent
FOREIGN = (
    PROJECT,
    *(PROJECT.parent / name for name in ("analysis", "search_spaces")),
    *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")),
)
"""The folders of code that is no user's own."""


def own_imports(
    content: bytes, package: str = "", besides: Iterable[str] = ()
) -> Mapping[str, Path]:
    """The own modules that Python code imports, with their files.

    Args:
        content: the code.
        package: the package to which it belongs; empty if it belongs to none.
        besides: names of modules that it is known to import as well.

    Returns:
        the file of each module, by the full name of the module.
    """
    found: dict[str, Path] = {}
    waiting, seen = [*besides, *_names(content, package)], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = file_of_module(name)
        if file is not None and is_own(file):
            found[name] = file
            waiting += _names(file.read_bytes(), package_of(name, file))
    return found


def is_own(file: Path) -> bool:
    """Whether a file is code of a user's own."""
    if INSTALLED & set(file.parts):
        return False
    return not any(file.is_relative_to(place) for place in FOREIGN)


def file_of_module(name: str) -> Path | None:
    """The Python file of a module, loaded or not; None if there is none. Nothing is imported.

    Args:
        name: full name of the module.
    """
    if (module := sys.modules.get(name)) is not None:
        return source_of(module)
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    origin = _origin(name)
    return Path(origin).resolve() if origin and origin.endswith(".py") else None


def source_of(module: ModuleType) -> Path | None:
    """The Python file of a module that has been imported; None if there is none."""
    origin = getattr(module, "__file__", None)
    return Path(origin).resolve() if origin and origin.endswith(".py") else None


def package_of(name: str, file: Path) -> str:
    """The package to which a module belongs: a package belongs to itself.

    >>> package_of("a.b", Path("a/b.py")), package_of("a", Path("a/__init__.py"))
    ('a', 'a')
    """
    return name if file.stem == "__init__" else name.rpartition(".")[0]


def place_of(name: str, file: Path) -> str:
    """The path of a module below the folder from which its package is imported.

    >>> place_of("a.b", Path("x/a/b.py")), place_of("a", Path("x/a/__init__.py"))
    ('a/b.py', 'a/__init__.py')
    """
    if name == "__main__":
        return file.name
    path = "/".join(name.split("."))
    return f"{path}/{file.name}" if file.stem == "__init__" else f"{path}.py"


def _origin(name: str) -> str | None:
    """The file from which a module that is not loaded would be imported."""
    path, origin = None, None
    for part in accumulate(name.split("."), "{}.{}".format):
        spec = PathFinder.find_spec(part, path)
        if spec is None:
            return None
        origin, path = spec.origin, spec.submodule_search_locations
        if path is None and part != name:
            return None
    return origin


def _names(content: bytes, package: str) -> Iterator[str]:
    """The names that code imports, which may be modules, each with those of its packages."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in texts, said when it was imported
            tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        for name in _named(node, package):
            yield from accumulate(name.split("."), "{}.{}".format)


def _named(node: ast.AST, package: str) -> list[str]:
    """The full names in a statement that imports; none for other statements."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        try:
            base = importlib.util.resolve_name("." * node.level + base, package)
        except ImportError:  # above the highest package, where nothing is found
            return []
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]
