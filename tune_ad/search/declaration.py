"""The declaration of a search: its baselines, data sets, budgets, plan and selection rule."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tune_ad.data import canonical_name
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError, did_you_mean
from tune_ad.search.baseline import Baseline
from tune_ad.search.budgets import BUDGETS, PAPER, STANDARD, Budget
from tune_ad.search.checks.budgets import check_budgets
from tune_ad.search.checks.fields import (
    check_flag,
    check_folder_name,
    check_instance,
    check_integer,
    check_mapping,
    check_names,
)
from tune_ad.search.claim import Claim
from tune_ad.search.plans import Optuna, Plan
from tune_ad.selection import RULES

ANY_IMAGE = ImageShape(1, 32, 32)  # for questions whose answer does not depend on the images
MOST_PATIENCE = 1_000_000  # evaluations


@dataclass(frozen=True)
class Search:
    """The baselines, data sets, plan and budgets of a search.

    Attributes:
        name: name of the search; "{data}" in it is replaced by the short name of each data set, as
            in "pgn_{data}".
        data: short names of the data sets; there is a search for each.
        name_on: name of the search on a data set, by the data set's short name, if it does not
            follow from `name`.
        baselines: the detectors with their search spaces, of different names.
        budgets: "quick", and "standard" and "paper" if they differ from `STANDARD` and `PAPER`.
        budgets_on: budgets that differ on a data set, by the data set's short name.
        plan: source of the configurations.
        selection: name of the selection rule that ranks trials.
        whole: whether all images of the data set are normal: a single task without anomalies, for
            rates and distortions. Otherwise each class is a task, against the other classes.
        labelled: whether training images contain anomalies, by which selection rules may rank
            trials; False only for a user's own images.
        outsiders: for each data set, by short name, the data sets and controls of
            `tune_ad.data.controls` that its anomalies come from. The data set is then normal as a
            whole, in a single task. `test_auroc` is computed against the first of them.
        patience: early stopping: the number of evaluations without a lower loss of held-out normal
            images after which a training stage of a model stops; the next one begins from its best
            weights, and after the last one the model keeps them. 0 = every model trains for all
            epochs and keeps its last weights.
        claim: the claim that the study tests; None = no claim.
        pruning: whether poor trials are pruned (asynchronous successive halving). Off by default,
            because pruned trials bias sensitivities.

    Raises:
        UserError: if a field has the wrong type or an illegal value, or fields contradict each
            other.
    """

    name: str
    data: tuple[str, ...]
    baselines: tuple[Baseline, ...]
    budgets: Mapping[str, Budget]
    plan: Plan = field(default_factory=Optuna)
    selection: str = "validation"
    whole: bool = False
    labelled: bool = True
    outsiders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patience: int = 0
    claim: Claim | None = None
    pruning: bool = False
    budgets_on: Mapping[str, Mapping[str, Budget]] = field(default_factory=dict)
    name_on: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked without images."""
        check_instance("the name of a search", self.name, str)
        self._check_types()
        titles = [baseline.title for baseline in self.baselines]
        if not titles or len(set(titles)) < len(titles):
            raise UserError(
                f"search {self.name}: baselines must be at least one, of different names, "
                f"got {titles}"
            )
        if "quick" not in self.budgets:
            raise UserError(
                f"search {self.name}: budgets must contain 'quick', got {tuple(self.budgets)}"
            )
        self._check_names()
        if self.selection not in RULES:
            hint = did_you_mean(str(self.selection), RULES)
            raise UserError(
                f"search {self.name}: selection must be one of {sorted(RULES)}, got "
                f"{self.selection!r}" + (f"; {hint}" if hint else "")
            )
        self._check_suite()
        self._check_protocol()

    def _check_types(self) -> None:
        """Check the type of every field.

        Raises:
            UserError: naming the field and its value.
        """
        place = f"search {self.name}"
        check_names(f"{place}: data", self.data)
        if not self.data:
            raise UserError(f"{place}: data must name at least one data set, got none")
        if not isinstance(self.baselines, tuple) or not all(
            isinstance(baseline, Baseline) for baseline in self.baselines
        ):
            raise UserError(
                f"{place}: baselines must be a tuple, (Baseline(...),), got {self.baselines!r}"
            )
        check_instance(f"{place}: plan", self.plan, Plan)
        check_integer(f"{place}: patience", self.patience, 0, MOST_PATIENCE)
        if self.claim is not None:
            check_instance(f"{place}: claim", self.claim, Claim)
        for name in ("whole", "labelled", "pruning"):
            check_flag(f"{place}: {name}", getattr(self, name))
        self._check_mappings(place)

    def _check_mappings(self, place: str) -> None:
        """Check the types of the entries of every mapping.

        Raises:
            UserError: naming the field, the key and the value.
        """
        detectors = [baseline.detector for baseline in self.baselines]
        for name in ("budgets", "budgets_on", "name_on", "outsiders"):
            check_mapping(f"{place}: {name}", getattr(self, name))
        for title, budgets in self._declared_budgets().items():
            check_budgets(place, title, budgets, detectors)
        for data, title in self.name_on.items():
            check_instance(f"{place}: name_on[{data!r}]", title, str)
        for data, others in self.outsiders.items():
            check_names(f"{place}: outsiders[{data!r}]", others)

    def _declared_budgets(self) -> dict[str, Mapping[str, Budget]]:
        """The budgets of the declaration, by the field that they are in."""
        on = {f"budgets_on[{data!r}]": budgets for data, budgets in self.budgets_on.items()}
        return {"budgets": self.budgets, **on}

    def _check_names(self) -> None:
        """Check that the search has a name for each data set, and names no other data set.

        Raises:
            UserError: naming the fault.
        """
        for place, named in (("budgets_on", self.budgets_on), ("name_on", self.name_on)):
            if others := [data for data in named if data not in self.data]:
                raise UserError(
                    f"search {self.name}: {place} names {', '.join(others)}, which is not among "
                    f"its data sets {', '.join(self.data)}; add it to data, or leave it out"
                )
        for name in self.names():
            check_folder_name(f"search {self.name}: its name", name)
        if len(self.names()) < len(self.data):
            raise UserError(
                f"search {self.name}: a search on several data sets needs a name for each, got "
                f"{sorted(self.names())} for {self.data}; write {{data}} into its name"
            )

    def _check_suite(self) -> None:
        """Check what concerns a study whose data set is normal as a whole.

        Raises:
            UserError: naming the fault.
        """
        fields = self._declared_budgets().values()
        budgets = [budget for named in fields for budget in named.values()]
        if self.of_whole_sets and any(budget.classes is not None for budget in budgets):
            raise UserError(
                f"search {self.name} treats all classes as normal, so classes must be None in "
                "its budgets; leave it out"
            )
        named = [name for name, others in self.outsiders.items() if others]
        if self.outsiders and (self.whole or sorted(named) != sorted(self.data)):
            raise UserError(
                f"search {self.name}: outsiders must name at least one for each of its data sets "
                f"{self.data}, and whole must be False, got {dict(self.outsiders)}"
            )
        if self.outsiders and RULES[self.selection].looks_at == "held-out anomalies":
            raise UserError(
                f"search {self.name}: no anomaly is held out if the anomalies come from other "
                f"data sets, so selection must be another rule than {self.selection!r}: "
                f"{', '.join(self._usable_rules())}"
            )

    def _check_protocol(self) -> None:
        """Check what concerns training and selection.

        Raises:
            UserError: naming the fault.
        """
        budgets = [budget for data in self.data for budget in self.budgets_for(data).values()]
        if self.patience and not all(budget.validation_fraction for budget in budgets):
            raise UserError(
                f"search {self.name}: early stopping (patience) needs held-out images, so each of "
                f"{', '.join(BUDGETS)} must be declared with a validation_fraction above 0"
            )
        if self.pruning and any("epochs" in baseline.space for baseline in self.baselines):
            raise UserError(
                f"search {self.name}: pruning compares trials after equally many reports, so it "
                "cannot be combined with searched epochs; leave pruning out, or take epochs out "
                "of the space"
            )
        self._check_claim()
        quantity = RULES[self.selection].quantity
        searched = [name for baseline in self.baselines for name in baseline.changing(quantity)]
        if self.plan.traits.adapts and searched:
            raise UserError(
                f"search {self.name}: the rule {self.selection!r} cannot compare trials that "
                f"differ in {', '.join(dict.fromkeys(searched))}; fix it in the settings of each "
                "baseline, use a plan that does not adapt, or use another rule for selection: "
                f"{', '.join(self._usable_rules())}"
            )

    def _usable_rules(self) -> list[str]:
        """The names of the selection rules that can rank trials under at least one budget."""
        return [
            name
            for name, rule in RULES.items()
            if any(
                self.has_data_for(name, budget)
                for data in self.data
                for budget in self.budgets_for(data).values()
            )
            and (not rule.quantity or self._measures_alike(rule.quantity))
        ]

    def _measures_alike(self, quantity: str) -> bool:
        """Whether every baseline records a quantity, and on the same scale in all trials."""
        scales = {baseline.scales(ANY_IMAGE).get(quantity) for baseline in self.baselines}
        searched = any(baseline.changing(quantity) for baseline in self.baselines)
        return len(scales) == 1 and None not in scales and not searched

    def has_data_for(self, rule: str, budget: Budget) -> bool:
        """Whether a study under a budget has the data that a selection rule needs."""
        looks_at = RULES[rule].looks_at
        if looks_at == "nothing":
            return True
        if looks_at == "test images":
            return not self.whole  # nothing of a whole data set is anomalous
        held_out = budget.validation_fraction > 0 and budget.seeds >= RULES[rule].seeds
        labelled = self.labelled and not self.of_whole_sets
        return held_out and (labelled or looks_at != "held-out anomalies")

    def _check_claim(self) -> None:
        """Check that the claim uses parameters of the detectors.

        Raises:
            UserError: naming the parameters that no detector has.
        """
        detectors = [baseline.detector for baseline in self.baselines]
        known = {name for detector in detectors for name in detector.Config.rules()}
        parameters = self.claim.parameters if self.claim else []
        if unknown := [name for name in parameters if name not in known]:
            raise UserError(
                f"search {self.name}: its claim uses {', '.join(unknown)}, which is not a "
                f"parameter of {' or '.join(dict.fromkeys(d.__name__ for d in detectors))}"
            )

    @property
    def of_whole_sets(self) -> bool:
        """Whether all classes of a data set are normal, in a single task."""
        return self.whole or bool(self.outsiders)

    def budgets_for(self, data: str) -> dict[str, Budget]:
        """The budgets by name, on a data set given by its short or its full name."""
        general = {"standard": STANDARD, "paper": PAPER}
        return {**general, **self.budgets, **self.budgets_on.get(self._short_name(data), {})}

    def outsiders_for(self, data: str) -> tuple[str, ...]:
        """The names of the outsider sets of a data set; empty if each class is a task.

        Args:
            data: short or full name of the data set.
        """
        return self.outsiders.get(self._short_name(data), ())

    def _short_name(self, data: str) -> str:
        """The name of a data set in `data`; the given name if the search has no such data set."""
        known = (name for name in self.data if data in (name, canonical_name(name)))
        return next(known, data)

    def names(self) -> dict[str, str]:
        """The names of the search, each with the short name of its data set."""
        return {self.name_on.get(data, self.name.format(data=data)): data for data in self.data}

    def with_baselines(self, baselines: tuple[Baseline, ...], suffix: str) -> Self:
        """The search with other baselines, and a name of its own.

        The budgets lose the parameters that none of them has, and the search its claim, which is
        about the declared ones.

        Args:
            baselines: the other baselines.
            suffix: end of the name.
        """
        names = {name for baseline in baselines for name in baseline.detector.Config.rules()}

        def fitting(budgets: Mapping[str, Budget]) -> dict[str, Budget]:
            return {
                name: replace(
                    budget, only=_of(names, budget.only), settings=_of(names, budget.settings)
                )
                for name, budget in budgets.items()
            }

        return replace(
            self,
            name=f"{self.name}_{suffix}",
            name_on={data: f"{name}_{suffix}" for data, name in self.name_on.items()},
            baselines=baselines,
            budgets=fitting(self.budgets),
            budgets_on={data: fitting(self.budgets_for(data)) for data in self.data},
            claim=None,
        )

    def of_baselines(self, names: Sequence[str], suffix: str) -> Self:
        """The search with some of its baselines, in its order, and a name of its own.

        Trials that sample the spaces of all baselines are divided among them, so that each has as
        many as with the others; a list of configurations keeps those that fit.

        Args:
            names: their names; in upper or lower case, where that leaves no doubt.
            suffix: end of the name.

        Raises:
            UserError: if it has no such baseline, or its plan nothing for them.
        """
        titles = [baseline.title for baseline in self.baselines]
        wanted = {_title(name, titles) for name in names}
        chosen = tuple(baseline for baseline in self.baselines if baseline.title in wanted)
        plan = self.plan.of([baseline.space for baseline in chosen])
        some = replace(self.with_baselines(chosen, suffix), plan=plan)
        if plan.traits.is_designed or plan.traits.changes_single_parameters:
            return some  # the number of trials follows from the baselines
        share = len(chosen) / len(self.baselines)
        on = {
            data: {
                name: replace(budget, trials=math.ceil(budget.trials * share))
                for name, budget in some.budgets_for(data).items()
            }
            for data in self.data
        }
        return replace(some, budgets_on=on)


def _title(name: str, titles: Sequence[str]) -> str:
    """The name of a baseline as it is declared.

    Raises:
        UserError: if there is none of that name, or several that differ in case alone.
    """
    found = [title for title in titles if title == name]
    found = found or [title for title in titles if title.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    hint = did_you_mean(name, titles)
    raise UserError(
        f"--baselines names {name}, but the search has {', '.join(titles)}"
        + (f"; {hint}" if hint else "")
    )


def _of(names: set[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values whose names some baseline has."""
    return {name: value for name, value in values.items() if name in names}
