"""Checks of the budgets that a search declares."""

from collections.abc import Collection, Mapping
from typing import Any

from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector
from tune_ad.errors import UserError, did_you_mean
from tune_ad.search.budgets import BUDGETS, Budget
from tune_ad.search.checks.fields import check_instance, check_mapping


def check_budgets(
    search: str,
    field: str,
    budgets: Mapping[str, object],
    detectors: Collection[type[Detector[Any]]],
) -> None:
    """Refuse what is no budget, unknown names of budgets, and settings that no detector has.

    Args:
        search: the search in words, for messages.
        field: the field that has the budgets.
        budgets: the budgets by name.
        detectors: the detectors of the search.

    Raises:
        UserError: naming the field, the budget and the fault.
    """
    check_mapping(f"{search}: {field}", budgets)
    for name, budget in budgets.items():
        if name not in BUDGETS:
            hint = did_you_mean(name, BUDGETS) or f"choose from {', '.join(BUDGETS)}"
            raise UserError(f"{search}: {field} names an unknown budget {name!r}; {hint}")
        check_instance(f"{search}: {field}[{name!r}]", budget, Budget)
        if isinstance(budget, Budget):
            _check_settings(f"{search}: {field}[{name!r}]", budget, detectors)


def _check_settings(
    place: str, budget: Budget, detectors: Collection[type[Detector[Any]]]
) -> None:
    """Refuse settings that no detector has, in the search or elsewhere: budgets are shared.

    The detectors of the search need not be in `tune_ad.detectors`.
    """
    everywhere = (*detectors, *every_detector().values()) if budget.settings else ()
    known = sorted({name for detector in everywhere for name in detector.Config.rules()})
    for name in budget.settings:
        if name not in known:
            hint = did_you_mean(name, known) or "leave it out"
            raise UserError(f"{place}: no detector has the parameter {name!r} of settings; {hint}")
