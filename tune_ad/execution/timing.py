"""The duration of what a device computes."""

import time
from collections.abc import Callable

import torch


def seconds_of(call: Callable[[], object], device: str) -> float:
    """The duration of a call, to the end of what it has started on the device.

    Args:
        call: the function to time.
        device: "cpu" or "cuda".
    """
    started = synchronised(device)
    call()
    return synchronised(device) - started


def synchronised(device: str) -> float:
    """The time in seconds (`time.perf_counter`) when all that was started on the device is done.

    Args:
        device: "cpu" or "cuda".
    """
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
