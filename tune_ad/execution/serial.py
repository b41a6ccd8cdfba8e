"""The backend without Ray: one trial after another in this process."""

from collections.abc import Iterator

import torch

from tune_ad.execution.loop import Conductor
from tune_ad.storage.records import Suggestion
from tune_ad.training.suite import Panel
from tune_ad.training.trial import Report, Trial


def run(conductor: Conductor, panel: Panel, device: str, threads: int) -> None:
    """Train what the conductor hands out until there is no more.

    Args:
        conductor: hands out and is told.
        panel: tasks and images.
        device: "cpu" or "cuda".
        threads: that PyTorch may use.
    """
    torch.set_num_threads(threads)
    while (suggestion := conductor.next()) is not None:
        _run_one(conductor, panel, suggestion, device)


def _run_one(conductor: Conductor, panel: Panel, suggestion: Suggestion, device: str) -> None:
    def reports() -> Iterator[Report]:
        trial = Trial(conductor.study, panel, suggestion, device)
        while True:
            yield trial.step()

    steps, over = reports(), False
    while not over:
        try:
            report = next(steps)
        except Exception as error:  # as under Ray: a trial that raises is a failure that counts
            conductor.crashed(suggestion.number, one_line(error))
            return
        over = conductor.reported(report)
    conductor.ended(suggestion.number)


def one_line(error: BaseException) -> str:
    """An exception as one line: its type and the first line of its message."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
