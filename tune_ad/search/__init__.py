"""The declaration of searches, the plans that propose configurations, and the selection rules.

A search file imports everything it needs, except detectors, from here. Names are loaded on first
use, so that the analysis can use records and selection rules without importing torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune_ad.search.baseline import Baseline
    from tune_ad.search.budgets import (
        PAPER,
        QUICK,
        QUICK_COLOUR,
        QUICK_RECONSTRUCTION,
        QUICK_RECONSTRUCTION_COLOUR,
        STANDARD,
        Budget,
    )
    from tune_ad.search.claim import Claim
    from tune_ad.search.declaration import Search
    from tune_ad.search.plans import Grid, Listed, OneAtATime, Optuna, OptunaInTurns, Sobol
    from tune_ad.search.study import Study

_HOMES = {
    "Baseline": "baseline",
    "Budget": "budgets",
    "Claim": "claim",
    "Grid": "plans",
    "Listed": "plans",
    "OneAtATime": "plans",
    "Optuna": "plans",
    "OptunaInTurns": "plans",
    "PAPER": "budgets",
    "QUICK": "budgets",
    "QUICK_COLOUR": "budgets",
    "QUICK_RECONSTRUCTION": "budgets",
    "QUICK_RECONSTRUCTION_COLOUR": "budgets",
    "STANDARD": "budgets",
    "Search": "declaration",
    "Sobol": "plans",
    "Study": "study",
}
__all__ = [
    "PAPER",
    "QUICK",
    "QUICK_COLOUR",
    "QUICK_RECONSTRUCTION",
    "QUICK_RECONSTRUCTION_COLOUR",
    "STANDARD",
    "Baseline",
    "Budget",
    "Claim",
    "Grid",
    "Listed",
    "OneAtATime",
    "Optuna",
    "OptunaInTurns",
    "Search",
    "Sobol",
    "Study",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load the module of a public name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tune_ad.search' has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
