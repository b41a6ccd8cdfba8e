"""The progress of a study: a line and a table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tune_ad.execution.callbacks.base import Callback
from tune_ad.execution.progress_line import ROUNDING, ProgressLine
from tune_ad.execution.time_left import TimeLeft
from tune_ad.selection import SelectionRule
from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.tensorboard import run_name
from tune_ad.training.report import Progress, Report
from tune_ad.wording import count


@dataclass(frozen=True)
class Ahead:
    """What is known before a study runs about how long it takes.

    Attributes:
        workers: the number of trials that run at the same time.
        after: number of trials that follow the last one, as the winner on fresh seeds.
        after_size: the length of one of these in lengths of a whole trial.
        prior: the seconds of a whole trial; None = unknown.
    """

    workers: int = 1
    after: int = 0
    after_size: float = 1.0
    prior: float | None = None


class ProgressBar(Callback):
    """One line: the number of finished trials, the best so far, a bar and the time left.

    The bar counts trials; an unfinished one counts as the share of its epochs that is over. Below
    it, on a terminal, stand the trials that run. The time left is that of `TimeLeft`.

    Args:
        title: title of the line.
        trials: number of trials, including those that finished in an earlier run.
        epochs: function that gives the number of epochs of a trial.
        records: records of the trials that finished in an earlier run.
        rule: selection rule by which the best trial is shown; None = no trial is the best.
        noun: singular of what the trials are called on the line.
        ahead: what is known about how long it takes.
    """

    def __init__(  # noqa: PLR0913 - what is shown, and what is known before
        self,
        title: str,
        trials: int,
        epochs: Callable[[TrialSpec], int],
        records: Sequence[TrialRecord] = (),
        rule: SelectionRule | None = None,
        noun: str = "trial",
        ahead: Ahead | None = None,
    ) -> None:
        self.title, self.trials, self.epochs = title, trials, epochs
        self.of_trial: dict[int, int] = {}
        self.rule, self.noun = rule, noun
        self.counts = {"complete": 0, "pruned": 0, "failed": 0}
        self.best: TrialRecord | None = None
        self.seen: dict[int, float] = {}
        self.running: dict[int, TrialSpec] = {}
        self.values: dict[int, str] = {}
        known = ahead or Ahead()
        self.left = TimeLeft(
            trials,
            known.workers,
            time.monotonic,
            known.after,
            known.after_size,
            known.prior,
        )
        for record in records:
            self._count(record)
            self.left.add(record.seconds, self._trained(record))
        self.bar = ProgressLine(self._text(), trials, len(records), self._is_complete())
        self._show()

    def started(self, spec: TrialSpec) -> None:
        """Add the trial to the table."""
        self.running[spec.number] = spec
        self.left.starts(spec.number)
        self._show()

    def progressed(self, spec: TrialSpec, progress: Progress) -> None:
        """Advance the bar by the finished epochs, including fractions of an epoch."""
        self._advance(spec, progress.epochs / self._epochs_of(spec))
        self._show()

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Advance the bar to the epoch of the report, and note the objective."""
        if self.rule and report.objective is not None:
            self.values[spec.number] = self.rule.shown(report.metrics, report.objective)
        self._advance(spec, report.epoch / self._epochs_of(spec))
        self._show()

    def repeats(self, spec: TrialSpec, reason: str) -> None:
        """Keep the line, since another one follows."""
        self.left.starts(spec.number)
        self.bar.break_line()

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Count the trial, and advance the bar by the epochs that it skipped."""
        self.running.pop(spec.number, None)
        self.values.pop(spec.number, None)
        self.left.ends(spec.number, self._trained(record))
        self._advance(spec, 1.0)
        self._count(record)
        self.bar.complete = self._is_complete()
        self._show()
        self.bar.set_text(self._text())

    def close(self) -> None:
        """Close the bar and keep the line on the screen."""
        self.bar.set_rows([])
        self.bar.close()

    def _epochs_of(self, spec: TrialSpec) -> int:
        """The number of epochs of a trial; 1 if it is only fitted."""
        if spec.number not in self.of_trial:
            self.of_trial[spec.number] = max(1, self.epochs(spec))
        return self.of_trial[spec.number]

    def _trained(self, record: TrialRecord) -> float:
        """The share of its epochs that a trial has trained; 1 if it has completed."""
        if record.state == "complete":
            return 1.0
        over = max((replica.epoch for replica in record.replicas), default=0)
        if not over:  # perhaps it could not even be built
            return 0.0
        return over / self._epochs_of(TrialSpec(record.number, record.baseline, record.params))

    def _advance(self, spec: TrialSpec, share: float) -> None:
        share = max(min(share, 1.0), self.seen.get(spec.number, 0.0))
        self.bar.advance(share - self.seen.get(spec.number, 0.0))
        self.seen[spec.number] = share
        self.left.reaches(spec.number, share)

    def _show(self) -> None:
        """Show the trials that run, and the time left."""
        self.bar.set_rows([self._row(spec) for spec in self.running.values()])
        self.bar.set_left(self.left.seconds, self.left.runs_out)

    def _row(self, spec: TrialSpec) -> str:
        """A trial that runs, with its epoch and its objective."""
        start = f"seed {spec.seeds[0]}" if spec.seeds else f"{spec.number:03d}"
        parts = [f"  {run_name(start, spec.params, {})}"]
        if epochs := self.of_trial.get(spec.number):  # of one that has begun, so that it is built
            over = int(self.seen.get(spec.number, 0.0) * epochs + ROUNDING)
            parts.append(f"epoch {over} of {epochs}" if over < epochs else "scores images")
        if spec.number in self.values:
            parts.append(self.values[spec.number])
        return "  ".join(parts)

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
