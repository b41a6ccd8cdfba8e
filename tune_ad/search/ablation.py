"""The ablation of a search: each parameter is varied around the defaults of its baselines.

Torch and Optuna are imported only when an ablation is made, because the command line reads the
kinds of ablation.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import tune_ad.search
from tune_ad.errors import UserError
from tune_ad.sample_sizes import LEAST_SEEDS, seeds_for
from tune_ad.search.budgets import LIMITS, Budget

if TYPE_CHECKING:
    from tune_ad.search.declaration import Search
    from tune_ad.search.plans import Plan
    from tune_ad.search.study import Study

ALL = LIMITS["trials"][1]  # trials: all that the plan has
MOST_SEEDS = 5  # maximum number of seeds to which the default is raised for the sake of a test


class Ablation(NamedTuple):
    """A way to vary the parameters of a search.

    Attributes:
        about: description of how it varies them, for the help.
        suffix: suffix of the study's name.
        plan: function that makes the plan.
        least_trials: minimum number of trials; the budget may ask for more.
        least_of_baseline: minimum number of trials of each baseline that is searched.
        varies_more: whether it also varies the parameters that only ablations vary
            (`Rule.is_ablated`).
    """

    about: str
    suffix: str
    plan: "Callable[[], Plan]"
    least_trials: int = ALL
    least_of_baseline: int = 0
    varies_more: bool = False


ABLATIONS = {
    "one": Ablation(
        "one at a time",
        "-ablation",
        lambda: tune_ad.search.OneAtATime(points=3),
        varies_more=True,
    ),
    "grid": Ablation(
        "every combination", "-grid", lambda: tune_ad.search.Grid(points=2, with_default=True)
    ),
    # fewer points say too little about several parameters
    "sobol": Ablation(
        "spread evenly",
        "-sobol",
        lambda: tune_ad.search.Sobol(),
        least_trials=32,
        least_of_baseline=24,
    ),
}
"""The kinds by name; the first is the default."""


def ablated(search: "Search", kind: str) -> "Search":
    """The search with another plan: every configuration is tested and reported, none is selected.

    Each is trained with at least `LEAST_SEEDS` seeds (see also `with_enough_seeds`); none is
    pruned or trained again.

    Raises:
        UserError: if there is no such kind, or the search is an ablation already.
    """
    if kind not in ABLATIONS:
        raise UserError(f"--ablate must be one of {', '.join(ABLATIONS)}, got {kind!r}")
    plan = ABLATIONS[kind].plan()
    if plan.traits.is_ablation and search.plan.traits.is_ablation:
        others = " or ".join(f"--ablate {name}" for name in ABLATIONS if name != kind)
        raise UserError(
            f"this search already has the plan {search.plan.traits.title!r}; leave --ablate out, "
            f"or use {others}"
        )
    varied = sum(bool(baseline.space) for baseline in search.baselines)
    on = {
        data: {
            name: _budget(budget, kind, varied)
            for name, budget in search.budgets_for(data).items()
        }
        for data in search.data
    }
    varies_more = ABLATIONS[kind].varies_more
    return replace(
        search,
        baselines=tuple(b.ablated() if varies_more else b for b in search.baselines),
        plan=plan,
        selection="validation" if search.labelled and not search.outsiders else search.selection,
        pruning=False,
        budgets_on=on,
    )


def with_enough_seeds(study: "Study", tasks: int) -> "Study":
    """The study of single changes with seeds enough that one of its changes can be significant.

    The seeds stay as they are if more than `MOST_SEEDS` are needed, because the study would take
    several times as long, and for other plans, such as a grid, which take hours anyway.

    Args:
        study: the ablation under its budget.
        tasks: the number of tasks, such as classes.
    """
    from tune_ad.search.checks.shortfalls import single_changes

    changes = single_changes(study) if study.search.plan.traits.is_ablation else 0
    enough = seeds_for(changes, tasks) if changes else 0
    if not study.budget.seeds < enough <= MOST_SEEDS:
        return study
    return replace(study, budget=replace(study.budget, seeds=enough))


def _budget(budget: Budget, kind: str, varied: int) -> Budget:
    """A budget of an ablation of a search that has so many baselines with a search space."""
    ablation = ABLATIONS[kind]
    trials = max(ablation.least_trials, ablation.least_of_baseline * varied, budget.trials)
    return replace(budget, trials=trials, seeds=max(LEAST_SEEDS, budget.seeds), evaluation_seeds=0)
