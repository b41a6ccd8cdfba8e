"""Ctrl-C while Ray starts or ends, when stopping at once makes it crash or leave processes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupt_afterwards() -> Iterator[None]:
    """Context manager: a first Ctrl-C takes effect after the block, a second one at once.

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
