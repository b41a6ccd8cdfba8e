"""The loop over the trials of a study: asks the scheduler, passes reports on, tells callbacks.

The backends, serial and on Ray, talk to a `TrialLoop` only, so both store and show the same.
Callbacks do the storing and showing, in the one process that drives the study.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from tune_ad.data import Task
from tune_ad.execution.callbacks import Callback
from tune_ad.search.study import Study
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.report import Progress, Report
from tune_ad.training.trial import failed_record, no_details


class Scheduler(Protocol):
    """Where trials come from and results go: a `TrialScheduler`, or a list to run again."""

    def ask(self) -> TrialSpec | None:
        """The next configuration; None when all have been handed out."""

    def report(self, number: int, objective: float | None) -> bool:
        """Note an intermediate objective; whether the trial should stop."""

    def tell(self, record: TrialRecord) -> None:
        """Learn how a trial ended."""


class FixedTrials:
    """A scheduler that hands out given trials and stops none."""

    def __init__(self, specs: Iterable[TrialSpec]) -> None:
        self.specs = list(specs)

    def ask(self) -> TrialSpec | None:
        """The next configuration; None after the last."""
        return self.specs.pop(0) if self.specs else None

    def report(self, number: int, objective: float | None) -> bool:
        """Never stop a trial."""
        return False

    def tell(self, record: TrialRecord) -> None:
        """Nothing depends on a result."""


class TrialLoop:
    """Hands out configurations, passes reports on, and tells how trials ended.

    Args:
        study: what is run.
        scheduler: hands out the trials and hears how they end.
        callbacks: told in this order.
        tasks: of the suite.
        deadline: no trial starts after this time (`time.monotonic`); None = no limit.
    """

    def __init__(
        self,
        study: Study,
        scheduler: Scheduler,
        callbacks: Sequence[Callback],
        tasks: Sequence[Task],
        deadline: float | None = None,
    ) -> None:
        self.study, self.scheduler, self.callbacks = study, scheduler, callbacks
        self.tasks, self.deadline = [task.name for task in tasks], deadline
        self.running: dict[int, TrialSpec] = {}
        self.last: dict[int, Report] = {}
        self.late = False
        self.over = False

    @property
    def interrupted(self) -> bool:
        """Whether training ended before there was nothing more to hand out or to finish."""
        return bool(self.running) or not self.over

    def next(self) -> TrialSpec | None:
        """The next configuration to train; None when there is no more or no time left."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.late = self.over = True
            return None
        spec = self.scheduler.ask()
        self.over = spec is None
        if spec is not None:
            self.running[spec.number] = spec
            for callback in self.callbacks:
                callback.started(spec)
        return spec

    def progressed(self, number: int, progress: Progress) -> None:
        """Pass on how far a trial is between two reports."""
        for callback in self.callbacks:
            callback.progressed(self.running[number], progress)

    def reported(self, report: Report) -> bool:
        """Pass on a report; whether the trial must stop, being over or having fallen behind."""
        number = report.record.number
        spec = self.running[number]
        self.last[number] = report
        for callback in self.callbacks:
            callback.reported(spec, report)
        behind = self.scheduler.report(number, report.objective)
        return report.done or behind

    def ended(self, number: int) -> None:
        """A trial is over; its last report holds."""
        report = self.last.pop(number)
        self._end(number, report.record, report.details)

    def crashed(self, number: int, reason: str) -> None:
        """A trial raised an exception: a failure that counts."""
        self.last.pop(number, None)
        record = failed_record(self.study, self.running[number], self.tasks, reason)
        self._end(number, record, no_details())

    def _end(self, number: int, record: TrialRecord, details: dict[str, Any]) -> None:
        spec = self.running.pop(number)
        for callback in self.callbacks:
            callback.ended(spec, record, details)
        self.scheduler.tell(record)

    def close(self) -> None:
        """Nothing more will happen; trials still running are left unfinished."""
        for callback in self.callbacks:
            callback.close()
