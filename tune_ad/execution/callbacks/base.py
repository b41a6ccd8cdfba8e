"""What a study tells while it runs, in the process that drives it."""

from typing import Any

from tune_ad.storage.records import TrialRecord, TrialSpec
from tune_ad.training.report import Progress, Report


class Callback:
    """Base class of callbacks: every method does nothing by default."""

    def started(self, spec: TrialSpec) -> None:
        """Called when a trial starts."""

    def progressed(self, spec: TrialSpec, progress: Progress) -> None:
        """Called while a trial trains, between two reports."""

    def reported(self, spec: TrialSpec, report: Report) -> None:
        """Called after each evaluation of a trial."""

    def repeats(self, spec: TrialSpec, reason: str) -> None:
        """Called when the process of a trial has died, and the trial is trained again."""

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Called when a trial has finished, pruned and failed ones included."""

    def close(self) -> None:
        """Called once after the last trial, or after an interruption."""
