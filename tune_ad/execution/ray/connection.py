"""The connection to Ray: a Ray of our own on this machine, or a cluster that runs already."""

import logging
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import ray
from ray._private import ray_constants, worker
from ray.exceptions import AuthenticationError

from tune_ad.errors import MachineError, cut
from tune_ad.execution.machine import Machine
from tune_ad.execution.ray.cluster_address import REMEDY, TOKEN, resolved
from tune_ad.execution.ray.nodes import live_nodes
from tune_ad.execution.ray.own_folder import own_folder
from tune_ad.signals import interrupt_afterwards, kept_handlers

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # C++ code writes to the terminal, over the progress line
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

LOG = logging.getLogger(__name__)


@contextmanager
def connection(address: str, cpus: int | None = None) -> Iterator[None]:
    """Connect to a running Ray cluster, or start a local one.

    A local one listens on this machine alone, asks for a token that only this process knows, and
    has a folder of its own. Ctrl-C while Ray starts or ends takes effect once Ray has started and
    ended properly.

    Args:
        address: address of the cluster; "local" starts one on this machine.
        cpus: number of cores that a local Ray may use.

    Raises:
        MachineError: if no cluster answers, or none can be started.
        KeyboardInterrupt: if the user interrupts the start or the end of Ray.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    worker.print_to_stdstream = _note
    with _local(cpus) if address == "local" else _opened(resolved(address)):
        yield


def _note(data: Mapping[str, Any], **options: Any) -> None:  # noqa: ANN401
    """Note what Ray would print over the progress line, such as the log of a node that has died.

    What matters of it is in the reasons of failed trials.
    """
    LOG.debug("\n".join(map(str, data["lines"])))


def remote_machine(address: str) -> Machine:
    """The resources of a running cluster.

    Raises:
        MachineError: if no cluster answers.
    """
    with connection(address):
        nodes = live_nodes()
    cpus, gpus = [node.cpus for node in nodes], [node.gpus for node in nodes]
    memory = max(node.memory for node in nodes)
    sizes = tuple(zip(cpus, gpus, strict=True))
    return Machine(sum(cpus), sum(gpus), max(cpus), max(gpus), memory, sizes)


def processes() -> dict[str, int]:
    """The processes of a Ray of our own without which it is lost, by their names."""
    node = worker._global_node
    if node is None or not node.head:
        return {}
    running = node.all_processes
    kinds = ("raylet", "gcs_server")  # where both have died, the first was the cause
    return {kind: running[kind][0].process.pid for kind in kinds if kind in running}


@contextmanager
def _local(cpus: int | None) -> Iterator[None]:
    """Context manager: a Ray of our own on this machine."""
    with (
        own_folder() as folder,
        _environment(_access() | {ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}),
        _loopback(),
        _opened("local", num_cpus=cpus, include_dashboard=False, _temp_dir=str(folder)),
    ):
        yield


@contextmanager
def _opened(address: str, **options: Any) -> Iterator[None]:  # noqa: ANN401
    """Context manager: the connection to Ray at an address."""
    try:
        with interrupt_afterwards(), kept_handlers():  # Ray takes SIGTERM for itself
            _init(address, **options)
    except KeyboardInterrupt:
        _close()
        raise
    try:
        yield
    finally:
        with interrupt_afterwards():
            _close()


def _close() -> None:
    """End the connection; Ray would leave the process without its handlers of signals."""
    with kept_handlers():
        ray.shutdown()


def _init(address: str, **options: Any) -> None:  # noqa: ANN401
    """Connect to Ray.

    Raises:
        MachineError: if it does not start, no cluster answers, or there is a connection already.
    """
    try:
        with _without_stderr():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except Exception as error:  # Ray raises also this class itself, if a node starts too slowly
        reason = cut((str(error).splitlines() or [type(error).__name__])[0])
        if address == "local":
            raise MachineError(
                f"Ray does not start on this machine ({reason}); try again, or use --backend "
                "serial"
            ) from error
        if isinstance(error, AuthenticationError):
            raise MachineError(
                f"RAY_AUTH_MODE is token, but there is no token; {TOKEN}"
            ) from error
        message = f"no Ray cluster answers at {address!r} ({reason}); {REMEDY}"
        if isinstance(error, ConnectionError):
            message += f". If it asks for a token, set RAY_AUTH_MODE=token; {TOKEN}"
        raise MachineError(message) from error


def _access() -> dict[str, str]:
    """Environment variables with which only processes that have the token may use Ray.

    What the user has set is left alone. A local Ray asks for a token unless RAY_AUTH_MODE says
    otherwise, and would write one into the user's home.
    """
    given = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    return {} if given else {"RAY_AUTH_TOKEN": _token()}


@cache
def _token() -> str:
    """A secret of this process; Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Context manager: environment variables of the processes that are started in the block."""
    before = {name: os.environ.get(name) for name in (*variables, "RAY_AUTH_MODE")}  # set by Ray
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _loopback() -> Iterator[None]:
    """Context manager: a Ray that starts in the block listens on 127.0.0.1 alone.

    Ray does so where it supports no clusters; it has no other setting for it.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Context manager: drop what Ray's C++ code writes to the standard error of the process."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
