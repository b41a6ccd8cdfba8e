"""Why the process of a trial has ended under Ray, as one short sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import worker
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError, RayTaskError

from tune_ad.errors import cut, one_line

LAST_LINES = 3  # of the log of a process that are part of a reason
TAIL_BYTES = 2**16  # of a log that are read
SIGNAL = re.compile(r"^\*\*\* (SIG[A-Z0-9]+) received at .*", re.MULTILINE | re.DOTALL)
"""What Ray writes to the log of a process that a signal ends, with its stack."""
OUT_OF_MEMORY = (
    "its process was stopped because its node was out of memory; use fewer --concurrent, or "
    "smaller models"
)
UNKNOWN = "its process was killed or crashed, as when the memory is used up"


class MachineDeathError(RayActorError):  # type: ignore[misc]
    """A death of the process of a trial that Ray reports by another class of exceptions."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(error_msg=reason)


@contextmanager
def deaths_are_retried() -> Iterator[None]:
    """Context manager: Ray Tune tries trials again whatever has ended their process.

    It knows two classes of exceptions by itself, and ends the whole study for all others, such as
    that of the memory monitor.
    """

    def converting(original: Any) -> Any:
        def failed(manager: RayActorManager, *, exception: Exception, **subject: Any) -> None:
            if not isinstance(exception, RayActorError | RayTaskError):
                exception = MachineDeathError(sentence(exception))
            original(manager, exception=exception, **subject)

        return failed

    names = ("_actor_task_failed", "_actor_start_failed")
    before = {name: getattr(RayActorManager, name) for name in names}
    for name, original in before.items():
        setattr(RayActorManager, name, converting(original))
    try:
        yield
    finally:
        for name, original in before.items():
            setattr(RayActorManager, name, original)


def reason_of(trial: Any) -> str:
    """Why a trial of Ray Tune has failed last, in one line."""
    path = Path(trial.pickled_error_file or "")
    error = ray.cloudpickle.loads(path.read_bytes()) if path.is_file() else None
    if isinstance(error, RayActorError):
        return sentence(error)
    return _last_exception(trial.error_file)


def sentence(error: Exception) -> str:
    """Why a process has ended: the cause, and the last lines of its log if it was on this node."""
    text = str(error)
    if isinstance(error, MachineDeathError):
        return text
    if isinstance(error, OutOfMemoryError) or "running low on memory" in text:
        return OUT_OF_MEMORY
    ip = re.search(r"^\s*ip: (\S+)", text, re.MULTILINE)
    place = f" ({ip[1]})" if ip else ""
    if re.search(r"\bits node has died|node (was|has been) (terminated|preempted)", text):
        return f"its node{place} was lost"
    if isinstance(error, ActorUnavailableError):
        return "its process, or its node, could not be reached any more"
    process = re.search(r"^\s*pid: (\d+)", text, re.MULTILINE)
    log = log_end(int(process[1]), ip[1]) if process and ip else ""
    return _cause(error, log) + last_words(log)


def _cause(error: Exception, log: str) -> str:
    """Why a process has ended, by Ray's words or by its log."""
    text = str(error)
    if ended := SIGNAL.search(log) or re.search(r"receives? a (SIG[A-Z]+)", text):
        return f"its process was ended by {ended[1]}"
    if code := re.search(r"with an exit code (\d+)", text):
        return f"its process ended with exit code {code[1]}"
    detail = re.search(r"Worker exit detail: ([^.]*)", text)
    if detail is None:
        return f"its process ended: {one_line(error)}"
    return UNKNOWN if "connection error" in detail[1] else f"its process ended: {cut(detail[1])}"


def log_end(process: int, ip: str) -> str:
    """The end of what a process of a trial has written to its standard error.

    Args:
        process: its number.
        ip: the address of its node.

    Returns:
        At most `TAIL_BYTES`; empty if it has written nothing, or on another node.
    """
    node = worker._global_node
    if node is None or node.node_ip_address != ip:
        return ""
    logs = list(Path(node.get_logs_dir_path()).glob(f"worker-*-{process}.err"))
    if not logs:
        return ""
    with max(logs, key=lambda path: path.stat().st_mtime).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    return text if size <= TAIL_BYTES else text.partition("\n")[2]


def last_words(log: str) -> str:
    """The last lines of a log that are not Ray's own, for a reason; empty if there is none."""
    lines = [
        line.strip()
        for line in SIGNAL.sub("", log).splitlines()
        if line.strip() and not line.startswith(":")  # Ray's own marks
    ]
    return f"; its last lines: {cut(' | '.join(lines[-LAST_LINES:]))}" if lines else ""


def _last_exception(error_file: str | None) -> str:
    """The type and the first line of the exception whose traceback Ray has written to a file."""
    path = Path(error_file or "")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    frames = [k for k, line in enumerate(lines) if line.startswith("  File ")]
    messages = [line for line in lines[frames[-1] if frames else 1 :] if line[:1].strip()]
    return cut(re.sub(r"^(\w+\.)+(?=\w+:)", "", (messages or ["its process ended"])[0]))
