"""Keeps freed memory in the process, so that training does not wait for the kernel.

By default glibc returns the memory of a large tensor to the kernel when the tensor is freed, and
the kernel fills it with zeros before it hands it out again. In training, where every step frees
and allocates the same activations, that took 17 to 32 % of the CPU time on grey images.
"""

import ctypes
from functools import cache

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # numbers of the options in malloc.h
LARGEST_BLOCKS = (1 << 30, 1 << 25)  # bytes; older versions of glibc accept only the second
NEVER = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Make malloc keep freed memory for later allocations, up to the peak that was in use.

    A process then keeps as much memory as it once needed at the same time. It changes speed, not
    results.

    Returns:
        whether it could be set: not without glibc (macOS, Windows, musl), where nothing changes.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    accepted = any(mallopt(MMAP_THRESHOLD, size) for size in LARGEST_BLOCKS)
    return bool(accepted and mallopt(TRIM_THRESHOLD, NEVER))
