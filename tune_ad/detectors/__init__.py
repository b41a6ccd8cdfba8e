"""The detectors, one file or folder each; each `Detector` in the package is discovered."""

import importlib
import inspect
import pkgutil
from typing import Any

from tune_ad.detectors.base import Detector


def every_detector() -> dict[str, type[Detector[Any]]]:
    """The detectors of this package by class name."""
    detectors: dict[str, type[Detector[Any]]] = {}
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        values = vars(importlib.import_module(module.name)).values()
        detectors.update(
            (value.__name__, value)
            for value in values
            if isinstance(value, type)
            and issubclass(value, Detector)
            and not inspect.isabstract(value)
        )
    return dict(sorted(detectors.items()))
