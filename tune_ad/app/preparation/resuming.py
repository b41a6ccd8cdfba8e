"""Studies that exist already: checks of their folder, and of the options that continue them.

An option that is left out keeps the value with which the study was begun. Nothing here imports
torch, so that most refusals come at once.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_ad.app.command_line.option import fault_of_path
from tune_ad.app.command_line.options import OPTIONS, Options
from tune_ad.app.estimates.remaining import is_complete, progress
from tune_ad.atomic import temporary_folder
from tune_ad.errors import MachineError, UserError, one_line
from tune_ad.search.budgets import Budget
from tune_ad.storage.earlier.later_parameters import LATER
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.jsonl import CONVERSION
from tune_ad.storage.precision import in_words
from tune_ad.storage.values import decode

if TYPE_CHECKING:
    from tune_ad.search.baseline import Baseline
    from tune_ad.search.declaration import Search
    from tune_ad.search.study import Study

LEAVE_OUT = "leave the option out, or use another --results"
DERIVED = ("chooses", "quotes")
LONGEST_NAME = 255  # bytes of one name in a path


def check_folder(options: Options, dry_run: bool = False) -> None:
    """Check the folder of the study as far as possible without the search and the images.

    Args:
        options: the options of the run.
        dry_run: whether nothing will be written.

    Raises:
        MachineError: if the folder cannot be written.
        UserError: if another process writes it, or there is no
            study to continue, or it was begun with other options.
    """
    folder = StudyFolder(options.results / options.study)
    check_name_lengths(folder.path)
    if fault := fault_of_path(str(folder.path)):
        raise UserError(f"the folder of the study {fault}; use another --results")
    if not dry_run:
        check_writable(folder.path)
        if folder.is_locked():
            raise UserError(
                f"{folder.path} is being written by another process; wait for it to finish, watch "
                "it with --report, or use another --results"
            )
    if not continues(options):
        return
    if not folder.exists():
        flag = OPTIONS["resume" if options.resume else "retry_failed"].flag
        if options.extend:
            flag = f"--extend {options.extend}"
        raise UserError(
            f"{folder.path.resolve()} contains no study to continue; leave out {flag} to begin "
            "one, or use another --results"
        )
    stored = folder.read_study()["study"]
    _check_fixed(options, stored, folder)
    numbers = {
        name: value
        for name, value in options.changes.items()
        if name != "classes" and value is not None
    }
    continued_budget(stored_budget(stored), numbers, (), folder)


def continues(options: Options) -> bool:
    """Whether the user asks to continue a study."""
    return options.resume or options.retry_failed or options.extend > 0


def check_name_lengths(folder: Path) -> None:
    """Check that no name in the path of a folder is too long for a file system.

    Raises:
        UserError: with the beginning of that name.
    """
    for part in folder.parts:
        if len(os.fsencode(part)) > LONGEST_NAME:
            raise UserError(
                f"{part[:20]}... has more than {LONGEST_NAME} bytes, too many for the name of a "
                "folder; use another --results"
            )


def check_writable(folder: Path) -> None:
    """Check that a folder can be written, or created if it does not exist.

    Raises:
        MachineError: with the path that prevents it.
    """
    nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    fault = MachineError(f"{nearest} is not a writable folder; use another --results")
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise fault
    if nearest == folder:
        return
    try:  # some file systems refuse what the permissions allow
        with temporary_folder(nearest, ".tune_ad-"):
            pass
    except OSError as error:
        raise fault from error


def _refuse_records_without_a_study(folder: StudyFolder) -> None:
    """Refuse to begin a study among the records of another one, which would be taken for its own.

    Raises:
        UserError: naming the file of records.
    """
    left = [file.path.name for file in folder.journals if file.path.exists()]
    if left and not folder.exists():
        raise UserError(
            f"{folder.path} contains {', '.join(left)} but no study.json, so these records belong "
            "to no known study; restore study.json from a backup, or use another --results"
        )


def stored_study(options: Options, folder: StudyFolder, dry_run: bool) -> dict[str, Any] | None:
    """The stored description of a study that exists; None if a new study begins.

    A study that is complete may be asked for again without --resume.

    Raises:
        UserError: if a record is damaged or does not fit the study, if that is not complete and
            the user does not continue it, or if it was begun with another budget, selection rule,
            seed or precision.
    """
    if not continues(options) and (dry_run or not folder.exists()):
        _refuse_records_without_a_study(folder)
        return None
    from tune_ad.search.checks.records import check_records  # Optuna takes a second

    study: dict[str, Any] = folder.read_study()["study"]
    budget = stored_budget(study)
    check_records(folder)
    fresh_seeds = budget.fresh_seeds if options.evaluate else ()
    if not continues(options) and not is_complete(
        folder, budget.trials, study["selection"], fresh_seeds
    ):
        raise UserError(
            f"{folder.path} already contains an unfinished study ({progress(folder)}); continue "
            "it with --resume, or use another --results"
        )
    _check_fixed(options, study, folder)
    return study


def _check_fixed(options: Options, study: Mapping[str, Any], folder: StudyFolder) -> None:
    """Check that budget, selection rule, seed and precision are those of a stored study.

    Raises:
        UserError: with the first that differs.
    """
    given = {"budget": options.budget, "selection": options.selection, "seed": options.seed}
    begun = {
        "budget": study["budget_name"],
        "selection": study["selection"],
        "seed": study.get("seed", 0),
    }
    for name, value in given.items():
        if value not in (None, "auto", begun[name]):
            flag = OPTIONS[name].flag
            raise _differs(folder, f"with {flag} {begun[name]}", f"{flag} {value}")
    flag, precisions = OPTIONS["precision"].flag, set(study["precision"].values())
    if options.precision != "auto" and precisions - {options.precision}:
        alike = f"{flag} {min(precisions)}" if len(precisions) == 1 else ""
        raise _differs(
            folder,
            f"with {alike or in_words(study['precision'])}",
            f"{flag} {options.precision}",
        )


def _differs(folder: StudyFolder, begun: str, now: str) -> UserError:
    """The error for an option that differs from the one with which a study was begun."""
    return UserError(f"{folder.path} was begun {begun}, not with {now}; {LEAVE_OUT}")


def stored_settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The stored settings, each value with its type.

    Raises:
        UserError: if they are damaged.
    """
    with _refusing_damage("settings"):
        settings: dict[str, Any] = decode(stored["settings"])
        return settings


