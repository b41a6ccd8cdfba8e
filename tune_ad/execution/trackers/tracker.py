"""What a tracker does, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class TrackedRun(NamedTuple):
    """A run of a tracker: a trial, one fresh seed of a winner, or the study as a whole.

    Attributes:
        key: tells it from every other run of the study.
        name: its name for people, such as "trial 3".
        kind: "trial", "fresh seed" or "study".
        params: its hyperparameters.
        tags: facts about it, by name.
    """

    key: str
    name: str
    kind: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]


class Tracker(ABC):
    """A tracker. Apart from `check`, every method is called in the thread of its worker."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it shows the study, or how that is opened, in words."""

    @abstractmethod
    def check(self) -> None:
        """Check that it can be reached, before anything trains.

        Raises:
            UserError: if it lacks a setting.
            MachineError: if it does not answer.
        """

    @abstractmethod
    def begin(self, run: TrackedRun) -> None:
        """Begin a run, or go on with the one of that key."""

    @abstractmethod
    def log(self, key: str, metrics: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of a run after an epoch."""

    @abstractmethod
    def end(self, key: str, state: str, summary: Mapping[str, Any]) -> None:
        """End a run.

        Args:
            key: the key of the run.
            state: "complete", "pruned", "failed" or "interrupted".
            summary: further facts about it.
        """

    @abstractmethod
    def keep(self, key: str, files: Sequence[Path]) -> None:
        """Keep files, as artifacts of a run."""

    @abstractmethod
    def close(self) -> None:
        """End what is still open."""
