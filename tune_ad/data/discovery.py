"""Finds the declared data sets: every module in `sets/` holds one `DATA_SET`."""

import importlib
import pkgutil

from tune_ad.data import sets
from tune_ad.data.declaration import DataSet


def available() -> dict[str, DataSet]:
    """The declared data sets by alias, in alphabetical order; reads no image."""
    names = (f"{sets.__name__}.{module.name}" for module in pkgutil.iter_modules(sets.__path__))
    declared: list[DataSet] = [importlib.import_module(name).DATA_SET for name in names]
    return {data_set.alias: data_set for data_set in sorted(declared, key=lambda each: each.alias)}


def canonical_name(name: str) -> str:
    """The full name of the data set called `name`, which may be an alias.

    A name that no declared set bears belongs to a user's own .npz and is returned unchanged.

    >>> canonical_name("cifar"), canonical_name("cifar10"), canonical_name("my_photos")
    ('cifar10', 'cifar10', 'my_photos')
    """
    declared = available().get(name)
    return declared.name if declared else name
