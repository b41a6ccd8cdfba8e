"""The Ray backend: a Tuner over the trials of a loop."""

import logging
import math
import os
import shutil
import signal
import threading
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tune_ad.errors import MachineError, one_line
from tune_ad.execution.loop import TrialLoop
from tune_ad.execution.ray.connection import connection
from tune_ad.execution.ray.deaths import deaths_are_retried, reason_of
from tune_ad.execution.ray.trainable import TrialTrainable
from tune_ad.signals import kept_handlers, restore
from tune_ad.training.suite import Suite


@dataclass(frozen=True)
class Resources:
    """The resources of trials.

    Attributes:
        concurrent: number of parallel trials.
        cpus: cores per trial, and threads of PyTorch.
        gpus: GPUs per trial; trials with less than one share a GPU.
        address: address of a running Ray cluster; "local" starts one on this machine.
        retries: how often a trial is trained again whose process or node has died.
        checkpoint_seconds: minimum time between two checkpoints of a trial on a cluster.
    """

    concurrent: int
    cpus: int = 1
    gpus: float = 0.0
    address: str = "local"
    retries: int = 2
    checkpoint_seconds: float = 60.0


def cluster(resources: Resources) -> AbstractContextManager[None]:
    """The connection to Ray for trials with the given resources."""
    return connection(resources.address, resources.concurrent * resources.cpus)


class RayAdapter:
    """The state shared by the searcher, the scheduler and the callback.

    Ray copies and pickles these for its snapshots, which are never restored here. Therefore a copy
    is the same object, and a pickle is empty.
    """

    def __init__(self, loop: TrialLoop) -> None:
        self.loop = loop
        self.epochs: dict[str, int] = {}
        self.over: set[str] = set()
        self.crashed: dict[str, str] = {}
        self.handler = signal.getsignal(signal.SIGUSR1)

    def __deepcopy__(self, memo: dict[int, Any]) -> "RayAdapter":
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def keep_handler(self) -> None:
        """Give SIGUSR1, which Ray Tune takes for itself, back to the program."""
        if threading.current_thread() is threading.main_thread():
            restore({signal.SIGUSR1: self.handler})

    def reported(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Handle a report, and return whether the trial must stop.

        Reports that a restored trial repeats are ignored.
        """
        if "report" not in result:
            return False
        if result["epoch"] <= self.epochs.get(trial_id, -1):
            return False
        self.epochs[trial_id] = result["epoch"]
        if self.loop.reported(result["report"]):
            self.over.add(trial_id)
        return trial_id in self.over


class LoopSearcher(Searcher):  # type: ignore[misc]
    """Gets each trial from the loop; `LoopScheduler` and `TrialEndCallback` pass results to it."""

    def __init__(self, adapter: RayAdapter) -> None:
        super().__init__()
        self.adapter = adapter

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The configuration of a new Ray trial; `Searcher.FINISHED` if no trial is left."""
        spec = self.adapter.loop.next()
        return str(Searcher.FINISHED) if spec is None else asdict(spec)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: `TrialEndCallback` passes the end on, with the reason of a failure."""

    def save(self, checkpoint_path: str) -> None:
        """Write nothing but an empty file: the state is in the records."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a study is resumed from its records, never from Ray's snapshot."""


class LoopScheduler(FIFOScheduler):  # type: ignore[misc]
    """Passes every report to the loop and stops the trials that are finished or pruned."""

    def __init__(self, adapter: RayAdapter) -> None:
        super().__init__()
        self.adapter = adapter

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return Ray's STOP or CONTINUE."""
        stop = self.adapter.reported(trial.trial_id, result)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)


