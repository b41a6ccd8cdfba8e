from collections.abc import Callable

import numpy as np
import pytest

from tune_ad.data import Arrays, ImageSet, from_arrays


def random_arrays(
    train: list[int], test: list[int], size: int = 4, colour: bool = False, seed: int = 0
) -> Arrays:
    """Random images: `train[k]` training and `test[k]` test images of class k, shuffled."""
    stream = np.random.default_rng(seed)
    shape = (size, size, 3) if colour else (size, size)

    def part(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
        labels = stream.permutation(np.repeat(np.arange(len(counts)), counts))
        return stream.integers(0, 256, (len(labels), *shape), np.uint8), labels

    return Arrays(*part(train), *part(test))


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A function that puts a scripted client on a PATH that holds nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return install


@pytest.fixture
def toy_arrays() -> Callable[..., Arrays]:
    """The function `random_arrays`."""
    return random_arrays


@pytest.fixture
def toy() -> Callable[..., ImageSet]:
    """A function that makes a small random set; arguments as `random_arrays`, and a name."""

    def make(
        train: list[int], test: list[int], name: str = "toy", **options: int | bool
    ) -> ImageSet:
        classes = tuple(f"class {label}" for label in range(len(train)))
        return from_arrays(name, classes, random_arrays(train, test, **options), "made for a test")

    return make
