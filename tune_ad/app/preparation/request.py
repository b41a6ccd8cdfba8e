"""Resolves the options to search, machine, folder and budget, before any image is loaded."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution

from tune_ad import data
from tune_ad.app.command_line.options import Options
from tune_ad.app.preparation.resources import check_concurrent, machine_for, resolve_device
from tune_ad.app.preparation.resuming import (
    as_begun,
    continued_budget,
    continued_settings,
    continues,
    stored_budget,
)
from tune_ad.app.preparation.settings import read_settings
from tune_ad.data import class_tasks
from tune_ad.data.own.decoding import Target
from tune_ad.data.own.naming import own_path, short_name
from tune_ad.data.own.reading import Choices, OwnImages, read_own
from tune_ad.data.tasks import NamedClasses
from tune_ad.detectors.config import NetworkConfig
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.execution.machine import Machine
from tune_ad.host import usable_cores
from tune_ad.sample_sizes import LEAST_LABELS
from tune_ad.search import catalogue
from tune_ad.search.ablation import ablated
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Search
from tune_ad.search.on_images import Images, on_images
from tune_ad.search.own_detector import with_detector
from tune_ad.search.plans import contains
from tune_ad.search.study import Study
from tune_ad.selection import AUTO, automatic
from tune_ad.storage.folder import StudyFolder
from tune_ad.training.replicas.paths import bfloat16_is_faster, resolved_precision
from tune_ad.wording import count

ANY_IMAGES = Images("any", channels=1, labelled_anomalies=None, has_anomalies=True)


class Request(NamedTuple):
    """The resolved options: everything that can be determined without loading images.

    Attributes:
        options: options with device and settings resolved; the number of GPUs may be None.
        search: the search as declared, or its ablation.
        data: short name of the data set.
        own: the user's own images; None if the data set is a declared one.
        machine: machine or cluster that runs the trials.
        folder: folder of the study.
        stored: description of the existing study that is continued; None for a new study.
        budget_name: "quick", "standard" or "paper".
        budget: budget with the user's changes.
        selection: name of the selection rule.
    """

    options: Options
    search: Search
    data: str
    own: OwnImages | None
    machine: Machine
    folder: StudyFolder
    stored: Mapping[str, Any] | None
    budget_name: str
    budget: Budget
    selection: str

    @property
    def outsiders(self) -> tuple[str, ...]:
        """The data sets and controls whose images are anomalous; none if each class is a task."""
        return self.search.outsiders_for(self.data)

    def study(self, data_set: str, shape: ImageShape) -> Study:
        """The study of the data set with that full name and images of that shape."""
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
            precision=self._precision(shape),
            keep_models=self.options.keep_models,
            chooses_scores=not self.stored or bool(self.stored["chooses_scores"]),
        )

    def _precision(self, shape: ImageShape) -> dict[str, str]:
        """The precision of each baseline that trains networks; that of a study that continues."""
        if self.stored:
            return dict(self.stored["precision"])
        wanted, is_faster = self.options.precision, bfloat16_is_faster(self.options.device)
        return {
            baseline.title: resolved_precision(wanted, baseline.detector, shape, is_faster)
            for baseline in self.search.baselines
            if issubclass(baseline.detector.Config, NetworkConfig)
        }

    def varies(self, baseline: Baseline) -> bool:
        """Whether at least one parameter of a baseline is searched."""

        def has_choice(name: str, distribution: BaseDistribution) -> bool:
            values = self.budget.only.get(name)
            return values is None or sum(contains(distribution, value) for value in values) > 1

        return any(
            name not in self.options.settings and has_choice(name, distribution)
            for name, distribution in baseline.space.items()
        )


def resolve(options: Options, say: Callable[[str], None], given: Search | None = None) -> Request:
    """Resolve the options as those of a new study.

    Args:
        options: options of the run.
        say: prints a line for the user.
        given: the search itself, if no search file declares it.

    Raises:
        UserError: if a search, a parameter, a class or a data set does not exist, or an option
            does not suit the search or the machine.
    """
    search, alias, own = _search(options, say, given)
    settings = read_settings(options.settings, search.baselines)
    machine = machine_for(options, say)
    options = replace(resolve_device(options, machine), settings=settings)
    if options.gpus is not None:
        check_concurrent(options, machine)
    name = _budget_name(options)
    changes = _changes(options, _with_classes(alias, own, options))
    if "epochs" in changes and any("epochs" in baseline.space for baseline in search.baselines):
        if options.ablate is None and not _selects(search, search.budgets_for(alias)[name]):
            raise UserError(
                f"{options.search_name} compares models trained for different numbers of epochs, "
                f"so --epochs {changes['epochs']} would leave nothing to compare; leave --epochs "
                "out"
            )
        settings = {"epochs": changes["epochs"], **settings}  # no longer searched
        options = replace(options, settings=settings)
    budget = search.budgets_for(alias)[name]
    best_on_test = options.selection == "oracle" and not search.whole
    if options.selection and not best_on_test and not _selects(search, budget):
        raise UserError(
            f"{options.search_name} reports every configuration and selects none, so --selection "
            "has no effect; leave --selection out"
        )
    if changes.get("evaluation_seeds") and not _selects(search, budget) and not options.selection:
        raise UserError(
            f"{options.search_name} reports every configuration and selects none, so there is no "
            "winner to train again; leave --evaluation-seeds out"
        )
    if given := {**changes, **settings}.get("epochs"):
        budget = budget.with_epochs(given)
    budget = replace(budget, **{**changes, "epochs": budget.epochs})
    selection = options.selection or search.selection
    if selection == AUTO:
        selection = automatic(lambda rule: search.has_data_for(rule, budget))
    return Request(
        options=options,
        search=search,
        data=alias,
        own=own,
        machine=machine,
        folder=StudyFolder(options.results / options.study),
        stored=None,
        budget_name=name,
        budget=budget,
        selection=selection,
    )


def _selects(search: Search, budget: Budget) -> bool:
    """Whether a search selects among its trials under one of its budgets."""
    return search.plan.traits.adapts or bool(budget.evaluation_seeds)


def continued(request: Request, stored: Mapping[str, Any]) -> Request:
    """The request of a new study, turned into that of a study that exists.

    Args:
        request: request of a new study with the same options.
        stored: description of the study that exists.

    Raises:
        UserError: if an option contradicts the study.
    """
    options, folder = request.options, request.folder
    settings = continued_settings(options.settings, stored, folder)
    data_set = _with_classes(request.data, request.own, options)
    budget = continued_budget(
        stored_budget(stored),
        _changes(options, data_set),
        data_set.classes,
        folder,
        continued=continues(options),
    )
    _check_automatic(request, budget, stored["selection"])
    return request._replace(
        options=replace(options, settings=settings),
        search=as_begun(request.search, stored),
        stored=stored,
        budget_name=stored["budget_name"],
        budget=replace(budget, trials=budget.trials + options.extend),
        selection=stored["selection"],
    )


def _check_automatic(request: Request, budget: Budget, begun: str) -> None:
    """Check that `--selection auto` is the rule with which a study was begun.

    Raises:
        UserError: if it is another one.
    """
    rule = automatic(lambda name: request.search.has_data_for(name, budget))
    if request.options.selection == AUTO and rule != begun:
        raise UserError(
            f"{request.folder.path} was begun with --selection {begun}, but --selection auto is "
            f"{rule} here; leave the option out, or use another --results"
        )


def _search(
    options: Options, say: Callable[[str], None], given: Search | None
) -> tuple[Search, str, OwnImages | None]:
    """The search, as declared or as an ablation, the short name of its data set, and own images.

    Raises:
        UserError: if there is no such search, an option has no effect in it, or own images cannot
            be read.
    """
    search, alias = _declared(options, say, given)
    own = None
    if options.data is not None:
        on_images(search, options.search_name, ANY_IMAGES)  # refuses what own images do not suit
        alias = short_name(options.data, options.data_root)
        own = _own_images(options, say)
        declared, images = search.selection, _images(alias, own)
        search = on_images(search, options.search_name, images)
        is_ranked = search.plan.traits.adapts and options.selection is None
        if is_ranked and search.selection != declared:
            labelled = count(images.labelled_anomalies or 0, "labelled anomaly")
            say(
                f"{labelled} among the training images (of {LEAST_LABELS} needed), so trials are "
                f"ranked by {search.selection}, which needs none, instead of {declared} "
                "(--selection chooses another rule)"
            )
    if search.of_whole_sets and options.changes.get("classes") is not None:
        raise UserError(
            f"--classes cannot be used with {options.search_name}, in which the whole data set is "
            "normal; leave the option out"
        )
    if options.ablate is None:
        return search, alias, own
    if options.selection is not None:
        raise UserError(
            "--ablate selects no trial, so --selection has no effect; leave --selection out"
        )
    if options.changes.get("evaluation_seeds"):
        raise UserError(
            "--ablate tests every trial, so --evaluation-seeds has no effect; leave "
            "--evaluation-seeds out"
        )
    return ablated(search, options.ablate), alias, own


def _declared(
    options: Options, say: Callable[[str], None], given: Search | None
) -> tuple[Search, str]:
    """The search with its own baselines or the user's choice, and the name of its data set.

    Raises:
        UserError: if there is no such search, detector or baseline.
    """
    if given is None:
        search, alias = catalogue.find(options.search)
    else:
        search, alias = given, given.names()[options.search]
    if options.baselines:
        suffix = catalogue.baselines_suffix(options.baselines)
        return search.of_baselines(options.baselines, suffix), alias
    if options.detector is None:
        return search, alias
    search = with_detector(search, options.detector)
    if not search.baselines[0].space:
        say(f"{options.detector} has no search space, so it is run at its default settings")
    return search, alias


def _own_images(options: Options, say: Callable[[str], None]) -> OwnImages | None:
    """The user's own images; None if `--data` names a declared data set.

    Raises:
        UserError: if they cannot be read.
    """
    assert options.data is not None
    path = own_path(options.data, options.data_root)
    if path is None:
        return None
    target = Target(options.image_size, options.resize, options.colour)
    choices = Choices(target, options.skip_unreadable, workers=usable_cores())
    name = short_name(options.data, options.data_root)
    return read_own(path, name, choices, data.data_root(options.data_root) / "decoded", say)


def _images(alias: str, own: OwnImages | None) -> Images:
    """What a search must know of own images, or of a declared data set.

    Raises:
        UserError: if anomalies are labelled, but none is there to test.
    """
    if own is None:
        return Images(alias, (data.find(alias).shape or (1,))[0], None, has_anomalies=True)
    images = own.image_set
    labelled, has_anomalies = images.labelled_anomalies, images.tested_anomalies > 0
    if labelled and not has_anomalies:
        raise UserError(
            f"{images.name}: {count(labelled, 'training image')} are anomalies and no test image "
            "is one, so nothing could be tested; move some of them to the test images, or leave "
            "them out"
        )
    return Images(alias, images.shape[0], labelled, has_anomalies)


def _budget_name(options: Options) -> str:
    if options.budget != "auto":
        return options.budget
    return "standard" if options.device == "cuda" else "quick"


def _with_classes(alias: str, own: OwnImages | None, options: Options) -> NamedClasses:
    """The data set with its classes; those of a user's own file are read if the user names any."""
    if own is not None:
        return own.image_set
    declared = data.find(alias, options.data_root)
    if declared.classes or options.changes.get("classes") is None:
        return declared
    return data.load(alias, options.data_root)


def _changes(options: Options, data_set: NamedClasses) -> dict[str, Any]:
    """The user's overrides of budget fields, with classes as label numbers.

    Raises:
        UserError: if a class is unknown or named twice.
    """
    changes = {name: value for name, value in options.changes.items() if value is not None}
    if "classes" in changes:
        tasks = class_tasks(data_set, changes["classes"])
        changes["classes"] = tuple(int(task.normal_class or 0) for task in tasks)
    return changes
