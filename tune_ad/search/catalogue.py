"""Which searches there are: read from the syntax trees of `search_spaces`, importing nothing."""

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tune_ad.errors import UserError

if TYPE_CHECKING:
    from tune_ad.search.declaration import Search

PACKAGE = "search_spaces"


class Entry(NamedTuple):
    """A search on one data set.

    Attributes:
        name: as in `--search`.
        data: short name of the data set.
        module: where it is declared.
        title: first line of that module's docstring.
    """

    name: str
    data: str
    module: str
    title: str


def entries() -> dict[str, Entry]:
    """Every search on every one of its data sets, by name."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the package {PACKAGE} cannot be found; install the project with pip")
    folder = Path(next(iter(spec.submodule_search_locations)))
    found = [each for path in sorted(folder.glob("[!_]*.py")) for each in _declared(path)]
    return {entry.name: entry for entry in found}


def _declared(path: Path) -> Iterator[Entry]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    title = (ast.get_docstring(tree) or "").partition("\n")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Search":
            values = {
                keyword.arg: ast.literal_eval(keyword.value)
                for keyword in node.keywords
                if keyword.arg in ("name", "data", "name_on")
            }
            for data in values["data"]:
                name = values.get("name_on", {}).get(data, values["name"].format(data=data))
                yield Entry(name, data, path.stem, title)


def find(name: str) -> "tuple[Search, str]":
    """The search of that name and the short name of its data set.

    Raises:
        UserError: if there is none, with the nearest names.
    """
    known = entries()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise UserError(
            f"there is no search {name!r}; did you mean {', '.join(near)}? "
            "--list shows every search"
        )
    from tune_ad.search.declaration import Search

    module = importlib.import_module(f"{PACKAGE}.{known[name].module}")
    searches = [value for value in vars(module).values() if isinstance(value, Search)]
    return next(each for each in searches if name in each.names()), known[name].data
