"""The line that shows progress: a bar, the time since it was created and the time left."""

import sys
import threading
import time
from typing import Any

from tqdm import tqdm

from tune_ad.silent import Silent
from tune_ad.wording import printable

LIVE_SECONDS = 0.5  # minimum time between two states of the line on a terminal
LOG_SECONDS = 30.0  # the same if the output is not a terminal
ROUNDING = 1e-6  # sums of shares fall short of a whole number of trials
TICK_SECONDS = 1.0  # time between two states of the clock while nothing is reported


class ProgressLine(tqdm):  # type: ignore[type-arg]
    """A line with a bar that counts trials, an unfinished one by the share that is over.

    The time left is (trials left) / (trials per second since the first progress), so the time that
    worker processes need to start does not distort it. On a terminal the clock also runs while no
    progress is reported. The line shows 100 % only once it is `complete`, because a trial whose
    epochs are over is still to be tested.

    Args:
        text: the text before the bar.
        total: number of trials, those of an earlier run included.
        initial: number of trials of an earlier run.
        complete: whether nothing is left to do.
    """

    def __init__(
        self, text: str, total: float, initial: float = 0.0, complete: bool = False
    ) -> None:
        self.complete = complete
        self.trials = total
        shown = Silent(sys.stderr)
        self.live = shown.isatty()
        self.first: tuple[float, float] | None = None
        self.closed = threading.Event()
        super().__init__(
            iterable=None,
            file=shown,
            desc=printable(text),
            total=total,
            initial=initial,
            mininterval=LIVE_SECONDS if self.live else LOG_SECONDS,
            bar_format="{desc} {percent:3d}%|{bar:20}| {elapsed}<{left}",
        )
        self.clock = threading.Thread(target=self._tick, daemon=True)
        if self.live:
            self.clock.start()

    def advance(self, trials: float) -> None:
        """Add trials, or a share of one, to the bar."""
        trials = min(trials, self.trials - self.n)  # sums of shares may be too large by rounding
        if self.first is None:
            self.first = time.monotonic(), self.n + trials
        self.update(trials)

    def set_text(self, text: str) -> None:
        """Set the text before the bar."""
        self.set_description_str(printable(text), refresh=self.live)

    def break_line(self) -> None:
        """Keep the state that is shown, so that a line of text can follow."""
        self.fp.write("\n")
        self.fp.flush()

    def close(self) -> None:
        """Stop the clock, and keep the line on the screen."""
        if not hasattr(self, "clock"):  # interrupted while it was made
            return
        self.closed.set()
        if self.clock.is_alive():
            self.clock.join()
        super().close()

    @property
    def format_dict(self) -> dict[str, Any]:
        """The values of the line, by their names in its format."""
        share = int(100 * self.n / self.trials + ROUNDING) if self.trials else 0
        percent = 100 if self.complete else min(share, 99)
        return {**super().format_dict, "percent": percent, "left": self._left()}

    def _left(self) -> str:
        """The time left; "?" as long as no speed has been measured."""
        if self.complete:
            return "00:00"
        if self.first is None:
            return "?"
        began, trials = self.first
        if self.n <= trials:
            return "?"
        seconds = (time.monotonic() - began) / (self.n - trials)
        return str(tqdm.format_interval(max(0.0, self.trials - self.n) * seconds))

    def _tick(self) -> None:
        while not self.closed.wait(TICK_SECONDS):
            self.refresh()
