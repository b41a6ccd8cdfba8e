"""What the options name, as far as it is known without images: search, machine, folder, budget."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution

from tune_ad import data
from tune_ad.app.options import Options
from tune_ad.app.resources import machine_for, resolve_device
from tune_ad.app.resuming import (
    check_writable,
    continued_budget,
    stored_budget,
    stored_settings,
    stored_study,
)
from tune_ad.app.settings import read_settings
from tune_ad.data import class_tasks
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.execution.machine import Machine
from tune_ad.search import catalogue
from tune_ad.search.ablation import ablated
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Baseline, Search
from tune_ad.search.plans import contains
from tune_ad.search.study import Study
from tune_ad.storage.folder import StudyFolder


class Request(NamedTuple):
    """What is asked for, as far as it is known without images.

    Attributes:
        options: with the device and the GPUs of the machine, and settings read by their types.
        search: as declared, or as an ablation.
        data: short name of the data set.
        machine: on which trials run.
        folder: of the study.
        stored: description of the study that is continued; None for a new one.
        budget_name: "quick", "standard" or "paper".
        budget: with the user's changes.
        selection: name of the rule that ranks trials.
    """

    options: Options
    search: Search
    data: str
    machine: Machine
    folder: StudyFolder
    stored: Mapping[str, Any] | None
    budget_name: str
    budget: Budget
    selection: str

    @property
    def outsiders(self) -> tuple[str, ...]:
        """The data sets and controls that are anomalous; none if the classes are tasks."""
        return self.search.outsiders_for(self.data)

    def study(self, data_set: str, shape: ImageShape) -> Study:
        """The study of a data set, by its full name, with images of some shape."""
        stored_seed = self.stored["seed"] if self.stored else 0
        return Study(
            name=self.options.study,
            search=self.search,
            data_set=data_set,
            shape=shape,
            budget_name=self.budget_name,
            budget=self.budget,
            selection=self.selection,
            seed=stored_seed if self.options.seed is None else self.options.seed,
            settings=self.options.settings,
        )

    def varies(self, baseline: Baseline) -> bool:
        """Whether the study varies a parameter of a baseline."""

        def has_choice(name: str, distribution: BaseDistribution) -> bool:
            values = self.budget.only.get(name)
            return values is None or sum(contains(distribution, value) for value in values) > 1

        return any(
            name not in self.options.settings and has_choice(name, distribution)
            for name, distribution in baseline.space.items()
        )


def resolve(options: Options) -> Request:
    """Find what the options name: the search, the study's folder, the machine, the data set.

    Raises:
        UserError: if something is not there, or an option contradicts it.
    """
    search, alias = _search(options)
    folder = StudyFolder(options.results / options.study)
    check_writable(folder.path)
    stored = stored_study(folder, options)
    machine = machine_for(options)
    options = resolve_device(options, machine)
    options = replace(options, settings=_settings(options, search, stored))
    name = stored["budget_name"] if stored else _budget_name(options)
    data_set = data.find(alias, options.data_root)
    return Request(
        options=options,
        search=search,
        data=alias,
        machine=machine,
        folder=folder,
        stored=stored,
        budget_name=name,
        budget=_budget(search.budgets_for(alias)[name], options, data_set, stored),
        selection=options.selection or (stored["selection"] if stored else search.selection),
    )


def _search(options: Options) -> tuple[Search, str]:
    """The search, as declared or as an ablation, and the short name of its data set.

    Raises:
        UserError: if there is no such search, or an option has no use in it.
    """
    search, alias = catalogue.find(options.search)
    if search.of_whole_sets and options.changes.get("classes") is not None:
        raise UserError(
            f"--classes: {options.search} is about the whole data set; leave the option out"
        )
    if options.ablate is None:
        return search, alias
    if options.selection is not None:
        raise UserError("--ablate selects nothing; leave --selection out")
    if options.changes.get("evaluation_seeds"):
        raise UserError("--ablate tests every trial itself; leave --evaluation-seeds out")
    return ablated(search, options.ablate), alias


def _settings(
    options: Options, search: Search, stored: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """The hyperparameters that the user fixes; those of the stored study where they are equal."""
    settings = read_settings(options.settings, search.baselines)
    before = stored_settings(stored) if stored else {}
    return before if settings in ({}, before) else settings


def _budget_name(options: Options) -> str:
    if options.budget != "auto":
        return options.budget
    return "standard" if options.device == "cuda" else "quick"


def _budget(
    declared: Budget, options: Options, data_set: data.DataSet, stored: Mapping[str, Any] | None
) -> Budget:
    """The declared budget with the user's changes; a stored study keeps its own.

    Raises:
        UserError: if a class is unknown, or a value is out of range.
    """
    changes = {name: value for name, value in options.changes.items() if value is not None}
    if "classes" in changes:
        tasks = class_tasks(data_set, changes["classes"])
        changes["classes"] = tuple(int(task.normal_class or 0) for task in tasks)
    if stored:
        budget = continued_budget(stored_budget(stored), changes, data_set.classes)
    else:
        budget = replace(declared, **changes)
    return replace(budget, trials=budget.trials + options.extend)
