"""How fast this project trains and scores, compared with a plain PyTorch loop, Pythae and PyOD.

    python benchmarks/peers.py [--methods PGN AE] [--images MNIST] [--rounds 5]

Every contender uses all cores in its best way: this project as one process of one thread for each
core, as trials run in parallel, with several models per process; the others as one process with a
thread for each core and as one process for each core, of which the faster counts, for training and
scoring separately. A rate is the number of images of all processes and models divided by the time
until the last process has trained one epoch, or has scored its share of the images. The images are
random. Contenders take turns, in new processes every time, after a warm-up of two batches.

The plain loop (`benchmarks/plain.py`) computes the same losses, gradients and scores with the same
networks; for PGN's score it runs the whole network 20 times. Pythae trains the same networks, PyOD
its own small multilayer perceptrons; the project needs neither, and they are measured only if they
are installed. Prints a Markdown table: medians over rounds with the range from 2.5 to 97.5 %, and
ratios of rates of the same round. The rates of every round go to standard error.
"""

import argparse
import importlib.metadata
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import tune_ad
from contenders import CONTENDERS, SHAPES, Contender
from interleaved import in_turn, ratio, summary
from plain import DETECTORS
from tune_ad.app.provenance import hardware, versions

REFERENCE = "plain"
JOBS = {"train": "train, images/s", "score": "10,000 scored in, s"}  # with their columns
EPOCH = {"MNIST": 6000, "CIFAR-10": 5000}  # images of one class
SCORED = 10_000
Rates = Mapping[str, float]  # images/s by job


class Layout(NamedTuple):
    """How a contender uses the cores: a number of processes with a number of threads each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        """As in "2 x 1"."""
        return f"{self.processes} x {self.threads}"


class Sizes(NamedTuple):
    """The sizes of a measurement.

    Attributes:
        train: number of training images of a model.
        score: number of images to score, over all processes.
        replicas: number of models in each process of this project.
    """

    train: int
    score: int
    replicas: int


class Worker:
    """A process that does the jobs of a contender (`benchmarks/contenders.py`).

    Args:
        arguments: the arguments of the program.
        threads: number of threads of its libraries.
        folder: the folder in which it runs.
    """

    def __init__(self, arguments: Sequence[object], threads: int, folder: str) -> None:
        root = str(Path(tune_ad.__file__).parents[1])  # where this process imports the project
        path = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": str(threads)}
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("contenders.py"), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=folder,
            env={**os.environ, **environment},
        )

    def ask(self, job: str) -> None:
        """Start a job."""
        print(job, file=self.process.stdin, flush=True)

    def answer(self) -> str:
        """Wait for the next answer.

        Raises:
            RuntimeError: with the last lines of its errors, if the process has ended.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError("the process failed:\n" + self.errors.read()[-2000:])
        return line

    def close(self) -> None:
        """Let the process end, and wait for it."""
        self.process.communicate()
        self.errors.close()


def layouts(contender: Contender, cores: int) -> list[Layout]:
    """The ways in which a contender can use the cores."""
    threaded = [Layout(1, cores)] if contender.threaded and cores > 1 else []
    return [Layout(cores, 1), *threaded]


def measured(name: str, method: str, data: str, layout: Layout, sizes: Sizes) -> Rates:
    """The rates of one contender in new processes."""
    share = -(-sizes.score // layout.processes)
    counts = ("--train", sizes.train, "--score", share, "--replicas", sizes.replicas)
    arguments = (name, method, data, "--threads", layout.threads, *counts)
    with tempfile.TemporaryDirectory() as folder:
        workers = [Worker(arguments, layout.threads, folder) for _ in range(layout.processes)]
        try:
            for worker in workers:
                worker.answer()
            rates = {job: rate(job, workers) for job in JOBS}
        finally:
            for worker in workers:
                worker.close()
    print(name, method, data, layout, rates, file=sys.stderr)
    return rates


def rate(job: str, workers: Sequence[Worker]) -> float:
    """Images per second of a job that all workers do at the same time."""
    began = time.perf_counter()
    for worker in workers:
        worker.ask(job)
    images = sum(int(worker.answer()) for worker in workers)
    return images / (time.perf_counter() - began)


def compared(
    method: str, data: str, names: Sequence[str], cores: int, rounds: int, sizes: Sizes
) -> list[dict[str, str]]:
    """The rows of the table for one detector and image shape.

    Args:
        method: the name of the detector.
        data: the name of the image shape.
        names: the names of the contenders; `REFERENCE` must be one of them.
        cores: number of cores to use.
        rounds: number of rounds.
        sizes: the sizes of every measurement.
    """
    present = [name for name in names if method in CONTENDERS[name].methods]
    measurements = {
        (name, layout): partial(measured, name, method, data, layout, sizes)
        for name in present
        for layout in layouts(CONTENDERS[name], cores)
    }
    results = in_turn(rounds, measurements)
    reference = {job: best(REFERENCE, job, results)[1] for job in JOBS}
    rows = []
    for name in present:
        contender = CONTENDERS[name]
        row = {"detector": method, "images": data, "contender": contender.title}
        row["networks"] = contender.networks
        for job, column in JOBS.items():
            layout, rates = best(name, job, results)
            row[column] = cell(job, rates)
            row[f"{job}: processes x threads"] = str(layout)
            row[f"{job}: rate / plain loop"] = ratio(rates, reference[job])
        rows.append(row)
    return rows


def best(
    name: str, job: str, results: Mapping[tuple[str, Layout], Sequence[Rates]]
) -> tuple[Layout, list[float]]:
    """The layout in which a contender does a job fastest, and its rate in every round."""
    rates = {
        layout: [of_round[job] for of_round in rounds]
        for (contender, layout), rounds in results.items()
        if contender == name
    }
    return max(rates.items(), key=lambda entry: float(np.median(entry[1])))


def cell(job: str, rates: Sequence[float]) -> str:
    """The rate of training in images per second; the seconds in which 10,000 images are scored."""
    if job == "train":
        return summary(rates)
    return summary([SCORED / rate for rate in rates], digits=2)


def installed(names: Sequence[str]) -> list[str]:
    """The contenders that can be measured; for every other, a line says how to install it."""
    missing = [name for name in names if not available(CONTENDERS[name].package)]
    for name in missing:
        print(f"{CONTENDERS[name].title} is not installed: pip install {CONTENDERS[name].package}")
    return [name for name in names if name not in missing]


def available(package: str) -> bool:
    """Whether a package can be imported, or none is needed."""
    return not package or importlib.util.find_spec(package) is not None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    others = [name for name in CONTENDERS if name != REFERENCE]
    parser.add_argument("--methods", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--images", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--contenders", nargs="+", choices=others, default=others)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--replicas", type=int, default=3, help="models in a process of ours")
    parser.add_argument("--train", type=int, help="training images; by default those of a class")
    parser.add_argument("--score", type=int, default=SCORED, help="number of images to score")
    options = parser.parse_args()
    names = [REFERENCE, *installed(options.contenders)]
    rows = []
    for method, data in itertools.product(options.methods, options.images):
        sizes = Sizes(options.train or EPOCH[data], options.score, options.replicas)
        rows += compared(method, data, names, options.cores, options.rounds, sizes)
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))
    packages = [CONTENDERS[name].package for name in names if CONTENDERS[name].package]
    peers = {package: importlib.metadata.version(package) for package in packages}
    print(f"\n{time.strftime('%Y-%m-%d')}, {hardware('cpu')}, {versions() | peers}")


if __name__ == "__main__":
    main()
