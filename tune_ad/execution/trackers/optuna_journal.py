"""A study as an Optuna journal, which `optuna-dashboard` opens: a copy that nothing reads.

It is written anew from the records when a run begins, and grows while the run trains. A failure of
it, whatever its cause, ends the copy and not the study; the next run mends it.
"""

import functools
import json
import math
import os
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeGuard

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState, create_trial

from tune_ad.atomic import replacing
from tune_ad.errors import one_line
from tune_ad.execution.callbacks import Callback
from tune_ad.search.study import Study
from tune_ad.selection import RULES, mean, winners
from tune_ad.storage.folder import StudyFolder
from tune_ad.storage.metric import TEST_AUROC, TRAIN_LOSS, VALIDATION_AUROC
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.report import Report

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
PLAIN = (bool, int, str, type(None))
"""The types of choices that Optuna keeps in its journals; a float has to be finite as well."""


class _NoLock(JournalFileOpenLock):  # type: ignore[misc]
    """No lock: the study has one, and one that a killed process left would hold up the next."""

    def acquire(self) -> bool:
        """Hold nothing."""
        return True

    def release(self) -> None:
        """Release nothing."""


class _File(JournalFileBackend):  # type: ignore[misc]
    """The file of a journal in which one process writes, and that can be made anew.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _NoLock(str(path)))
        self.path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add operations as lines.

        Raises:
            OSError: if that is not possible.
        """
        with self.path.open("r+b") as file:  # one that was deleted is not begun in the middle
            file.seek(0, os.SEEK_END)
            file.write("".join(f"{json.dumps(log)}\n" for log in logs).encode())


Given = ParamSpec("Given")


def _harmless(
    act: Callable[Concatenate["OptunaJournal", Given], None],
) -> Callable[Concatenate["OptunaJournal", Given], None]:
    """A method of the journal after whose failure nothing is written any more; it is said once.

    Whatever Optuna raises, on a file that others can change, must not end the study.
    """

    @functools.wraps(act)
    def tried(journal: "OptunaJournal", /, *given: Given.args, **named: Given.kwargs) -> None:
        if journal.is_lost:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what Optuna calls experimental
                act(journal, *given, **named)
        except Exception as error:
            journal.is_lost = True
            reason = error.strerror if isinstance(error, OSError) else one_line(error)
            journal.say(
                f"{journal.folder.optuna} cannot be written ({reason}); the study goes on without "
                "it, and its next run makes it anew"
            )

    return tried


class OptunaJournal(Callback):
    """Writes `optuna.journal` in the folder of a study.

    A trial has the parameters that the plan chose with their distributions (those of several
    baselines as "PGN/width"), its objective after each evaluation interval, and as user attributes
    what its record says. Optuna wants a value of each complete trial: that of the selection rule;
    if there is no selection the test AUROC, or without anomalies minus the training loss. The name
    of the value says which.

    Args:
        study: the study that is run.
        folder: its folder.
        say: prints a line for the user.

    Attributes:
        is_lost: whether writing has failed, so that nothing is written any more.
    """

    def __init__(self, study: Study, folder: StudyFolder, say: Callable[[str], None]) -> None:
        self.study, self.folder, self.say = study, folder, say
        self.is_lost = False
        self.storage: JournalStorage | None = None
        self.copy = 0  # Optuna's numbers of the study and of its trials
        self.trials: dict[int, int] = {}

    @_harmless
    def rebuild(self) -> None:
        """Write the journal anew from the records of the study."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with replacing(self.folder.optuna, makes_folder=False) as partial:
            self.storage = JournalStorage(_File(partial))
            self._create()
        self.storage = JournalStorage(_File(self.folder.optuna))

    def _create(self) -> None:
        """Write what the records say."""
        study = self.study
        title, _ = value_of(study)
        created = optuna.create_study(
            storage=self._written, study_name=study.name, direction="maximize"
        )
        created.set_metric_names([title])
        self.copy, self.trials = created._study_id, {}
        for name, value in _attributes_of_study(study).items():
            created.set_user_attr(name, value)
        records = {record.number: record for record in self.folder.read_trials()}
        for spec in self.folder.read_trial_specs():
            self._add(spec, records.get(spec.number))
        self._note_winners()

    def _add(self, spec: TrialSpec, record: TrialRecord | None = None) -> None:
        """Add a trial, which has ended if it has a record and otherwise waits."""
        params, distributions = parameters(self.study, spec)
        state, value = self._result(record) if record else (TrialState.WAITING, None)
        trial = create_trial(
            state=state,
            value=value,
            params=params,
            distributions=distributions,
            user_attrs=_attributes(record) if record else {},
            intermediate_values={
                epoch: value
                for epoch, value in (record.reports if record else ())
                if usable(value)
            },
        )
        if record:
            ended = self._end_of(record)
            trial.datetime_start = ended - timedelta(seconds=record.seconds)
            trial.datetime_complete = ended
        self.trials[spec.number] = self._written.create_new_trial(self.copy, trial)

    def _end_of(self, record: TrialRecord) -> datetime:
        """When a trial ended: its details were written then. Now, if they are no longer there."""
        details = self.folder.details(record.identity)
        if not details.is_file():
            return datetime.now(UTC)
        return datetime.fromtimestamp(details.stat().st_mtime, UTC)

    @_harmless
    def started(self, spec: TrialSpec) -> None:
        """Note that a trial runs."""
        if spec.number not in self.trials:
            self._add(spec)
        self._written.set_trial_state_values(self.trials[spec.number], TrialState.RUNNING)

    @_harmless
    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Note the objective of a trial after an evaluation interval."""
        trial, value = self.trials[spec.number], report.objective
        if usable(value):
            self._written.set_trial_intermediate_value(trial, report.epoch, value)

    @_harmless
    def ended(self, spec: TrialSpec, record: TrialRecord, details: Mapping[str, Any]) -> None:
        """Note how a trial has ended."""
        trial = self.trials[spec.number]
        for name, value in _attributes(record).items():
            self._written.set_trial_user_attr(trial, name, value)
        state, result = self._result(record)
        values = None if result is None else [result]
        self._written.set_trial_state_values(trial, state, values)

    @_harmless
    def evaluated(self) -> None:
        """Note the results of the winners on fresh seeds."""
        self._note_winners()

    def _note_winners(self) -> None:
        """Note, as attributes of the study, the test AUROC of each winner on its fresh seeds."""
        study = self.study
        if not study.winners:
            return
        fresh = self.folder.read_evaluation()
        groups = study.search.plan.traits.competing([*study.baselines])
        for _, winner in winners(self.folder.read_trials(), study.selection, groups):
            tested = [record for record in fresh if record.identity == winner.identity]
            aurocs = {
                str(record.replicas[0].seed): mean(record.metrics.get(TEST_AUROC, []))
                for record in tested
            }
            noted = {
                "trial": winner.number,
                "baseline": winner.baseline,
                "test AUROC by fresh seed": aurocs,
                "mean": mean(list(aurocs.values())),
            }
            name = f"winner ({winner.baseline})" if len(groups) > 1 else "winner"
            self._written.set_study_user_attr(self.copy, name, noted)

    def _result(self, record: TrialRecord) -> tuple[TrialState, float | None]:
        """The state and the value of a trial that has ended; without a value it has failed."""
        value = value_of(self.study)[1](record)
        if record.state == "failed" or (record.state == "complete" and not usable(value)):
            return TrialState.FAIL, None
        return STATES[record.state], value if usable(value) else None

    @property
    def _written(self) -> JournalStorage:
        """The storage of the file."""
        assert self.storage is not None, "it has been rebuilt"
        return self.storage


