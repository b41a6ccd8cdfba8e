"""A study as runs of MLflow, by its client: one of the study, below it one a trial or fresh seed.

The runs of a study that goes on are found by their tags, so that none is there twice.
"""

import logging
import os
import re
import shlex
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from tune_ad.errors import MachineError, one_line
from tune_ad.execution.trackers.tracker import TrackedRun, Tracker

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

VARIABLES: Mapping[str, str] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}
"""Settings of the client where the user has made none: it is quiet, and waits for seconds."""
CONNECTION_SECONDS = 5.0
KEY, PARENT = "tune_ad.key", "mlflow.parentRunId"
LONGEST_VALUE = 5000  # characters of a tag or of a parameter, of which MLflow takes 6,000
STATUS: Mapping[str, str] = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
ANSWER = "start it, set another MLFLOW_TRACKING_URI, or leave mlflow out of --log-to"


class MlflowTracker(Tracker):
    """Logs to the server that MLFLOW_TRACKING_URI names, or to files in the folder of the study.

    Args:
        experiment: the name of the experiment, that of the study.
        folder: the folder for `mlflow.db` and artifacts if no server is named.
    """

    def __init__(self, experiment: str, folder: Path) -> None:
        self.experiment, self.folder = experiment, folder
        self.uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        self.study = ""
        self.ids: dict[str, str] = {}
        self._connected: tuple[MlflowClient, str] | None = None

    @property
    def place(self) -> str:
        """The address of the server, or the command that shows the files."""
        if self.uri:
            return f"experiment {self.experiment} at {without_password(self.uri)}"
        return f"mlflow ui --backend-store-uri {shlex.quote(self._files)}"

    @property
    def _files(self) -> str:
        """The address of the files in the folder of the study."""
        return f"sqlite:///{self.folder.resolve() / 'mlflow.db'}"

    def check(self) -> None:
        """Ask the server for an experiment; files in the folder of the study need no check.

        Raises:
            MachineError: if it does not answer.
        """
        if not self.uri:
            return
        place = without_password(self.uri)
        try:
            parts = urlsplit(self.uri)
            if parts.scheme in ("http", "https"):
                port = parts.port or {"http": 80, "https": 443}[parts.scheme]
                socket.create_connection((parts.hostname or "", port), CONNECTION_SECONDS).close()
            self._client(self.uri).search_experiments(max_results=1)
        except Exception as error:  # whatever the client of a server raises
            reason = error.strerror if isinstance(error, OSError) else None
            raise MachineError(
                f"MLflow at {place} does not answer ({reason or one_line(error)}); {ANSWER}"
            ) from error

    def _client(self, uri: str) -> "MlflowClient":
        for name, value in VARIABLES.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        for name in ("mlflow.store.db.utils", "alembic"):  # they tell of each table
            logging.getLogger(name).setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=uri)

    @property
    def _connection(self) -> "tuple[MlflowClient, str]":
        """The client and the number of the experiment."""
        if self._connected is None:
            uri, artifacts = self.uri, None
            if not uri:
                self.folder.mkdir(exist_ok=True)
                uri = self._files
                artifacts = (self.folder.resolve() / "artifacts").as_uri()
            client = self._client(uri)
            known = client.get_experiment_by_name(self.experiment)
            number = known.experiment_id if known else None
            if number is None:
                number = client.create_experiment(self.experiment, artifact_location=artifacts)
            self._connected = client, number
        return self._connected

    def begin(self, run: TrackedRun) -> None:
        """Begin a run, or go on with the one of that key."""
        from mlflow.entities import Param

        client, experiment = self._connection
        tags = {name: value[:LONGEST_VALUE] for name, value in run.tags.items()}
        found = client.search_runs([experiment], f"tags.`{KEY}` = '{run.key}'", max_results=1)
        if found:
            number = found[0].info.run_id
            client.update_run(number, status="RUNNING")
        else:
            above = {PARENT: self.study} if self.study else {}
            marked = {**tags, **above, KEY: run.key, "kind": run.kind}
            number = client.create_run(experiment, tags=marked, run_name=run.name).info.run_id
            params = [Param(named(n), str(v)[:LONGEST_VALUE]) for n, v in run.params.items()]
            client.log_batch(number, params=params)
        if run.kind == "study":
            self.study = number
        self.ids[run.key] = number

    def log(self, key: str, metrics: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of a run after an epoch."""
        from mlflow.entities import Metric

        client, _ = self._connection
        now = int(1000 * time.time())
        values = [Metric(named(name), value, now, epoch) for name, value in metrics.items()]
        client.log_batch(self.ids[key], metrics=values)

    def end(self, key: str, state: str, summary: Mapping[str, Any]) -> None:
        """End a run, with its summary as tags."""
        from mlflow.entities import RunTag

        client, number = self._connection[0], self.ids.pop(key)
        facts = {"state": state, **summary}
        tags = [RunTag(named(name), str(v)[:LONGEST_VALUE]) for name, v in facts.items()]
        client.log_batch(number, tags=tags)
        client.set_terminated(number, STATUS[state])

    def keep(self, key: str, files: Sequence[Path]) -> None:
        """Keep files, as artifacts of a run."""
        client, _ = self._connection
        for file in files:
            client.log_artifact(self.ids[key], str(file))

    def close(self) -> None:
        """Do nothing: each run has ended by itself."""


def named(name: str) -> str:
    """A name as MLflow takes it: letters, digits, and a few signs; others become "_".

    >>> named("validation/auroc"), named("gap (β = 0.5)")
    ('validation/auroc', 'gap __ _ 0.5_')
    """
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)


def without_password(uri: str) -> str:
    """An address without the user and the password in it.

    >>> without_password("https://me:secret@host:5000/path")
    'https://host:5000/path'
    """
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
