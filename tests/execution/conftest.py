"""A callback that notes the events of a loop."""

import pytest

from tune_ad.execution.callbacks import Callback


class Events(Callback):
    """Notes every event of each trial, in order, and the records of those that ended."""

    def __init__(self):
        self.all = []
        self.records = []

    def started(self, spec):
        self.all.append((spec.number, "started"))

    def progressed(self, spec, progress):
        self.all.append((spec.number, "progressed", progress.epochs))

    def reported(self, spec, report):
        self.all.append((spec.number, "reported", report.epoch))

    def ended(self, spec, record, details):
        self.all.append((spec.number, "ended", record.state))
        self.records.append(record)

    def of(self, number):
        """The events of a trial, without its number."""
        return [event[1:] for event in self.all if event[0] == number]


@pytest.fixture
def events():
    """A callback that notes every event."""
    return Events()
