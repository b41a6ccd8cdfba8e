"""What a study tells the process that watches over it."""

import json
import os

from tune_ad.execution.lifeline import UNWATCHED, Lifeline, TrialKey


def test_messages_are_lines():
    reader, writer = os.pipe()
    lifeline = Lifeline(writer)
    assert lifeline.is_watched
    lifeline.started(TrialKey(False, 3))
    lifeline.ended(TrialKey(False, 3))
    with lifeline.resting_on({"raylet": 7}):
        lifeline.asks("it hangs", 60.0)
        lifeline.answered()
    lifeline.trained(1)
    lifeline.over(1)
    os.close(writer)
    with os.fdopen(reader) as lines:
        assert [json.loads(line) for line in lines] == [
            {"started": [False, 3]},
            {"ended": [False, 3]},
            {"rests_on": {"raylet": 7}},
            {"asks": ["it hangs", 60.0]},
            {"answered": True},
            {"rests_on": {}},
            {"trained": 1},
            {"over": 1},
        ]


def test_a_study_goes_on_when_nobody_watches_any_more():
    reader, writer = os.pipe()
    lifeline = Lifeline(writer)
    os.close(reader)
    lifeline.trained(0)
    lifeline.over(0)
    os.close(writer)
    assert not lifeline.is_watched


def test_without_a_watch_nothing_is_told():
    UNWATCHED.over(0)
    assert not UNWATCHED.is_watched


def test_trials_that_are_not_tried_again_are_those_of_the_search_or_of_the_winner():
    doomed = {TrialKey(False, 1): "a", TrialKey(True, 2): "b"}
    lifeline = Lifeline(None, doomed)
    assert lifeline.doomed_of(evaluation=False) == {1: "a"}
    assert lifeline.doomed_of(evaluation=True) == {2: "b"}
