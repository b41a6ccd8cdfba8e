"""Ctrl-C, and the signals that schedulers send: a program ends so that nothing is lost."""

import _thread
import inspect
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, Protocol

INTERRUPTED = 130  # 128 + SIGINT
TERMINATED = 143  # 128 + SIGTERM
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""What `kill`, `docker stop` and `scancel` send, SLURM before the time of a job is over, and a
terminal that is closed."""

AGAIN_SECONDS = 0.02  # until an interruption that was swallowed comes again
IMPORT_SECONDS = 300.0  # for a file or a package of others to be imported


class Watcher(Protocol):
    """What is told of code that may never return, so that another process can end this one."""

    def asks(self, doing: str, seconds: float) -> None:
        """Called before such code runs, with what fails if it hangs and its time."""

    def answered(self) -> None:
        """Called when it has returned."""


WATCHER: ContextVar[Watcher | None] = ContextVar("WATCHER", default=None)


def heard() -> list[signal.Signals]:
    """Those of these signals that end this program: not SIGHUP after `nohup`, which ignores it."""
    deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in SIGNALS if not (deaf and number == signal.SIGHUP)]


@contextmanager
def terminations() -> Iterator[list[int]]:
    """Context manager: the list of these signals received so far; each acts as Ctrl-C.

    Also if Ctrl-C is ignored, as in a background job of a shell. Only the main thread receives
    signals; elsewhere nothing changes.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    before = {number: signal.signal(number, interrupt) for number in heard()}
    try:
        with _heard_again():
            yield received
    finally:
        restore(before)


@contextmanager
def _heard_again() -> Iterator[None]:
    """Context manager: an interruption that Python swallows comes again a moment later.

    It swallows what is raised in a destructor or in the callback of a weak reference, where a
    signal may arrive like anywhere else.
    """
    before, main = sys.unraisablehook, threading.main_thread().ident or 0

    def repeat(unraisable: "sys.UnraisableHookArgs") -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            is_heard = callable(signal.getsignal(signal.SIGINT))
            number = signal.SIGINT if is_heard else signal.SIGTERM
            # Not a `Thread`, whose `start` waits: what came meanwhile would be swallowed, too.
            _thread.start_new_thread(_interrupt_again, (main, number))
        else:
            before(unraisable)

    sys.unraisablehook = repeat
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt_again(thread: int, number: int) -> None:
    time.sleep(AGAIN_SECONDS)
    signal.pthread_kill(thread, number)


class ForeignError(Exception):
    """What the code of others has raised, which may be anything, also a KeyboardInterrupt.

    Attributes:
        error: the exception itself.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@contextmanager
def foreign_code() -> Iterator[None]:
    """Context manager: the code of others runs in the block, and cannot end this program.

    What it raises is a `ForeignError`, by which a KeyboardInterrupt that it raises by itself
    differs from Ctrl-C; so does whatever a signal raises shortly before or after the block. Only
    the main thread receives signals.

    Raises:
        ForeignError: with what the block has raised.
        KeyboardInterrupt: if a signal came, though the block may have swallowed what it raised,
            or replaced it by another exception.
        GeneratorExit: with which Python ends an abandoned generator that has such a block.
    """
    with _noted() as received:
        try:
            yield
        except BaseException as error:
            if _is_abandoned(error):
                raise
            if received:
                raise KeyboardInterrupt from error
            raise ForeignError(error) from error
        if received:
            raise KeyboardInterrupt


def _is_abandoned(error: BaseException) -> bool:
    """Whether this is how Python ends an abandoned generator: nothing else has raised it."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return isinstance(error, GeneratorExit) and all(
        frame.f_code.co_flags & inspect.CO_GENERATOR for frame in frames
    )


@contextmanager
def _noted() -> Iterator[list[int]]:
    """Context manager: the list of the signals received so far that raise in the block."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *SIGNALS)}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}

    def note(number: int, frame: FrameType | None) -> None:
        try:
            before[signal.Signals(number)](number, frame)
        except BaseException:
            received.append(number)
            raise

    try:
        for number in before:
            signal.signal(number, note)
        yield received
    finally:
        restore(before)


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Context manager: handlers of these signals that are replaced in the block are restored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        restore(before)


def restore(handlers: Mapping[signal.Signals, Any]) -> None:
    """Restore the handlers of signals; None is one that Python has not set and cannot set."""
    for number, handler in handlers.items():
        if handler is not None:
            signal.signal(number, handler)


@contextmanager
def alarm(seconds: float, doing: str = "it hangs") -> Iterator[None]:
    """Context manager: code that takes too long is interrupted.

    Only in the main thread, which alone receives signals, and unless another alarm rings earlier.
    Code that never returns to Python is not interrupted; the `WATCHER` is told of it.

    Args:
        seconds: how long the code may take.
        doing: what fails if it takes longer, for the watcher.

    Raises:
        TimeoutError: in the block, after so many seconds.
    """
    is_main = threading.current_thread() is threading.main_thread()
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    if not is_main or 0 < left <= seconds:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it takes more than {seconds:g} s")

    before, began = signal.getsignal(signal.SIGALRM), time.perf_counter()
    watcher = WATCHER.get()

    def disarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        restore({signal.SIGALRM: before})
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - time.perf_counter() + began, 1e-3))

    try:
        try:
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            if watcher is not None:
                watcher.asks(doing, seconds)
            yield
        finally:
            disarm()
            if watcher is not None:
                watcher.answered()
    finally:
        disarm()  # once more: a signal may have interrupted the first


@contextmanager
def signals_afterwards() -> Iterator[None]:
    """Context manager: what handles signals runs after the block, also that of an `alarm`.

    For a short block that must not be left half done, as the start of a process that has to be
    ended. Signals are noted, not blocked: a process that is started would inherit that, and
    another thread could receive them.

    Raises:
        BaseException: after the block, what the handler of the last signal that came in it raises;
            also if the block has raised something else.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, *SIGNALS, signal.SIGALRM)}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    received: list[int] = []
    is_over = False

    def note(number: int, frame: FrameType | None) -> None:
        if is_over:  # it came while the handlers were restored
            before[signal.Signals(number)](number, frame)
        else:
            received.append(number)

    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        is_over = True
        restore(before)
        _raise_again(received)


def _raise_again(numbers: Sequence[int]) -> None:
    """Let the handlers of signals run in their order, each whatever the one before it raises."""
    if numbers:
        try:
            signal.raise_signal(numbers[0])
        finally:
            _raise_again(numbers[1:])


@contextmanager
def interrupt_afterwards() -> Iterator[None]:
    """Context manager: a first Ctrl-C takes effect after the block, a second one at once.

    For blocks in which stopping at once would crash or leave processes, as while Ray starts.

    Raises:
        KeyboardInterrupt: after the block, if Ctrl-C was pressed in it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    handler, received = signal.getsignal(signal.SIGINT), []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        raise KeyboardInterrupt
