"""Ctrl-C before every line that something runs, one after another."""

import gc
import signal
import sys

import pytest

MOST = 100_000  # lines


def interrupted(run, step):
    """Whether Ctrl-C came while something ran: before a line of Python, also of other packages.

    Args:
        run: runs it.
        step: the number of lines before.
    """
    left = step

    def trace(frame, event, argument):
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                sys.settrace(None)
                frame.f_trace = None
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return left < 0


def wherever(prepare, run, check):
    """Interrupt something before each of its lines, and check what is left.

    Args:
        prepare: makes what is there before.
        run: runs it.
        check: called after each time.
    """
    run()  # imports what is imported on first use
    for step in range(MOST):
        prepare()
        was_interrupted = interrupted(run, step)
        gc.collect(0)
        check()
        if not was_interrupted:
            return
    pytest.fail("it never ends")
