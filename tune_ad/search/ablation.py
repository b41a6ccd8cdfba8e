"""What each parameter of a search does: the search made into an ablation around its baselines.

Nothing here imports torch or Optuna before an ablation is made: the command line reads the kinds.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import tune_ad.search
from tune_ad.errors import UserError
from tune_ad.search.budgets import Budget

if TYPE_CHECKING:
    from tune_ad.search.declaration import Search
    from tune_ad.search.plans import Plan

SEEDS = 3  # paired seeds at least: the test is a sign flip over classes and seeds
ALL = 10**6  # trials: as many as the plan has


class Ablation(NamedTuple):
    """A way to vary the parameters of a search.

    Attributes:
        about: how it varies them, in words for the help.
        suffix: of the study's name.
        plan: makes the plan.
        least_trials: trials at least; the budget may ask for more.
    """

    about: str
    suffix: str
    plan: "Callable[[], Plan]"
    least_trials: int = ALL


ABLATIONS = {
    "one": Ablation("one at a time", "-ablation", lambda: tune_ad.search.OneAtATime(points=3)),
    "grid": Ablation(
        "every combination", "-grid", lambda: tune_ad.search.Grid(points=2, with_default=True)
    ),
    # fewer points tell nothing of several parameters
    "sobol": Ablation("spread evenly", "-sobol", lambda: tune_ad.search.Sobol(), least_trials=32),
}
"""The kinds by name; the first is the default."""


def ablated(search: "Search", kind: str) -> "Search":
    """The search with another plan and nothing selected: every configuration is itself quoted.

    Its trials are tested over at least `SEEDS` seeds, never stopped early, and none is trained
    again.

    Raises:
        UserError: if there is no such kind, or the search is that already.
    """
    if kind not in ABLATIONS:
        raise UserError(f"--ablate must be one of {', '.join(ABLATIONS)}, got {kind!r}")
    plan = ABLATIONS[kind].plan()
    if plan.traits.is_ablation and search.plan.traits.is_ablation:
        others = " or ".join(f"--ablate {name}" for name in ABLATIONS if name != kind)
        raise UserError(
            f"the plan of the search is {search.plan.traits.title} already; leave --ablate out, "
            f"or take {others}"
        )
    on = {
        data: {name: _budget(budget, kind) for name, budget in search.budgets_for(data).items()}
        for data in search.data
    }
    return replace(
        search,
        plan=plan,
        selection=search.selection if search.outsiders else "validation",
        pruning=False,
        budgets_on=on,
    )


def _budget(budget: Budget, kind: str) -> Budget:
    trials = max(ABLATIONS[kind].least_trials, budget.trials)
    return replace(budget, trials=trials, seeds=max(SEEDS, budget.seeds), evaluation_seeds=0)
