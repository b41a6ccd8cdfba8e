"""How long a trial may run: as the user says, or by an estimate in another process."""

import os
import sys
import time
from functools import partial

import pytest

from tune_ad.execution import time_limit
from tune_ad.execution.time_limit import TimeLimit

HOUR = 3600.0


def estimate(seconds):
    return seconds


def hang():
    time.sleep(600)


def answer(limit, seconds):
    """What a limit says once its estimate is there."""
    for _ in range(600):
        limit.exceeded(seconds)
        if limit.seconds is not None:
            return limit.exceeded(seconds)
        time.sleep(0.1)
    raise AssertionError("no estimate")


def test_the_limit_of_the_user():
    limit = TimeLimit(2.0, partial(pytest.fail, "asked for an estimate"))
    assert limit.exceeded(119.0) == ""
    assert limit.exceeded(121.0) == "it ran for more than 2 min (--trial-timeout)"


def test_within_an_hour_nothing_is_estimated():
    assert TimeLimit(None, partial(pytest.fail, "asked")).exceeded(HOUR) == ""


def test_a_multiple_of_the_estimate():
    limit = TimeLimit(None, partial(estimate, 600.0))
    assert "more than 200 min (by an estimate" in answer(limit, 3.5 * HOUR)
    assert limit.exceeded(3.2 * HOUR) == ""


def test_never_less_than_an_hour():
    assert "more than 60 min" in answer(TimeLimit(None, partial(estimate, 1.0)), HOUR + 1)


@pytest.mark.parametrize("end", [os._exit, sys.exit], ids=["ends", "raises"])
def test_an_estimate_that_fails_does_not_end_the_study(end):
    limit = TimeLimit(None, partial(end, 3))
    assert answer(limit, 2 * HOUR) == ""
    assert "there is no estimate" in limit.exceeded(25 * HOUR)


def test_an_estimate_that_hangs_does_not_hold_the_study(monkeypatch):
    monkeypatch.setattr(time_limit, "ESTIMATE_SECONDS", 0.0)
    limit = TimeLimit(None, hang)
    assert answer(limit, 2 * HOUR) == ""
    assert limit.seconds == time_limit.WITHOUT_ESTIMATE
