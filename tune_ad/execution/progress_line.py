"""How progress is shown: a bar with a table below it on a terminal, plain lines elsewhere."""

import math
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from tune_ad.silent import Silent
from tune_ad.wording import printable

LIVE_SECONDS = 0.5  # minimum time between two states of the line on a terminal
LOG_SECONDS = 60.0  # between two lines if the output is not a terminal
ROUNDING = 1e-6  # sums of shares fall short of a whole number of trials
TICK_SECONDS = 1.0  # time between two states of the clock while nothing is reported
MOST_ROWS = 8
KEPT_LINES = 4  # of a terminal, for the bar and what stands above it
IN_A_LINE = 4  # rows that a plain line has
BAR, LEAST_BAR = 20, 3  # columns of the bar, and of that on a narrow terminal
LEAST_NAME = 12  # columns of the name of a trial that are kept longer than what follows it


class ProgressLine:
    """A line with a bar that counts trials, an unfinished one by the share that is over.

    On a terminal rows follow below it, and the clock runs while no progress is reported.
    Elsewhere, as in the log file of a cluster, it is a line of text at the start, every minute and
    at the end. The line shows 100 % only once it is `complete`, because a trial whose epochs are
    over is still to be tested.

    Unless `set_left` says more, the time left is (trials left) / (trials per second since the
    first progress), so the time that worker processes need to start does not distort it.

    Args:
        text: the text before the bar.
        total: number of trials, those of an earlier run included.
        initial: number of trials of an earlier run.
        complete: whether nothing is left to do.
    """

    def __init__(
        self, text: str, total: float, initial: float = 0.0, complete: bool = False
    ) -> None:
        self.text, self.total, self.n, self.complete = printable(text), total, initial, complete
        self.rows: list[str] = []
        self.file = Silent(sys.stderr)
        self.live = self.file.isatty()
        self.began = time.monotonic()
        self.first: tuple[float, float] | None = None
        self.estimate: tuple[float, float] | None = None
        self.closed = threading.Event()
        self.bar = _Bar(self) if self.live else None
        self.below = [_row(self.file, k) for k in range(_room())] if self.live else []
        if not self.live:
            self._write_plain()
        self.clock = threading.Thread(target=self._tick, daemon=True)
        self.clock.start()

    def advance(self, trials: float) -> None:
        """Add trials, or a share of one, to the bar."""
        trials = min(trials, self.total - self.n)  # sums of shares may be too large by rounding
        if self.first is None:
            self.first = time.monotonic(), self.n + trials
        self.n += trials
        if self.bar is not None:
            self.bar.update(trials)

    def set_text(self, text: str) -> None:
        """Set the text before the bar."""
        self.text = printable(text)
        if self.bar is not None:
            self.bar.set_description_str(self.text, refresh=False)
        if self.live:
            self.refresh()

    def set_rows(self, rows: Sequence[str]) -> None:
        """Set the lines below the bar; those for which there is no room are counted."""
        self.rows = [printable(row) for row in rows]

    def set_left(self, seconds: float | None, runs_out: bool = True) -> None:
        """Set the time left.

        Args:
            seconds: the time left in seconds; None = unknown.
            runs_out: whether it gets less until it is set again.
        """
        at = time.monotonic() if runs_out else math.inf
        self.estimate = None if seconds is None else (at, seconds)

    def break_line(self) -> None:
        """Keep the state that is shown, so that a line of text can follow."""
        if not self.live:
            return
        for row in self.below:
            row.clear()
        self.file.write("\n")
        self.file.flush()

    def close(self) -> None:
        """Stop the clock, and keep the line on the screen."""
        if not hasattr(self, "clock") or self.closed.is_set():  # interrupted while it was made
            return
        self.closed.set()
        if self.clock.is_alive():
            self.clock.join()
        for row in self.below:
            row.close()
        if self.bar is not None:
            self.bar.close()
        else:
            self._write_plain()

    def refresh(self) -> None:
        """Show the present state on a terminal."""
        if self.bar is None:
            return
        for row, text in zip(self.below, shortened(self.rows, len(self.below)), strict=False):
            row.set_description_str(fitted(text, _columns(row.format_dict)), refresh=True)
        self.bar.refresh()

    @property
    def percent(self) -> int:
        """The percentage that is shown."""
        share = int(100 * self.n / self.total + ROUNDING) if self.total else 0
        return 100 if self.complete else min(share, 99)

    @property
    def left(self) -> str:
        """The time left; "?" as long as it is unknown."""
        if self.complete and self.estimate is None:
            return "00:00"
        now = time.monotonic()
        if self.estimate is not None:
            at, seconds = self.estimate
            return _interval(seconds - max(0.0, now - at))
        if self.first is None or self.n <= self.first[1]:
            return "?"
        began, trials = self.first
        return _interval((self.total - self.n) * (now - began) / (self.n - trials))

    @property
    def plain(self) -> str:
        """The present state as one line of text."""
        over = tqdm.format_interval(time.monotonic() - self.began)
        line = f"{self.text} {self.percent:3d}%, {over} so far"
        if self.left != "?" and not self.complete:
            line += f", about {self.left} left"
        running = [" ".join(row.split()) for row in shortened(self.rows, IN_A_LINE) if row]
        return f"{line}; running: {', '.join(running)}" if running else line

    def _write_plain(self) -> None:
        self.file.write(f"{self.plain}\n")
        self.file.flush()

    def _tick(self) -> None:
        while not self.closed.wait(TICK_SECONDS if self.live else LOG_SECONDS):
            if self.live:
                self.refresh()
            else:
                self._write_plain()


