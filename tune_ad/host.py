"""The machine on which this process runs: the cores that it may use, and the main memory.

A container, and a job of a scheduler, may use less than the machine has: Linux limits them by
control groups (cgroups), of version 1 or 2. They are nested, and the least limit counts.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
VERSION_1 = {"cpu": "cpu.cfs_quota_us", "memory": "memory.limit_in_bytes"}
VERSION_2 = {"cpu": "cpu.max", "memory": "memory.max"}
"""The file that limits each controller, by the version of cgroups."""


def usable_cores(root: Path = ROOT) -> int:
    """The number of whole cores that this process may use: by affinity and by quotas; at least 1.

    Args:
        root: the root of the file system.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, int(min([cores, *_quotas(root)])))


def main_memory(root: Path = ROOT) -> int:
    """The main memory that this process may use, in bytes.

    Args:
        root: the root of the file system.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_memory_limits(root)])


def _quotas(root: Path) -> Iterator[float]:
    """The processor time per time of each limited group above this process, in cores."""
    for file in _files(root, "cpu"):
        words = _text(file).split()
        if len(words) == 1 and words != ["max"]:  # version 1: the period has a file of its own
            words.append(_text(file.with_name("cpu.cfs_period_us")))
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
            yield int(words[0]) / int(words[1])


def _memory_limits(root: Path) -> Iterator[int]:
    """The bytes of each limited group above this process."""
    for file in _files(root, "memory"):
        if (text := _text(file)).isdigit():
            yield int(text)


def _files(root: Path, controller: str) -> Iterator[Path]:
    """The file that limits a controller, in the group of this process and in those above it."""
    for kind, controllers, group in _groups(root):
        is_version_2 = kind == "cgroup2"
        if not (is_version_2 or controller in controllers):
            continue
        name = (VERSION_2 if is_version_2 else VERSION_1)[controller]
        for within, place in _mounts(root, kind, controller):
            yield from (folder / name for folder in _upwards(place, within, group))


def _groups(root: Path) -> Iterator[tuple[str, list[str], str]]:
    """The groups of this process: the kind of their file system, their controllers, their path."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, group = (line.split(":", 2) + ["", ""])[:3]
        yield ("cgroup2" if number == "0" else "cgroup"), controllers.split(","), group


def _mounts(root: Path, kind: str, controller: str) -> Iterator[tuple[str, Path]]:
    """Where groups are mounted: the group that lies there, and the folder."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, of_file_system = before.split(" "), after.split(" ")
        if len(fields) < 5 or of_file_system[0] != kind:
            continue
        if kind == "cgroup" and controller not in of_file_system[-1].split(","):
            continue
        within, mounted = map(_unescaped, fields[3:5])
        yield within, root / mounted.lstrip("/")


def _upwards(place: Path, within: str, group: str) -> Iterator[Path]:
    """The folders of a group and of those above it, as far as they are mounted."""
    inside = os.path.relpath(group, within) if group.startswith("/") else "."
    parts = () if inside.startswith("..") else Path(inside).parts
    for number in range(len(parts), -1, -1):
        yield place.joinpath(*parts[:number])


def _unescaped(path: str) -> str:
    """A path of `mountinfo`, which writes spaces and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _text(file: Path) -> str:
    """The text of a file of the system without white space around it; empty if there is none."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
