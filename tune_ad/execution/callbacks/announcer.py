"""Tells who watches over a study which trials run."""

from collections.abc import Callable
from typing import Any

from tune_ad.execution.callbacks.base import Callback
from tune_ad.execution.lifeline import Lifeline, TrialKey
from tune_ad.storage.records import TrialRecord, TrialSpec


class Announcer(Callback):
    """Tells who watches over the study which trials run, and the user which run again.

    Args:
        lifeline: the way to that process.
        evaluation: whether the trials are the winner on fresh seeds.
        say: prints a line for the user.
    """

    def __init__(self, lifeline: Lifeline, evaluation: bool, say: Callable[[str], None]) -> None:
        self.lifeline, self.evaluation, self.say = lifeline, evaluation, say

    def started(self, spec: TrialSpec) -> None:
        """Tell that a trial runs."""
        self.lifeline.started(TrialKey(self.evaluation, spec.number))

    def repeats(self, spec: TrialSpec, reason: str) -> None:
        """Say why a trial is trained again."""
        key = TrialKey(self.evaluation, spec.number)
        self.say(f"{key}: {reason}; it is trained again")

    def ended(self, spec: TrialSpec, record: TrialRecord, details: dict[str, Any]) -> None:
        """Tell that a trial has ended; its record is written."""
        self.lifeline.ended(TrialKey(self.evaluation, spec.number))
