"""Images per second of training and scoring, by detector, image shape and number of threads.

    python benchmarks/train.py [--seconds 5] [--detectors PGN AE] [--replicas 3] [--device cpu]
    python benchmarks/train.py --against FOLDER [--rounds 5] [--precision bfloat16]

Models with the published settings are trained on random images. Training is timed over whole
epochs, scoring over passes through the same images with the default score of the detector (T = 20
for PGN). The images of all models are counted. Prints a Markdown table.

With `--against` the same is measured with this version of the project and with that in another
checkout, in turn and each time in a new process: medians over rounds and the range from 2.5 to
97.5 %, and the ratio of the rates of the same round.
"""

import argparse
import inspect
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from interleaved import in_turn, ratio, summary
from tune_ad import ReplicaSet, ReplicaSpec  # where an earlier version has them, too
from tune_ad.app.provenance import hardware, versions
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import TrainedDetector
from tune_ad.detectors.nets import ImageShape
from tune_ad.randomness import torch_stream

SHAPES = {"MNIST": ImageShape(1, 28, 28), "CIFAR-10": ImageShape(3, 32, 32)}
IMAGES = 2000
FLOAT32 = "float32"  # in which versions without a choice of precision train
JOBS = ("train", "score")
DETECTORS = {
    name: detector
    for name, detector in every_detector().items()
    if issubclass(detector, TrainedDetector)
}


def rate(call: Callable[[], object], images: int, seconds: float, device: str) -> float:
    """Images per second of a call, after one call as warm-up.

    Args:
        call: the function to measure.
        images: number of images that one call processes.
        seconds: time for which calls are repeated.
        device: "cpu" or "cuda".
    """
    call()
    _wait(device)
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        call()
        calls += 1
    _wait(device)
    return images * calls / (time.perf_counter() - started)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


class Setting(NamedTuple):
    """What is measured.

    Attributes:
        detector: the name of the detector.
        images: the name of the image shape.
        threads: number of threads.
        replicas: number of models that are trained together.
        precision: the precision of training.
        seconds: time for each measurement.
        device: "cpu" or "cuda".
    """

    detector: str
    images: str
    threads: int = 1
    replicas: int = 1
    precision: str = FLOAT32
    seconds: float = 5.0
    device: str = "cpu"


def measured(setting: Setting) -> dict[str, float]:
    """Images per second of "train" and "score", and the number of "parameters" of a model."""
    torch.set_num_threads(setting.threads)
    detector, shape = DETECTORS[setting.detector], SHAPES[setting.images]
    config = detector.Config.released(shape, epochs=1_000_000)
    stream = torch_stream(0, "benchmark")
    images = torch.rand(IMAGES, *shape, generator=stream).to(setting.device)
    everything, models = torch.arange(IMAGES), range(setting.replicas)
    specs = [ReplicaSpec("benchmark", seed, everything) for seed in models]
    precision = {} if setting.precision == FLOAT32 else {"precision": setting.precision}
    has_stacks = "together" in inspect.signature(ReplicaSet).parameters  # not in older checkouts
    together = {"together": setting.replicas} if has_stacks else {}
    replica_set = ReplicaSet(detector, config, images, specs, **precision, **together)

    def score() -> None:
        for model in models:
            replica_set.score(model, everything)

    count, seconds, device = IMAGES * setting.replicas, setting.seconds, setting.device
    return {
        "train": rate(lambda: replica_set.train(1), count, seconds, device),
        "score": rate(score, count, seconds, device),
        "parameters": replica_set.parameters,
    }


def row(setting: Setting) -> dict[str, object]:
    """The row of the table for one setting."""
    rates = measured(setting)
    return {
        **named(setting),
        "precision": setting.precision,
        "parameters": f"{rates['parameters']:,}",
        "train, images/s": f"{rates['train']:,.0f}",
        "score, images/s": f"{rates['score']:,.0f}",
        "10,000 scored in, s": f"{10_000 / rates['score']:.2f}",
    }


def named(setting: Setting) -> dict[str, object]:
    """The columns that both tables begin with."""
    names = {"detector": setting.detector, "images": setting.images, "threads": setting.threads}
    return {**names, "models": setting.replicas}


def measured_in(checkout: Path, setting: Setting) -> dict[str, Any]:
    """What `measured` returns in a process that imports the project from a checkout, and "commit".

    Args:
        checkout: the folder of the checkout.
        setting: what is measured.
    """
    path = [str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = subprocess.run(
        [sys.executable, __file__, "--measure", json.dumps(setting)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )
    return json.loads(result.stdout.splitlines()[-1])


def compared(
    checkouts: Mapping[str, Path], settings: Mapping[str, Setting], rounds: int
) -> dict[str, object]:
    """The row of the comparison of two versions.

    Args:
        checkouts: the folders of the versions "before" and "after".
        settings: what is measured with each version; they differ at most in the precision.
        rounds: number of rounds.
    """
    versions_in_turn = {
        name: partial(measured_in, folder, settings[name]) for name, folder in checkouts.items()
    }
    results = in_turn(rounds, versions_in_turn)
    cells = named(settings["after"])
    for name, measurements in results.items():
        commits = {measurement["commit"] for measurement in measurements}
        cells[name] = f"{', '.join(sorted(commits))}, {settings[name].precision}"
    for job in JOBS:
        rates = {name: [result[job] for result in rounds] for name, rounds in results.items()}
        cells |= {f"{job} {name}, images/s": summary(rates[name]) for name in rates}
        cells[f"{job} after / before"] = ratio(rates["after"], rates["before"])
    return cells


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options.

    Args:
        arguments: the arguments of the program; None = those of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="per measurement")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--images", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--replicas", type=int, default=1, help="models trained together")
    parser.add_argument("--precision", default=FLOAT32, help="of training, e.g. bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--against", type=Path, help="the folder of another checkout")
    parser.add_argument("--precision-against", help="of the other checkout; by default the same")
    parser.add_argument("--rounds", type=int, default=5, help="of a comparison")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.against and not (options.against / "tune_ad").is_dir():
        parser.error(f"{options.against} is not a checkout of the project: it has no tune_ad")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parsed(arguments)
    if options.measure:  # for one round of a comparison
        rates = measured(Setting(*json.loads(options.measure)))
        print(json.dumps(rates | {"commit": versions()["commit"]}))
        return
    rest = (options.replicas, options.precision, options.seconds, options.device)
    combinations = itertools.product(options.detectors, options.images, options.threads)
    settings = [Setting(*combination, *rest) for combination in combinations]
    if options.against:
        rows = [against(options, setting) for setting in settings]
    else:
        rows = [row(setting) for setting in settings]
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))
    print(f"\n{time.strftime('%Y-%m-%d')}, {hardware(options.device)}, {versions()}")


def against(options: argparse.Namespace, setting: Setting) -> dict[str, object]:
    """The row of the comparison of this version with that of the other checkout."""
    this, precision = Path(__file__).resolve().parents[1], options.precision_against
    before = setting._replace(precision=precision or setting.precision)
    checkouts = {"before": options.against.resolve(), "after": this}
    return compared(checkouts, {"before": before, "after": setting}, options.rounds)


if __name__ == "__main__":
    main()
