"""The backend without Ray: one trial after another in this process."""

import torch

from tune_ad.conductor import Conductor
from tune_ad.errors import UserError
from tune_ad.panel import Panel
from tune_ad.records import Suggestion
from tune_ad.trial import Trial


def run(conductor: Conductor, panel: Panel, device: str, threads: int, test: bool) -> None:
    """Train what the conductor hands out until there is no more.

    Args:
        conductor: hands out and is told.
        panel: tasks and images.
        device: "cpu" or "cuda".
        threads: that PyTorch may use.
        test: whether trials meet the test set.
    """
    torch.set_num_threads(threads)
    while (suggestion := conductor.next()) is not None:
        _run_one(conductor, panel, suggestion, device, test)


def _run_one(
    conductor: Conductor, panel: Panel, suggestion: Suggestion, device: str, test: bool
) -> None:
    try:
        trial = Trial(conductor.study, panel, suggestion, device, test)
        while not conductor.reported(trial.step()):
            pass
    except (UserError, RuntimeError, ValueError, ArithmeticError) as error:
        conductor.crashed(suggestion.number, one_line(error))
    else:
        conductor.ended(suggestion.number)


def one_line(error: BaseException) -> str:
    """An exception as one line: its type and the first line of its message."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
