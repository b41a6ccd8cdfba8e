"""How long a trial may run before it counts as hanging."""

import os
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

FACTOR = 20.0  # times the estimate of the longest trial
LEAST_SECONDS = 3600.0  # that any trial may run
WITHOUT_ESTIMATE = 24 * 3600.0
ESTIMATE_SECONDS = 600.0  # that an estimate may take


class TimeLimit:
    """The time after which a trial is stopped, and fails with that reason.

    It is what the user asks for, or `FACTOR` times the estimated time of the longest trial, and at
    least `LEAST_SECONDS`. The estimate is made when a trial has run that long, in a process of its
    own, since it calls the detector, which may be what hangs; without an estimate the limit is
    `WITHOUT_ESTIMATE`.

    Args:
        minutes: the limit that the user asks for; None = by the estimate.
        estimate: a function, which can be pickled, that gives the seconds of the longest trial.
    """

    def __init__(self, minutes: float | None, estimate: Callable[[], float]) -> None:
        self.seconds = None if minutes is None else 60 * minutes
        self.origin = "" if minutes is None else "--trial-timeout"
        self.estimate = estimate
        self._asked: tuple[Any, Connection, float] | None = None

    def exceeded(self, seconds: float) -> str:
        """Why a trial that has run for so many seconds is stopped; empty if it is not."""
        if self.seconds is None and seconds > LEAST_SECONDS:
            self._ask()
        if self.seconds is None or seconds <= self.seconds:
            return ""
        return f"it ran for more than {self.seconds / 60:g} min ({self.origin})"

    def _ask(self) -> None:
        """Start the estimate, or read it if it is there."""
        if self._asked is None:
            context = get_context("spawn")
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_send, args=(sender, self.estimate), daemon=True)
            process.start()
            sender.close()
            self._asked = process, receiver, time.monotonic() + ESTIMATE_SECONDS
            return
        process, receiver, deadline = self._asked
        if receiver.poll():
            try:
                estimated = FACTOR * float(receiver.recv())
                self.seconds = max(LEAST_SECONDS, estimated)
                self.origin = "by an estimate; --trial-timeout sets another limit"
            except EOFError:  # it has failed
                self._do_without()
        elif time.monotonic() > deadline:
            self._do_without()
        if self.seconds is not None:
            process.kill()
            process.join()

    def _do_without(self) -> None:
        self.seconds = WITHOUT_ESTIMATE
        self.origin = "there is no estimate; --trial-timeout sets another limit"


def _send(sender: Connection, estimate: Callable[[], float]) -> None:
    """Send an estimate; what it prints, also why it fails, does not reach the terminal."""
    with open(os.devnull, "w") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere.fileno(), stream.fileno())
    sender.send(estimate())
