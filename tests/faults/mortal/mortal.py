"""PGN that ends its process, or hangs, where the environment variable FATE says so."""

import os
import signal
import time
from itertools import count
from pathlib import Path

from tune_ad.detectors.pgn import PGN

STATUS = 7
WAYS = {
    "exit": lambda: os._exit(STATUS),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "hang": lambda: time.sleep(3600),
}
steps = count(1)


def meet_fate():
    """Do what FATE says, "WAY STEP FILE": at a step of this process, once for each byte of a file.

    The file loses a byte each time, so that the trial can be trained again.
    """
    if "FATE" not in os.environ:
        return
    way, step, file = os.environ["FATE"].split(maxsplit=2)
    left = Path(file).stat().st_size
    if left and next(steps) == int(step):
        os.truncate(file, left - 1)
        WAYS[way]()


class Mortal(PGN):
    """PGN whose training meets its fate."""

    def terms(self, phase, images, noise):
        """The loss of PGN."""
        meet_fate()
        return super().terms(phase, images, noise)
