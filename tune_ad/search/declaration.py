"""The declaration of a search: its baselines, data sets, budgets, plan and rule."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from optuna.distributions import CategoricalDistribution

from tune_ad.data import canonical_name
from tune_ad.detectors.base import Detector, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.errors import UserError, did_you_mean
from tune_ad.search.budgets import BUDGETS, PAPER, STANDARD, Budget
from tune_ad.search.claim import Claim
from tune_ad.search.distributions import any_choices, equal_choices
from tune_ad.search.plans import Optuna, Plan, ResolvedBaseline, Space, contains
from tune_ad.search.selection import RULES

ANY_IMAGE = ImageShape(1, 32, 32)  # where what is asked does not depend on the images


@dataclass(frozen=True)
class Baseline:
    """A detector with the settings from which a search starts.

    Attributes:
        detector: the class.
        space: Optuna distributions of the parameters that the plan chooses.
        score_space: values of score-time parameters; every model is scored with each of them.
        settings: fixed parameters that differ from the released ones.
        name: of the baseline in records; the detector's if empty.
    """

    detector: type[Detector[Any]]
    space: Space = field(default_factory=dict)
    score_space: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def title(self) -> str:
        """The name of the baseline in records."""
        return self.name or self.detector.__name__

    def config(self, shape: ImageShape, params: Mapping[str, Any]) -> Config:
        """The hyperparameters with `params` in the place of the baseline's own.

        Raises:
            UserError: if a parameter has no such name or an illegal value.
        """
        return self.detector.Config.released(shape, **{**self.settings, **params})

    def skeleton(self, shape: ImageShape) -> Detector[Any]:
        """The detector of the default configuration, without numbers.

        Raises:
            UserError: if it cannot be built for the images.
        """
        return skeleton(self.detector, self.config(shape, {}), shape)

    def scales(self, shape: ImageShape) -> dict[str, str]:
        """What the quantities of the default configuration are measured in."""
        return self.detector.scales(self.config(shape, {}))

    def fixed(self, settings: Mapping[str, Any]) -> "Baseline":
        """The baseline with `settings` fixed and no longer searched."""
        space = {name: d for name, d in self.space.items() if name not in settings}
        return replace(self, space=space, settings={**self.settings, **settings})

    def only(self, shape: ImageShape, values: Mapping[str, Sequence[Any]]) -> "Baseline":
        """The baseline with parameters restricted to the values that a budget can afford.

        One that is searched keeps those of its values. A default that is not among them becomes
        the first of them.

        Raises:
            UserError: if nothing is left of a searched parameter.
        """
        known = {entry.name for entry in fields(self.detector.Config)}
        space, settings = dict(self.space), dict(self.settings)
        for name, allowed in values.items():
            if name not in known:
                continue
            left = [v for v in allowed if name not in space or contains(space[name], v)]
            if not left:
                raise UserError(
                    f"the budget leaves nothing of {name} of {self.title}: none of "
                    f"{', '.join(map(str, allowed))} is in its search space {space[name]}"
                )
            if name in space and len(left) > 1:
                with any_choices():
                    space[name] = CategoricalDistribution(left)
            else:
                space.pop(name, None)
            if getattr(self.config(shape, {}), name) not in left:
                settings[name] = left[0]
        return replace(self, space=space, settings=settings)

    def changing(self, quantity: str) -> list[str]:
        """The searched parameters under whose values a quantity means different things.

        Args:
            quantity: as in `Detector.scales`.
        """
        rules = self.detector.Config.rules()
        return [name for name in self.space if name in rules and quantity in rules[name].measures]

    def resolved(self, shape: ImageShape) -> ResolvedBaseline:
        """The baseline as a plan sees it.

        Raises:
            UserError: if the space or the score space names no parameter of the detector, the
                score space has an illegal value, or the default lies outside the space.
        """
        self._check_space()
        self._check_score_space(shape)
        config = self.config(shape, {})
        default = {name: getattr(config, name) for name in self.space}
        for name, value in default.items():
            if not contains(self.space[name], value):
                raise UserError(
                    f"the default {name}={value!r} of {self.title} lies outside its search space "
                    f"{self.space[name]}; widen the space or set another default"
                )
        return ResolvedBaseline(self.title, self.space, default)

    def _check_space(self) -> None:
        """Refuse a parameter that the detector lacks, and choices that are equal.

        Raises:
            UserError: naming the parameter.
        """
        known = [entry.name for entry in fields(self.detector.Config)]
        for name in self.space:
            if name not in known:
                raise UserError(
                    f"{self.title} has no parameter {name!r}; its parameters: {', '.join(known)}"
                )
        for name, distribution in self.space.items():
            if pair := equal_choices(distribution):
                raise UserError(
                    f"the choices {pair[0]!r} and {pair[1]!r} of {name} of {self.title} are "
                    "equal; leave one out"
                )

    def _check_score_space(self, shape: ImageShape) -> None:
        """Refuse what is no score-time parameter, and illegal values of one.

        Raises:
            UserError: naming the parameter.
        """
        for name, values in self.score_space.items():
            if name not in self.detector.score_parameters:
                raise UserError(
                    f"{name!r} is no score-time parameter of {self.title}; it has: "
                    f"{', '.join(self.detector.score_parameters) or 'none'}"
                )
            for value in values:
                self.config(shape, {name: value})  # refuses an illegal one


def check_parameters(names: Iterable[str], baselines: Iterable[Baseline]) -> None:
    """Refuse to set what is a parameter of none of the baselines.

    Raises:
        UserError: naming the parameter, with the nearest names or all of them.
    """
    known = sorted({item.name for b in baselines for item in fields(b.detector.Config)})
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"choose from {', '.join(known)}"
            raise UserError(f"--set: no detector of this search has a parameter {name!r}; {hint}")


@dataclass(frozen=True)
class Search:
    """What is varied, on which data sets, by which plan, at which cost.

    Attributes:
        name: with "{data}" where the data set's short name goes, as in "pgn_{data}".
        data: short names of the data sets; the search appears once for each.
        name_on: by short name of a data set, the name that the search has there instead.
        baselines: the detectors; their titles differ.
        budgets: "quick", and "standard" and "paper" where they differ from `STANDARD` and `PAPER`.
        budgets_on: by short name of a data set, the budgets that differ there.
        plan: where configurations come from.
        selection: name of the rule that ranks trials.
        whole: the suite is one task, the whole data set, of which nothing is anomalous: for rates
            and distortions. Otherwise each class is a task, against the others.
        outsiders: by short name of a data set, the names of the data sets and of the controls of
            `tune_ad.data.controls` against which it is set as a whole: the suite is that one
            task. The first is the one that `test_auroc` is about.
        patience: evaluation intervals without a lower loss of held-out normals after which a
            replica is done; its best weights are kept. 0 = all epochs, and the last weights.
        claim: what the study tests; None = nothing.
        pruning: stop trials that fall behind (asynchronous successive halving). Off by default:
            stopped trials bias sensitivities.
    """

    name: str
    data: tuple[str, ...]
    baselines: tuple[Baseline, ...]
    budgets: Mapping[str, Budget]
    plan: Plan = field(default_factory=Optuna)
    selection: str = "validation"
    whole: bool = False
    outsiders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patience: int = 0
    claim: Claim | None = None
    pruning: bool = False
    budgets_on: Mapping[str, Mapping[str, Budget]] = field(default_factory=dict)
    name_on: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked without images.

        Raises:
            UserError: naming the fault.
        """
        titles = [baseline.title for baseline in self.baselines]
        if not titles or len(set(titles)) < len(titles):
            raise UserError(
                f"search {self.name}: baselines must be at least one, of different names, "
                f"got {titles}"
            )
        if "quick" not in self.budgets or not set(self.budgets) <= set(BUDGETS):
            raise UserError(
                f"search {self.name} must name the budget 'quick' and no other than {BUDGETS}, "
                f"got {tuple(self.budgets)}"
            )
        for data, budgets in self.budgets_on.items():
            if data not in self.data or not set(budgets) <= set(BUDGETS):
                raise UserError(
                    f"search {self.name}: budgets_on must name its own data sets {self.data} and "
                    f"budgets {BUDGETS}, got {data!r}: {tuple(budgets)}"
                )
        if not set(self.name_on) <= set(self.data):
            raise UserError(
                f"search {self.name}: name_on must name its own data sets {self.data}, "
                f"got {tuple(self.name_on)}"
            )
        if len(self.names()) < len(self.data):
            raise UserError(
                f"search {self.name}: a search on several data sets needs a name for each, got "
                f"{sorted(self.names())} for {self.data}; write {{data}} into its name"
            )
        if self.selection not in RULES:
            raise UserError(
                f"search {self.name}: selection must be one of {sorted(RULES)}, "
                f"got {self.selection!r}"
            )
        self._check_suite()
        self._check_protocol()

    def _check_suite(self) -> None:
        """Check what concerns a suite of a single task.

        Raises:
            UserError: naming the fault.
        """
        budgets = [*self.budgets.values()]
        budgets += [budget for named in self.budgets_on.values() for budget in named.values()]
        if self.of_whole_sets and any(budget.classes is not None for budget in budgets):
            raise UserError(
                f"search {self.name} is about whole data sets, so its budgets must leave classes "
                "at None"
            )
        named = [name for name, others in self.outsiders.items() if others]
        if self.outsiders and (self.whole or sorted(named) != sorted(self.data)):
            raise UserError(
                f"search {self.name}: outsiders must name at least one for each of its data sets "
                f"{self.data}, and whole must be False, got {dict(self.outsiders)}"
            )
        if self.outsiders and RULES[self.selection].looks_at == "held-out anomalies":
            raise UserError(
                f"search {self.name}: no anomaly is held out where the outsiders are other data "
                f"sets, so selection must be another rule than {self.selection!r}: "
                f"{', '.join(self._usable_rules())}"
            )

    def _check_protocol(self) -> None:
        """Check what concerns training and selection.

        Raises:
            UserError: naming the fault.
        """
        if self.patience < 0:
            raise UserError(
                f"search {self.name}: patience must be at least 0, got {self.patience}"
            )
        budgets = [budget for data in self.data for budget in self.budgets_for(data).values()]
        if self.patience and not all(budget.validation_fraction for budget in budgets):
            raise UserError(
                f"search {self.name}: patience watches held-out images, so each of its budgets "
                f"must hold some out; declare those of {BUDGETS} that hold out none"
            )
        self._check_claim()
        quantity = RULES[self.selection].quantity
        searched = [name for baseline in self.baselines for name in baseline.changing(quantity)]
        if self.plan.traits.adapts and searched:
            raise UserError(
                f"search {self.name}: the rule {self.selection!r} cannot compare trials that "
                f"differ in {', '.join(dict.fromkeys(searched))}, so it must be a setting of each "
                "baseline, the plan one that does not adapt, or selection another rule: "
                f"{', '.join(self._usable_rules())}"
            )

    def _usable_rules(self) -> list[str]:
        """The selection rules that can rank trials under some budget, whatever the images are."""
        return [
            name
            for name, rule in RULES.items()
            if any(
                self.sees(name, b) for data in self.data for b in self.budgets_for(data).values()
            )
            and (not rule.quantity or self._measures_alike(rule.quantity))
        ]

    def _measures_alike(self, quantity: str) -> bool:
        """Whether a quantity is recorded by every baseline and means the same in all trials."""
        scales = {baseline.scales(ANY_IMAGE).get(quantity) for baseline in self.baselines}
        searched = any(baseline.changing(quantity) for baseline in self.baselines)
        return len(scales) == 1 and None not in scales and not searched

    def sees(self, rule: str, budget: Budget) -> bool:
        """Whether the data that a selection rule looks at are there under a budget."""
        looks_at = RULES[rule].looks_at
        if looks_at == "nothing":
            return True
        if looks_at == "test images":
            return not self.whole  # nothing of a whole data set is anomalous
        held_out = budget.validation_fraction > 0
        return held_out and not (looks_at == "held-out anomalies" and self.of_whole_sets)

    def _check_claim(self) -> None:
        """Check that the claim is about parameters of the detectors.

        Raises:
            UserError: naming the parameters that no detector has.
        """
        detectors = [baseline.detector for baseline in self.baselines]
        known = {item.name for detector in detectors for item in fields(detector.Config)}
        parameters = self.claim.parameters if self.claim else []
        if unknown := [name for name in parameters if name not in known]:
            raise UserError(
                f"search {self.name}: its claim names {', '.join(unknown)}, which is no parameter "
                f"of {' or '.join(dict.fromkeys(d.__name__ for d in detectors))}"
            )

    @property
    def of_whole_sets(self) -> bool:
        """Whether the suite is a single task, of which all classes of a data set are normal."""
        return self.whole or bool(self.outsiders)

    def budgets_for(self, data: str) -> dict[str, Budget]:
        """The budgets on a data set, which goes by its short or by its full name."""
        general = {"standard": STANDARD, "paper": PAPER}
        return {**general, **self.budgets, **self.budgets_on.get(self._short_name(data), {})}

    def outsiders_for(self, data: str) -> tuple[str, ...]:
        """Names of the sets against which a data set is set; none if its classes are tasks.

        Args:
            data: its short or its full name.
        """
        return self.outsiders.get(self._short_name(data), ())

    def _short_name(self, data: str) -> str:
        """The name by which the search knows a data set; the name given if it has no such set."""
        known = (name for name in self.data if data in (name, canonical_name(name)))
        return next(known, data)

    def names(self) -> dict[str, str]:
        """The names under which the search appears, each with its data set's short name."""
        return {self.name_on.get(data, self.name.format(data=data)): data for data in self.data}
