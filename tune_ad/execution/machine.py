"""The cores, GPUs and memory of a machine or a cluster."""

from typing import NamedTuple

import torch

from tune_ad.host import main_memory, usable_cores


class Machine(NamedTuple):
    """Cores and GPUs in total, and what the largest node has, because a trial runs on one node.

    Attributes:
        cpus: number of cores that this process may use, or of all nodes of a cluster.
        gpus: number of GPUs in total.
        node_cpus: number of cores of the node with most cores.
        node_gpus: number of GPUs of the node with most GPUs.
        node_memory: main memory in bytes of the node with most, without what others use there if
            it is a node of a cluster.
    """

    cpus: int
    gpus: int
    node_cpus: int
    node_gpus: int
    node_memory: int

    def slots(self, cpus: int, gpus: float) -> int:
        """The number of trials with these cores and GPUs that can run in parallel, at least 1."""
        by_cpu = self.cpus // cpus
        if not gpus:
            return max(1, by_cpu)
        # No trial takes its share from two GPUs. The term keeps 1 / 0.1 from falling below 10.
        by_gpu = self.gpus * int(1 / gpus + 1e-9) if gpus < 1 else int(self.gpus / gpus)
        return max(1, min(by_cpu, by_gpu))


def this_machine() -> Machine:
    """The cores that this process is allowed to use, and the GPUs that PyTorch sees."""
    cpus, gpus = usable_cores(), torch.cuda.device_count()
    return Machine(cpus, gpus, cpus, gpus, main_memory())
