"""What each parameter of a search does: the search made into an ablation around its baselines."""

from dataclasses import replace
from typing import NamedTuple

from tune_ad.errors import UserError
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Search
from tune_ad.search.plans import Grid, OneAtATime, Plan, Sobol

SEEDS = 3  # paired seeds at least: the test is a sign flip over classes and seeds
SOBOL_TRIALS = 32  # at least: fewer points tell nothing of several parameters
ALL = 10**6  # trials: as many as the plan has


class Ablation(NamedTuple):
    """A way to vary the parameters of a search.

    Attributes:
        plan: where the configurations come from.
        suffix: of the study's name.
        about: what it does, in words.
    """

    plan: Plan
    suffix: str
    about: str


ABLATIONS = {
    "one": Ablation(OneAtATime(points=3), "-ablation", "one parameter at a time"),
    "grid": Ablation(Grid(points=2, with_default=True), "-grid", "every combination"),
    "sobol": Ablation(Sobol(), "-sobol", "spread evenly over the space"),
}


def ablated(search: Search, kind: str) -> Search:
    """The search with another plan and nothing selected: every configuration is itself quoted.

    Its trials are tested over at least `SEEDS` seeds, never stopped early, and none is trained
    again.

    Raises:
        UserError: if there is no such kind, or the search is that already.
    """
    if kind not in ABLATIONS:
        raise UserError(f"--ablate must be one of {', '.join(ABLATIONS)}, got {kind!r}")
    traits = search.plan.traits
    if traits.is_ablation and ABLATIONS[kind].plan.traits.is_ablation:
        raise UserError(
            f"the plan of the search is {traits.title} already; leave --ablate out, or take "
            "--ablate grid or --ablate sobol"
        )
    on = {
        data: {name: _budget(budget, kind) for name, budget in search.budgets_for(data).items()}
        for data in search.data
    }
    return replace(
        search,
        plan=ABLATIONS[kind].plan,
        selection=search.selection if search.outsiders else "validation",
        pruning=False,
        budgets_on=on,
    )


def _budget(budget: Budget, kind: str) -> Budget:
    trials = max(SOBOL_TRIALS, budget.trials) if kind == "sobol" else ALL
    return replace(budget, trials=trials, seeds=max(SEEDS, budget.seeds), evaluation_seeds=0)
