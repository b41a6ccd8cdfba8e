"""What the trials of a study need of a GPU: its memory, and how busy they keep it."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate
from operator import itemgetter
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tune_ad.detectors.answers import MEASURE_SECONDS, answering
from tune_ad.detectors.schedule import Stage
from tune_ad.errors import UserError
from tune_ad.execution.gpu_share import GpuDemand
from tune_ad.execution.probe import probe
from tune_ad.execution.timing import seconds_of
from tune_ad.search.study import Study
from tune_ad.training.largest import largest
from tune_ad.training.replicas.device_memory import usable
from tune_ad.training.replicas.replica_set import ReplicaSet

BUSY_BATCHES = 30  # of an epoch of which the share of time is measured that a GPU is busy


def gpu_demand(
    study: Study, models: int, images: int, say: Callable[[str], None]
) -> GpuDemand | None:
    """What the trials of a study need of the GPUs of this machine; None if it has none.

    Args:
        study: the study.
        models: number of models of a trial.
        images: bytes of the images of all tasks.
        say: prints a line for the user.
    """
    if not torch.cuda.is_available():
        return None
    free = free_memory()

    def busy() -> float | None:
        say("measuring how busy a trial keeps the GPU ...")
        try:
            return busy_share(study, models)
        except UserError as error:
            say(f"that is not known, because {error}")
            return None

    return GpuDemand(free, usable(free), largest(study, models, images), busy)


def free_memory() -> int:
    """Bytes of free memory of the GPU with least."""
    return min(torch.cuda.mem_get_info(k)[0] for k in range(torch.cuda.device_count()))


def busy_share(study: Study, models: int) -> float | None:
    """The share of time for which a trial keeps the GPU busy in training, in [0, 1].

    It is measured for the default configuration of each baseline; the largest share counts. The
    rest of the time the GPU waits for the process to launch the next operation. A detector that
    is fitted on the CPU does not use the GPU at all.

    Args:
        study: study whose baselines are trained for a moment.
        models: number of models of a trial, of which several are trained together.

    Returns:
        the share; None if PyTorch's profiler sees no operation of the GPU.

    Raises:
        UserError: if a detector cannot be trained.
    """
    shares = []
    for baseline in study.baselines.values():
        config = baseline.config(study.shape, {})
        with answering(baseline.detector, "cannot be trained", MEASURE_SECONDS):
            replica_set = probe(baseline, config, study, "cuda", models, BUSY_BATCHES)
            if not replica_set.epochs:
                continue
            shares.append(busy_share_of(replica_set))
        del replica_set
        torch.cuda.empty_cache()  # the trials need the memory
    if not shares:
        return 0.0
    return max(shares) if min(shares) > 0 else None


def busy_share_of(replica_set: ReplicaSet) -> float:
    """The share of time of an epoch for which the GPU works, if all replicas train together.

    It is the second epoch of the longest stage: the first also computes the buffers with which the
    stage begins, and builds the optimisers. If the stage has only one epoch, it is that one.
    """
    stack = replica_set.stack_of(range(len(replica_set.replicas)))
    first, epochs = longest(stack.lead.stages)
    stack.train_epoch(first)  # also loads kernels
    epoch = partial(stack.train_epoch, first + min(1, epochs - 1))
    wall = min(seconds_of(epoch, "cuda") for _ in range(2))
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        seconds_of(epoch, "cuda")
    return min(1.0, seconds_on_gpu(recorded.events()) / wall)


def longest(stages: Sequence[Stage]) -> tuple[int, int]:
    """The first epoch of the stage with most epochs, and the number of its epochs."""
    starts = accumulate((stage.epochs for stage in stages), initial=0)
    return max(
        ((start, stage.epochs) for start, stage in zip(starts, stages, strict=False)),
        key=itemgetter(1),
    )


def seconds_on_gpu(events: Iterable[Any]) -> float:
    """The total duration of the operations of a GPU, which follow one another, in seconds.

    Args:
        events: the events of `torch.profiler`, also those of the CPU.
    """
    microseconds = sum(
        event.time_range.elapsed_us()
        for event in events
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    )
    return float(microseconds) / 1e6
