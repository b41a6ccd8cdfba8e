"""Checks of every node of a cluster, before a study writes or trains anything."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from tune_ad.errors import MachineError
from tune_ad.execution.ray.connection import connection
from tune_ad.execution.ray.nodes import Node, ask, live_nodes
from tune_ad.execution.ray.shared_folder import check_shared_folder
from tune_ad.wording import count

Ask = Callable[..., Mapping[Node, int]]


def check_nodes(address: str, folder: Path, cpus: int, gpus: float) -> None:
    """Check that each node that is large enough for a trial can run one.

    Args:
        address: address of the cluster.
        folder: the folder of the study, which every node must reach.
        cpus: number of cores of a trial.
        gpus: number of GPUs of a trial.

    Raises:
        MachineError: with the address of a node, in one line; nothing has been written.
    """
    with connection(address):
        nodes = [node for node in live_nodes() if node.cpus >= cpus and node.gpus >= gpus]
        check_shared_folder(folder, nodes)
        if gpus:
            check_gpus(nodes)


def check_gpus(nodes: Sequence[Node], ask: Ask = ask) -> None:
    """Check that PyTorch sees the GPUs that each node claims to have.

    Args:
        nodes: nodes with GPUs.
        ask: a function that returns what `usable_gpus` returns on each node.

    Raises:
        MachineError: with the address of a node.
    """
    for node, seen in ask(nodes, usable_gpus).items():
        if seen < node.gpus:
            raise MachineError(
                f"node {node.ip} of the cluster claims {count(node.gpus, 'GPU')}, but PyTorch "
                f"sees {seen or 'none'} there; start it with 'ray start --num-gpus={seen}', "
                "mend its driver or its PyTorch, or use --device cpu"
            )


def usable_gpus() -> int:
    """Run on a node: the number of GPUs that PyTorch can use there."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
