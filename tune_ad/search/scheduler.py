"""A scheduler that proposes trials and receives results; its state is rebuilt from the records.

The state is in `suggested.jsonl` and `trials.jsonl`. Optuna's study is rebuilt in memory from them
at every start, so it is never stored. Every random draw is seeded by the study's seed and the
trial's number: with one trial at a time, a resumed study tries the same configurations as an
uninterrupted one.
"""

import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from tune_ad.errors import UserError
from tune_ad.randomness import derived_seed
from tune_ad.search.distributions import any_choices
from tune_ad.search.plans import (
    Configuration,
    Plan,
    ResolvedBaseline,
    all_values,
    number_of_configurations,
)
from tune_ad.storage.records import TrialRecord, TrialSpec, identity

ATTEMPTS = 100  # repeated proposals in a row before the untried configurations are enumerated
REDUCTION = 3  # reduction factor of successive halving: a third of the trials continues at a rung
FIRST_RUNG = 3  # number of reports before a trial can be pruned

Reports = Iterable[tuple[int, float | None]]


class Proposal(NamedTuple):
    """The configuration of the next trial.

    Attributes:
        configuration: a configuration that no earlier trial had, unless the plan lists it twice.
        sampled: the trial of Optuna's study that sampled it; None if it was not sampled.
    """

    configuration: Configuration
    sampled: optuna.Trial | None = None


