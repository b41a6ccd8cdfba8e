"""The process that survives what may end a study: a crash of Ray, of PyTorch or of a detector.

The study runs in a child process. If that ends without saying so, its trial is tried again, as
often as `--retries` allows, and then counts as failed with the cause; a Ray that has ended is
started again. While the study runs nothing here imports torch, Ray or pandas, so that this process
stays small.
"""

import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tune_ad.app.command_line.options import Options
from tune_ad.app.command_line.parser import going_on
from tune_ad.app.estimates.longest import trial_limit
from tune_ad.errors import MachineError, UserError
from tune_ad.execution.lifeline import Lifeline, TrialKey
from tune_ad.execution.time_limit import TimeLimit
from tune_ad.signals import INTERRUPTED, SIGNALS, TERMINATED, WATCHER, heard, restore
from tune_ad.storage.folder import StudyFolder

Run = Callable[[Options, Lifeline], int]
"""Runs a study in this process and returns the exit code."""
Report = Callable[[Path], tuple[Path | None, int]]
"""Reports the study in a folder; returns the path of the page, and the exit code."""
Say = Callable[[str], None]
SHORTEST_MINUTES = 0.01  # of a time budget that goes on
STOPPING_SECONDS = {"serial": 10.0, "ray": 30.0}  # for a study that a signal stops, to stop
LOST_SECONDS = 5.0  # for a study whose Ray has died, to end by itself
ORPHAN_SECONDS = 300.0  # for a study over which nobody watches any more, to end
ENDING_SECONDS = 60.0  # for a process that has said that it ends
ANSWER_SECONDS = 15.0  # for code to be interrupted in the process that has called it
LEFT_SECONDS = 2.0  # for processes that a child has left, to end
CHECK_SECONDS = 0.5  # between two looks at a child that says nothing


@dataclass
class Child:
    """What is known of the process of a study.

    Attributes:
        process: its number.
        lines: file descriptor from which its messages are read.
        running: the trials that run, with the time (`time.monotonic`) at which they began.
        code: the exit code that it has announced; None if it has not.
        trained: the exit code if the report can be written; None as long as it trains.
        uses_ray: whether it has started Ray, or joined a cluster.
        rests_on: the processes without which it cannot go on, by their names.
        lost: the name of the first of them that has ended; empty if none has.
        lost_at: time (`time.monotonic`) at which that was seen.
        stopped: why this process has ended it; empty if it has not.
        asked: the code of detectors that has not returned: what fails if it does not, its time in
            seconds, and when it is over (`time.monotonic`).
        mute: which of that code has not returned, so that this process has ended it.
    """

    process: int
    lines: int
    running: dict[TrialKey, float] = field(default_factory=dict)
    code: int | None = None
    stopped: str = ""
    trained: int | None = None
    uses_ray: bool = False
    rests_on: dict[str, int] = field(default_factory=dict)
    lost: str = ""
    lost_at: float = 0.0
    asked: list[tuple[str, float, float]] = field(default_factory=list)
    mute: str = ""
    _rest: bytes = b""

    def read(self) -> bool:
        """Read what it has said, and return whether it may say more."""
        received = os.read(self.lines, 2**16)
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            for subject, value in json.loads(line).items():
                getattr(self, f"_hear_{subject}")(value)
        return bool(received)

    def _hear_started(self, key: list[Any]) -> None:
        self.running[TrialKey(*key)] = time.monotonic()

    def _hear_ended(self, key: list[Any]) -> None:
        self.running.pop(TrialKey(*key), None)

    def _hear_asks(self, asked: list[Any]) -> None:
        doing, seconds = asked
        self.asked.append((doing, seconds, time.monotonic() + seconds))

    def _hear_answered(self, value: bool) -> None:
        self.asked.pop()

    def _hear_starts_ray(self, value: bool) -> None:
        self.uses_ray = True

    def _hear_rests_on(self, processes: dict[str, int]) -> None:
        self.rests_on = processes

    def _hear_trained(self, code: int) -> None:
        self.trained = code

    def _hear_over(self, code: int) -> None:
        self.code = code

    def look(self) -> None:
        """Note the first of the processes on which it rests that has ended."""
        ended = [name for name, number in self.rests_on.items() if not is_alive(number)]
        if ended and not self.lost:
            self.lost, self.lost_at = ended[0], time.monotonic()


