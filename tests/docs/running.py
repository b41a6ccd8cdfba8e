"""Runs the blocks of a page in their order, each command with fewer trials, epochs and images."""

import argparse
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.docs.blocks import Block
from tune_ad.app import programs
from tune_ad.app.command_line import parser
from tune_ad.app.command_line.cli import main
from tune_ad.app.result import SearchResult
from tune_ad.search import catalogue

FILE = re.compile(r"# (\w+\.py)\n")
PROGRAMS = ("python run.py ", "tune-ad ", "python -m tune_ad ")
MOST = {"trials": 2, "epochs": 2, "train_images": 60, "evaluation_seeds": 2, "extend": 1}
"""The largest number of an option of a search; those of a budget are given where they are not."""
CONTINUING = ("resume", "extend", "retry_failed")
FITTED = ("shallow",)
SIDE = {"mnist": (28, 28), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3)}


def commands(block: Block) -> Iterator[str]:
    """The commands of a block of the shell, without comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if stripped := line.strip():
            if not stripped.startswith("#"):
                yield stripped


def words_of(command: str) -> list[str] | None:
    """The arguments of a call of the program; None if it is another command."""
    for program in PROGRAMS:
        if command.startswith(program):
            return shlex.split(command.removeprefix(program), comments=True)
    return None


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of the program, whose options are checked."""
    arguments = parser.parse(words)
    if "search" in arguments:
        parser.options(arguments)
    return arguments


def cheap(words: Sequence[str]) -> list[str]:
    """The arguments with smaller numbers; a search runs without Ray."""
    arguments = parser.parse(words)
    if "search" not in arguments:
        return list(words)
    flags = {name: parser.FLAGS[name] for name in MOST}
    given = [str(word) for word in words]
    for name, flag in flags.items():
        if flag in given:
            place = given.index(flag) + 1
            given[place] = str(min(int(given[place]), MOST[name]))
    if "backend" not in arguments:
        given += ["--backend", "serial"]
    if any(name in arguments for name in CONTINUING):
        return given
    return given + list(_added(arguments))


def _added(arguments: argparse.Namespace) -> Iterator[str]:
    """The options of a cheap study that a command lacks."""
    search, data = catalogue.find(catalogue.member(arguments.search))
    budget = getattr(arguments, "budget", "quick")
    is_fitted = arguments.search.startswith(FITTED) or "detector" in arguments
    for name, most in MOST.items():
        if name in arguments or name == "extend" or (name == "epochs" and is_fitted):
            continue
        selects = search.budgets_for(data)[budget].evaluation_seeds
        if name == "evaluation_seeds" and ("ablate" in arguments or not selects):
            continue
        yield from (parser.FLAGS[name], str(most))
    if "classes" not in arguments and "data" not in arguments and not search.of_whole_sets:
        yield from ("--classes", "0")
    if "seeds" not in arguments and budget != "quick":
        yield from ("--seeds", "1")


def run(page: Sequence[Block]) -> dict[str, Any]:
    """Run the blocks of a page in the current folder; return the names that its Python defines."""
    names: dict[str, Any] = {"__name__": "__page__"}
    for block in page:
        if block.mark is not None:
            continue
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "bash":
            for command in commands(block):
                _call(command, block)
        elif block.language == "python":
            _execute(block, names)
    return names


def _call(command: str, block: Block) -> None:
    words = words_of(command)
    if words is None:
        subprocess.run(["bash", "-euc", command], check=True)
        return
    parsed(words)
    if "--serve" in words:  # it would never end; tests/app/test_serving.py runs it
        return
    code = main(cheap(words))
    assert code == 0, f"{block}: {command!r} as {cheap(words)} ended with {code}"


def cheap_run(search: Any, **options: Any) -> SearchResult:  # noqa: ANN401
    """`tune_ad.run` with smaller numbers, without Ray."""
    small = {name: most for name, most in MOST.items() if name != "extend"}
    return programs.run(
        search, **{"classes": ["0"], **options, **small, "backend": "serial", "progress": False}
    )


def write_files(page: Sequence[Block]) -> None:
    """Write the blocks that are files, which begin with their name, into the current folder."""
    for block in page:
        if file := FILE.match(block.text):
            Path(file[1]).write_text(block.text, encoding="utf-8")


def _execute(block: Block, names: dict[str, Any]) -> None:
    if FILE.match(block.text):
        write_files([block])
    else:
        exec(compile(block.text, str(block), "exec"), names)  # the pages are ours


def furnish(folder: Path) -> None:
    """Put small data sets and pictures into a folder, by which the pages work anywhere."""
    stream = np.random.default_rng(0)
    (folder / "data").mkdir()
    for name, side in SIDE.items():
        parts = {"train": 12, "test": 8}
        arrays = {}
        for part, each in parts.items():
            labels = np.repeat(np.arange(10), each)
            arrays[f"{part}_labels"] = labels
            arrays[f"{part}_images"] = _pictures(stream, labels, side)
        np.savez(folder / "data" / f"{name}.npz", **arrays)
    for place, label, count in (
        ("train/good", 0, 40),
        ("test/good", 0, 24),
        ("test/scratched", 1, 8),
        ("../new", 1, 3),
    ):
        (folder / "photos" / place).resolve().mkdir(parents=True)
        for k, picture in enumerate(_pictures(stream, np.full(count, label), (16, 16, 3))):
            Image.fromarray(picture).save(folder / "photos" / place / f"{k:03d}.png")


def _pictures(
    stream: np.random.Generator, labels: np.ndarray, side: tuple[int, ...]
) -> np.ndarray:
    """Noise around a brightness that depends on the label, uint8 of shape (n, *side)."""
    noise = stream.normal(0, 20, (len(labels), *side))
    level = 60 + 15 * labels.reshape(-1, *[1] * len(side))
    return np.clip(level + noise, 0, 255).astype(np.uint8)