class TrialScheduler:
    """Proposes trials and receives their results.

    Args:
        plan: source of the configurations.
        baselines: search spaces and defaults of the baselines.
        trials: maximum number of trials in total.
        seed: seed of the study.
        pruning: whether `report` may prune trials, by asynchronous successive halving.

    Raises:
        UserError: if the plan does not fit the baselines.
    """

    def __init__(
        self,
        plan: Plan,
        baselines: Sequence[ResolvedBaseline],
        trials: int,
        seed: int,
        pruning: bool = False,
    ) -> None:
        self.baselines, self.seed = baselines, seed
        self.names = [baseline.name for baseline in baselines]
        self.fixed = plan.all_configurations(baselines, seed, trials)
        self.trials = trials if self.fixed is None else min(trials, len(self.fixed))
        self.in_turns = plan.traits.in_turns
        self.startup = plan.startup(trials // len(baselines) if self.in_turns else trials)
        self.suggested: dict[int, TrialSpec] = {}
        self.ended: set[int] = set()
        self.unfinished: list[TrialSpec] = []
        self.seen: set[str] = set()
        self.running: dict[int, optuna.Trial] = {}
        self.reports: dict[int, int] = {}
        self.exhausted = False
        pruner: BasePruner = NopPruner()
        if pruning:
            pruner = SuccessiveHalvingPruner(min_resource=FIRST_RUNG, reduction_factor=REDUCTION)
        self.studies = {
            name: study
            for group in plan.traits.competing(self.names)
            for study in [_quiet_study(pruner)]
            for name in group
        }

    @property
    def remaining(self) -> int:
        """The number of trials that have not finished yet."""
        return 0 if self.exhausted and not self.running else self.trials - len(self.ended)

    def restore(self, specs: Iterable[TrialSpec], records: Iterable[TrialRecord]) -> None:
        """Rebuild the state of an earlier run, whose unfinished trials are then proposed first.

        Raises:
            UserError: if a trial has a record but was never proposed.
        """
        for spec in specs:
            self.suggested[spec.number] = spec
            self.seen.add(_mark(spec.baseline, spec.params))
        for record in records:
            if record.number not in self.suggested:
                raise UserError(
                    f"trial {record.number} is missing in suggested.jsonl, so that file is "
                    "damaged; restore it from a backup, or use another --results"
                )
            spec = self.suggested[record.number]
            self._start(spec)
            self.replay(record.number, record.reports)
            self.tell(record)
        self.unfinished = [s for n, s in self.suggested.items() if n not in self.ended]

    def replay(self, number: int, reports: Reports) -> None:
        """Replay the reports of a recorded trial, for pruning."""
        for _, objective in reports:
            self.report(number, objective)

    def ask(self) -> TrialSpec | None:
        """The next trial; None if none is left."""
        if self.unfinished:
            spec = self.unfinished.pop(0)
            self._start(spec)
            return spec
        number = len(self.suggested)
        if number >= self.trials:
            return None
        proposal = self._propose(number)
        if proposal is None:
            self.exhausted = True
            return None
        spec = TrialSpec(number, *proposal.configuration)
        self.suggested[number] = spec
        self.seen.add(_mark(*proposal.configuration))
        self._start(spec, proposal.sampled)
        return spec

    def report(self, number: int, objective: float | None) -> bool:
        """Note an intermediate objective, and return whether the trial is pruned.

        Pruning counts the reports with an objective, not epochs.
        """
        trial = self.running[number]
        if objective is None:
            return False
        self.reports[number] = self.reports.get(number, 0) + 1
        trial.report(objective, step=self.reports[number])
        return bool(trial.should_prune())

    def tell(self, record: TrialRecord) -> None:
        """Receive the record of a finished trial."""
        trial = self.running.pop(record.number)
        self.ended.add(record.number)
        study = self.studies[self.suggested[record.number].baseline]
        if record.objective is None or record.state == "failed":
            study.tell(trial, state=TrialState.FAIL)
        elif record.state == "pruned":
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, record.objective)

    def _propose(self, number: int) -> Proposal | None:
        """The configuration of the next trial; None if the spaces are exhausted."""
        if self.fixed is not None:
            return Proposal(self.fixed[number])
        if number < len(self.baselines):
            baseline = self.baselines[number]
            return Proposal(Configuration(baseline.name, dict(baseline.default)))
        proposals = (self._new(number, group) for group in self._groups(number))
        return next((proposal for proposal in proposals if proposal is not None), None)

    def _groups(self, number: int) -> Iterator[Sequence[ResolvedBaseline]]:
        """The baselines among which the next trial is chosen; in turns, one after the other.

        The turn of a baseline whose space is exhausted passes to the next one.
        """
        if not self.in_turns:
            yield self.baselines
            return
        tried = Counter(spec.baseline for spec in self.suggested.values())
        for k in range(len(self.baselines)):
            baseline = self.baselines[(number + k) % len(self.baselines)]
            cells = number_of_configurations(baseline.space)
            if cells is None or tried[baseline.name] < cells:
                yield [baseline]

    def _new(self, number: int, group: Sequence[ResolvedBaseline]) -> Proposal | None:
        """A new configuration of one of some baselines; None if their spaces are exhausted."""
        sampled = self._sample_new(number, group)
        return sampled or next(map(Proposal, self._untried(group)), None)

    def _sample_new(self, number: int, group: Sequence[ResolvedBaseline]) -> Proposal | None:
        """A new configuration sampled by Optuna; None if every attempt repeats an earlier trial.

        Repeats are marked as failed in Optuna's study.
        """
        for attempt in range(ATTEMPTS):
            with any_choices():
                trial, configuration = self._sample(number, attempt, group)
            if _mark(*configuration) not in self.seen:
                return Proposal(configuration, trial)
            self.studies[group[0].name].tell(trial, state=TrialState.FAIL)
        return None

    def _untried(self, group: Sequence[ResolvedBaseline]) -> Iterator[Configuration]:
        """The untried configurations of discrete spaces; a continuous space is never exhausted."""
        for baseline in group:
            values = [all_values(distribution) for distribution in baseline.space.values()]
            for point in itertools.product(*(choices or () for choices in values)):
                configuration = Configuration(
                    baseline.name, dict(zip(baseline.space, point, strict=True))
                )
                if _mark(*configuration) not in self.seen:
                    yield configuration

    def _sample(
        self, number: int, attempt: int, group: Sequence[ResolvedBaseline]
    ) -> tuple[optuna.Trial, Configuration]:
        """Sample from Optuna's study; its sampler is seeded for each trial and attempt."""
        study = self.studies[group[0].name]
        seed = derived_seed(self.seed, "suggest", number, attempt) % 2**32
        late = attempt >= ATTEMPTS // 2  # TPE keeps repeating some; random sampling does not
        study.sampler = optuna.samplers.RandomSampler(seed) if late else _tpe(seed, self.startup)
        trial = study.ask()
        names = [baseline.name for baseline in group]
        name = trial.suggest_categorical("baseline", names) if len(names) > 1 else names[0]
        baseline = group[names.index(name)]
        return trial, Configuration(
            name,
            {
                parameter: _suggested(trial, self._key(baseline, parameter), distribution)
                for parameter, distribution in baseline.space.items()
            },
        )

    def _key(self, baseline: ResolvedBaseline, parameter: str) -> str:
        return parameter if len(self.baselines) == 1 else f"{baseline.name}/{parameter}"

    def _start(self, spec: TrialSpec, sampled: optuna.Trial | None = None) -> None:
        """Note that a trial runs; one that Optuna did not sample is entered into its study."""
        self.running[spec.number] = sampled or self._enter(spec)

    def _enter(self, spec: TrialSpec) -> optuna.Trial:
        """Enter a configuration that Optuna did not sample into its study."""
        baseline = self.baselines[self.names.index(spec.baseline)]
        params = {self._key(baseline, name): spec.params[name] for name in baseline.space}
        distributions = {self._key(baseline, name): d for name, d in baseline.space.items()}
        if len(self.baselines) > 1 and not self.in_turns:
            params["baseline"] = baseline.name
            distributions["baseline"] = CategoricalDistribution(self.names)
        running = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=params, distributions=distributions
        )
        study = self.studies[spec.baseline]
        study.add_trial(running)
        newest = study.get_trials(deepcopy=False)[-1]
        return optuna.Trial(study, newest._trial_id)


def _mark(baseline: str, params: Mapping[str, Any]) -> str:
    """The identity of a configuration whose numbers are rounded: 0.3 equals 0.1 + 2 * 0.1."""
    rounded = {
        name: float(f"{value:.12g}") if isinstance(value, float) else value
        for name, value in params.items()
    }
    return identity(baseline, rounded)


def _quiet_study(pruner: BasePruner) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", pruner=pruner)


def _tpe(seed: int, startup: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=startup, multivariate=True, group=True, constant_liar=True
        )


def _suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:  # noqa: ANN401
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return trial.suggest_int(name, low, high, step=distribution.step, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    low_, high_ = distribution.low, distribution.high
    return trial.suggest_float(name, low_, high_, step=distribution.step, log=distribution.log)