def continued_settings(
    settings: Mapping[str, Any], stored: Mapping[str, Any], folder: StudyFolder
) -> dict[str, Any]:
    """The stored settings of a study, if the given ones do not differ from them.

    Args:
        settings: the settings that the user gives, by hyperparameter.
        stored: description of the study.
        folder: folder of the study.

    Raises:
        UserError: with the first setting that differs.
    """
    before = stored_settings(stored)
    searched = {name for baseline in stored["baselines"].values() for name in baseline["space"]}
    for name, value in settings.items():
        if name in before and before[name] == value:
            continue
        begun = f"without --set {name}"
        if name in before:
            begun = f"with --set {name}={before[name]}"
        elif name in searched:
            begun = f"with {name} searched"
        raise _differs(folder, begun, f"--set {name}={value}")
    return before


def stored_budget(stored: Mapping[str, Any]) -> Budget:
    """The budget with which a study was begun.

    Raises:
        UserError: if it is damaged.
    """
    with _refusing_damage("budget"):
        return Budget(**decode(stored["budget"]))


@contextmanager
def _refusing_damage(part: str) -> Iterator[None]:
    """Context manager: what damaged plain data raises becomes one line.

    Args:
        part: the part of `study.json` that is read.

    Raises:
        UserError: if it is damaged.
    """
    try:
        yield
    except (UserError, *CONVERSION) as error:
        reason = str(error) if isinstance(error, UserError) else one_line(error)
        raise UserError(
            f"the {part} in study.json cannot be read ({reason}); restore the file from a backup"
        ) from error


