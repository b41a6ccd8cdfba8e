"""Reads which searches a search file declares, from its syntax tree, without running it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tune_ad.errors import UserError
from tune_ad.search.checks.fields import (
    check_folder_name,
    check_instance,
    check_mapping,
    check_names,
)

LITERALS = {
    "name": 'name="mine_{data}"',
    "data": 'data=("mnist", "cifar")',
    "name_on": 'name_on={"cifar": "mine"}',
}
"""The arguments of a `Search` that are read without running the file, each with an example."""


class Source(NamedTuple):
    """A file that declares searches.

    Attributes:
        path: the path of the file.
        shown: the path as messages name it.
        module: full name under which the module is imported; empty for a file that is named by
            its path.
        package: name of the installed package that declares the searches; empty for the project's
            own, and for a file that is named by its path.
    """

    path: Path
    shown: str
    module: str = ""
    package: str = ""

    def place(self, line: int | None = None) -> str:
        """The path, the package and the line, for messages."""
        of_package = f" of the package {self.package}" if self.package else ""
        return self.shown + of_package + ("" if line is None else f", line {line}")


class Entry(NamedTuple):
    """A search on one data set.

    Attributes:
        name: name of the search, as in `--search`.
        data: short name of the data set.
        title: first line of the file's docstring.
        source: the file that declares it.
        by_class: whether each class is a task, so that it also runs on other images.
    """

    name: str
    data: str
    title: str
    source: Source
    by_class: bool


def declared(source: Source) -> Iterator[Entry]:
    """The searches of a file.

    Raises:
        UserError: if the file is not Python, or a name is not written as plain text.
    """
    path = source.path
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        line = source.place(error.lineno)
        raise UserError(f"{line}: {error.msg}; correct the file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{source.place()}: {error}; correct the file") from error
    title = (ast.get_docstring(tree) or "").partition("\n")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == "Search":
            by_class = not {keyword.arg for keyword in node.keywords} & {"outsiders", "whole"}
            for name, data in _names(node, source).items():
                yield Entry(name, data, title, source, by_class)


def _called(call: ast.Call) -> str:
    """The name of what is called, as in Search(...) or search.Search(...)."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _names(call: ast.Call, source: Source) -> dict[str, str]:
    """The names of a search, each with the short name of its data set.

    Raises:
        UserError: if they cannot be read without running the file.
    """
    place = source.place(call.lineno)
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
