"""How long a study still takes, from the trials that have ended and those that run."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Seconds = float
FIRST_SHARE = 0.02
"""A trial that is less far says nothing about its length: its process may just have started."""


@dataclass
class Running:
    """A trial that runs.

    Attributes:
        began: the time at which it was handed out.
        first: the time and the share of its first progress; None before.
        share: the share of its epochs that is over, in [0, 1].
        at: the time at which the share was reached.
    """

    began: Seconds
    first: tuple[Seconds, float] | None = None
    share: float = 0.0
    at: Seconds = 0.0

    def length(self, at: Seconds, share: float) -> Seconds | None:
        """The seconds of the whole trial if it has come so far at a time; None if unknown.

        It is measured from the first progress, since before that its process may have started;
        and from the start if there was no other.
        """
        at_first, share_first = self.first or (self.began, 0.0)
        if share - share_first < FIRST_SHARE:
            at_first, share_first = self.began, 0.0
        if share < FIRST_SHARE or at <= at_first:
            return None
        return (at - at_first) / (share - share_first)


@dataclass
class TimeLeft:
    """Estimates the time until the last trial has ended, and what follows it.

    The length of a whole trial is the mean over those that have ended, of which each would have
    taken (its seconds) / (share of its epochs), and those that run. Since long trials end last,
    those that run count like the others as soon as they are under way. The time before the first
    progress of a trial does not count. After its last epoch a trial scores its images: for the
    mean share of the time of training that this took in the trials that have ended. How far a
    trial gets is the mean over those that have ended further on; so pruned trials and failures
    shorten the rest. The trials that are left are handed out, one after the other, to the worker
    that is free first.

    Args:
        trials: the number of trials, those that have ended included.
        workers: the number of trials that run at the same time.
        after: number of trials that follow the last one, as the winner on fresh seeds.
        after_size: the length of one of these in lengths of a whole trial.
        prior: the seconds of a whole trial by what is known before any has run; None = nothing.
        clock: gives the time in seconds.
    """

    trials: int
    workers: int
    clock: Callable[[], Seconds]
    after: int = 0
    after_size: float = 1.0
    prior: Seconds | None = None
    ended: list[tuple[Seconds, float]] = field(default_factory=list)
    scored: list[tuple[Seconds, Seconds]] = field(default_factory=list)
    running: dict[int, Running] = field(default_factory=dict)

    def add(self, seconds: Seconds, share: float) -> None:
        """Add a trial that has ended in an earlier run.

        Args:
            seconds: how long it took.
            share: the share of its epochs that it trained, in [0, 1].
        """
        self.ended.append((seconds, min(max(share, 0.0), 1.0)))

    def starts(self, number: int) -> None:
        """Note that a trial is handed out, perhaps again."""
        now = self.clock()
        self.running[number] = Running(now, None, 0.0, now)

    def reaches(self, number: int, share: float) -> None:
        """Note the share of a trial that is over, in [0, 1]."""
        trial = self.running.get(number)
        if trial is not None and share > trial.share:
            trial.share, trial.at = min(share, 1.0), self.clock()
            trial.first = trial.first or (trial.at, trial.share)

    def ends(self, number: int, share: float) -> None:
        """Note that a trial has ended after a share of its epochs, in [0, 1]."""
        trial = self.running.pop(number, None)
        if trial is not None:
            now = self.clock()
            training = trial.length(trial.at, trial.share)
            if trial.share == share == 1.0 and training is not None:
                scoring = now - trial.at
                self.scored.append((scoring, training))
                self.add(training + scoring, share)
                return
            length = trial.length(now, share)
            self.add(now - trial.began if length is None else length * share, share)

    @property
    def runs_out(self) -> bool:
        """Whether a trial trains, so that the time left gets less while nothing is reported."""
        return any(trial.share for trial in self.running.values())

    @property
    def seconds(self) -> Seconds | None:
        """The seconds that are left; None as long as nothing is known of any trial."""
        if self._whole() is None:
            return None
        free = [self._rest(trial) for trial in self.running.values()]
        free += [0.0] * (self.workers - len(free))
        usual = self._usual()
        waiting = max(0, self.trials - len(self.ended) - len(self.running))
        return _makespan(free, [usual] * waiting) + self._following()

    def _lengths(self) -> list[Seconds]:
        """The seconds of whole trials, of those that run as far as they have come."""
        ended = [seconds / share for seconds, share in self.ended if seconds > 0 < share]
        training = [trial.length(trial.at, trial.share) for trial in self.running.values()]
        return ended + [t * (1 + self._scoring) for t in training if t is not None]

    @property
    def _scoring(self) -> float:
        """The time of scoring as a share of the time of training, of all trials together."""
        scoring, training = map(sum, zip(*self.scored, strict=True)) if self.scored else (0.0, 1.0)
        return scoring / training

    def _whole(self) -> Seconds | None:
        """The mean seconds of a trial that trains all of its epochs."""
        lengths = self._lengths()
        return sum(lengths) / len(lengths) if lengths else self.prior

    def _reach(self, share: float) -> float:
        """The share at which a trial ends that has come so far."""
        further = self._further(share)
        return sum(further) / len(further)

    def _completes(self, share: float) -> float:
        """The probability that a trial which has come so far trains all of its epochs."""
        further = self._further(share)
        return further.count(1.0) / len(further)

    def _further(self, share: float) -> list[float]:
        """The shares at which trials have ended further on; the end of training if none has."""
        return [end for _, end in self.ended if end > share] or [1.0]

    def _usual(self) -> Seconds:
        """The expected seconds of a trial of which nothing is known."""
        return (self._whole() or 0.0) * self._reach(0.0)

    def _rest(self, trial: Running) -> Seconds:
        """The expected seconds that a running trial still takes."""
        training = trial.length(trial.at, trial.share)
        if training is None:
            training = (self._whole() or 0.0) / (1 + self._scoring)
        since = self.clock() - trial.at if trial.share else 0.0
        rest = training * (self._reach(trial.share) - trial.share)
        scoring = training * self._scoring * self._completes(trial.share)
        return max(0.0, rest + scoring - since)

    def _following(self) -> Seconds:
        """The expected seconds of what follows the last trial."""
        length = (self._whole() or 0.0) * self.after_size
        return _makespan([0.0] * self.workers, [length] * self.after)


def _makespan(free: Sequence[Seconds], lengths: Sequence[Seconds]) -> Seconds:
    """When the last of some trials ends, of which each starts on the worker that is free first.

    Args:
        free: when each worker is free.
        lengths: the seconds of the trials, in their order.
    """
    times = list(free) or [0.0]
    heapq.heapify(times)
    for length in lengths:
        heapq.heappush(times, heapq.heappop(times) + length)
    return max(times)
