"""What the kinds of bad input share: how bytes and values are damaged, and what is checked."""

import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.faults.case import DONE, FAILED, MACHINE, REFUSED, Result, named, said
from tests.faults.processes import Ended

LEGAL = (DONE, FAILED, REFUSED, MACHINE)
LONGEST_LINE = 2500
"""Letters of a line of the program; a refusal that repeats all of a file is no line."""
ODD_TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "-0",
    "--",
    "+3",
    "1e400",
    "-1e400",
    "nan",
    "inf",
    "1e-320",
    "9" * 30,
    "9" * 5000,
    "0x10",
    "1_000",
    "1.5",
    "0.0",
    "٣",
    "½",
    "true",
    "None",
    "auto",
    "a" * 300,
    "/" * 5000,
    "../..",
    "a,b",
    ",",
    "a=b",
    "=",
    "a=",
    "\x1b[31mred",
    "line\nline",
    "\r",
    "\u202e",
    "\udcff",
    "%s%n{}",
    "[" * 2000,
    "/proc/self/mem",
    "/dev/null",
    "~",
    "*",
    "名",
)
"""Values that no option expects."""


def checked(ended: Ended, codes: Sequence[int] = LEGAL) -> Result:
    """Check the exit code and the lines of a run on bad input."""
    problems = said(ended, codes)
    for line in f"{ended.out}\n{ended.errors}".replace("\r", "\n").split("\n"):
        if any(unicodedata.category(letter) == "Cc" for letter in line.expandtabs()):
            problems.append(f"printed control characters: {ascii(line[:150])}")
        if len(line) > LONGEST_LINE:
            problems.append(f"printed a line of {len(line)} letters: {line[:150]}")
    lines = [line for line in ended.errors.splitlines() if line and "%|" not in line]
    if ended.code in (REFUSED, MACHINE) and len(lines) > 3:
        problems.append(f"printed {len(lines)} lines: {lines[:3]}")
    return Result(named(ended.code), problems)


def damaged(content: bytes, stream: Random) -> tuple[bytes, str]:
    """Bytes with one damage, and what it is."""
    place = stream.randrange(len(content) + 1)
    ways: Sequence[tuple[str, Callable[[], bytes]]] = (
        ("cut", lambda: content[:place]),
        ("a byte changed", lambda: _changed(content, place, stream)),
        ("a bit changed", lambda: _flipped(content, place, stream)),
        ("bytes removed", lambda: content[:place] + content[place + stream.randrange(1, 40) :]),
        ("bytes inserted", lambda: content[:place] + stream.randbytes(20) + content[place:]),
        ("zeros from there on", lambda: content[:place] + bytes(len(content) - place)),
        ("part repeated", lambda: content[:place] + content[place // 2 :]),
        ("emptied", lambda: b""),
    )
    way, make = stream.choice(ways)
    return make(), f"{way} at byte {place} of {len(content)}"


def _changed(content: bytes, place: int, stream: Random) -> bytes:
    return content[:place] + bytes([stream.randrange(256)]) + content[place + 1 :]


def _flipped(content: bytes, place: int, stream: Random) -> bytes:
    if place >= len(content):
        return content
    return (
        content[:place] + bytes([content[place] ^ 1 << stream.randrange(8)]) + content[place + 1 :]
    )


def damage(path: Path, seed: str) -> str:
    """Damage a file, or put something else in its place; what was done."""
    stream = Random(seed)
    if stream.random() < 0.08:
        path.unlink()
        if stream.random() < 0.5:
            path.mkdir()
            return "a folder in its place"
        path.symlink_to(path.name)
        return "a link loop in its place"
    content, what = damaged(path.read_bytes(), stream)
    path.unlink()  # models are linked from two places
    path.write_bytes(content)
    return what
