"""Why the process of a trial has ended under Ray, in one short sentence."""

from types import SimpleNamespace

import pytest
import ray
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ActorUnavailableError, NodeDiedError, OutOfMemoryError, RayActorError

from tune_ad.execution.ray import deaths
from tune_ad.execution.ray.deaths import (
    OUT_OF_MEMORY,
    UNKNOWN,
    MachineDeathError,
    deaths_are_retried,
    last_words,
    log_end,
    sentence,
)

DIED = "The actor died.\n\tclass_name: A\n\tpid: 71\n\tip: 10.0.0.7\n"
WORKER = DIED + "The actor is dead because its worker process has died. Worker exit type: "
CRASH = "SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a connection error code 2"


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """The folder of the logs of this node, whose address is 10.0.0.7."""
    node = SimpleNamespace(node_ip_address="10.0.0.7", get_logs_dir_path=lambda: str(tmp_path))
    monkeypatch.setattr(deaths.worker, "_global_node", node)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (f"{WORKER}{CRASH}. End of file. Some causes include: (1) a", UNKNOWN),
        (f"{WORKER}X Worker exit detail: Worker exits with an exit code 4.", "exit code 4"),
        (f"{WORKER}X Worker exit detail: exit code 1. The process receives a SIGTERM.", "SIGTERM"),
        (f"{DIED}The actor died because its node has died. Node Id: 7", "(10.0.0.7) was lost"),
        (f"{DIED}1 worker(s) were killed due to the node running low on memory.", OUT_OF_MEMORY),
        ("The actor died unexpectedly.\nmore", "RayActorError: The actor died unexpectedly."),
    ],
)
def test_the_cause_is_one_short_sentence(error, reason):
    said = sentence(RayActorError(error_msg=error))
    assert said.startswith("its ")
    assert said.endswith(reason)
    assert "\n" not in said


def test_other_classes_of_exceptions_are_known():
    assert sentence(OutOfMemoryError("killed")) == OUT_OF_MEMORY
    assert "could not be reached" in sentence(ActorUnavailableError("away", None))
    assert "its process ended: NodeDiedError" in sentence(NodeDiedError("gone"))


def test_the_end_of_the_log_of_this_node_tells_the_signal_and_the_last_words(logs):
    log = logs / "worker-a-01-71.err"
    log.write_text(
        ":job_id:01\n:actor_name:A\nfirst\nout of\n\nideas\n*** SIGSEGV received at time=1 ***\n"
        "PC: @ 0x1\nFatal Python error: Segmentation fault\n"
    )
    said = sentence(RayActorError(error_msg=WORKER + CRASH))
    assert said == "its process was ended by SIGSEGV; its last lines: first | out of | ideas"
    other = sentence(RayActorError(error_msg=(WORKER + CRASH).replace("10.0.0.7", "10.0.0.8")))
    assert other == UNKNOWN


def test_only_the_end_of_a_log_is_read(logs, monkeypatch):
    monkeypatch.setattr(deaths, "TAIL_BYTES", 12)
    (logs / "worker-a-01-71.err").write_text("a long line\nanother\nlast\n")
    assert log_end(71, "10.0.0.7") == "last\n"
    assert last_words(log_end(71, "10.0.0.7")) == "; its last lines: last"
    assert log_end(1, "10.0.0.7") == ""
    assert last_words("") == ""


def test_without_a_connection_there_is_no_log(monkeypatch):
    monkeypatch.setattr(deaths.worker, "_global_node", None)
    assert log_end(71, "10.0.0.7") == ""


def test_a_kill_of_the_memory_monitor_is_a_death_like_any_other(monkeypatch):
    seen = []
    for name in ("_actor_task_failed", "_actor_start_failed"):
        monkeypatch.setattr(
            RayActorManager, name, lambda manager, exception, task: seen.append(exception)
        )
    death = RayActorError(error_msg="it died")
    with deaths_are_retried():
        for name in ("_actor_task_failed", "_actor_start_failed"):
            getattr(RayActorManager, name)(None, task=1, exception=OutOfMemoryError("killed"))
            getattr(RayActorManager, name)(None, task=1, exception=death)
    assert [str(error) for error in seen] == [OUT_OF_MEMORY, "it died"] * 2
    assert isinstance(seen[0], MachineDeathError)
    assert sentence(ray.cloudpickle.loads(ray.cloudpickle.dumps(seen[0]))) == OUT_OF_MEMORY
    assert seen[1] is death
