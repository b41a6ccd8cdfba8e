"""A part of the folder of a study that goes, or is replaced by something else, while it runs."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.case import DONE, FAULT, MACHINE, Case, Kind, Result, after, said
from tests.faults.layer import Layer
from tests.faults.studies import NAME, RESULTS, Variety, folder_in, leftovers, start

GONE, REPLACED = "folder of the study removed or made a file", "part of it replaced by a file"
PARTS = ("trials", "evaluation", "tensorboard", "models", "best", "tables", "figures")
FILES = ("trials.jsonl", "suggested.jsonl", "evaluation/evaluation.jsonl", "report.html")
IN_THE_WAY = "in the way"
Change = Callable[[Path], None]


def _remove(path: Path) -> None:
    shutil.rmtree(path)


def _make_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("a file")


def _move(path: Path) -> None:
    path.rename(path.with_name("moved"))


def _during(title: str, k: int, change: Change, path: Path, place: Path) -> Layer:
    """A layer that makes a change before the kth change of a file."""
    seen: list[str] = []

    def act(kind: str, *_: object) -> None:
        seen.append(kind)
        if len(seen) == k + 1:
            change(path)

    return Layer(place / RESULTS, act)


def _gone(title: str, k: int, change: Change) -> Case:
    def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
        path = place / RESULTS / NAME
        layer = _during(title, k, change, path, place)
        ended = start(varieties[title].options, place, layer.install)
        problems = said(ended, (DONE, MACHINE))
        folder = folder_in(place)
        for file in (folder.suggested, folder.trials, folder.evaluation):
            if file.path.exists() and not folder.exists():
                problems.append(f"{file.path.name} without study.json")
        problems += [f"left {name}" for name in leftovers(place)]
        if path.is_file():
            path.unlink()
        if path.with_name("moved").exists():
            shutil.rmtree(path, ignore_errors=True)
            path.with_name("moved").rename(path)
            return after(ended, varieties[title], place, (DONE, MACHINE), is_there=False)
        return Result(str(ended.code), problems)

    return Case(GONE, f"{title}: {change.__name__} before change {k}", run)


class Obstacle:
    """Something of the wrong kind where a part of a study should be.

    Args:
        path: the place.
        aside: where what was there is kept meanwhile.
    """

    def __init__(self, path: Path, aside: Path) -> None:
        self.path, self.aside = path, aside

    def put(self, path: Path) -> None:
        """Put a file in the place of a folder, or a folder in that of a file."""
        if not path.parent.is_dir():
            return
        if os.path.lexists(path):
            path.rename(self.aside)
        if path.name in PARTS:
            path.write_text(IN_THE_WAY)
        else:
            path.mkdir()

    def remove(self) -> None:
        """Restore what was there."""
        path = self.path
        if path.is_file() and path.read_bytes() == IN_THE_WAY.encode():
            path.unlink()
        elif path.is_dir() and path.name not in PARTS:
            path.rmdir()
        if self.aside.exists() and not os.path.lexists(path):
            self.aside.rename(path)


def _replaced(title: str, k: int, part: str) -> Case:
    def run(place: Path, varieties: Mapping[str, Variety]) -> Result:
        obstacle = Obstacle(place / RESULTS / NAME / part, place / "aside")
        layer = _during(title, k, obstacle.put, obstacle.path, place)
        ended = start(varieties[title].options, place, layer.install)
        return after(ended, varieties[title], place, (DONE, MACHINE), obstacle.remove)

    return Case(REPLACED, f"{title}: {part} before change {k}", run)


def gone(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    """Cases in which the folder is removed, moved or made a file."""
    ways = (_remove, _make_a_file, _move)
    return [_gone(*drawn, way) for *drawn, way in _drawn(GONE, seed, number, varieties, ways)]


def replaced(seed: int, number: int, varieties: Mapping[str, Variety]) -> Sequence[Case]:
    """Cases in which a part of the folder is replaced."""
    parts = (*PARTS, *FILES)
    drawn = _drawn(REPLACED, seed, number, varieties, parts)
    return [_replaced(*place, part) for *place, part in drawn]


def _drawn(
    kind: str, seed: int, number: int, varieties: Mapping[str, Variety], ways: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """The study, the change of a file and the way of each case."""
    stream, titles = Random(f"{seed} {kind}"), sorted(varieties)
    chosen = [stream.choice(titles) for _ in range(number)]
    return [
        (
            title,
            stream.randrange(_first(varieties[title]), len(varieties[title].changes)),
            stream.choice(ways),
        )
        for title in chosen
    ]


def _first(variety: Variety) -> int:
    """The number of the first change after `study.json` has been written."""
    kinds = [path for _, path in variety.changes]
    return kinds.index(f"{NAME}/study.json") + 1


KINDS = (Kind(GONE, FAULT, gone), Kind(REPLACED, FAULT, replaced))
