"""The loop over the trials of a study, between the backend, the scheduler and the callbacks.

Both backends, serial and Ray, use nothing but a `TrialLoop`, so they store and show the same.
Callbacks store and show results, in the process that drives the study.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from tune_ad.data import Task
from tune_ad.execution.callbacks import Callback
from tune_ad.execution.time_limit import TimeLimit
from tune_ad.search.study import Study
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.report import Progress, Report
from tune_ad.training.trial import failed_record, no_details


class Scheduler(Protocol):
    """Interface of a scheduler: it proposes trials and receives their results.

    It is a `TrialScheduler` or `FixedTrials`.
    """

    def ask(self) -> TrialSpec | None:
        """The next trial to train; None if none is left."""

    def report(self, number: int, objective: float | None) -> bool:
        """Note an intermediate objective, and return whether the trial is pruned."""

    def tell(self, record: TrialRecord) -> None:
        """Receive the record of a finished trial."""


class FixedTrials:
    """A scheduler of given trials, without pruning."""

    def __init__(self, specs: Iterable[TrialSpec]) -> None:
        self.specs = list(specs)

    def ask(self) -> TrialSpec | None:
        """The next trial; None after the last."""
        return self.specs.pop(0) if self.specs else None

    def report(self, number: int, objective: float | None) -> bool:
        """Prune no trial."""
        return False

    def tell(self, record: TrialRecord) -> None:
        """Ignore the result."""


class TrialLoop:
    """Gives trials to a backend, and its reports and results to scheduler and callbacks.

    Args:
        study: the study that is run.
        scheduler: proposes trials and receives their results.
        callbacks: callbacks, in the order in which they are called.
        tasks: tasks of the suite.
        deadline: time (`time.monotonic`) after which no trial starts; None = no limit.
        doomed: why trials fail without being trained again, by their numbers.
        limit: how long a trial may run; None = for ever, because another process stops it.

    Attributes:
        running: the trials that have started and have no result yet.
        out_of_time: whether the deadline has passed before all trials had started.
        fault: why results cannot be kept, e.g. a full disk; then the trials that run are stopped,
            and stay unfinished. None if all could be kept.
    """

    def __init__(  # noqa: PLR0913 - what is trained, and its limits
        self,
        study: Study,
        scheduler: Scheduler,
        callbacks: Sequence[Callback],
        tasks: Sequence[Task],
        deadline: float | None = None,
        doomed: Mapping[int, str] | None = None,
        limit: TimeLimit | None = None,
    ) -> None:
        self.doomed, self.limit = dict(doomed or {}), limit
        self.begun: dict[int, float] = {}
        self.study, self.scheduler, self.callbacks = study, scheduler, callbacks
        self.tasks, self.deadline = [task.name for task in tasks], deadline
        self.running: dict[int, TrialSpec] = {}
        self.last: dict[int, Report] = {}
        self.out_of_time = False
        self.over = False
        self.fault: OSError | None = None

    @property
    def interrupted(self) -> bool:
        """Whether training ended although trials were still to start or to finish."""
        return bool(self.running) or not self.over

    def next(self) -> TrialSpec | None:
        """The next trial to train; None if no trial or no time is left, or none can be kept."""
        if self.fault is not None:
            return None
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.out_of_time = self.over = True
            return None
        spec = self._ask()
        while spec is not None and spec.number in self.doomed:
            self.crashed(spec.number, self.doomed[spec.number])
            spec = self._ask()
        return None if self.fault else spec

    def _ask(self) -> TrialSpec | None:
        """The next trial of the scheduler, which runs from now on."""
        spec = None if self.fault else self.scheduler.ask()
        self.over = spec is None
        if spec is not None:
            self.running[spec.number] = spec
            self.began(spec.number)
            self._tell(lambda callback: callback.started(spec))
        return spec

    def began(self, number: int) -> None:
        """Note that a trial begins to train, also if it does so again."""
        self.begun[number] = time.monotonic()

    def repeats(self, number: int, reason: str) -> None:
        """Pass on that the process of a trial has died, so that it is trained again."""
        spec = self.running[number]
        self._tell(lambda callback: callback.repeats(spec, reason))

    def overdue(self, number: int) -> str:
        """Why a trial that trains has to be stopped; empty if it may go on."""
        if self.limit is None or number not in self.begun:
            return ""
        return self.limit.exceeded(time.monotonic() - self.begun[number])

    def progressed(self, number: int, progress: Progress) -> None:
        """Pass on the progress of a trial between two reports."""
        self._tell(lambda callback: callback.progressed(self.running[number], progress))

    def reported(self, report: Report) -> bool:
        """Pass on a report, and return whether the trial must stop: finished or pruned."""
        number = report.record.number
        spec = self.running[number]
        self.last[number] = report
        self._tell(lambda callback: callback.reported(spec, report))
        pruned = self.scheduler.report(number, report.objective)
        return report.done or pruned or self.fault is not None

    def ended(self, number: int) -> None:
        """Handle a finished trial; its last report is its result."""
        report = self.last.pop(number)
        self._end(number, report.record, report.details)

    def crashed(self, number: int, reason: str) -> None:
        """Handle a trial that raised an exception: it is recorded as failed."""
        self.last.pop(number, None)
        record = failed_record(self.study, self.running[number], self.tasks, reason)
        self._end(number, record, no_details())

    def _end(self, number: int, record: TrialRecord, details: dict[str, Any]) -> None:
        self.begun.pop(number, None)
        spec = self.running[number]
        self._tell(lambda callback: callback.ended(spec, record, details))
        if self.fault is None:
            del self.running[number]
            self.scheduler.tell(record)

    def close(self) -> None:
        """Close the callbacks; trials that are still running stay unfinished."""
        for callback in self.callbacks:
            try:
                callback.close()
            except OSError as error:
                self.fault = self.fault or error

    def _tell(self, call: Callable[[Callback], None]) -> None:
        """Call each callback; after one that cannot write, none, so that nothing is half kept."""
        if self.fault is not None:
            return
        try:
            for callback in self.callbacks:
                call(callback)
        except OSError as error:
            self.fault, self.over = error, True
