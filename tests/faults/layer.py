"""A layer below the files of one folder that counts what changes them, and fails at the kth.

It stands where Python opens, writes and renames files (`open`, `os`), so that it sees records,
event files, kept models and reports alike, and leaves every other folder alone.
"""

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

REMOVING = frozenset({"unlink", "rmdir", "rename", "replace"})
"""What a full disk still allows."""
WRITING = frozenset("wax+")


class Failure(NamedTuple):
    """How the file layer fails.

    Attributes:
        title: what happens, in words.
        number: the number of the error.
        lasts: whether everything after the kth change fails as well.
        allowed: the changes that succeed all the same.
        short: whether the kth write first writes half of its bytes.
    """

    title: str
    number: int
    lasts: bool = True
    allowed: frozenset[str] = frozenset()
    short: bool = False


FAILURES = (
    Failure("disk full", errno.ENOSPC, allowed=REMOVING),
    Failure("disk full within a line", errno.ENOSPC, allowed=REMOVING, short=True),
    Failure("error of the device, once", errno.EIO, lasts=False),
    Failure("read-only from then on", errno.EROFS),
    Failure("quota used up", errno.EDQUOT, allowed=REMOVING),
)


class Layer:
    """Counts the changes of the files below a folder.

    Args:
        root: the folder.
        act: called before each change with its kind, its path and the file that is written, if
            any; what it raises is what the change raises. Its result is the number of bytes that
            a write may take, None = all.
    """

    def __init__(
        self, root: Path, act: Callable[[str, str, int | None], int | None] = lambda *_: None
    ) -> None:
        self.root, self.act = str(root), act
        self.changes: list[tuple[str, str]] = []

    def change(self, kind: str, path: object, size: int | None = None) -> int | None:
        """Note a change, if it is below the folder."""
        place = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]
        if place != self.root and not place.startswith(f"{self.root}/"):
            return None
        self.changes.append((kind, place[len(self.root) + 1 :]))
        return self.act(kind, place, size)

    def install(self) -> None:
        """Put the layer below `open` and `os`; `installed` takes it away again."""
        for name in PATCHED[0][1]:
            setattr(os, name, self._checked(name, getattr(os, name)))
        real_open, real_fsync, real_os_open = io.open, os.fsync, os.open

        def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any):
            named = isinstance(file, str | bytes | os.PathLike)
            if named and self._is_inside(file) and WRITING & set(mode):
                return self._opened(file, mode, buffering, *rest, **more)
            return real_open(file, mode, buffering, *rest, **more)

        def os_open(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            if flags & os.O_CREAT and more.get("dir_fd") is None:
                self.change("create", path)
            return real_os_open(path, flags, *rest, **more)

        def fsync(number: int) -> None:
            self.change("fsync", os.readlink(f"/proc/self/fd/{number}"))
            real_fsync(number)

        builtins.open = io.open = opened
        os.open, os.fsync = os_open, fsync

    def _is_inside(self, path: Any) -> bool:
        place = os.path.abspath(os.fsdecode(path))
        return place.startswith(f"{self.root}/")

    def _checked(self, kind: str, real: Callable[..., None]) -> Callable[..., None]:
        def checked(*paths: Any, **more: Any) -> None:
            folder = more.get("dir_fd")
            last = paths[1] if kind in ("rename", "replace", "link", "symlink") else paths[0]
            if isinstance(folder, int):
                last = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), last)
            self.change("unlink" if kind == "remove" else kind, last)
            real(*paths, **more)

        return checked

    def _opened(
        self,
        file: Any,
        mode: str,
        buffering: int,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        raw = CountedFile(self, file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)


PATCHED = (
    (os, ("unlink", "remove", "rmdir", "mkdir", "rename", "replace", "link", "symlink")),
    (os, ("open", "fsync")),
    (io, ("open",)),
    (builtins, ("open",)),
)
"""What `Layer.install` replaces."""


@contextmanager
def installed(layer: Layer) -> Iterator[Layer]:
    """Context manager: a layer below the files of this process, which goes on without it."""
    before = [(place, name, getattr(place, name)) for place, names in PATCHED for name in names]
    layer.install()
    try:
        yield layer
    finally:
        for place, name, value in before:
            setattr(place, name, value)


class CountedFile(io.FileIO):
    """A file below the folder of a layer."""

    def __init__(self, layer: Layer, path: Any, mode: str) -> None:
        self.layer, self.place = layer, os.fsdecode(path)
        if "w" in mode or not os.path.exists(self.place):
            layer.change("create", self.place)
        super().__init__(path, mode)

    def write(self, content: Any) -> int:
        allowed = self.layer.change("write", self.place, len(memoryview(content).cast("B")))
        view = memoryview(content).cast("B")
        return super().write(view if allowed is None else view[:allowed]) or 0

    def truncate(self, size: int | None = None) -> int:
        self.layer.change("truncate", self.place)
        return super().truncate(size)


class Failing:
    """What a layer does that fails from its kth change on.

    Args:
        failure: how.
        first: the number of the change that fails first, from 0.
    """

    def __init__(self, failure: Failure, first: int) -> None:
        self.failure, self.first, self.seen = failure, first, -1
        self.struck = False

    def __call__(self, kind: str, place: str, size: int | None) -> int | None:
        """Raise the error, if it is the turn of this change."""
        self.seen += 1
        if self.seen < self.first or (self.seen > self.first and not self.failure.lasts):
            return None
        if kind in self.failure.allowed:
            return None
        if self.failure.short and kind == "write" and not self.struck and (size or 0) > 1:
            self.struck = True
            return (size or 0) // 2
        self.struck = True
        number = self.failure.number
        raise OSError(number, os.strerror(number), place)


class FailingRecords(Failing):
    """A disk that is full from the kth write of a record on, of which half is written.

    Args:
        first: the number of that write, from 0.
    """

    def __init__(self, first: int) -> None:
        super().__init__(next(failure for failure in FAILURES if failure.short), first)

    def __call__(self, kind: str, place: str, size: int | None) -> int | None:
        """Raise the error, if the disk is full."""
        if self.struck or (kind == "write" and place.endswith(".jsonl")):
            return super().__call__(kind, place, size)
        return None


def counted(changes: Sequence[tuple[str, str]]) -> list[str]:
    """The changes as lines, for a file that a fork leaves behind."""
    return [f"{kind}\t{place}" for kind, place in changes]
