"""What a container may use: made-up trees of control groups, of both versions."""

import os

import pytest

from tune_ad.host import main_memory, usable_cores

CORES, GIB = 64, 2**30
V2_MOUNT = "30 23 0:26 {root} {place} rw,nosuid - cgroup2 cgroup rw,nsdelegate"
V1_MOUNTS = (
    "33 31 0:30 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
)
UNLIMITED = 9223372036854771712


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    """A machine of 64 cores and 512 GiB."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(CORES)), raising=False)
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 512 * GIB // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)


@pytest.fixture
def tree(tmp_path):
    """A function: a file system with these groups of the process, mounts and limits."""

    def made(groups, mounts, files):
        texts = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return tmp_path

    return made


def version_2(root="/", place="/sys/fs/cgroup"):
    return V2_MOUNT.format(root=root, place=place)


def test_without_groups_the_machine_counts(tmp_path):
    assert (usable_cores(tmp_path), main_memory(tmp_path)) == (CORES, 512 * GIB)


def test_the_least_limit_of_nested_groups_counts(tree):
    root = tree(
        "0::/job/step",
        version_2(),
        {
            "sys/fs/cgroup/job/step/cpu.max": "max 100000",
            "sys/fs/cgroup/job/step/memory.max": str(8 * GIB),
            "sys/fs/cgroup/job/cpu.max": "350000 100000",
            "sys/fs/cgroup/job/memory.max": str(6 * GIB),
        },
    )
    assert (usable_cores(root), main_memory(root)) == (3, 6 * GIB)


def test_a_container_with_a_namespace_of_its_own(tree):
    root = tree(
        "0::/",
        version_2(),
        {"sys/fs/cgroup/cpu.max": "200000 100000", "sys/fs/cgroup/memory.max": "max"},
    )
    assert (usable_cores(root), main_memory(root)) == (2, 512 * GIB)


@pytest.mark.parametrize("quota", ["50000 100000", "0 100000"])
def test_less_than_a_core_is_one(tree, quota):
    assert usable_cores(tree("0::/", version_2(), {"sys/fs/cgroup/cpu.max": quota})) == 1


def test_version_1_in_a_container_whose_group_is_the_mounted_one(tree):
    root = tree(
        "4:memory:/docker/7f\n3:cpu,cpuacct:/docker/7f\n0::/",
        V1_MOUNTS.format(root="/docker/7f"),
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "450000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(3 * GIB),
        },
    )
    assert (usable_cores(root), main_memory(root)) == (4, 3 * GIB)


def test_version_1_without_limits(tree):
    root = tree(
        "4:memory:/job\n3:cpu,cpuacct:/job",
        V1_MOUNTS.format(root="/"),
        {
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(UNLIMITED),
        },
    )
    assert (usable_cores(root), main_memory(root)) == (CORES, 512 * GIB)


def test_a_group_outside_the_mounted_one_is_limited_by_the_mount(tree):
    root = tree("0::/elsewhere", version_2("/here"), {"sys/fs/cgroup/cpu.max": "500000 100000"})
    assert usable_cores(root) == 5


def test_a_mount_with_a_space_and_damaged_files(tree):
    root = tree(
        "0::/\nnonsense",
        version_2(place=r"/mnt/c\040g") + "\nnonsense",
        {"mnt/c g/cpu.max": "600000 100000", "mnt/c g/memory.max": "a lot"},
    )
    assert (usable_cores(root), main_memory(root)) == (6, 512 * GIB)


def test_a_system_without_affinities_counts_its_cores(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert usable_cores(tmp_path) == 10