def usable(value: float | None) -> TypeGuard[float]:
    """Whether there is a value, and Optuna can rank it."""
    return value is not None and math.isfinite(value)


def value_of(study: Study) -> tuple[str, Callable[[TrialRecord], float | None]]:
    """What the value of a trial is in Optuna, in words, and the function that gives it."""
    if study.selects:
        rule = RULES[study.selection]
        return next(iter(rule.responses), rule.title), lambda record: record.objective
    if study.search.whole:
        return "minus the training loss", _minus_training_loss
    return "test AUROC", lambda record: mean(record.metrics.get(TEST_AUROC, []))


def _minus_training_loss(record: TrialRecord) -> float | None:
    loss = mean(record.metrics.get(TRAIN_LOSS, []))
    return None if loss is None else -loss


def parameters(
    study: Study, spec: TrialSpec
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """The parameters of a trial that the plan chose, and their distributions, for Optuna.

    With several baselines, their names stand before those of the parameters, and the baseline is a
    parameter.
    """
    several = len(study.baselines) > 1
    params, distributions = {}, {}
    if several:
        params["baseline"] = spec.baseline
        distributions["baseline"] = CategoricalDistribution(list(study.baselines))
    for name, distribution in study.baselines[spec.baseline].space.items():
        key = f"{spec.baseline}/{name}" if several else name
        value = spec.params[name]
        if isinstance(distribution, CategoricalDistribution):
            distribution = CategoricalDistribution(list(map(plain, distribution.choices)))
            value = plain(value)
        params[key], distributions[key] = value, distribution
    return params, distributions


def plain(choice: Any) -> Any:  # noqa: ANN401
    """A choice as JSON can hold it; what it cannot becomes text.

    >>> plain("inf"), plain(2), plain(0.5), plain(float("inf")), plain((0.75,))
    ('inf', 2, 0.5, 'inf', '(0.75,)')
    """
    is_plain = isinstance(choice, PLAIN) or (isinstance(choice, float) and math.isfinite(choice))
    return choice if is_plain else str(choice)


def _attributes_of_study(study: Study) -> dict[str, Any]:
    """What an Optuna study says of ours."""
    return {
        "data set": study.data_set,
        "selection": study.selection,
        "budget": study.budget_name,
        "plan": study.search.plan.traits.title,
        "seeds": list(study.seeds),
        "detectors": {name: b.detector.__name__ for name, b in study.baselines.items()},
    }


def _attributes(record: TrialRecord) -> dict[str, Any]:
    """What an Optuna trial says of ours, besides its parameters and its value."""
    attributes: dict[str, Any] = {
        "baseline": record.baseline,
        "detector": record.detector,
        "identity": record.identity,
        "seeds": sorted({replica.seed for replica in record.replicas}),
        "device": record.device,
        "precision": record.precision,
    }
    for metric in (VALIDATION_AUROC, TEST_AUROC):
        if usable(average := mean(record.metrics.get(metric, []))):
            attributes[f"{metric.part} AUROC"] = average
    if record.chosen:
        attributes["chosen at scoring"] = {n: plain(v) for n, v in record.chosen.items()}
    return {**attributes, **({"reason": record.reason} if record.reason else {})}
