"""What the code of a detector raises, and that it never returns, as an error in one line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from tune_ad import signals
from tune_ad.errors import UserError, one_line

BUILD_SECONDS = 60.0  # for a configuration, and for a model without weights
MEASURE_SECONDS = 600.0  # for training steps on random images


@contextmanager
def answering(detector: type, doing: str, seconds: float) -> Iterator[None]:
    """Context manager: code of a detector runs in the block, which may be a user's own.

    Args:
        detector: the class of the detector.
        doing: what fails if the block does, such as "cannot be built".
        seconds: how long it may take; only the main thread is interrupted.

    Raises:
        UserError: if the block raises anything, with the line of the code that did, or takes too
            long.
        KeyboardInterrupt: if the user interrupts; one that the block raises by itself is an error.
    """
    what = f"{detector.__name__} {doing}"
    try:
        with signals.foreign_code(), signals.alarm(seconds, what):
            yield
    except signals.ForeignError as fault:
        error = fault.error
        if isinstance(error, UserError):
            raise error from error.__cause__
        frames = traceback.extract_tb(error.__traceback__)
        frame = [one for one in frames if one.filename != signals.__file__][-1]
        place = f"{frame.filename.rpartition('/')[2]}, line {frame.lineno}"
        raise UserError(f"{what}: {one_line(error)} ({place})") from error
