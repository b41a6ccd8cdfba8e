"""Finds the declared data sets: those in `sets/`, and those that installed packages declare.

Every module in `sets/` holds one `DATA_SET`; a package declares a `DataSet` as an entry point.
"""

import importlib
import pkgutil
from functools import cache
from typing import NamedTuple

from tune_ad.data import sets
from tune_ad.data.declaration import DataSet
from tune_ad.errors import UserError
from tune_ad.extensions import DATA_SETS, Extension, extensions


class OfPackages(NamedTuple):
    """The data sets of installed packages.

    Attributes:
        declared: the data sets.
        faults: a line for each one that cannot be used.
    """

    declared: tuple[DataSet, ...]
    faults: tuple[str, ...]


def available() -> dict[str, DataSet]:
    """The declared data sets by alias, in alphabetical order; no image is read."""
    by_alias = {data_set.alias: data_set for data_set in (*_of_project(), *of_packages().declared)}
    return dict(sorted(by_alias.items()))


def canonical_name(name: str) -> str:
    """The full name of the data set called `name`, which may be an alias.

    An unknown name is taken for that of a user's own .npz and is returned unchanged.

    >>> canonical_name("cifar"), canonical_name("cifar10"), canonical_name("my_photos")
    ('cifar10', 'cifar10', 'my_photos')
    """
    data_set = available().get(name)
    return data_set.name if data_set else name


def _of_project() -> list[DataSet]:
    """The data sets of this project."""
    modules = (f"{sets.__name__}.{module.name}" for module in pkgutil.iter_modules(sets.__path__))
    return [importlib.import_module(module).DATA_SET for module in modules]


@cache
def of_packages() -> OfPackages:
    """The data sets of installed packages; a faulty one does not hide the others."""
    taken = {
        name: f"the project has a data set {name} itself"
        for data_set in _of_project()
        for name in (data_set.alias, data_set.name)
    }
    declared, faults = [], []
    for extension in extensions(DATA_SETS):
        try:
            data_set = _loaded(extension, taken)
        except UserError as error:
            faults.append(str(error))
            continue
        declared.append(data_set)
        for name in (data_set.alias, data_set.name):
            taken[name] = f"the package {extension.package} has a data set {name}, too"
    return OfPackages(tuple(declared), tuple(faults))


def _loaded(extension: Extension, taken: dict[str, str]) -> DataSet:
    """The data set of an extension.

    Args:
        extension: the entry point.
        taken: why a name cannot be used, by name.

    Raises:
        UserError: if it cannot be imported, is no data set, or its name is that of another one.
    """
    data_set = extension.load()
    if not isinstance(data_set, DataSet):
        raise extension.fault(f"it is no DataSet, but {data_set!r}")
    for name in (data_set.alias, data_set.name):
        if name in taken:
            raise extension.fault(taken[name])
    return data_set
