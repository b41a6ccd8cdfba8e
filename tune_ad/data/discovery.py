"""Finds the declared data sets: every module in `sets/` holds one `DATA_SET`."""

import importlib
import pkgutil

from tune_ad.data import sets
from tune_ad.data.declaration import DataSet


def available() -> dict[str, DataSet]:
    """The declared data sets by alias, in alphabetical order; no image is read."""
    modules = (f"{sets.__name__}.{module.name}" for module in pkgutil.iter_modules(sets.__path__))
    declared: list[DataSet] = [importlib.import_module(module).DATA_SET for module in modules]
    by_alias = {data_set.alias: data_set for data_set in declared}
    return dict(sorted(by_alias.items()))


def canonical_name(name: str) -> str:
    """The full name of the data set called `name`, which may be an alias.

    An unknown name is taken for that of a user's own .npz and is returned unchanged.

    >>> canonical_name("cifar"), canonical_name("cifar10"), canonical_name("my_photos")
    ('cifar10', 'cifar10', 'my_photos')
    """
    data_set = available().get(name)
    return data_set.name if data_set else name
