"""The progress of a study: a line and a table on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any

from tune_ad.execution.callbacks.base import Callback
from tune_ad.execution.progress_line import ProgressLine
from tune_ad.selection import SelectionRule
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.report import Progress, Report
from tune_ad.wording import count


class ProgressBar(Callback):
    """One line: the number of finished trials, the best so far, a bar and the time left.

    The bar counts trials; an unfinished one counts as the share of its epochs that is over.

    Args:
        title: title of the line.
        trials: number of trials, including those that finished in an earlier run.
        epochs: function that gives the number of epochs of a trial.
        records: records of the trials that finished in an earlier run.
        rule: selection rule by which the best trial is shown; None = no trial is the best.
        noun: singular of what the trials are called on the line.
    """

    def __init__(
        self,
        title: str,
        trials: int,
        epochs: Callable[[TrialSpec], int],
        records: Sequence[TrialRecord] = (),
        rule: SelectionRule | None = None,
        noun: str = "trial",
    ) -> None:
        self.title, self.trials, self.epochs = title, trials, epochs
        self.of_trial: dict[int, int] = {}
        self.rule, self.noun = rule, noun
        self.counts = {"complete": 0, "pruned": 0, "failed": 0}
        self.best: TrialRecord | None = None
        self.seen: dict[int, float] = {}
        for record in records:
            self._count(record)
        self.bar = ProgressLine(self._text(), trials, len(records), self._is_complete())

    def progressed(self, spec: TrialSpec, progress: Progress) -> None:
        """Advance the bar by the finished epochs, including fractions of an epoch."""
        self._advance(spec.number, progress.epochs / self._epochs_of(spec))

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Advance the bar to the epoch of the report."""
        self._advance(spec.number, report.epoch / self._epochs_of(spec))

    def repeats(self, spec: TrialSpec, reason: str) -> None:
        """Keep the line, since another one follows."""
        self.bar.break_line()

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Count the trial, and advance the bar by the epochs that it skipped."""
        self._advance(spec.number, 1.0)
        self._count(record)
        self.bar.complete = self._is_complete()
        self.bar.set_text(self._text())

    def close(self) -> None:
        """Close the bar and keep the line on the screen."""
        self.bar.close()

    def _epochs_of(self, spec: TrialSpec) -> int:
        """The number of epochs of a trial; 1 if it is only fitted."""
        if spec.number not in self.of_trial:
            self.of_trial[spec.number] = max(1, self.epochs(spec))
        return self.of_trial[spec.number]

    def _advance(self, number: int, share: float) -> None:
        share = max(min(share, 1.0), self.seen.get(number, 0.0))
        self.bar.advance(share - self.seen.get(number, 0.0))
        self.seen[number] = share

    def _count(self, record: TrialRecord) -> None:
        self.counts[record.state] += 1
        if self.rule is None or record.state != "complete" or record.objective is None:
            return
        if self.best is None or record.objective > (self.best.objective or 0.0):
            self.best = record

    def _is_complete(self) -> bool:
        return sum(self.counts.values()) >= self.trials

    def _text(self) -> str:
        failed = self.counts["failed"]
        parts = [f"{sum(self.counts.values())} of {count(self.trials, self.noun)}"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{self.counts['pruned']} pruned"] if self.counts["pruned"] else []
        if self.rule and self.best and self.best.objective is not None:
            best = self.rule.shown(self.best.metrics, self.best.objective)
            parts.append(f"best {best}")
        return f"{self.title}: {', '.join(parts)}"
