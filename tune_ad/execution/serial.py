"""The backend without Ray: one trial after another in this process."""

from collections.abc import Iterator

import torch

from tune_ad.errors import one_line
from tune_ad.execution.loop import TrialLoop
from tune_ad.execution.machine import has_lost_gpu
from tune_ad.signals import ForeignError, foreign_code
from tune_ad.storage.records import TrialSpec
from tune_ad.training.report import Progress, Report
from tune_ad.training.suite import Suite
from tune_ad.training.trial import Trial

PROGRESS_SECONDS = 0.5  # between two progress messages of a trial


def run(loop: TrialLoop, suite: Suite, device: str, threads: int) -> None:
    """Train the trials of a loop one after another.

    Args:
        loop: the loop that provides the trials and receives their reports.
        suite: tasks and images.
        device: "cpu" or "cuda".
        threads: number of threads of PyTorch.

    Raises:
        Exception: an error of CUDA, after which this process can use no GPU. The trial that raised
            it stays unfinished, and is trained again when another process resumes the study.
    """
    torch.set_num_threads(threads)
    while (spec := loop.next()) is not None:
        _run_one(loop, suite, spec, device)


def _run_one(loop: TrialLoop, suite: Suite, spec: TrialSpec, device: str) -> None:
    def messages() -> Iterator[Progress | Report]:
        trial = Trial(loop.study, suite, spec, device)
        while True:
            yield trial.advance(PROGRESS_SECONDS)

    received, over = messages(), False
    while not over:
        try:
            with foreign_code():
                message = next(received)
        except ForeignError as fault:  # as under Ray: the trial is recorded as failed
            if has_lost_gpu(fault.error):
                raise fault.error from fault.error.__cause__
            loop.crashed(spec.number, one_line(fault.error))
            return
        if isinstance(message, Progress):
            loop.progressed(spec.number, message)
        else:
            over = loop.reported(message)
        if not over and (reason := loop.overdue(spec.number)):
            loop.crashed(spec.number, reason)
            return
    loop.ended(spec.number)
