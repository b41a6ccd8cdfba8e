"""The Ray backend: a Tuner over the trials that a loop hands out."""

import logging
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tune_ad.errors import UserError
from tune_ad.execution.loop import TrialLoop
from tune_ad.execution.machine import Machine
from tune_ad.execution.ray.trainable import TrialTrainable
from tune_ad.training.suite import Suite

LOG = logging.getLogger(__name__)
QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Resources:
    """What trials may use.

    Attributes:
        concurrent: trials at a time.
        cpus: per trial; PyTorch gets as many threads.
        gpus: per trial, fractions share a GPU.
        address: of a running Ray cluster; "local" starts one on this machine.
    """

    concurrent: int
    cpus: int = 1
    gpus: float = 0.0
    address: str = "local"


@contextmanager
def connection(address: str, cpus: int | None = None) -> Iterator[None]:
    """A connection to Ray: to a running cluster, or to one started for the occasion.

    Args:
        address: of the cluster; "local" starts one on this machine.
        cpus: that a cluster started here may use.

    Raises:
        UserError: if no cluster answers.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    started = {"num_cpus": cpus, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **started)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"no Ray cluster answers at {address!r} ({str(error).splitlines()[0]}); "
            "start one with 'ray start --head', or leave --address out"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def cluster(resources: Resources) -> AbstractContextManager[None]:
    """The connection over which trials with such resources are run."""
    return connection(resources.address, resources.concurrent * resources.cpus)


def remote_machine(address: str) -> Machine:
    """What the nodes of a running cluster have.

    Raises:
        UserError: if no cluster answers.
    """
    with connection(address):
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus, gpus = ([int(node.get(kind, 0)) for node in nodes] for kind in ("CPU", "GPU"))
    return Machine(sum(cpus), sum(gpus), max(cpus), max(gpus))


class RayAdapter:
    """What the searcher, the scheduler and the callback share.

    Ray copies and pickles them for its snapshots, from which nothing is ever restored here: a copy
    in this process is the adapter itself, a pickle is empty.
    """

    def __init__(self, loop: TrialLoop) -> None:
        self.loop = loop
        self.epochs: dict[str, int] = {}
        self.over: set[str] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> "RayAdapter":
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def reported(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Pass on a report, whether the trial must stop; what a restored trial repeats is old."""
        if "report" not in result:
            return False
        if result["epoch"] <= self.epochs.get(trial_id, -1):
            return False
        self.epochs[trial_id] = result["epoch"]
        if self.loop.reported(result["report"]):
            self.over.add(trial_id)
        return trial_id in self.over


class LoopSearcher(Searcher):  # type: ignore[misc]
    """Asks the loop for each trial; results go to it by the scheduler and `TrialEndCallback`."""

    def __init__(self, adapter: RayAdapter) -> None:
        super().__init__()
        self.adapter = adapter

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The configuration of a new Ray trial; `Searcher.FINISHED` when there is no more."""
        spec = self.adapter.loop.next()
        return str(Searcher.FINISHED) if spec is None else asdict(spec)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The loop hears of it from `TrialEndCallback`, which knows the reason."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records are the state."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a study is resumed from its records, never from Ray's snapshot."""


class LoopScheduler(FIFOScheduler):  # type: ignore[misc]
    """Passes every report to the loop and stops the trials that it says are behind."""

    def __init__(self, adapter: RayAdapter) -> None:
        super().__init__()
        self.adapter = adapter

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop or go on."""
        stop = self.adapter.reported(trial.trial_id, result)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)


class TrialEndCallback(tune.Callback):  # type: ignore[misc]
    """Tells the loop which trials ended, and which of them by an error."""

    def __init__(self, adapter: RayAdapter) -> None:
        self.adapter = adapter

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass on the last report of a trial, which no scheduler sees, and drop every report.

        Ray would keep them in its snapshots.
        """
        result = info["result"]
        if "progress" in result:
            self.adapter.loop.progressed(trial.config["number"], result.pop("progress"))
            return
        self.adapter.reported(trial.trial_id, result)
        del result["report"]

    def on_trial_complete(
        self, iteration: int, trials: list[Any], trial: Any, **info: Any
    ) -> None:
        """A trial that was interrupted is not over: its records stay unfinished."""
        if trial.trial_id in self.adapter.over:
            self.adapter.loop.ended(trial.config["number"])
            for checkpoint in Path(trial.storage.trial_fs_path).glob("checkpoint_*"):
                shutil.rmtree(checkpoint, ignore_errors=True)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial raised; Ray has used up its retries."""
        self.adapter.loop.crashed(trial.config["number"], _reason(trial.error_file))


def _reason(error_file: str | None) -> str:
    """The exception in the file where Ray has put its traceback: its type and first line."""
    path = Path(error_file or "")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    frames = [k for k, line in enumerate(lines) if line.startswith("  File ")]
    said = [line for line in lines[frames[-1] if frames else 1 :] if line[:1].strip()]
    return re.sub(r"^(\w+\.)+(?=\w+:)", "", (said or ["its process ended"])[0])


def run(loop: TrialLoop, suite: Suite, resources: Resources, storage: Path) -> None:
    """Train what the loop hands out, several trials at a time; needs `cluster`.

    Args:
        loop: hands out and is told.
        suite: tasks and images; goes to the object store once.
        resources: of each trial.
        storage: folder for Ray's own files and checkpoints, removed afterwards; must be reachable
            by every node of a cluster.
    """
    trainable = tune.with_resources(
        tune.with_parameters(
            TrialTrainable,
            study=loop.study,
            suite=suite,
            threads=resources.cpus,
            checkpoints=resources.address != "local",
        ),
        {"cpu": resources.cpus, "gpu": resources.gpus},
    )
    adapter = RayAdapter(loop)
    tuner = tune.Tuner(
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
            failure_config=tune.FailureConfig(
                max_failures=0 if resources.address == "local" else 2
            ),
        ),
    )
    handler = signal.getsignal(signal.SIGINT)
    try:
        tuner.fit()
    except (ray.exceptions.RayError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        LOG.error("Ray stopped (%s: %s); what has ended is kept", type(error).__name__, first)
    finally:
        signal.signal(signal.SIGINT, handler)  # Ray leaves its own, deaf to a second Ctrl-C
        shutil.rmtree(storage, ignore_errors=True)