class _Bar(tqdm):  # type: ignore[type-arg]
    """The bar of a line on a terminal."""

    def __init__(self, line: ProgressLine) -> None:
        self.line = line
        super().__init__(
            iterable=None,
            file=line.file,
            desc=line.text,
            total=line.total,
            initial=line.n,
            mininterval=LIVE_SECONDS,
            dynamic_ncols=True,
            position=0,
            leave=True,
            bar_format=f"{{desc}} {{percent:3d}}%|{{bar:{BAR}}}| {{elapsed}}<{{left}}",
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        """The values of the line, by their names in its format.

        On a narrow terminal the bar is shortened, then the text; the numbers stay.
        """
        values = {**super().format_dict, "percent": self.line.percent, "left": self.line.left}
        numbers = f" 100%|| {tqdm.format_interval(values['elapsed'])}<{self.line.left}"
        room = _columns(values) - len(numbers) - 1
        text = cut_text(values["prefix"], room - LEAST_BAR)
        width = max(LEAST_BAR, min(BAR, room - len(text)))
        form = f"{{desc}} {{percent:3d}}%|{{bar:{width}}}| {{elapsed}}<{{left}}"
        return {**values, "prefix": text, "bar_format": form}


def shortened(rows: Sequence[str], most: int) -> list[str]:
    """As many rows as there is room for, the last of which counts what is left out.

    >>> shortened(["a", "b", "c"], 2), shortened(["a"], 2)
    (['a', 'and 2 more'], ['a', ''])
    """
    if len(rows) > most > 0:
        return [*rows[: most - 1], f"and {len(rows) - most + 1} more"]
    return [*rows, *[""] * (most - len(rows))]


def fitted(row: str, columns: int) -> str:
    """A row in so many columns: its first part is shortened first; two blanks end a part.

    >>> fitted("  001 width=1 lr=0.003  epoch 1 of 4", 31)
    '  001 width=1 lr…  epoch 1 of 4'
    """
    if len(row) < columns:
        return row
    name, *others = row.strip().split("  ")
    rest = "".join(f"  {part}" for part in others)
    name = cut_text(name, max(LEAST_NAME, columns - 2 - len(rest)))
    return cut_text(f"  {name}{rest}", columns)


def cut_text(text: str, columns: int) -> str:
    """A text in so many columns; an ellipsis stands for what is cut off."""
    return text if len(text) <= columns else f"{text[: max(0, columns - 1)]}…"


def _columns(bar: Mapping[str, Any]) -> int:
    """The width of the terminal of a bar of tqdm, by its `format_dict`."""
    return bar["ncols"] or shutil.get_terminal_size().columns


def _room() -> int:
    """The number of rows for which a terminal has room."""
    return max(0, min(MOST_ROWS, shutil.get_terminal_size().lines - KEPT_LINES))


def _row(file: Silent, number: int) -> Any:  # noqa: ANN401
    return tqdm(
        file=file,
        position=number + 1,
        bar_format="{desc}",
        dynamic_ncols=True,
        leave=False,
    )


def _interval(seconds: float) -> str:
    return str(tqdm.format_interval(max(0.0, seconds)))
