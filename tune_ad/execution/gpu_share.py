"""How many trials share a GPU, decided from its memory, its speed and the cores of the machine."""

import math
from collections.abc import Callable
from typing import NamedTuple

from tune_ad.errors import UserError
from tune_ad.execution.machine import Machine
from tune_ad.training.largest import Need
from tune_ad.wording import count

FULL = 1.25  # sum of the busy shares of trials that fill a GPU, since they also wait at times
MOST_PER_GPU = 16
RAY_UNITS = 10_000  # of a GPU; Ray counts in whole units


class GpuDemand(NamedTuple):
    """What the trials of a study need of a GPU, and how much memory there is.

    Attributes:
        free: bytes of free memory of the GPU with least.
        usable: bytes of it that are planned with.
        need: memory of the largest configuration.
        busy: a function that measures the share of time for which one trial keeps a GPU busy, in
            [0, 1]; None if it cannot be measured.
    """

    free: int
    usable: int
    need: Need
    busy: Callable[[], float | None]


class GpuShare(NamedTuple):
    """The number of GPUs per trial, and its reason, a clause that follows "because"."""

    gpus: float
    reason: str


def gpu_share(
    demand: GpuDemand | None, machine: Machine, cpus: int, concurrent: int | None
) -> GpuShare:
    """How much of a GPU a trial takes, so that trials fill the GPU but not its memory.

    A trial whose operations are too short to keep the GPU busy shares it with others. The GPU is
    timed only if memory, cores and the wanted number of trials leave room for several.

    Args:
        demand: what the trials need; None if it is not known.
        machine: machine or cluster with at least one GPU.
        cpus: number of cores per trial.
        concurrent: the wanted number of parallel trials; None = as many as possible.

    Raises:
        UserError: if the largest configuration needs more memory than a GPU has.
    """
    if demand is None:
        return GpuShare(1.0, "the GPUs of a cluster cannot be measured from here")
    if demand.need.alone > demand.usable:
        raise UserError(
            f"the largest configuration of {demand.need.baseline} needs "
            f"{_gigabytes(demand.need.alone)} of GPU memory, and {_gigabytes(demand.usable)} of "
            f"{_gigabytes(demand.free)} that are free can be used; use smaller models (--set "
            "width, latent_dim or batch_size), fewer (--seeds or --classes), or --device cpu"
        )
    cores = machine.node_cpus // (cpus * machine.node_gpus)
    bounds = {
        f"its largest configuration needs {_gigabytes(demand.need.together)} of the "
        f"{_gigabytes(demand.usable)} of memory": demand.usable // demand.need.together,
        f"there are {_cores_and_gpus(machine)}": cores,
        f"at most {MOST_PER_GPU} trials share a GPU": MOST_PER_GPU,
    }
    if concurrent is not None:
        several = f"{concurrent} trials run in parallel"
        reason = "one trial runs at a time" if concurrent == 1 else several
        bounds[reason] = math.ceil(concurrent / machine.gpus)
    if min(bounds.values()) > 1:
        busy = demand.busy()
        if busy is None:
            bounds["it could not be measured how busy a trial keeps a GPU"] = 1
        else:
            bounds[f"a trial keeps a GPU busy for {busy:.0%} of the time"] = (
                int(FULL / busy) if busy else MOST_PER_GPU
            )
    reason = min(bounds, key=lambda name: bounds[name])
    return GpuShare(_share_of(max(1, bounds[reason])), reason)


def _share_of(trials: int) -> float:
    """The share of a GPU of which this number fits, rounded down as Ray counts it.

    >>> _share_of(1), _share_of(3)
    (1.0, 0.3333)
    """
    return RAY_UNITS // trials / RAY_UNITS


def _cores_and_gpus(machine: Machine) -> str:
    return f"{count(machine.node_cpus, 'core')} for {count(machine.node_gpus, 'GPU')}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
