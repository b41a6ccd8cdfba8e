"""Every search: its space, its budgets and their cost, read from the search files."""

import importlib
import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch

from docs.site.markdown import code, table
from tune_ad.app.estimates.cost import Sizes, image_sizes, size
from tune_ad.data import canonical_name, find
from tune_ad.detectors.base import Detector, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.operations import epoch_operations
from tune_ad.detectors.schedule import SHORT
from tune_ad.search import Budget, Search, Study, catalogue
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import BUDGETS
from tune_ad.search.distributions import range_text

FORWARD_AND_BACKWARD = 3  # a backward pass takes about as long as two forward passes
UNITS = ("", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP")
WITHOUT_INFLUENCE: Mapping[str, Any] = {"epochs": 100, "batch_size": 100, "last_batch": SHORT}
"""Settings on which the operations of an epoch for one image do not depend."""


class Contents(NamedTuple):
    """The numbers of images of a declared data set, which need not be there to build the site."""

    train: int
    test: int
    classes: int = 10


CONTENTS: Mapping[str, Contents] = {
    "digits": Contents(1_258, 539),
    "mnist": Contents(60_000, 10_000),
    "fashion_mnist": Contents(60_000, 10_000),
    "cifar10": Contents(50_000, 10_000),
    "svhn": Contents(73_257, 26_032),
}


class Family(NamedTuple):
    """A declared search with its names on its data sets.

    Attributes:
        search: the declaration.
        names: the name of the search on each data set, by the data set's short name.
        about: the docstring of its file.
    """

    search: Search
    names: Mapping[str, str]
    about: str

    @property
    def title(self) -> str:
        """What the names of the search have in common, with a star for the rest."""
        names = list(self.names.values())
        return names[0] if len(names) == 1 else f"{os.path.commonprefix(names)}*"


@cache
def families() -> tuple[Family, ...]:
    """Every declared search of the project, in the order of `--list`."""
    found: dict[int, Family] = {}
    for entry in catalogue.entries().values():
        if entry.source.package:
            continue
        search = catalogue.declaration(entry)
        module = importlib.import_module(entry.source.module)
        names = {data: title for title, data in search.names().items()}
        found.setdefault(id(search), Family(search, names, inspect.getdoc(module) or ""))
    return tuple(found.values())


def study(family: Family, data: str, budget: str) -> Study:
    """The study of a search on a data set under a budget."""
    search, full = family.search, canonical_name(data)
    shape = find(full).shape
    assert shape is not None  # of every data set of the project
    return Study(
        name=family.names[data],
        search=search,
        data_set=full,
        shape=ImageShape(*shape),
        budget_name=budget,
        budget=search.budgets_for(data)[budget],
        selection=search.selection,
    )


def sizes(of: Study) -> Sizes:
    """The numbers of images of a model, and of tasks."""
    contents, by_class = CONTENTS[of.data_set], not of.search.of_whole_sets
    classes = contents.classes if by_class else 1
    return image_sizes(of.budget, contents.train // classes, contents.test, classes)


def training_operations(of: Study) -> float:
    """Operations of training all models of a study, if each had its default configuration.

    The convolutions and matrix products of an image's forward pass, times 3 for the backward
    pass, times training images, epochs and models; 0 for detectors that are only fitted. A
    multiplication and its addition are two operations. Baselines count equally.
    """
    of_models = [_model_operations(of, baseline) for baseline in of.baselines.values()]
    mean = sum(of_models) / len(of_models)
    images = sizes(of)
    return mean * images.train * size(of, images.tasks).models


def _model_operations(of: Study, baseline: Baseline) -> float:
    config = baseline.config(of.shape, {})
    stages = skeleton(baseline.detector, config, of.shape).stages()
    same = {name: value for name, value in WITHOUT_INFLUENCE.items() if hasattr(config, name)}
    passes = _passes(baseline.detector, replace(config, **same), of.shape) if stages else ()
    total = sum(s.epochs * operations for s, operations in zip(stages, passes, strict=True))
    return FORWARD_AND_BACKWARD * total


@cache
def _passes(detector: type[Detector[Any]], config: Config, shape: ImageShape) -> tuple[float, ...]:
    """Operations of an epoch for one image, by stage; nothing is computed."""
    module = skeleton(detector, config, shape)
    with torch.device("meta"):
        return tuple(epoch_operations(module, stage) for stage in module.stages())


def overview() -> str:
    """One row for each search: what it does, its rule and its models under every budget."""
    rows = [
        [
            f"[{family.title}](#{anchor(family)})",
            family.about.partition("\n")[0],
            rule(family),
            " / ".join(_models(family, next(iter(family.names)), budget) for budget in BUDGETS),
            ", ".join(family.names),
        ]
        for family in families()
    ]
    head = ["search", "what it does", "ranked by", f"models: {' / '.join(BUDGETS)}", "data"]
    return table(head, rows)


def anchor(family: Family) -> str:
    """The anchor of the section of a search."""
    return f"search-{next(iter(family.names.values())).replace('_', '-')}"


def rule(family: Family) -> str:
    """The rule that ranks the trials, or why there is none."""
    data = next(iter(family.names))
    selects = any(study(family, data, budget).chooses for budget in BUDGETS)
    return code(family.search.selection) if selects else "nothing is selected"


def _models(family: Family, data: str, budget: str) -> str:
    of = study(family, data, budget)
    return f"{size(of, sizes(of).tasks).models:,}"


def details() -> str:
    """A section for each search: its space, its budgets and their cost."""
    return "\n\n".join("\n\n".join(_section(family)) for family in families())


def _section(family: Family) -> Iterator[str]:
    yield f"({anchor(family)})=\n## {family.title}"
    yield family.about
    yield f"Plan: {family.search.plan.traits.title}. Ranked by: {rule(family)}."
    for baseline in family.search.baselines:
        yield from _space(baseline, named=len(family.search.baselines) > 1)
    yield _budgets(family)


def _space(baseline: Baseline, named: bool) -> Iterator[str]:
    """The parameters of a baseline that differ from the published ones or are varied."""
    rows = [[code(name), range_text(values)] for name, values in baseline.space.items()]
    rows += [
        [code(name), f"scored with {', '.join(map(str, values))}; no retraining"]
        for name, values in baseline.score_space.items()
    ]
    rows += [
        [code(name), f"{value}{' (default)' if name in baseline.space else ', fixed'}"]
        for name, value in baseline.settings.items()
    ]
    detector = baseline.detector.__name__
    title = f"{baseline.title} ({detector})" if baseline.title != detector else detector
    if rows:
        yield table([title, "values"], rows)
    elif named:
        yield f"{title}: published settings."


def _budgets(family: Family) -> str:
    rows = [
        [", ".join(family.names[data] for data in alike), budget, *_budget(of)]
        for alike in _alike(family)
        for budget in BUDGETS
        for of in [study(family, alike[0], budget)]
    ]
    head = ["search", "budget", "models", "epochs", "training images", "operations"]
    return table(head, rows)


def _alike(family: Family) -> list[list[str]]:
    """The data sets of a search in groups, in which all budgets cost the same."""
    groups: list[tuple[object, list[str]]] = []
    for data in family.names:
        of = study(family, data, BUDGETS[0])
        cost = of.shape, CONTENTS[of.data_set], family.search.budgets_for(data)
        known = next((members for other, members in groups if other == cost), None)
        if known is None:
            groups.append((cost, [data]))
        else:
            known.append(data)
    return [members for _, members in groups]


def _budget(of: Study) -> list[str]:
    images, tried = sizes(of), [number for number in of.epochs_tried() if number]
    words = size(of, images.tasks).in_words(is_by_class=not of.search.of_whole_sets)
    operations = training_operations(of)
    return [
        words.replace(" x ", " × "),
        " or ".join(map(str, tried)) or "fitted once",
        f"{images.train:,}{_limit(of.budget)}",
        in_words(operations) if operations else "no network",
    ]


def _limit(budget: Budget) -> str:
    return "" if budget.train_images else " (all that are not held out)"


def in_words(operations: float) -> str:
    """A number of operations with two digits.

    >>> in_words(2.34e13), in_words(3.1e17), in_words(1.04e15)
    ('23 TFLOP', '310 PFLOP', '1.0 PFLOP')
    """
    digits, exponent = f"{operations:.1e}".split("e")
    power = min(int(exponent) // 3, len(UNITS) - 1)
    number = float(digits) * 10 ** (int(exponent) - 3 * power)
    return f"{number:{'.1f' if number < 10 else '.0f'}} {UNITS[power]}".strip()
