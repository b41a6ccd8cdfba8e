"""One Ray Trainable around a `Trial`; it knows no detector."""

import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from tune_ad.search.study import Study
from tune_ad.storage.records import TrialSpec
from tune_ad.training.report import Progress
from tune_ad.training.suite import Suite
from tune_ad.training.trial import Trial

CHECKPOINT_SECONDS = 60.0
PROGRESS_SECONDS = 2.0  # between two signs of a trial that trains
CHECKPOINT_FILE = "trial.pt"


class TrialTrainable(tune.Trainable):  # type: ignore[misc]
    """Steps a `Trial`; the actor is used again for the next trial.

    A step trains for about `PROGRESS_SECONDS`, or to the end of the evaluation interval. Its
    result holds "progress", a `Progress`, or "epoch" and the `Report`, under "report". On a
    cluster, whose nodes can be lost, a checkpoint is asked for after a report when the last is
    older than `CHECKPOINT_SECONDS` and the trial goes on.
    """

    def setup(
        self,
        config: dict[str, Any],
        study: Study,
        suite: Suite,
        threads: int,
        checkpoints: bool = False,
    ) -> None:
        """Take the shared images and build the first trial."""
        self.study, self.suite, self.checkpoints = study, suite, checkpoints
        torch.set_num_threads(threads)
        self.start(config)

    def start(self, config: dict[str, Any]) -> None:
        """Build the trial of a configuration on the device that Ray gave to this actor."""
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        spec = TrialSpec(**config)
        self.trial = Trial(self.study, self.suite, spec, device)
        self.saved_at = time.monotonic()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Drop the old trial and build the next in the same process."""
        del self.trial
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.start(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train for a while, or to the end of the interval."""
        told = self.trial.advance(PROGRESS_SECONDS)
        if isinstance(told, Progress):
            return {"progress": told, "done": False}
        report = told
        result = {"epoch": report.epoch, "report": report, "done": report.done}
        due = self.checkpoints and time.monotonic() - self.saved_at > CHECKPOINT_SECONDS
        if due and not report.done:
            result["should_checkpoint"] = True
        return result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write what the trial goes on from, should its node be lost."""
        torch.save(self.trial.state_dict(), Path(checkpoint_dir) / CHECKPOINT_FILE)
        self.saved_at = time.monotonic()

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from a checkpoint folder."""
        state = torch.load(Path(checkpoint) / CHECKPOINT_FILE, weights_only=True)
        self.trial.load_state_dict(state)
