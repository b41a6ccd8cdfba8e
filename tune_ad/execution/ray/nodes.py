"""The nodes of a Ray cluster, and questions that each of them answers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_ad.errors import MachineError, one_line

ANSWER_SECONDS = 120.0  # also for the start of a process that imports PyTorch from a slow disk

Answer = TypeVar("Answer")


class Node(NamedTuple):
    """A node of a cluster.

    Attributes:
        identity: Ray's identifier of the node.
        ip: its IP address.
        cpus: number of cores that it offers.
        gpus: number of GPUs that it offers.
        memory: main memory in bytes that it offers.
    """

    identity: str
    ip: str
    cpus: int
    gpus: int
    memory: int


def live_nodes() -> list[Node]:
    """The nodes of the cluster to which this process is connected, without those that are lost."""
    return [_node(entry) for entry in ray.nodes() if entry["Alive"]]


def _node(entry: dict[str, Any]) -> Node:
    offered = entry["Resources"]
    memory = offered.get("memory", 0) + offered.get("object_store_memory", 0)
    cpus, gpus = (int(offered.get(kind, 0)) for kind in ("CPU", "GPU"))
    return Node(entry["NodeID"], entry["NodeManagerAddress"], cpus, gpus, int(memory))


def ask(
    nodes: Sequence[Node],
    question: Callable[..., Answer],
    *arguments: Any,
) -> dict[Node, Answer]:
    """What a function returns on each node.

    It needs no free core or GPU, so that a cluster that is busy answers as well, and sees all GPUs
    of its node. Its process ends with it, since a later trial must not use a process in which
    PyTorch has seen GPUs that are not the trial's.

    Args:
        nodes: the nodes.
        question: a function of a module of this project.
        arguments: its arguments.

    Raises:
        MachineError: naming a node that does not answer.
    """
    task = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(question)
    asked = {task.options(scheduling_strategy=_only(n)).remote(*arguments): n for n in nodes}
    _, silent = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
    if silent:
        raise MachineError(
            f"node {asked[silent[0]].ip} of the cluster does not answer within "
            f"{ANSWER_SECONDS:.0f} s; look at its logs, or remove it from the cluster"
        )
    return {node: _answer(node, reference) for reference, node in asked.items()}


def _only(node: Node) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node.identity, soft=False)


def _answer(node: Node, reference: Any) -> Any:
    """The answer of a node.

    Raises:
        MachineError: if the function could not run there.
    """
    try:
        return ray.get(reference)
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        raise MachineError(
            f"node {node.ip} of the cluster cannot run tune_ad ({one_line(cause)}); install it "
            "there in the same version, or remove the node from the cluster"
        ) from error
