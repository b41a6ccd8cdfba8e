"""A study as runs of Weights & Biases, by its client: a group of one run a trial or fresh seed."""

import hashlib
import os
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tune_ad.errors import MachineError, UserError
from tune_ad.execution.trackers.tracker import TrackedRun, Tracker

if TYPE_CHECKING:
    from wandb import Run

VARIABLES: Mapping[str, str] = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
"""Settings of the client where the user has made none: it tells nobody of its own errors."""
FOLDERS: Mapping[str, str] = {"WANDB_DATA_DIR": "data", "WANDB_CACHE_DIR": "cache"}
"""Folders that would be in the home of the user, by the variables that name them."""
CONNECTION_SECONDS = 5.0
FINISHING_SECONDS = 30.0
SETTINGS: Mapping[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "finish_timeout": FINISHING_SECONDS,
    "finish_timeout_raises": True,
}
"""Settings of each run: it holds what `--log-to` promises, and nothing of the machine."""
OFFLINE = ("offline", "dryrun")
EXIT_CODE = {"complete": 0, "pruned": 0, "failed": 1, "interrupted": 255}


class WandbTracker(Tracker):
    """Logs to the server of the user's key, or with WANDB_MODE=offline to files.

    Args:
        project: the name of the project, that of the study.
        folder: the folder in which the client makes its own, `wandb/`: that of the study.
    """

    def __init__(self, project: str, folder: Path) -> None:
        self.project, self.folder = project, folder
        self.is_offline = os.environ.get("WANDB_MODE") in OFFLINE
        self.runs: dict[str, Run] = {}

    @property
    def place(self) -> str:
        """The project, or the command that sends the files later."""
        if self.is_offline:
            return f"offline: wandb sync {shlex.quote(str(self.folder / 'wandb'))}/offline-run-*"
        return f"project {self.project}"

    def check(self) -> None:
        """Check that there is a key and a server, unless nothing is sent.

        Raises:
            UserError: if there is no key.
            MachineError: if nothing answers at the address of the server.
        """
        mode = os.environ.get("WANDB_MODE", "online")
        if mode not in ("online", *OFFLINE):
            raise UserError(
                f"WANDB_MODE must be online or offline with --log-to wandb, got {mode!r}; change "
                "it, or leave wandb out of --log-to"
            )
        self._import()
        if self.is_offline:
            return
        import wandb

        settings = wandb.setup().settings
        if not (settings.api_key or wandb.api.api_key):
            raise UserError(
                "--log-to wandb has no key; log in by wandb login, set WANDB_API_KEY, or keep its "
                "files in the folder of the study by WANDB_MODE=offline"
            )
        server = urlsplit(settings.base_url)
        port = server.port or {"http": 80}.get(server.scheme, 443)
        try:
            socket.create_connection((server.hostname or "", port), CONNECTION_SECONDS).close()
        except OSError as error:
            raise MachineError(
                f"Weights & Biases at {server.hostname}:{port} does not answer "
                f"({error.strerror or error}); try again, keep its files in the folder of the "
                "study by WANDB_MODE=offline, or leave wandb out of --log-to"
            ) from error

    def _import(self) -> None:
        for name, value in VARIABLES.items():
            os.environ.setdefault(name, value)
        import wandb  # noqa: F401 - now, so that it reads these variables

    def begin(self, run: TrackedRun) -> None:
        """Begin a run, or go on with the one of that key."""
        import wandb

        with self._own_folders():
            self.runs[run.key] = wandb.init(**self._run(run), settings=wandb.Settings(**SETTINGS))

    def _run(self, run: TrackedRun) -> dict[str, Any]:
        """The arguments with which a run begins."""
        return dict(
            project=self.project,
            dir=str(self.folder),
            id=hashlib.sha256(run.key.encode()).hexdigest()[:16],
            name=run.name,
            group=self.project,
            job_type=run.kind,
            config={**run.params, "tags": dict(run.tags)},
            reinit="create_new",
            resume=None if self.is_offline else "allow",
        )

    @contextmanager
    def _own_folders(self) -> Iterator[None]:
        """Context manager: what the client keeps elsewhere is kept in the folder of the study."""
        own = {name: str(self.folder / "wandb" / place) for name, place in FOLDERS.items()}
        added = {name: path for name, path in own.items() if name not in os.environ}
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                del os.environ[name]

    def log(self, key: str, metrics: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of a run after an epoch."""
        self.runs[key].log({**metrics, "epoch": epoch}, step=epoch)

    def end(self, key: str, state: str, summary: Mapping[str, Any]) -> None:
        """End a run, with its summary."""
        run = self.runs.pop(key)
        run.summary.update({"state": state, **summary})
        run.finish(exit_code=EXIT_CODE[state])

    def keep(self, key: str, files: Sequence[Path]) -> None:
        """Keep files, as an artifact of a run."""
        import wandb

        artifact = wandb.Artifact("report", type="report")
        with self._own_folders():
            for file in files:
                artifact.add_file(str(file))
            self.runs[key].log_artifact(artifact)

    def close(self) -> None:
        """End the process by which the client writes."""
        import wandb

        wandb.teardown()
