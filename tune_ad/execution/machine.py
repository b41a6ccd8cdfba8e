"""What a machine, or a cluster, has for trials."""

import os
from typing import NamedTuple

import torch


class Machine(NamedTuple):
    """Cores and GPUs in all, and of the largest node, where one trial must fit.

    Attributes:
        cpus: cores that this process may use, or of all nodes of a cluster.
        gpus: GPUs in all.
        node_cpus: cores of the largest node.
        node_gpus: GPUs of the largest node.
    """

    cpus: int
    gpus: int
    node_cpus: int
    node_gpus: int

    def slots(self, cpus: int, gpus: float) -> int:
        """How many trials that ask for so much fit at a time, at least 1."""
        by_cpu = self.cpus // cpus
        return max(1, min(by_cpu, int(self.gpus / gpus)) if gpus else by_cpu)


def this_machine() -> Machine:
    """The cores that this process is allowed to use, and the GPUs that PyTorch sees."""
    cpus, gpus = len(os.sched_getaffinity(0)), torch.cuda.device_count()
    return Machine(cpus, gpus, cpus, gpus)


def memory() -> int:
    """Main memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
