"""A Ray Trainable that runs a `Trial`."""

import math
import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.exceptions import RayError

from tune_ad.errors import one_line
from tune_ad.execution.machine import has_lost_gpu
from tune_ad.search.study import Study
from tune_ad.signals import ForeignError, foreign_code
from tune_ad.storage.records import TrialSpec
from tune_ad.training.report import Progress
from tune_ad.training.suite import Suite
from tune_ad.training.trial import Trial

PROGRESS_SECONDS = 2.0  # between two progress messages of a trial
CHECKPOINT_FILE = "trial.pt"


class TrialTrainable(tune.Trainable):  # type: ignore[misc]
    """Trains a `Trial` step by step; the actor is reused for the next trial.

    A step takes about `PROGRESS_SECONDS`, or less at the end of an evaluation interval. Its result
    contains a `Progress` ("progress"), or the epoch and the `Report` ("epoch", "report"), or the
    exception that ended the trial ("crashed"), so that what Ray counts as a failure, and retries,
    is nothing but the death of a process or a node. On a cluster, where nodes can be lost, a
    checkpoint is requested after a report if the last one is older than `checkpoint_seconds` and
    the trial is not finished.
    """

    trial: Trial | None

    def setup(
        self,
        config: dict[str, Any],
        study: Study,
        suite: Suite,
        threads: int,
        gpu_share: float = 1.0,
        checkpoint_seconds: float = math.inf,
    ) -> None:
        """Store the shared study and images, and the configuration of the first trial."""
        self.study, self.suite = study, suite
        self.gpu_share, self.checkpoint_seconds = gpu_share, checkpoint_seconds
        torch.set_num_threads(threads)
        self.start(config)

    def start(self, config: dict[str, Any]) -> None:
        """Note the configuration; its trial is built by the first step.

        A detector that hangs, hangs in a step then: Ray knows no actor that is being built.
        """
        self.spec, self.trial, self.fault = TrialSpec(**config), None, ""
        self.saved_at = time.monotonic()

    def build(self) -> Trial:
        """The trial, built if it is not yet, on the device that Ray has given to this actor."""
        if self.trial is None:
            device = "cuda" if ray.get_gpu_ids() else "cpu"
            self.trial = Trial(self.study, self.suite, self.spec, device, self.gpu_share)
        return self.trial

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Replace the old trial by the next one, in the same process."""
        self.trial = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.start(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for about `PROGRESS_SECONDS`, or to the end of the evaluation interval."""
        if self.fault:
            return {"crashed": self.fault, "done": True}
        try:
            with foreign_code():  # a signal ends the process; another one trains the trial again
                message = self.build().advance(PROGRESS_SECONDS)
        except ForeignError as fault:
            return {"crashed": _fault(fault.error), "done": True}
        if isinstance(message, Progress):
            return {"progress": message, "done": False}
        report = message
        result = {"epoch": report.epoch, "report": report, "done": report.done}
        due = time.monotonic() - self.saved_at > self.checkpoint_seconds
        if due and not report.done:
            result["should_checkpoint"] = True
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save the state of the trial, from which it continues if its node is lost."""
        torch.save(self.build().state_dict(), Path(checkpoint_dir) / CHECKPOINT_FILE)
        self.saved_at = time.monotonic()

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Restore the state of the trial from a checkpoint folder, on whatever device it was."""
        path = Path(checkpoint) / CHECKPOINT_FILE
        state = torch.load(path, map_location="cpu", weights_only=True)
        try:
            with foreign_code():
                self.build().load_state_dict(state)
        except ForeignError as fault:
            self.fault = _fault(fault.error)


def _fault(error: BaseException) -> str:
    """The exception of a trial in one line.

    Raises:
        BaseException: the exception itself if it is not the trial's: an error of Ray, or one of
            CUDA, after which the process can use no GPU. The trial is then retried in another.
    """
    if isinstance(error, RayError) or has_lost_gpu(error):
        raise error
    return one_line(error)
