"""The loop over the trials of a study: asks the scheduler, passes reports on, tells callbacks.

The backends, serial and on Ray, talk to a `TrialLoop` only, so both store and show the same.
Callbacks do the storing and showing, in the one process that drives the study.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from tune_ad.execution.callbacks import Observer
from tune_ad.search.study import Study
from tune_ad.storage.records import Suggestion, TrialRecord
from tune_ad.training.trial import Report, failed_record


class Source(Protocol):
    """Where configurations come from and results go: a `Sweep`, or a list to run again."""

    def ask(self) -> Suggestion | None:
        """The next configuration; None when all have been handed out."""

    def report(self, number: int, objective: float | None) -> bool:
        """Note an intermediate objective; whether the trial should stop."""

    def tell(self, record: TrialRecord) -> None:
        """Learn how a trial ended."""


class Rerun:
    """A source that hands out given configurations and stops none."""

    def __init__(self, suggestions: Iterable[Suggestion]) -> None:
        self.suggestions = list(suggestions)

    def ask(self) -> Suggestion | None:
        """The next configuration; None after the last."""
        return self.suggestions.pop(0) if self.suggestions else None

    def report(self, number: int, objective: float | None) -> bool:
        """Never stop a trial."""
        return False

    def tell(self, record: TrialRecord) -> None:
        """Nothing depends on a result."""


class Conductor:
    """Hands out configurations, passes reports on, and tells how trials ended.

    Args:
        study: what is run.
        source: of the configurations.
        observers: told in this order.
        tasks: names of the panel's tasks.
        deadline: no trial starts after this time (`time.monotonic`); None = no limit.
    """

    def __init__(
        self,
        study: Study,
        source: Source,
        observers: Sequence[Observer],
        tasks: Sequence[str],
        deadline: float | None = None,
    ) -> None:
        self.study, self.source, self.observers = study, source, observers
        self.tasks, self.deadline = list(tasks), deadline
        self.running: dict[int, Suggestion] = {}
        self.last: dict[int, Report] = {}
        self.late = False
        self.over = False

    @property
    def interrupted(self) -> bool:
        """Whether training ended before there was nothing more to hand out or to finish."""
        return bool(self.running) or not self.over

    def next(self) -> Suggestion | None:
        """The next configuration to train; None when there is no more or no time left."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.late = self.over = True
            return None
        suggestion = self.source.ask()
        self.over = suggestion is None
        if suggestion is not None:
            self.running[suggestion.number] = suggestion
            for observer in self.observers:
                observer.started(suggestion)
        return suggestion

    def reported(self, report: Report) -> bool:
        """Pass on a report; whether the trial must stop, being over or having fallen behind."""
        number = report.record.number
        suggestion = self.running[number]
        self.last[number] = report
        for observer in self.observers:
            observer.reported(suggestion, report)
        behind = self.source.report(number, report.objective)
        return report.done or behind

    def ended(self, number: int) -> None:
        """A trial is over; its last report holds."""
        report = self.last.pop(number)
        self._end(number, report.record, report.details)

    def crashed(self, number: int, reason: str) -> None:
        """A trial raised an exception: a failure that counts."""
        self.last.pop(number, None)
        record = failed_record(self.study, self.running[number], self.tasks, reason)
        self._end(number, record, {})

    def _end(self, number: int, record: TrialRecord, details: dict[str, Any]) -> None:
        suggestion = self.running.pop(number)
        for observer in self.observers:
            observer.ended(suggestion, record, details)
        self.source.tell(record)

    def close(self) -> None:
        """Nothing more will happen; trials still running are left unfinished."""
        for observer in self.observers:
            observer.close()
