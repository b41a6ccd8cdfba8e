import platform
import subprocess
import sys

import pytest

PAGES = """
import resource
import torch
from tune_ad.training.replicas.memory import keep_freed_memory

assert keep_freed_memory() is {expected}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.set_num_threads(1)
def allocate(times):
    for _ in range(times):
        torch.ones(10_000_000)

allocate(20)
before = faults()
allocate(10)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc (Linux)")
@pytest.mark.slow
def test_freed_memory_is_used_again_without_page_faults():
    script = PAGES.format(expected=True)
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 100, "ten tensors of 40 MB are 100,000 pages of 4 KB"


def test_without_glibc_nothing_happens(monkeypatch):
    from tune_ad.training.replicas import memory

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    memory.keep_freed_memory.cache_clear()
    assert memory.keep_freed_memory() is False
    memory.keep_freed_memory.cache_clear()
