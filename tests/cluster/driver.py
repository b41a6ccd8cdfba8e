"""The command line, with a checkpoint after each report and a note of where each trial runs.

The first argument is the file of the notes, the second the number of processes that must be ready
before the first trial trains; the others are those of the command line.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

from tune_ad.app.command_line import cli

NOTES, PROCESSES = Path(sys.argv[1]), int(sys.argv[2])


def place_of(array):
    """The mapped file in which an array lies, and its place there."""
    address = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, offset, _, inode, *_ = line.split(maxsplit=5)
        start, end = (int(bound, 16) for bound in span.split("-"))
        if start <= address < end:
            return f"{inode}:{int(offset, 16) + address - start}"
    raise AssertionError("the images lie nowhere")


def note_trials():
    """In the process of a study, which loads Ray and PyTorch: note its trials."""
    import ray

    from tune_ad.execution.ray import runner
    from tune_ad.execution.ray.trainable import TrialTrainable

    class Noted(TrialTrainable):
        """Notes each trial for which it is made ready, with its node and place of the images."""

        def start(self, config):
            """Begin a trial, and note it."""
            super().start(config)
            note = {
                "trial": config["number"],
                "is_final": bool(config["seeds"]),
                "node": ray.util.get_node_ip_address(),
                "process": os.getpid(),
                "images": place_of(self.suite.images),
            }
            with NOTES.open("a") as notes:
                notes.write(json.dumps(note) + "\n")

        def step(self):
            """Train, once enough processes are ready."""
            while len({json.loads(line)["process"] for line in NOTES.open()}) < PROCESSES:
                time.sleep(0.1)
            return super().step()

    runner.TrialTrainable = Noted
    runner.Resources = partial(runner.Resources, checkpoint_seconds=0.0)


if __name__ == "__main__":
    os.register_at_fork(after_in_child=note_trials)
    del sys.argv[1:3]
    sys.exit(cli.main())