@dataclass
class Watch:
    """The watch over a study.

    Attributes:
        options: options of the run.
        run: runs the study, in the child.
        report: reports the study in a folder; None if nothing is to be trained.
        say: prints a line for the user.
        deaths: how often each trial has ended its process.
        doomed: the trials that are not tried again, each with the reason.
        restarts: how often the study was started again.
        signals: the signals received.
        limit: how long a trial may run; None = that is up to the child.
        heard: time (`time.monotonic`) of the first signal; 0 before.
        began: time (`time.monotonic`) at which the study was started last.
    """

    options: Options
    run: Run
    report: Report | None
    say: Say
    deaths: Counter[TrialKey] = field(default_factory=Counter)
    doomed: dict[TrialKey, str] = field(default_factory=dict)
    restarts: int = 0
    signals: list[int] = field(default_factory=list)
    limit: TimeLimit | None = None
    heard: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def after(self, child: Child, status: int) -> int | None:
        """The exit code after a child has ended; None if the study is to be started again.

        Args:
            child: the child.
            status: its wait status.

        Raises:
            MachineError: if the study has ended and is not started again.
            UserError: if code of a detector never returns outside of a trial.
        """
        from tune_ad.execution.ray.own_folder import remove_left_folders

        if child.code is not None:
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else child.code
            return self._interrupted() if code == INTERRUPTED and self.signals else code
        cause = child.stopped or ending(status)
        if child.lost:
            cause = f"its process {child.lost} has died"
        clear_below = "\x1b[J" if sys.stderr.isatty() else ""
        sys.stderr.write(f"\n{clear_below}")  # after a progress line, with a table on a terminal
        folder = StudyFolder(self.options.results / self.options.study)
        remove_left_folders()
        shutil.rmtree(folder.ray, ignore_errors=True)
        if self.signals:
            self._report(folder)
            self.say(f"interrupted; {going_on(self.options)}")
            return self._interrupted()
        if child.mute:
            self._report(folder)
            raise UserError(child.mute)
        if child.trained is not None and folder.exists():
            return self._report_again(folder, child.trained, cause)
        again = self._after_trials if self.options.backend == "serial" else self._after_ray
        was_on = child.running or child.uses_ray
        if was_on and folder.exists() and again(child, cause):
            self.restarts += 1
            self.options = self._continued()
            return None
        self._give_up(folder, cause)

    def wait(self, child: Child) -> int:
        """Wait for a child to end, and return its wait status.

        One that does not stop training soon after a signal, because it hangs, is killed.
        """
        ended, speaks, deadline = 0, True, 0.0
        while not ended:
            if speaks and select.select([child.lines], [], [], CHECK_SECONDS)[0]:
                speaks = child.read()
            elif not speaks:
                time.sleep(CHECK_SECONDS / 10)
            self._stop_what_hangs(child)
            self._stop_what_does_not_answer(child)
            self._stop_what_does_not_listen(child)
            if speaks:
                self._stop_what_has_lost_ray(child)
            if child.code is not None:
                deadline = deadline or time.monotonic() + ENDING_SECONDS
                if time.monotonic() > deadline:
                    os.kill(child.process, signal.SIGKILL)
            ended, status = os.waitpid(child.process, os.WNOHANG)
        while speaks and select.select([child.lines], [], [], 0)[0]:
            speaks = child.read()
        return status

    def _stop_what_does_not_listen(self, child: Child) -> None:
        """End a child that trains on long after a signal."""
        if not self.signals or child.trained is not None or child.code is not None:
            return
        self.heard = self.heard or time.monotonic()
        if time.monotonic() - self.heard > STOPPING_SECONDS[self.options.backend]:
            os.kill(child.process, signal.SIGKILL)

    def _stop_what_hangs(self, child: Child) -> None:
        """End a child whose trial has run for too long."""
        if self.limit is None or child.stopped:
            return
        for began in child.running.values():
            child.stopped = self.limit.exceeded(time.monotonic() - began)
            if child.stopped:
                os.kill(child.process, signal.SIGKILL)

    def _stop_what_does_not_answer(self, child: Child) -> None:
        """End a child in which code of a detector has not returned, and cannot be interrupted."""
        for doing, seconds, until in child.asked:
            if not child.mute and time.monotonic() > until + ANSWER_SECONDS:
                child.mute = (
                    f"{doing}: it takes more than {seconds:g} s, and cannot be interrupted"
                )
                os.kill(child.process, signal.SIGKILL)

    def _stop_what_has_lost_ray(self, child: Child) -> None:
        """End a child that does not notice that a process of Ray has died."""
        child.look()
        if child.lost and time.monotonic() > child.lost_at + LOST_SECONDS:
            os.kill(child.process, signal.SIGKILL)

    def _after_trials(self, child: Child, cause: str) -> bool:
        """Count the death of the process in its trial; the study always goes on."""
        for key in child.running:
            self.deaths[key] += 1
            is_repeated = self.deaths[key] > 1 and not child.stopped
            times = f" ({self.deaths[key]} times)" if is_repeated else ""
            outcome = "it is trained again"
            if child.stopped or self.deaths[key] > self.options.retries:
                self.doomed[key] = f"{cause}{times}"
                outcome = "it counts as failed"
            self.say(f"{key}: {cause}{times}; {outcome}")
        return True

    def _after_ray(self, child: Child, cause: str) -> bool:
        """Return whether Ray, which has ended, may be started again."""
        if self.restarts >= self.options.retries or self._cluster_is_gone():
            return False
        self.say(f"Ray has ended ({cause}); the study goes on")
        return True

    def _cluster_is_gone(self) -> bool:
        """Whether the study runs on a cluster, and nothing answers there any more."""
        if self.options.address == "local":
            return False
        from tune_ad.execution.ray.cluster_address import resolved

        try:
            resolved(self.options.address)
        except UserError:
            return True
        return False

    def _continued(self) -> Options:
        """The options with which the study goes on."""
        left = self.options.time_budget
        if left is not None:
            left = max(left - (time.monotonic() - self.began) / 60, SHORTEST_MINUTES)
        self.began = time.monotonic()
        return replace(self.options, resume=True, retry_failed=False, extend=0, time_budget=left)

    def _give_up(self, folder: StudyFolder, cause: str) -> NoReturn:
        """Report what there is.

        Raises:
            MachineError: with the cause, and how to go on.
        """
        if self.report is None or not folder.exists():
            raise MachineError(
                f"nothing was trained: {cause} while it prepared the study; correct the detector "
                "if it is your own, or try again"
            )
        self._report(folder)
        raise MachineError(f"the study has stopped: {cause}; {going_on(self.options)}")

    def _report_again(self, folder: StudyFolder, trained: int, cause: str) -> int:
        """Write the report of a study whose process has ended meanwhile; return the exit code."""
        self.say(f"{cause} while it wrote the report, which is written again")
        code = self.report(folder.path)[1] if self.report is not None else 0
        return trained if trained > 1 else code or trained

    def _interrupted(self) -> int:
        """The exit code after the signals received."""
        return INTERRUPTED if set(self.signals) == {signal.SIGINT} else TERMINATED

    def _report(self, folder: StudyFolder) -> None:
        """Report what there is."""
        if self.report is not None and folder.exists() and folder.trials.path.exists():
            self.report(folder.path)


