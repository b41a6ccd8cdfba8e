"""Pseudo-outliers: anomalies made from held-out normal images, for selection without labels.

Each module here is one generator: `TITLE` says in words what it makes, and `make` makes one
pseudo-outlier of each image. A new file is a new generator, and a selection rule of its own.

Configurations are ranked by how well they tell held-out normal images from what was made of them,
after Fung, Qiu, Li and Rudolph, "Model selection of anomaly detectors in the absence of labeled
validation data" (arXiv:2310.10461, 2023); there a diffusion model makes the pseudo-outliers, here
simple operations do.
"""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np


class Generator(NamedTuple):
    """A way to make pseudo-outliers.

    Attributes:
        name: its name, that of its module.
        title: what the pseudo-outliers are, as in "images rotated by 90, 180 or 270 degrees".
        make: a function of normal images, uint8 of shape (n, c, h, w), and of a random stream,
            that returns one pseudo-outlier of each, of the same shape and type.
    """

    name: str
    title: str
    make: Callable[[np.ndarray, np.random.Generator], np.ndarray]


@cache
def generators() -> dict[str, Generator]:
    """The generators by name, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: Generator(name, module.TITLE, module.make) for name, module in modules.items()}
