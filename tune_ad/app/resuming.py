"""Continuing a study: what its folder stores, and what may not differ from it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tune_ad.app.options import OPTIONS, Options
from tune_ad.errors import UserError
from tune_ad.search.budgets import Budget
from tune_ad.search.study import Study
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.values import decode

FIXED = "A study's budget is fixed; use a new --results to change it"
DERIVED = ("chooses", "quotes")


def check_writable(folder: Path) -> None:
    """Refuse a study's folder that could not be written.

    Raises:
        UserError: naming what is in the way.
    """
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise UserError(f"{nearest} is not a writable folder; use another --results")


def stored_study(folder: StudyFolder, options: Options) -> dict[str, Any] | None:
    """The stored description of the study that is to be continued; None for a new study.

    Raises:
        UserError: if there is a study and the user does not continue it, or none to continue, or
            the budget differs.
    """
    continued = options.resume or options.extend
    if folder.exists() and not continued:
        ended = len(folder.read_trials())
        budget = folder.read_study()["study"]["budget_name"]
        raise UserError(
            f"{folder.path} already holds a study (budget {budget}, {ended} trials); continue it "
            "with --resume, report it with --report, or use a new --results"
        )
    if not continued:
        return None
    study: dict[str, Any] = folder.read_study()["study"]
    if options.budget not in ("auto", study["budget_name"]):
        raise UserError(
            f"{folder.path} was run with --budget {study['budget_name']}, not {options.budget}. "
            f"{FIXED}"
        )
    return study


def stored_settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The stored settings, each value with its type."""
    settings: dict[str, Any] = decode(stored["settings"])
    return settings


def stored_budget(stored: Mapping[str, Any]) -> Budget:
    """The budget with which a study was begun."""
    return Budget(**decode(stored["budget"]))


def continued_budget(budget: Budget, changes: Mapping[str, Any], classes: Sequence[str]) -> Budget:
    """The budget of a study that is continued: only its number of trials may grow.

    Args:
        budget: with which the study was begun.
        changes: that are asked for, by the names of the budget's fields.
        classes: the name of each label of the data set.

    Raises:
        UserError: if another value differs, or trials would be taken away.
    """
    for name, value in changes.items():
        before, flag = getattr(budget, name), OPTIONS[name].flag
        if name == "trials" or value == before:
            continue
        begun = f"without {flag}" if before is None else f"with {flag} {_written(before, classes)}"
        raise UserError(
            f"the study was begun {begun}, not with {flag} {_written(value, classes)}. {FIXED}"
        )
    trials = changes.get("trials", budget.trials)
    if trials < budget.trials:
        raise UserError(
            f"the study was begun with {budget.trials} trials, so --trials {trials} is too few; "
            "leave the option out"
        )
    return replace(budget, trials=trials)


def _written(value: Any, classes: Sequence[str]) -> str:  # noqa: ANN401
    """A value of a budget as the command line writes it: classes by their names."""
    if isinstance(value, tuple):
        return ",".join(classes[label] for label in value)
    return str(value)


def check_unchanged(study: Study, stored: Mapping[str, Any], folder: StudyFolder) -> None:
    """Refuse to continue a study whose search has changed since it was begun.

    Raises:
        UserError: naming what has changed.
    """
    now = _asked(json.loads(json.dumps(study.describe(), allow_nan=False)))
    before = _asked({**stored, "budget": {**stored["budget"], "trials": study.budget.trials}})
    if changed := [name for name in now if now[name] != before.get(name)]:
        raise UserError(
            f"{folder.path} cannot be continued: its search differs in {', '.join(changed)} from "
            "what it was begun with; use a new --results"
        )


def _asked(described: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, without what follows from it; schema 1 derived that otherwise."""
    asked = {name: value for name, value in described.items() if name not in DERIVED}
    plan = {name: value for name, value in described["plan"].items() if name != "traits"}
    return {**asked, "plan": plan}