def ending(status: int) -> str:
    """How a process ended, by its wait status."""
    if os.WIFEXITED(status):
        return f"its process ended with exit code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    hint = ", as when the memory is used up" if number == signal.SIGKILL else ""
    known = number in {one.value for one in signal.Signals}
    name = signal.Signals(number).name if known else f"signal {number}"
    return f"its process was ended by {name}{hint}"


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended counts as dead before its parent notices."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except ProcessLookupError:
        return False
    except OSError:  # without /proc, as on macOS, or ended at this moment
        return True
    return state.split()[0] not in ("Z", "X")


def _end_without(alive: int) -> None:
    """End this process in good order once nobody watches over it any more."""
    os.read(alive, 1)  # returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def end_what_is_left(group: int) -> None:
    """End the processes that a child has left, such as the agents of a Ray that has died.

    They are asked first: those that clear up after a process end by themselves meanwhile.

    Args:
        group: the process group of the child, which has ended.
    """
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        until = time.monotonic() + LEFT_SECONDS
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(CHECK_SECONDS / 10)
        os.killpg(group, signal.SIGKILL)


@contextmanager
def forwarded(process: int, received: list[int]) -> Iterator[None]:
    """Context manager: signals go on to a child, which is stopped and continued with this process.

    Args:
        process: the child, the first of a process group of its own.
        received: list to which the signals that end a study are added.
    """

    def forward(number: int, frame: FrameType | None) -> None:
        received.append(number)
        with suppress(ProcessLookupError):
            os.kill(process, number)

    def pause(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.killpg(process, signal.SIGCONT)

    handlers: dict[signal.Signals, Any] = dict.fromkeys(heard(), forward) | {signal.SIGTSTP: pause}
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        handlers[signal.SIGINT] = forward
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        restore(before)


def watched(options: Options, run: Run, report: Report | None, say: Say) -> int:
    """Run a study in a child process, and return the exit code.

    Returns in the child as well, with its own exit code: it ends as this process would.

    Args:
        options: options of the run.
        run: runs the study, in the child.
        report: reports the study in a folder; None if nothing is to be trained.
        say: prints a line for the user.

    Raises:
        MachineError: if the study has ended, and going on would not help.
        UserError: if code of a detector never returns while the study is prepared.
    """
    watch = Watch(options, run, report, say)
    if options.backend == "serial":
        watch.limit = trial_limit(options)
    while True:
        lines, said = os.pipe()
        alive, held = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *SIGNALS})
        process = os.fork()
        if not process:
            os.setpgid(0, 0)
            os.close(lines)
            os.close(held)
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # prints from the background
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            threading.Thread(target=_end_without, args=[alive], daemon=True).start()
            lifeline = Lifeline(said, watch.doomed, watch.restarts > 0)
            WATCHER.set(lifeline)
            own_code = run(watch.options, lifeline)
            lifeline.over(own_code)
            return own_code
        os.close(said)
        os.close(alive)
        with forwarded(process, watch.signals):
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            child = Child(process, lines)
            status = watch.wait(child)
            if child.code is None:
                end_what_is_left(process)
        code = watch.after(child, status)
        os.close(lines)
        os.close(held)
        if code is not None:
            return code