class TrialEndCallback(tune.Callback):  # type: ignore[misc]
    """Passes the last report and the end of each trial, or its error, to the loop."""

    def __init__(self, adapter: RayAdapter) -> None:
        self.adapter = adapter
        self.stopped: dict[str, str] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note that a trial starts in a new process, also if it does so again."""
        self.adapter.loop.began(trial.config["number"])

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Kill the processes of trials that have run for too long; they are not tried again."""
        for trial in trials:
            actor = trial.temporary_state.ray_actor
            if trial.status != Trial.RUNNING or actor is None or trial.trial_id in self.stopped:
                continue
            if reason := self.adapter.loop.overdue(trial.config["number"]):
                self.stopped[trial.trial_id] = reason
                trial.max_failures = 0
                ray.kill(actor)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Keep the handlers of the program, which differ by signal in the exit code."""
        self.adapter.keep_handler()

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass on progress and the last report, which Ray does not give to schedulers.

        Reports are removed from Ray's results, because Ray would keep them in its snapshots.
        """
        result = info["result"]
        if "progress" in result:
            self.adapter.loop.progressed(trial.config["number"], result.pop("progress"))
            return
        if "crashed" in result:
            self.adapter.crashed[trial.trial_id] = result["crashed"]
            return
        self.adapter.reported(trial.trial_id, result)
        del result["report"]

    def on_trial_complete(
        self, iteration: int, trials: list[Any], trial: Any, **info: Any
    ) -> None:
        """Pass on the end of a trial; one that was interrupted stays unfinished."""
        if trial.trial_id in self.adapter.crashed:
            self.adapter.loop.crashed(trial.config["number"], self.adapter.crashed[trial.trial_id])
        if trial.trial_id in self.adapter.over:
            self.adapter.loop.ended(trial.config["number"])
            for checkpoint in Path(trial.storage.trial_fs_path).glob("checkpoint_*"):
                shutil.rmtree(checkpoint, ignore_errors=True)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say that the process of a trial has died, and that the trial is trained again."""
        self.adapter.loop.repeats(trial.config["number"], reason_of(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass on why a trial ended that Ray has retried as often as it may."""
        if reason := self.stopped.get(trial.trial_id, ""):
            self.adapter.loop.crashed(trial.config["number"], reason)
            return
        deaths = trial.run_metadata.num_failures
        times = f" ({deaths} times)" if deaths > 1 else ""
        self.adapter.loop.crashed(trial.config["number"], reason_of(trial) + times)


def _tuner(loop: TrialLoop, suite: Suite, resources: Resources, storage: Path) -> tune.Tuner:
    """Ray's tuner for the trials of a loop; the arguments are those of `run`."""
    trainable = tune.with_resources(
        tune.with_parameters(
            TrialTrainable,
            study=loop.study,
            suite=suite,
            threads=resources.cpus,
            gpu_share=min(resources.gpus, 1.0) or 1.0,
            checkpoint_seconds=(
                math.inf if resources.address == "local" else resources.checkpoint_seconds
            ),
        ),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    adapter = RayAdapter(loop)
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=-1,
            max_concurrent_trials=resources.concurrent,
            search_alg=LoopSearcher(adapter),
            scheduler=LoopScheduler(adapter),
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"trial-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(storage.resolve()),
            verbose=0,
            callbacks=[TrialEndCallback(adapter)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=resources.retries),
        ),
    )


def run(loop: TrialLoop, suite: Suite, resources: Resources, storage: Path) -> None:
    """Train the trials of a loop, several in parallel; only while connected to a `cluster`.

    Ctrl-C ends training gracefully; the loop is then interrupted. Ctrl-C while no trial is left
    raises KeyboardInterrupt.

    Args:
        loop: the loop that proposes trials and receives their reports.
        suite: tasks and images; copied to Ray's object store once.
        resources: resources of the trials.
        storage: folder for Ray's own files and checkpoints, removed afterwards; every node of a
            cluster must be able to reach it.

    Raises:
        MachineError: if Ray stops by itself.
        KeyboardInterrupt: if the user interrupts and the loop is not interrupted by it.
    """
    tuner = _tuner(loop, suite, resources, storage)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # tracebacks of what is retried
    handler = signal.getsignal(signal.SIGINT)
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "0"  # Ray's handler ends training gracefully
    try:
        with kept_handlers(), deaths_are_retried():
            tuner.fit()
    except (ray.exceptions.RayError, RuntimeError) as error:
        raise MachineError(
            f"Ray has stopped ({one_line(error)}); trials that had ended are kept"
        ) from error
    finally:
        interrupted = signal.getsignal(signal.SIGINT) is handler  # Ray restores it on Ctrl-C only
        signal.signal(signal.SIGINT, handler)
        shutil.rmtree(storage, ignore_errors=True)
    if interrupted and not loop.interrupted:
        raise KeyboardInterrupt
