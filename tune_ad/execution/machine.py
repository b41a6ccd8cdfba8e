"""The cores, GPUs and memory of a machine or a cluster; and whether a process has lost its GPU."""

from typing import NamedTuple

import torch

from tune_ad.host import main_memory, usable_cores

LACKS_MEMORY = ("out of memory", "ALLOC_FAILED")
"""What is in the errors of CUDA that are a lack of memory."""


class Machine(NamedTuple):
    """Cores and GPUs in total, and what the largest node has, because a trial runs on one node.

    Attributes:
        cpus: number of cores that this process may use, or of all nodes of a cluster.
        gpus: number of GPUs in total.
        node_cpus: number of cores of the node with most cores.
        node_gpus: number of GPUs of the node with most GPUs.
        node_memory: main memory in bytes of the node with most, without what others use there if
            it is a node of a cluster.
        nodes: numbers of cores and of GPUs of each node; empty if they do not matter, because
            there is one node, or trials fit into all of them without a rest.
    """

    cpus: int
    gpus: int
    node_cpus: int
    node_gpus: int
    node_memory: int
    nodes: tuple[tuple[int, int], ...] = ()

    def slots(self, cpus: int, gpus: float) -> int:
        """The number of trials with these cores and GPUs that can run in parallel, at least 1."""
        nodes = self.nodes or ((self.cpus, self.gpus),)
        return max(1, sum(_slots(*node, cpus, gpus) for node in nodes))

    def fits(self, cpus: int, gpus: float) -> bool:
        """Whether a node has both these cores and these GPUs."""
        nodes = self.nodes or ((self.node_cpus, self.node_gpus),)
        return any(_slots(*node, cpus, gpus) for node in nodes)


def _slots(node_cpus: int, node_gpus: int, cpus: int, gpus: float) -> int:
    """The number of trials with these cores and GPUs that a node can run in parallel."""
    by_cpu = node_cpus // cpus
    if not gpus:
        return by_cpu
    # No trial takes its share from two GPUs. The term keeps 1 / 0.1 from falling below 10.
    by_gpu = node_gpus * int(1 / gpus + 1e-9) if gpus < 1 else int(node_gpus / gpus)
    return min(by_cpu, by_gpu)


def this_machine() -> Machine:
    """The cores that this process is allowed to use, and the GPUs that PyTorch sees."""
    cpus, gpus = usable_cores(), torch.cuda.device_count()
    return Machine(cpus, gpus, cpus, gpus, main_memory())


def has_lost_gpu(error: BaseException) -> bool:
    """Whether an exception is an error of CUDA, after which its process can use no GPU.

    It is not one of the trial that raised it: every later trial of the process would raise it too.
    A lack of memory is none of them, by whatever words.
    """
    try:
        text = str(error)
        return "CUDA error" in text and not any(words in text for words in LACKS_MEMORY)
    except Exception:  # of a class that is not the project's own
        return False
