"""Images per second of training and scoring, by detector, image shape and number of threads.

    python benchmarks/train.py [--seconds 5] [--detectors PGN AE] [--device cpu]

One replica with the published settings is trained on random images. Training is timed over whole
epochs, scoring over passes through the same images with the default score of the detector (T = 20
for PGN). Prints a Markdown table.
"""

import argparse
import itertools
import time
from collections.abc import Callable

import pandas as pd
import torch

from tune_ad.app.provenance import hardware, versions
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import TrainedDetector
from tune_ad.detectors.nets import ImageShape
from tune_ad.randomness import torch_stream
from tune_ad.training.replica import ReplicaSpec
from tune_ad.training.replica_set import ReplicaSet

SHAPES = {"MNIST": ImageShape(1, 28, 28), "CIFAR-10": ImageShape(3, 32, 32)}
IMAGES = 2000
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


def measured(name: str, data: str, threads: int, seconds: float, device: str) -> dict[str, object]:
    """The row of the table for one detector, image shape and number of threads."""
    torch.set_num_threads(threads)
    detector, shape = DETECTORS[name], SHAPES[data]
    config = detector.Config.released(shape, epochs=1_000_000)
    images = torch.rand(IMAGES, *shape, generator=torch_stream(0, "benchmark")).to(device)
    everything = torch.arange(IMAGES)
    replica_set = ReplicaSet(detector, config, images, [ReplicaSpec("benchmark", 0, everything)])
    train = rate(lambda: replica_set.train(1), IMAGES, seconds, device)
    score = rate(lambda: replica_set.score(0, everything), IMAGES, seconds, device)
    return {
        "detector": name,
        "images": data,
        "threads": threads,
        "parameters": f"{replica_set.parameters:,}",
        "train, images/s": f"{train:,.0f}",
        "score, images/s": f"{score:,.0f}",
        "10,000 scored in, s": f"{10_000 / score:.2f}",
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="per measurement")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    combinations = itertools.product(options.detectors, SHAPES, options.threads)
    rows = [
        measured(name, data, threads, options.seconds, options.device)
        for name, data, threads in combinations
    ]
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))
    print(f"\n{time.strftime('%Y-%m-%d')}, {hardware(options.device)}, {versions()}")


if __name__ == "__main__":
    main()
