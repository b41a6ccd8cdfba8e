"""A study: a search on one data set under one budget, as workers receive it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from tune_ad.data import ImageSet, Task, against, class_tasks, whole
from tune_ad.detectors.base import ScoreSpace, skeleton
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.schedule import Stage
from tune_ad.errors import UserError
from tune_ad.search.baseline import Baseline, check_parameters
from tune_ad.search.budgets import Budget
from tune_ad.search.declaration import Search
from tune_ad.search.distributions import to_json
from tune_ad.search.plans import Configuration, ResolvedBaseline, number_of_configurations
from tune_ad.selection import RULES
from tune_ad.storage.precision import FLOAT32
from tune_ad.storage.records import TrialSpec, identity
from tune_ad.storage.values import encode


@dataclass(frozen=True)
class Study:
    """A search on one data set under one budget: the complete definition that workers receive.

    Attributes:
        name: name of the study; the name of the search, with a suffix for an ablation.
        search: declaration of the search.
        data_set: full name of the data set.
        shape: shape of its images.
        budget_name: "quick", "standard" or "paper".
        budget: the budget with the user's changes.
        selection: name of the selection rule that ranks trials.
        seed: seed of the study; replicas have their own.
        settings: parameters fixed by the user, by name.
        precision: the precision of training, "float32" or "bfloat16", by baseline; a baseline
            that is missing, such as one that is only fitted, has float32.
        chooses_scores: whether score-time parameters may be chosen after training; False for a
            study that was begun before they were.
        keep_models: which trained models are kept, a key of `KEEP_MODELS`; it has no influence on
            any number.
    """

    name: str
    search: Search
    data_set: str
    shape: ImageShape
    budget_name: str
    budget: Budget
    selection: str
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    precision: Mapping[str, str] = field(default_factory=dict)
    chooses_scores: bool = True
    keep_models: str = "none"

    @cached_property
    def baselines(self) -> dict[str, Baseline]:
        """The baselines by name, with the budget's epochs and the user's settings.

        Raises:
            UserError: if a setting is a parameter of no baseline.
        """
        check_parameters(self.settings, self.search.baselines)
        return {baseline.title: self._settled(baseline) for baseline in self.search.baselines}

    @property
    def outsiders(self) -> tuple[str, ...]:
        """The names of the outsider sets; empty if each class is a task."""
        return self.search.outsiders_for(self.data_set)

    def _settled(self, baseline: Baseline) -> Baseline:
        """A baseline with the budget's values and epochs and the user's settings.

        Epochs that are searched keep the budget's number as their default.
        """
        left = {n: values for n, values in self.budget.only.items() if n not in self.settings}
        baseline = baseline.with_defaults(self.budget.settings).only(self.shape, left)
        names = baseline.detector.Config.rules()
        settings = {name: value for name, value in self.settings.items() if name in names}
        if self.budget.epochs is not None and "epochs" in names:
            given = {"epochs": self.budget.epochs}
            if "epochs" in baseline.space:
                baseline = replace(baseline, settings={**baseline.settings, **given})
            else:
                settings = {**given, **settings}
        return baseline.fixed(settings)

    def tasks(self, source: ImageSet) -> tuple[Task, ...]:
        """The tasks: the data set against its outsider sets, the whole of it, or each class.

        Args:
            source: the image set of the normal images.

        Raises:
            UserError: if the budget names a class that the source does not have.
        """
        if self.outsiders:
            return (against(source.name, self.outsiders),)
        if self.search.whole:
            return (whole(source.name),)
        chosen = self.budget.classes or source.normal_classes
        return tuple(class_tasks(source, chosen))

    @cached_property
    def resolved_baselines(self) -> tuple[ResolvedBaseline, ...]:
        """The search spaces and defaults of the baselines, for the plan."""
        return tuple(baseline.resolved(self.shape) for baseline in self.baselines.values())

    def epochs(self) -> dict[str, int]:
        """The number of epochs of each baseline's default over all stages, by baseline."""
        return {
            name: sum(stage.epochs for stage in baseline.skeleton(self.shape).stages())
            for name, baseline in self.baselines.items()
        }

    def epochs_of(self, spec: TrialSpec) -> int:
        """The number of epochs of a trial over all stages; 0 if it is only fitted.

        Raises:
            UserError: if its configuration cannot be built.
        """
        detector = self.baselines[spec.baseline].detector
        stages = skeleton(detector, self.config(spec), self.shape).stages()
        return sum(stage.epochs for stage in stages)

    def interval(self, stages: Sequence[Stage]) -> int:
        """The number of epochs between two reports; with patience, set by the longest stage.

        Args:
            stages: the stages in which a model is trained; none if it is only fitted.
        """
        each = [stage.epochs for stage in stages]
        spaced = max(each, default=0) if self.search.patience else sum(each)
        return self.budget.interval(spaced)

    def epochs_tried(self) -> list[int]:
        """The numbers of epochs that trials may have over all stages, in increasing order.

        Those of each baseline's default, and, if there are further trials, of the other epochs
        that it searches.
        """
        numbers = set(self.epochs().values())
        if self.trials > len(self.baselines):
            numbers |= {
                self.epochs_of(TrialSpec(0, name, params))
                for name, baseline in self.baselines.items()
                for params in baseline.each_epochs()
            }
        return sorted(numbers)

    def precision_of(self, baseline: str) -> str:
        """The precision in which a baseline is trained."""
        return self.precision.get(baseline, FLOAT32)

    def config(self, spec: TrialSpec) -> Config:
        """The configuration of a trial, with every hyperparameter.

        Raises:
            UserError: if a parameter has no such name or an illegal value.
        """
        return self.baselines[spec.baseline].config(self.shape, spec.params)

    def params(self, spec: TrialSpec) -> dict[str, Any]:
        """Every hyperparameter of a trial by name, also of an invalid configuration."""
        try:
            return asdict(self.config(spec))
        except UserError:
            default = self.baselines[spec.baseline].config(self.shape, {})
            return {**asdict(default), **spec.params}

    def identity(self, spec: TrialSpec) -> str:
        """The hash of the baseline and every hyperparameter of a trial."""
        return identity(spec.baseline, self.params(spec))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the replicas during the search."""
        return tuple(range(self.budget.seeds))

    @property
    def fresh_seeds(self) -> tuple[int, ...]:
        """The seeds of the final evaluation, which are not used during the search."""
        return self.budget.fresh_seeds

    @cached_property
    def planned(self) -> Sequence[Configuration] | None:
        """Every configuration that the plan lists in advance; None if it adapts.

        Raises:
            UserError: if the plan does not fit the space.
        """
        return self.search.plan.all_configurations(
            self.resolved_baselines, self.seed, self.budget.trials
        )

    @property
    def trials(self) -> int:
        """The number of configurations that are tried: the budget's trials, or all that exist."""
        if self.planned is not None:
            return min(self.budget.trials, len(self.planned))
        counts = [number_of_configurations(b.space) for b in self.resolved_baselines]
        finite = [count for count in counts if count is not None]
        if len(finite) < len(counts):
            return self.budget.trials
        return min(self.budget.trials, sum(finite))

    @property
    def selects(self) -> bool:
        """Whether the study has the data that the selection rule needs."""
        return self.search.has_data_for(self.selection, self.budget)

    @property
    def chooses(self) -> bool:
        """Whether the rule decides which trials run, are trained again or are reported."""
        decides = self.budget.evaluation_seeds or self.selection == "oracle"
        return self.selects and (bool(decides) or self.search.plan.traits.adapts)

    def chosen_at_scoring(self, baseline: str) -> ScoreSpace:
        """The score-time parameters whose values are chosen on held-out images after training.

        Those of the score space of a baseline that the user has not fixed, if the study selects
        among trials by an AUROC of held-out images: the same models are scored with every value
        anyway. Otherwise none, and the declared values are used.

        Args:
            baseline: the name of the baseline.
        """
        rule = RULES[self.selection]
        if not self.chooses_scores:
            return {}
        if not (self.chooses and rule.is_auroc and rule.looks_at != "test images"):
            return {}
        space = self.baselines[baseline].score_space
        return {name: values for name, values in space.items() if name not in self.settings}

    @property
    def winners(self) -> int:
        """The number of trials that are trained again on fresh seeds; 0 if none is selected."""
        if not (self.selects and self.budget.evaluation_seeds):
            return 0
        return min(self.trials, len(self.search.plan.traits.competing([*self.baselines])))

    def keeps(self, spec: TrialSpec) -> bool:
        """Whether the models of a trial are kept: of all trials, or of the winner's evaluation."""
        return self.keep_models == "all" or (self.keep_models == "best" and bool(spec.seeds))

    @property
    def quotes(self) -> str:
        """Which results a report gives.

        "winner": the chosen trial, trained again on fresh seeds; "winners": that of each baseline;
        "oracle": the best on the test set itself; "single": baselines with a single trial, since
        a trial that was chosen among several is not trained again; "strata": the defaults of each
        baseline in each stratum of the claim; "configurations" (every one) or "defaults" (of each
        baseline), as the plan says; "nothing": none, since there are no anomalies.
        """
        if self.search.whole:
            return "nothing"
        if self.budget.evaluation_seeds:
            return "winners" if self.search.plan.traits.in_turns else "winner"
        if self.selection == "oracle":
            return "oracle"
        if self.chooses or self.trials <= len(self.search.baselines):
            return "single"
        if self.search.claim:
            return "strata"
        return self.search.plan.traits.quotes

    def describe(self) -> dict[str, Any]:
        """The study as plain data, for `study.json`."""
        return {
            "name": self.name,
            "data_set": self.data_set,
            "image_shape": list(self.shape),
            "seed": self.seed,
            "selection": self.selection,
            "settings": encode(self.settings),
            "precision": dict(self.precision),
            "chooses_scores": self.chooses_scores,
            "budget_name": self.budget_name,
            "budget": encode(asdict(self.budget)),
            "plan": self.search.plan.describe(),
            "pruning": self.search.pruning,
            "chooses": self.chooses,
            "quotes": self.quotes,
            "whole": self.search.whole,
            "outsiders": list(self.outsiders),
            "patience": self.search.patience,
            "claim": encode(self.search.claim.describe()) if self.search.claim else {},
            "baselines": {name: self._describe(b) for name, b in self.baselines.items()},
        }

    def _describe(self, baseline: Baseline) -> dict[str, Any]:
        return {
            "detector": baseline.detector.__name__,
            "space": {name: to_json(d) for name, d in baseline.space.items()},
            "score_space": {n: encode(list(v)) for n, v in baseline.score_space.items()},
            "params": encode(asdict(baseline.config(self.shape, {}))),
        }
