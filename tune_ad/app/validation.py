"""From the options of the command line to a session that can run.

Everything that can be wrong with the input is found here, before Ray starts and before anything is
written.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tune_ad import data
from tune_ad.app.options import Options
from tune_ad.app.session import Session
from tune_ad.data import class_tasks
from tune_ad.data.resolution import check_sets, load_sets
from tune_ad.detectors.config import NetworkConfig
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError
from tune_ad.execution.machine import Machine, memory, this_machine
from tune_ad.search import catalogue
from tune_ad.search.ablation import ablated
from tune_ad.search.budgets import BUDGETS, Budget
from tune_ad.search.selection import RULES
from tune_ad.search.study import Study
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.values import decode

BYTES_PER_PARAMETER = 16  # weight, gradient and Adam's two moments
UNKNOWN_SHAPE = ImageShape(1, 32, 32)  # until the images are there


def prepare(options: Options, say: Callable[[str], None] = print) -> Session:
    """Check the options against the search, the data and the machine.

    Raises:
        UserError: for whatever is wrong, in one line; nothing has been written.
    """
    search, alias = catalogue.find(options.search)
    _check_numbers(options)
    if options.ablate is not None:
        _check_ablation(options)
        search = ablated(search, options.ablate)
    folder = StudyFolder(Path(options.results) / options.study)
    _check_place(folder.path)
    stored = _stored(folder, options)
    machine = _machine(options)
    options = _fitted(options, machine)
    data_set = data.find(alias, options.data_root)
    name = stored["budget_name"] if stored else _budget_name(options)
    if search.of_whole_sets and options.changes.get("classes") is not None:
        raise UserError(
            f"--classes: {options.search} is about the whole data set; leave the option out"
        )
    outsiders = search.outsiders.get(alias, ())
    check_sets(alias, outsiders, options.data_root)
    budget = _budget(search.budgets_for(alias), name, options, data_set, stored)
    study = Study(
        options.study,
        search,
        data_set.name,
        UNKNOWN_SHAPE,
        name,
        budget,
        options.selection or (stored["selection"] if stored else search.selection),
        options.seed if options.seed is not None else (stored["seed"] if stored else 0),
        options.settings or (decode(stored["settings"]) if stored else {}),
    )
    _check_settings(study, options)
    image_sets = load_sets(alias, outsiders, options.data_root, say)
    source = image_sets[0]
    study = replace(study, data_set=source.name, shape=ImageShape(*source.shape))
    tasks = study.tasks(source)
    if options.ablate is not None:
        study = _counted(study)
    session = Session(options, machine, study, tasks, image_sets, folder, say)
    at_a_time = session.concurrent if options.address == "local" else 1
    _check_study(study, len(tasks) * len(study.seeds) * at_a_time)
    if stored:
        _check_unchanged(study, stored, folder)
    session.suite()
    return session


def _check_numbers(options: Options) -> None:
    """Refuse numbers that mean nothing on any machine.

    Raises:
        UserError: naming the option.
    """
    for flag, value, least in (
        ("--extend", options.extend, 0),
        ("--concurrent", options.concurrent, 1),
        ("--cpus-per-trial", options.cpus, 1),
        ("--gpus-per-trial", options.gpus, 0),
    ):
        if value is not None and not value >= least:
            raise UserError(f"{flag} must be at least {least}, got {value:g}")
    if options.time_budget is not None and not options.time_budget > 0:
        raise UserError(f"--time-budget must be more than 0 minutes, got {options.time_budget:g}")


def _check_ablation(options: Options) -> None:
    """Refuse what an ablation has no use for.

    Raises:
        UserError: naming the option.
    """
    if options.selection is not None:
        raise UserError("--ablate selects nothing; leave --selection out")
    if options.changes.get("evaluation_seeds"):
        raise UserError("--ablate tests every trial itself; leave --evaluation-seeds out")


def _counted(study: Study) -> Study:
    """An ablation with the number of trials that it has."""
    trials = min(study.budget.trials, len(study.planned or ()))
    return replace(study, budget=replace(study.budget, trials=trials))


def _check_place(folder: Path) -> None:
    """Refuse a study's folder that could not be written.

    Raises:
        UserError: naming what is in the way.
    """
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise UserError(f"{nearest} is no folder that can be written; name another --results")


def _stored(folder: StudyFolder, options: Options) -> dict[str, Any] | None:
    """What the folder's study was asked, when it is to go on.

    Raises:
        UserError: if there is a study and the user does not resume, or the other way round.
    """
    going_on = options.resume or options.extend
    if folder.exists() and not going_on:
        done = len(folder.read_trials())
        budget = folder.read_study()["study"]["budget_name"]
        raise UserError(
            f"{folder.path} already holds a study (budget {budget}, {done} trials ended); go on "
            "with --resume, report it with --report, or name another --results"
        )
    if not going_on:
        return None
    study: dict[str, Any] = folder.read_study()["study"]
    if options.budget not in ("auto", study["budget_name"]):
        raise UserError(
            f"{folder.path} was run with --budget {study['budget_name']}, not {options.budget}; "
            "a study never mixes budgets: name another --results"
        )
    return study


def _machine(options: Options) -> Machine:
    """What trials can run on: this machine, or the cluster at an address."""
    if options.address == "local":
        return this_machine()
    if options.backend == "serial":
        raise UserError("--address needs Ray; leave it out, or leave out --backend serial")
    from tune_ad.execution.ray.runner import remote_machine

    return remote_machine(options.address)


def _fitted(options: Options, machine: Machine) -> Options:
    """The options with "auto" replaced by what the machine has.

    Raises:
        UserError: if a trial asks for more than a node has, or the options contradict each other.
    """
    if options.cpus > machine.node_cpus:
        raise UserError(
            f"--cpus-per-trial {options.cpus}: no node has more than {machine.node_cpus}; lower it"
        )
    gpus = options.gpus
    if gpus is not None:
        if gpus > machine.node_gpus:
            raise UserError(
                f"--gpus-per-trial {gpus:g}: no node has more than {machine.node_gpus}; lower it, "
                "or name a cluster with --address"
            )
        if gpus > 1 and gpus != int(gpus):
            raise UserError(f"--gpus-per-trial {gpus:g}: above 1 it must be a whole number")
        if options.device != "auto" and (options.device == "cuda") != (gpus > 0):
            raise UserError(
                f"--device {options.device} contradicts --gpus-per-trial {gpus:g}; leave one out"
            )
    if options.device == "cuda" and not machine.gpus:
        raise UserError("--device cuda: there is no GPU; use --device cpu")
    uses_gpu = options.device == "cuda" or (options.device == "auto" and machine.gpus > 0)
    if gpus is None:
        gpus = 0.25 if uses_gpu else 0.0
    return replace(options, device="cuda" if gpus else "cpu", gpus=gpus)


def _budget_name(options: Options) -> str:
    if options.budget != "auto":
        return options.budget
    return "standard" if options.device == "cuda" else "quick"


def _budget(
    budgets: Mapping[str, Budget],
    name: str,
    options: Options,
    data_set: data.DataSet,
    stored: Mapping[str, Any] | None,
) -> Budget:
    """The budget with the user's changes; a stored study keeps its own.

    Raises:
        UserError: if there is no such budget or class, or a value is out of range.
    """
    if name not in BUDGETS:
        raise UserError(f"--budget must be auto, {', '.join(BUDGETS)}; got {name!r}")
    budget = budgets[name]
    if stored:
        budget = Budget(**decode(stored["budget"]))
    changes = {key: value for key, value in options.changes.items() if value is not None}
    if "classes" in changes:
        named = class_tasks(data_set, changes["classes"])
        changes["classes"] = tuple(int(task.normal_class or 0) for task in named)
    for key, value in changes.items() if stored else ():
        if key != "trials" and value != getattr(budget, key):
            raise UserError(
                f"the study was begun with {key} {getattr(budget, key)}, not {value}; leave the "
                "option out, or name another --results"
            )
    changed: Budget = replace(budget, **changes)
    if stored and changed.trials < budget.trials:
        raise UserError(
            f"the study was begun with {budget.trials} trials; --trials {changed.trials} would "
            "take some away: leave the option out"
        )
    return replace(changed, trials=changed.trials + options.extend)


def _check_settings(study: Study, options: Options) -> None:
    """Refuse what is wrong whatever the images are, before any are fetched.

    Raises:
        UserError: naming the fault.
    """
    if study.selection not in RULES:
        raise UserError(f"--selection must be one of {sorted(RULES)}, got {study.selection!r}")
    if study.outsiders and study.selection == "validation":
        raise UserError(
            f"--selection validation: {study.search.name.format(data=study.data_set)} holds out "
            "no anomaly, its outsiders are other data sets; use --selection likelihood"
        )
    if options.ablate is not None and not any(b.space for b in study.baselines.values()):
        fixed = "; leave out --set" if study.settings else ""
        raise UserError(
            f"--ablate: {options.search} varies no parameter of {', '.join(study.baselines)}, so "
            f"there is nothing to ablate{fixed}"
        )
    configs = [each.config(study.shape, {}) for each in study.baselines.values()]
    if options.changes.get("epochs") and not any(isinstance(c, NetworkConfig) for c in configs):
        raise UserError(
            f"--epochs: {', '.join(study.baselines)} are fitted, not trained; leave the option out"
        )


def _check_study(study: Study, models: int) -> None:
    """Refuse spaces, plans and networks that cannot be, `models` of them in memory at a time.

    Raises:
        UserError: naming the fault.
    """
    study.check_selection(study.budget.trials)
    study.planned  # noqa: B018 - refuses a plan that does not fit
    study.check_comparable()
    for baseline in study.baselines.values():
        module = baseline.skeleton(study.shape)
        parameters = sum(each.numel() for each in module.parameters())
        needed = BYTES_PER_PARAMETER * parameters * models
        if needed > memory():
            raise UserError(
                f"{models} models at a time of {baseline.title} with {parameters:,} parameters "
                f"need {needed / 1e9:.0f} GB, there are {memory() / 1e9:.0f}; use smaller ones by "
                "width or latent_dim, or fewer by --seeds, --classes, --concurrent"
            )


def _check_unchanged(study: Study, stored: Mapping[str, Any], folder: StudyFolder) -> None:
    """Refuse to go on with a study whose search means something else today.

    Raises:
        UserError: naming what has changed.
    """
    now = json.loads(json.dumps(study.describe(), allow_nan=False))
    before = {**stored, "budget": {**stored["budget"], "trials": now["budget"]["trials"]}}
    derived = ("chooses", "quotes")  # from the rest; schema 1 derived them otherwise
    changed = [key for key in now if key not in derived and now[key] != before.get(key)]
    if changed:
        raise UserError(
            f"{folder.path} cannot be resumed: the search differs from what it was begun with in "
            f"{', '.join(changed)}; name another --results"
        )
