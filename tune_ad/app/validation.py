"""From the options of the command line to a session that can run.

Whatever is wrong with the input is found here, before Ray starts and before anything is written;
what is wrong whatever the images are, before any of them is fetched.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution

from tune_ad import data
from tune_ad.app.options import Options
from tune_ad.app.resources import machine_for, resolve_device, trials_at_a_time
from tune_ad.app.resuming import (
    check_unchanged,
    check_writable,
    continued_budget,
    stored_budget,
    stored_settings,
    stored_study,
)
from tune_ad.app.session import Session
from tune_ad.app.settings import read_settings
from tune_ad.data import ImageSet, Task, class_tasks
from tune_ad.data.resolution import check_sets, load_sets
from tune_ad.detectors.config import NetworkConfig
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.execution.machine import Machine, memory
from tune_ad.search import catalogue
from tune_ad.search.ablation import ablated
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Baseline, Search
from tune_ad.search.plans import contains
from tune_ad.search.study import Study
from tune_ad.storage.folder import StudyFolder
from tune_ad.training.suite import Suite

BYTES_PER_PARAMETER = 16  # weight, gradient and Adam's two moments


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
        return self.search.outsiders.get(self.data, ())

    def varies(self, baseline: Baseline) -> bool:
        """Whether the study varies a parameter of a baseline."""

        def has_choice(name: str, distribution: BaseDistribution) -> bool:
            values = self.budget.only.get(name)
            return values is None or sum(contains(distribution, value) for value in values) > 1

        return any(
            name not in self.options.settings and has_choice(name, distribution)
            for name, distribution in baseline.space.items()
        )


def prepare(options: Options, say: Callable[[str], None] = print) -> Session:
    """Check the options against the search, the data and the machine.

    Raises:
        UserError: for whatever is wrong, in one line; nothing has been written.
    """
    request = _resolve(options)
    _check_declaration(request)
    image_sets = load_sets(request.data, request.outsiders, request.options.data_root, say)
    study, tasks = _study(request, image_sets[0])
    models = len(tasks) * len(study.seeds)
    if request.options.address == "local":
        models *= trials_at_a_time(request.options, request.machine)
    _check_study(study, models)
    if request.stored:
        check_unchanged(study, request.stored, request.folder)
    suite = Suite.prepare(image_sets, tasks, study.budget, study.seed)
    return Session(request.options, request.machine, study, suite, image_sets, request.folder, say)


def _resolve(options: Options) -> Request:
    """Find what the options name: the search, the study's folder, the machine, the data set.

    Raises:
        UserError: if something is not there, or an option contradicts it.
    """
    search, alias = catalogue.find(options.search)
    if search.of_whole_sets and options.changes.get("classes") is not None:
        raise UserError(
            f"--classes: {options.search} is about the whole data set; leave the option out"
        )
    if options.ablate is not None:
        _check_ablation(options)
        search = ablated(search, options.ablate)
    folder = StudyFolder(options.results / options.study)
    check_writable(folder.path)
    stored = stored_study(folder, options)
    machine = machine_for(options)
    options = resolve_device(options, machine)
    options = replace(options, settings=_settings(options, search, stored))
    name = stored["budget_name"] if stored else _budget_name(options)
    return Request(
        options,
        search,
        alias,
        machine,
        folder,
        stored,
        name,
        _budget(
            search.budgets_for(alias)[name], options, data.find(alias, options.data_root), stored
        ),
        options.selection or (stored["selection"] if stored else search.selection),
    )


def _check_ablation(options: Options) -> None:
    """Refuse what an ablation has no use for.

    Raises:
        UserError: naming the option.
    """
    if options.selection is not None:
        raise UserError("--ablate selects nothing; leave --selection out")
    if options.changes.get("evaluation_seeds"):
        raise UserError("--ablate tests every trial itself; leave --evaluation-seeds out")


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
        budget = continued_budget(stored_budget(stored), changes)
    else:
        budget = replace(declared, **changes)
    return replace(budget, trials=budget.trials + options.extend)


def _check_declaration(request: Request) -> None:
    """Refuse what is wrong whatever the images are, before any are fetched.

    Raises:
        UserError: naming the fault.
    """
    options, search = request.options, request.search
    if search.outsiders and request.selection == "validation":
        raise UserError(
            f"--selection validation: {options.search} holds out no anomaly, because its "
            "anomalies come from other data sets; use --selection likelihood"
        )
    titles = ", ".join(baseline.title for baseline in search.baselines)
    if options.ablate is not None and not any(map(request.varies, search.baselines)):
        remedy = "; leave out --set" if options.settings else ""
        raise UserError(
            f"--ablate: {options.search} varies no parameter of {titles}, so there is nothing to "
            f"ablate{remedy}"
        )
    trained = [issubclass(b.detector.Config, NetworkConfig) for b in search.baselines]
    if options.changes.get("epochs") and not any(trained):
        raise UserError(f"--epochs: {titles} are fitted, not trained; leave the option out")
    check_sets(request.data, request.outsiders, options.data_root)


def _study(request: Request, source: ImageSet) -> tuple[Study, tuple[Task, ...]]:
    """The study and its tasks, once the images are there."""
    options, stored = request.options, request.stored
    study = Study(
        options.study,
        request.search,
        source.name,
        ImageShape(*source.shape),
        request.budget_name,
        request.budget,
        request.selection,
        options.seed if options.seed is not None else (stored["seed"] if stored else 0),
        options.settings,
    )
    tasks = study.tasks(source)
    if options.ablate is not None:  # as many trials as the ablation has configurations
        trials = min(study.budget.trials, len(study.planned or ()))
        study = replace(study, budget=replace(study.budget, trials=trials))
    return study, tasks


def _check_study(study: Study, models: int) -> None:
    """Refuse spaces, plans and networks that cannot be, `models` of them in memory at a time.

    Raises:
        UserError: naming the fault.
    """
    study.check_selection(study.budget.trials)
    study.planned  # noqa: B018 - refuses a plan that does not fit
    _check_comparable(study)
    for baseline in study.baselines.values():
        module = baseline.skeleton(study.shape)
        parameters = sum(tensor.numel() for tensor in module.parameters())
        needed = BYTES_PER_PARAMETER * parameters * models
        if needed > memory():
            raise UserError(
                f"{models} models at a time of {baseline.title} with {parameters:,} parameters "
                f"need {needed / 1e9:.0f} GB of memory, and there are {memory() / 1e9:.0f} GB; "
                "use smaller models by --set width or latent_dim, or fewer by --seeds, --classes "
                "or --concurrent"
            )


def _check_comparable(study: Study) -> None:
    """Refuse a rule that compares losses or likelihoods where trials differ in their meaning.

    Raises:
        UserError: naming the fault.
    """
    if study.selection == "likelihood":
        _check_likelihood(study)
    if study.selection != "normal_only":
        return
    if len(study.baselines) > 1:
        raise UserError(
            f"--selection normal_only compares losses, and those of {', '.join(study.baselines)} "
            "differ in meaning; use --selection validation"
        )
    for baseline in study.baselines.values():
        if not baseline.skeleton(study.shape).stages():
            raise UserError(
                f"--selection normal_only ranks by the training loss, and {baseline.title} is "
                "not trained; use --selection validation"
            )


def _check_likelihood(study: Study) -> None:
    """Refuse to compare what is no likelihood, or likelihoods of different kinds.

    Raises:
        UserError: naming the fault.
    """
    for baseline in study.baselines.values():
        if not baseline.bounds_likelihood:
            raise UserError(
                f"--selection likelihood: {baseline.title} has no likelihood; use --selection "
                "validation or normal_only"
            )
    if not study.chooses:
        return
    configs = [asdict(baseline.config(study.shape, {})) for baseline in study.baselines.values()]
    kinds = sorted({str(config.get("likelihood")) for config in configs})
    searched = [b.title for b in study.baselines.values() if "likelihood" in b.space]
    if len(kinds) > 1 or searched:
        raise UserError(
            "--selection likelihood compares values of one likelihood only, and these trials "
            f"differ in it ({', '.join(searched or kinds)}); fix it with --set likelihood=NAME"
        )
