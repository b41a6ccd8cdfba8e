"""The backend without Ray: one trial after another in this process."""

from collections.abc import Iterator

import torch

from tune_ad.errors import one_line
from tune_ad.execution.loop import TrialLoop
from tune_ad.storage.records import TrialSpec
from tune_ad.training.report import Progress, Report
from tune_ad.training.suite import Suite
from tune_ad.training.trial import Trial

PROGRESS_SECONDS = 0.5  # between two signs of a trial that trains


def run(loop: TrialLoop, suite: Suite, device: str, threads: int) -> None:
    """Train what the loop hands out until there is no more.

    Args:
        loop: hands out and is told.
        suite: tasks and images.
        device: "cpu" or "cuda".
        threads: that PyTorch may use.
    """
    torch.set_num_threads(threads)
    while (spec := loop.next()) is not None:
        _run_one(loop, suite, spec, device)


def _run_one(loop: TrialLoop, suite: Suite, spec: TrialSpec, device: str) -> None:
    def told() -> Iterator[Progress | Report]:
        trial = Trial(loop.study, suite, spec, device)
        while True:
            yield trial.advance(PROGRESS_SECONDS)

    steps, over = told(), False
    while not over:
        try:
            step = next(steps)
        except Exception as error:  # as under Ray: a trial that raises is a failure that counts
            loop.crashed(spec.number, one_line(error))
            return
        if isinstance(step, Progress):
            loop.progressed(spec.number, step)
        else:
            over = loop.reported(step)
    loop.ended(spec.number)
