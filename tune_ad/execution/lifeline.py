"""What the process of a study tells the process that watches over it."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple


class TrialKey(NamedTuple):
    """A trial of a study: of the search, or of the winner on fresh seeds.

    Attributes:
        evaluation: whether it is one of the winner on fresh seeds.
        number: number of the trial.
    """

    evaluation: bool
    number: int

    def __str__(self) -> str:
        return f"{'fresh seed' if self.evaluation else 'trial'} {self.number}"


class Lifeline:
    """The way by which a study tells which trials run, and that it has ended by itself.

    Args:
        file: file descriptor to which the messages are written, one line of JSON each; None if
            nobody watches.
        doomed: why trials that ended the process before are not tried again.
        goes_on: whether an earlier process of the same command has ended.
    """

    def __init__(
        self,
        file: int | None = None,
        doomed: Mapping[TrialKey, str] | None = None,
        goes_on: bool = False,
    ) -> None:
        self.file, self.doomed, self.goes_on = file, dict(doomed or {}), goes_on

    @property
    def is_watched(self) -> bool:
        """Whether another process watches over this one."""
        return self.file is not None

    def started(self, key: TrialKey) -> None:
        """Tell that a trial runs."""
        self._tell(started=key)

    def ended(self, key: TrialKey) -> None:
        """Tell that a trial has ended, and its record is written."""
        self._tell(ended=key)

    def trained(self, code: int) -> None:
        """Tell that nothing is trained any more: what is left is the report.

        Args:
            code: the exit code of a study whose report can be written.
        """
        self._tell(trained=code)

    def asks(self, doing: str, seconds: float) -> None:
        """Tell that code runs which may never return, what it fails to do then, and its time."""
        self._tell(asks=(doing, seconds))

    def answered(self) -> None:
        """Tell that the code of the last `asks` has returned."""
        self._tell(answered=True)

    def starts_ray(self) -> None:
        """Tell that Ray is started, or joined: the study is written and can be continued."""
        self._tell(starts_ray=True)

    @contextmanager
    def resting_on(self, processes: Mapping[str, int]) -> Iterator[None]:
        """Context manager: tell of the processes without which the block cannot go on.

        Args:
            processes: their numbers by their names.
        """
        self._tell(rests_on=dict(processes))
        try:
            yield
        finally:
            self._tell(rests_on={})

    def over(self, code: int) -> None:
        """Tell that the study ends in good order with an exit code."""
        self._tell(over=code)

    def doomed_of(self, evaluation: bool) -> dict[int, str]:
        """Why trials are not tried again, by their numbers.

        Args:
            evaluation: whether those of the winner on fresh seeds are meant.
        """
        return {
            key.number: reason
            for key, reason in self.doomed.items()
            if key.evaluation == evaluation
        }

    def _tell(self, **message: Any) -> None:  # noqa: ANN401
        if self.file is None:
            return
        try:
            os.write(self.file, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:  # who watched has been killed; the study ends in good order
            self.file = None


UNWATCHED = Lifeline()
"""The lifeline of a study over which nobody watches, as in a Python program."""
