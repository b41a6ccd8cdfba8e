"""The estimate of the time left, on simulated schedules whose end is known."""

import heapq
from dataclasses import dataclass

import numpy as np
import pytest

from tune_ad.execution.time_left import TimeLeft

STEPS = 20  # reports of progress of a trial


@dataclass
class Schedule:
    """A study whose trials have known lengths, simulated event by event.

    Attributes:
        lengths: the seconds of each trial if it trains all its epochs.
        ends: the share of its epochs after which each ends.
        workers: the number of parallel trials.
        start: seconds of each worker before its first trial progresses.
        seeds: the number of the winner's seeds, which follow.
        seed_size: the length of one of them in lengths of the winner.
        winner: the number of the winner.
    """

    lengths: np.ndarray
    ends: np.ndarray
    workers: int = 1
    start: float = 0.0
    seeds: int = 0
    seed_size: float = 1.0
    winner: int = 0

    def estimates(self):
        """The times at which the study was asked, and what it answered; then its end."""
        self.now, asked = 0.0, []
        left = TimeLeft(
            len(self.lengths), self.workers, lambda: self.now, self.seeds, self.seed_size
        )
        events, waiting = [], list(range(len(self.lengths)))
        for _ in range(self.workers):
            self._hand_out(left, events, waiting, self.start)
        while events:
            self.now, number, share = heapq.heappop(events)
            if share >= self.ends[number]:
                left.ends(number, self.ends[number])
                self._hand_out(left, events, waiting, 0.0)
            else:
                left.reaches(number, share)
            asked.append((self.now, left.seconds))
        length = self.lengths[self.winner] * self.seed_size
        return asked, self.now + -(-self.seeds // self.workers) * length

    def _hand_out(self, left, events, waiting, delay):
        if not waiting:
            return
        number = waiting.pop(0)
        left.starts(number)
        whole, end = self.lengths[number], self.ends[number]
        shares = [k / STEPS for k in range(1, STEPS) if k / STEPS < end]
        for share in [*shares, end]:
            heapq.heappush(events, (self.now + delay + whole * share, number, share))


def lengths(spread, trials, seed):
    return 60 * np.exp(np.random.default_rng(seed).normal(0, spread, trials))


def pruned(trials, share, seed):
    """A share of the trials ends after a fifth of its epochs."""
    return np.where(np.random.default_rng([seed, 1]).random(trials) < share, 0.2, 1.0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "case",
    [
        (8, 1, 0.0, 0.0, 0.0, 0),
        (8, 2, 0.3, 0.0, 5.0, 3),
        (30, 1, 0.5, 0.0, 0.0, 5),
        (30, 4, 0.5, 0.0, 10.0, 5),
        (30, 4, 0.5, 0.6, 10.0, 5),
        (100, 8, 0.8, 0.0, 0.0, 10),
        (100, 8, 0.5, 0.7, 20.0, 10),
        (16, 16, 0.3, 0.0, 10.0, 5),
        (1, 1, 0.0, 0.0, 5.0, 5),
        (3, 8, 0.2, 0.0, 0.0, 5),
        (8, 2, 0.3, 0.0, 120.0, 3),
    ],
)
def test_after_the_first_third_the_estimate_is_within_a_factor_of_two(case, seed):
    trials, workers, spread, share, start, seeds = case
    times = lengths(spread, trials, seed)
    ends = pruned(trials, share, seed)
    ends[0] = 1.0
    winner = int(np.argsort(times)[trials // 2])
    ends[winner] = 1.0
    schedule = Schedule(times, ends, workers, start, seeds, 1.0, winner)
    asked, end = schedule.estimates()
    judged = [(now, left) for now, left in asked if end / 3 <= now < 0.95 * end]
    if seeds < trials * 2:
        assert judged
    for now, left in judged:
        assert (end - now) / 2 <= left <= 2 * (end - now), f"at {now / end:.0%} of the study"


def test_the_first_estimate_comes_with_the_first_progress_and_does_not_grow_from_nothing():
    asked, end = Schedule(np.full(10, 60.0), np.ones(10)).estimates()
    (first, left), *_ = asked
    assert first == 3.0
    assert left == pytest.approx(end - first)


def test_processes_that_take_long_to_start_do_not_make_it_longer():
    asked, end = Schedule(np.full(10, 60.0), np.ones(10), workers=2, start=300.0).estimates()
    for now, left in asked[4:]:
        assert left == pytest.approx(end - now, rel=0.2, abs=10)


def test_a_trial_that_has_not_progressed_has_all_of_its_time_left():
    now = [0.0]
    left = TimeLeft(1, 1, lambda: now[0], prior=10.0)
    left.starts(0)
    now[0] = 30.0
    assert left.seconds == 10.0
    assert not left.runs_out
    left.reaches(0, 0.5)
    assert left.runs_out


def test_nothing_is_known_before_any_trial_has_progressed():
    left = TimeLeft(3, 1, lambda: 0.0)
    assert left.seconds is None
    left.starts(0)
    assert left.seconds is None
    assert TimeLeft(3, 1, lambda: 0.0, prior=10.0).seconds == 30.0


def test_trials_of_an_earlier_run_tell_how_long_the_rest_takes():
    left = TimeLeft(5, 2, lambda: 0.0)
    left.add(30.0, 1.0)
    left.add(10.0, 0.5)
    assert left.seconds == pytest.approx(25 * 0.75 * 2), "three trials by two workers"


def test_a_trial_that_has_trained_takes_as_long_to_score_as_those_before():
    now = [0.0]
    left = TimeLeft(3, 1, lambda: now[0])

    def train(number, training, scoring):
        """Train in ten steps, then score; what is left at the end of both."""
        left.starts(number)
        for k in range(10):
            now[0] += training / 10
            left.reaches(number, (k + 1) / 10)
        trained = left.seconds
        now[0] += scoring
        left.ends(number, 1.0)
        return trained, left.seconds

    assert train(0, 100.0, 50.0) == (pytest.approx(200.0), pytest.approx(300.0))
    trained, ended = train(1, 200.0, 100.0)
    assert trained == pytest.approx(100.0 + (150.0 + 300.0) / 2), "it scores, then another trial"
    assert ended == pytest.approx((150.0 + 300.0) / 2)
    assert train(2, 10.0, 5.0) == (pytest.approx(5.0), 0.0)


def test_a_short_trial_with_long_scoring_tells_little_of_a_long_one():
    now = [0.0]
    left = TimeLeft(3, 1, lambda: now[0])
    for number, training, scoring in ((0, 1.0, 30.0), (1, 999.0, 70.0)):
        left.starts(number)
        now[0] += training / 2
        left.reaches(number, 0.5)
        now[0] += training / 2
        left.reaches(number, 1.0)
        now[0] += scoring
        left.ends(number, 1.0)
    left.starts(2)
    now[0] += 500.0
    left.reaches(2, 0.5)
    assert left.seconds == pytest.approx(500.0 + 1000 * (100 / 1000))


def test_a_trial_that_may_be_pruned_scores_as_often_as_others_have_ended():
    now = [0.0]
    left = TimeLeft(4, 1, lambda: now[0])
    left.scored.append((50.0, 100.0))
    left.add(150.0, 1.0)
    left.add(50.0, 0.5)
    left.starts(2)
    now[0] += 40.0
    left.reaches(2, 0.4)
    left.trials = 3
    assert left.seconds == pytest.approx(100 * (0.75 - 0.4) + 50.0 / 2)


def test_a_trial_that_starts_again_begins_anew():
    now = [0.0]
    left = TimeLeft(1, 1, lambda: now[0])
    left.starts(0)
    now[0] = 10.0
    left.reaches(0, 0.5)
    assert left.seconds == 10.0
    now[0] = 20.0
    left.starts(0)
    now[0] = 22.0
    left.reaches(0, 0.1)
    assert left.seconds == pytest.approx(18.0), "of 20 s"


def test_a_study_that_is_over_takes_no_more_time():
    now = [0.0]
    left = TimeLeft(1, 1, lambda: now[0])
    left.starts(0)
    now[0] = 5.0
    left.ends(0, 1.0)
    assert left.seconds == 0.0