def continued_budget(
    budget: Budget,
    changes: Mapping[str, Any],
    classes: Sequence[str],
    folder: StudyFolder,
    continued: bool = True,
) -> Budget:
    """The budget of a study that exists: only its number of trials may grow.

    Args:
        budget: budget with which the study was begun.
        changes: overrides given by the user, by field of the budget.
        classes: the name of each label of the data set.
        folder: folder of the study.
        continued: whether the user continues the study, so that the number of trials may grow.

    Raises:
        UserError: if another value differs, or the number of trials would shrink.
    """
    for name, value in changes.items():
        before, flag = getattr(budget, name), OPTIONS[name].flag
        if name == "trials" or value == before:
            continue
        begun = f"without {flag}" if before is None else f"with {flag} {_written(before, classes)}"
        raise _differs(folder, begun, f"{flag} {_written(value, classes)}")
    trials = changes.get("trials", budget.trials)
    more = trials - budget.trials
    if more < 0:
        raise UserError(
            f"{folder.path} was begun with --trials {budget.trials}, so --trials {trials} is too "
            "few; leave the option out (use --extend N for more trials)"
        )
    if more and not continued:
        raise UserError(
            f"{folder.path} was begun with --trials {budget.trials}, not with --trials {trials}; "
            f"add trials with --extend {more}, or use another --results"
        )
    return replace(budget, trials=trials)


def _written(value: Any, classes: Sequence[str]) -> str:  # noqa: ANN401
    """A value of a budget as it is typed on the command line, with classes by name."""
    if isinstance(value, tuple):
        return ",".join(classes[label] for label in value)
    return str(value)


def as_begun(search: "Search", stored: Mapping[str, Any]) -> "Search":
    """The search without parameters that the version which began a study could not vary.

    Args:
        search: the search as it is declared now.
        stored: description of the study.
    """

    def with_space_of(baseline: "Baseline") -> "Baseline":
        before = stored["baselines"].get(baseline.title, {"space": baseline.space})["space"]
        kept = {n: d for n, d in baseline.space.items() if n in before or n not in LATER}
        return replace(baseline, space=kept)

    return replace(search, baselines=tuple(map(with_space_of, search.baselines)))


def check_same_images(digests: Mapping[str, str], folder: StudyFolder) -> None:
    """Check that the images are those with which a study was begun.

    Args:
        digests: the digest of each image set now, by its name.
        folder: the folder of the study.

    Raises:
        UserError: with both digests of the first that differs. Studies of earlier versions
            recorded none, and are not compared.
    """
    begun = folder.read_study()["data"]
    for name, digest in digests.items():
        before = str(begun.get(name, {}).get("digest", digest))
        if before != digest:
            raise UserError(
                f"{folder.path} was begun with other images of {name}, or other options for "
                f"reading them (--data, --data-root, --image-size, --colour): their SHA-256 was "
                f"{before[:16]}, now it is {digest[:16]}; go back to those, or use another "
                "--results"
            )


def check_unchanged(study: "Study", stored: Mapping[str, Any], folder: StudyFolder) -> None:
    """Check that the declaration of a search is still the one with which a study was begun.

    Raises:
        UserError: with the parts that have changed.
    """
    now = _declared(json.loads(json.dumps(study.describe(), allow_nan=False)))
    before = _declared({**stored, "budget": {**stored["budget"], "trials": study.budget.trials}})
    if changed := [name for name in now if now[name] != before.get(name)]:
        raise UserError(
            f"{folder.path} cannot be continued: these parts of the search have changed since it "
            f"was begun: {', '.join(changed)}; use another --results"
        )


def _declared(described: Mapping[str, Any]) -> dict[str, Any]:
    """A described study without derived fields, which schema 1 derived in another way."""
    kept = {name: value for name, value in described.items() if name not in DERIVED}
    plan = {name: value for name, value in described["plan"].items() if name != "traits"}
    return {**kept, "plan": plan}
