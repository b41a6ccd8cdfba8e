"""Short measurements before a study: replicas on random images, and how busy they keep a GPU."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tune_ad.detectors.base import skeleton
from tune_ad.detectors.config import Config
from tune_ad.execution.gpu_share import GpuDemand
from tune_ad.randomness import torch_stream
from tune_ad.search.baseline import Baseline
from tune_ad.search.study import Study
from tune_ad.training.largest import largest
from tune_ad.training.replicas.device_memory import fitting, footprint, usable
from tune_ad.training.replicas.paths import trained_together
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

PROBE_IMAGES = 200  # at least; so many are scored at once on a CPU
BUSY_BATCHES = 30  # of an epoch of which the share of time is measured that a GPU is busy


def probe(  # noqa: PLR0913 - what is trained, and how
    baseline: Baseline,
    config: Config,
    study: Study,
    device: str,
    models: int,
    batches: int = 1,
) -> ReplicaSet:
    """Replicas of a configuration that are trained together, on at least `PROBE_IMAGES` images.

    Args:
        baseline: the baseline.
        config: one of its configurations.
        study: the study.
        device: "cpu" or "cuda".
        models: number of models of a trial.
        batches: the smallest number of batches of an epoch.
    """
    shape = study.shape
    module = skeleton(baseline.detector, config, shape)
    stages = module.stages()
    count = max([PROBE_IMAGES, *(batches * stage.batch_size for stage in stages)])
    images = torch.rand(count, *shape, generator=torch_stream(0, "probe"))
    together = min(models, trained_together(module, device))
    if device == "cuda":
        one, free = footprint(baseline.detector, config, shape), free_memory()
        together = fitting(one, together, images.nbytes, free)
    return ReplicaSet(
        baseline.detector,
        config,
        images.to(device),
        [ReplicaSpec("probe", seed, torch.arange(count)) for seed in range(together)],
        baseline.score_space,
        precision=study.precision_of(baseline.title),
    )


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
        return busy_share(study, models)

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
    """
    shares = []
    for baseline in study.baselines.values():
        config = baseline.config(study.shape, {})
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
    """The share of time of the first epoch for which the GPU works, if all train together."""
    stack = replica_set.stack_of(range(len(replica_set.replicas)))
    epoch = partial(stack.train_epoch, 0)
    epoch()  # loads kernels
    wall = min(seconds_of(epoch, "cuda") for _ in range(2))
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        seconds_of(epoch, "cuda")
    return min(1.0, seconds_on_gpu(recorded.events()) / wall)


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


def seconds_of(call: Callable[[], object], device: str) -> float:
    """The duration of a call, to the end of what it has started on the device."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
