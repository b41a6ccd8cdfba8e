"""What one GPU computes: whether it agrees with the CPU, how fast it trains, how long tables take.

    python benchmarks/gpu.py [--jobs agree rates tables] [--detectors PGN AE] [--stacks 1 10 100]

Needs PyTorch, NumPy, tqdm and filelock, but no installation of the project, no Ray, no network and
no data (the images are random).

- agree: three replicas with different numbers of images are trained in a stack on the GPU and one
  after the other on the CPU, in float64 and in float32 (without TF32) with the same noise; largest
  relative difference of the last losses and of the scores.
- rates: images/s of training and scoring, the peak of memory, and the memory that is planned for
  it from shapes alone, by detector, images, precision and number of replicas in a stack.
- tables: the time to train and score the deep detectors of Tables 1 and 2 of arXiv 2005.01889 (ten
  classes times ten seeds for each method, all epochs of 6,000 or 5,000 images), extrapolated from
  some of the epochs. Models are trained and scored together as in a trial that has the whole GPU,
  in the precision that "auto" chooses. Only the epochs are extrapolated: scoring of 10,000 images
  with every score variant is measured once, as it happens once. GPND has the Jacobian of the
  decoder. Shallow methods are left out.

Prints Markdown tables, each row as soon as it is measured. A measurement that fails shows its
error in its row, and the exit code is 1 after all others.
"""

import argparse
import gc
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project, if not installed

from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector, Noise, TrainedDetector
from tune_ad.detectors.nets import ImageShape
from tune_ad.execution.timing import seconds_of
from tune_ad.randomness import torch_stream
from tune_ad.storage.precision import AUTO, FLOAT32, PRECISIONS
from tune_ad.training.replicas.device_memory import PROCESS, footprint, needed
from tune_ad.training.replicas.paths import (
    Limits,
    Load,
    bfloat16_is_faster,
    limits,
    resolved_precision,
)
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

SHAPES = {"MNIST": ImageShape(1, 28, 28), "CIFAR-10": ImageShape(3, 32, 32)}
PADDED = ImageShape(1, 32, 32)  # of grey images for strided convolutions
SMALL = {"latent_dim": 16, "batch_size": 8, "epochs": 2, "width": 0.25}
IN_TABLES: Mapping[str, Mapping[str, Any]] = {
    "GPND": {"networks": "lenet", "reconstruction_weight": 0.5},
    "DeepSVDD": {},
    "AE": {},
    "VAE": {},
    "AAE": {},
    "PGN": {},
}
SPACES = {
    "VAE": {"score_samples": (0, 1, 10)},
    "PGN": {"mc_samples": (0, 1, 5, 10, 20, 50, "inf"), "dropout": (0.1, 0.3, 0.5)},
}
CLASS_IMAGES = {"MNIST": 6000, "CIFAR-10": 5000}
MODELS, SCORED = 100, 10_000
DETECTORS = {
    name: detector
    for name, detector in every_detector().items()
    if issubclass(detector, TrainedDetector)
}


class Sizes(NamedTuple):
    """The sizes of the measurements.

    Attributes:
        trained: number of training images of a model; None = as in the tables.
        scored: number of images to score.
        models: number of models of each method in the tables.
        epochs: number of epochs that are measured.
    """

    trained: int | None = None
    scored: int = SCORED
    models: int = MODELS
    epochs: int = 2


def shape_of(name: str, data: str) -> ImageShape:
    """The shape of the images on which a detector is trained."""
    shape = SHAPES[data]
    return PADDED if name == "LikelihoodVAE" and not shape.is_colour else shape


def random_images(count: int, shape: ImageShape) -> Tensor:
    """Random images in [0, 1]."""
    return torch.rand(count, *shape, generator=torch_stream(0, "benchmark"))


# ---------------------------------------------------------------------------------- agreement


def agreement(
    detector: type[Detector[Any]],
    shape: ImageShape,
    device: str,
    dtype: torch.dtype = torch.float64,
) -> dict[str, str]:
    """The largest relative differences of losses and scores between a device and the CPU.

    Args:
        detector: the class of the detector.
        shape: the shape of the images.
        device: "cpu" or "cuda".
        dtype: the type of all weights, images and noise.
    """
    names = detector.Config.rules()
    settings = {name: value for name, value in SMALL.items() if name in names}
    config = detector.Config.released(shape, **settings)
    counts = (40, 25, 33)
    images = random_images(60, shape).to(dtype)
    specs = [ReplicaSpec(f"t{k}", k, torch.arange(n)) for k, n in enumerate(counts)]
    draw = Noise.draw

    def outcome(on: str, together: int) -> tuple[Tensor, Tensor]:
        options = {"together": together, "scored_together": together}
        replica_set = ReplicaSet(detector, config, images.to(on), specs, **options)
        for replica in replica_set.replicas:
            replica.module.to(dtype)
            replica.noise = torch_stream(replica.owner, "noise")  # on the CPU
        with patch.object(Noise, "draw", lambda *of: draw(*of).to(on, dtype)):
            terms = replica_set.train(replica_set.epochs)
            replica_set.prepare_scoring()
            scores = replica_set.scores(dict.fromkeys(range(len(counts)), torch.arange(60)))
        losses = torch.tensor([list(of_one.values()) for of_one in terms]).double()
        return losses, torch.stack([of_one["score"].cpu() for of_one in scores.values()])

    pairs = zip(outcome(device, len(counts)), outcome("cpu", 1), strict=True)
    losses, scores = (float(((a - b).abs() / b.abs().max()).max()) for a, b in pairs)
    return {"losses": f"{losses:.1e}", "scores": f"{scores:.1e}"}


# --------------------------------------------------------------------------------------- rates


def load_of(name: str, data: str, count: int, sizes: Sizes) -> Load:
    """What is trained and scored, with the published settings."""
    detector, shape = DETECTORS[name], shape_of(name, data)
    config = detector.Config.released(shape, **IN_TABLES.get(name, {}))
    images = 4 * max(sizes.trained or CLASS_IMAGES[data], sizes.scored) * math.prod(shape)
    return Load(detector, config, shape, SPACES.get(name, {}), count, images)


def replica_set_of(
    load: Load, data: str, sizes: Sizes, device: str, precision: str, limit: Limits
) -> ReplicaSet:
    """Replicas with random images, processed together within the limits."""
    trained = sizes.trained or CLASS_IMAGES[data]
    images = random_images(max(trained, sizes.scored), load.shape).to(device)
    return ReplicaSet(
        load.detector,
        load.config,
        images,
        [ReplicaSpec(f"t{k}", k, torch.arange(trained)) for k in range(load.replicas)],
        load.score_space,
        precision=precision,
        together=limit.trained,
        scored_together=limit.scored,
        scored_images=limit.images,
    )


def stack_of(
    name: str, data: str, count: int, sizes: Sizes, device: str, precision: str
) -> ReplicaSet:
    """A replica set that is trained as one stack, and scored in one as far as memory allows."""
    load = load_of(name, data, count, sizes)
    limit = stack_limits(load, device)
    return replica_set_of(load, data, sizes, device, precision, limit)


def stack_limits(load: Load, device: str) -> Limits:
    """All replicas are trained together; on a GPU they are scored as in a trial."""
    limit = limits(load, device)
    scored = limit.scored if device == "cuda" else load.replicas
    return limit._replace(trained=load.replicas, scored=scored)


def rates(
    name: str, data: str, count: int, sizes: Sizes, device: str, precision: str
) -> dict[str, str]:
    """Images per second of training and scoring over all replicas; used and planned memory."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    load = load_of(name, data, count, sizes)
    limit = stack_limits(load, device)
    replica_set = replica_set_of(load, data, sizes, device, precision, limit)
    replica_set.train(1)  # the first epoch also loads kernels
    trained = count * len(replica_set.replicas[0].spec.train) * sizes.epochs
    train = seconds_of(lambda: replica_set.train(sizes.epochs), device)
    replica_set.prepare_scoring()
    wanted = dict.fromkeys(range(count), torch.arange(sizes.scored))
    replica_set.scores(dict.fromkeys(range(count), torch.arange(8)))
    score = seconds_of(lambda: replica_set.scores(wanted), device)
    memory = torch.cuda.max_memory_allocated() if device == "cuda" else float("nan")
    return {
        "train, images/s": f"{trained / train:,.0f}",
        "score, images/s": f"{count * sizes.scored / score:,.0f}",
        "memory, GiB": f"{memory / 2**30:.1f}",
        "planned, GiB": f"{planned(load, limit, sizes.scored) / 2**30:.1f}",
    }


def planned(load: Load, limit: Limits, scored: int) -> int:
    """Bytes that are planned for the tensors of training and scoring, without the process.

    Args:
        load: what is trained and scored.
        limit: how much of it at the same time.
        scored: number of images that each replica scores.
    """
    one = footprint(load.detector, load.config, load.shape, load.score_space)
    if limit.images is None:
        return needed(one, load.replicas, limit.trained, load.images) - PROCESS
    scoring = one.scoring(min(limit.images, scored * limit.scored), limit.scored)
    return load.images + one.fixed * load.replicas + max(one.step * limit.trained, scoring)


# -------------------------------------------------------------------------------------- tables


def table_time(
    name: str, data: str, sizes: Sizes, device: str, precision: str
) -> dict[str, float]:
    """Seconds to train and to score all models of a method, extrapolated over epochs."""
    load = load_of(name, data, sizes.models, sizes)
    limit = limits(load, device)
    replica_set = replica_set_of(load, data, sizes, device, precision, limit)
    replica_set.train(1)
    epochs = seconds_of(lambda: replica_set.train(sizes.epochs), device)
    wanted = dict.fromkeys(range(load.replicas), torch.arange(sizes.scored))

    def score() -> None:
        replica_set.prepare_scoring()
        replica_set.scores(wanted, every_variant=True)

    scored = seconds_of(score, device)
    return {
        "train, s": epochs / sizes.epochs * replica_set.epochs,
        "score, s": scored,
        "epochs": replica_set.epochs,
        "together": limit.trained,
    }


def precision_of(name: str, data: str, device: str) -> str:
    """The precision that "auto" chooses for a detector."""
    shape = shape_of(name, data)
    return resolved_precision(AUTO, DETECTORS[name], shape, bfloat16_is_faster(device))


# --------------------------------------------------------------------------------------- output


class Row(NamedTuple):
    """A row of a table: what is measured, and a function that measures the other columns."""

    names: Mapping[str, object]
    measure: Callable[[], Mapping[str, object]]


COLUMNS = {
    "agree": ("detector", "images", "type", "losses", "scores", "error"),
    "rates": (
        *("detector", "images", "precision", "stack", "train, images/s", "score, images/s"),
        *("memory, GiB", "planned, GiB", "error"),
    ),
    "tables": (
        *("detector", "images", "precision", "together", "train, s", "score, s"),
        *("epochs measured", "error"),
    ),
}


def agree_rows(options: argparse.Namespace, sizes: Sizes) -> Iterator[Row]:
    """Differences between the device and the CPU."""
    for name, data, dtype in itertools.product(
        options.detectors, options.images, (torch.float64, torch.float32)
    ):
        shape, names = shape_of(name, data), {"detector": name, "images": data}
        measure = partial(agreement, DETECTORS[name], shape, options.device, dtype)
        yield Row({**names, "type": str(dtype).removeprefix("torch.")}, measure)


def rate_rows(options: argparse.Namespace, sizes: Sizes) -> Iterator[Row]:
    """Speed and memory of stacks."""
    for name, data, precision, count in itertools.product(
        options.detectors, options.images, options.precisions, options.stacks
    ):
        names = {"detector": name, "images": data, "precision": precision, "stack": count}
        yield Row(names, partial(rates, name, data, count, sizes, options.device, precision))


def table_rows(options: argparse.Namespace, sizes: Sizes) -> Iterator[Row]:
    """The time of each deep method of the tables, and their sum."""
    totals = {"train, s": 0.0, "score, s": 0.0}

    def method(name: str, data: str, precision: str) -> dict[str, object]:
        times = table_time(name, data, sizes, options.device, precision)
        for job in totals:
            totals[job] += times[job]
        return {
            **{job: f"{times[job]:,.0f}" for job in totals},
            "together": f"{times['together']:g}",
            "epochs measured": f"{sizes.epochs} of {times['epochs']:g}",
        }

    for name, data in itertools.product(options.detectors, options.images):
        if name in IN_TABLES:
            precision = precision_of(name, data, options.device)
            names = {"detector": name, "images": data, "precision": precision}
            yield Row(names, partial(method, name, data, precision))
    everything = {"detector": "all above", "images": "without shallow methods"}
    yield Row(everything, lambda: {job: f"{seconds:,.0f}" for job, seconds in totals.items()})


JOBS = {"agree": agree_rows, "rates": rate_rows, "tables": table_rows}


def line(cells: Sequence[object]) -> None:
    """Print a line of a Markdown table at once."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def print_table(job: str, rows: Iterator[Row], device: str) -> int:
    """Print the table of a job, each row when it is measured; return how many rows failed."""
    columns, failed = COLUMNS[job], 0
    print(f"\n{job}\n")
    line(columns)
    line(["---"] * len(columns))
    for row in rows:
        cells = dict(row.names)
        try:
            cells |= row.measure()
        except Exception as error:  # noqa: BLE001 - the other measurements must go on
            failed += 1
            text = " ".join(str(error).split()).replace("|", "/")
            cells["error"] = f"{type(error).__name__}: {text}"[:200]
        line([cells.get(column, "") for column in columns])
        gc.collect()  # the replicas of a row are gone before those of the next are built
        if device == "cuda":
            torch.cuda.empty_cache()
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 if a measurement failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--images", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--stacks", nargs="+", type=int, default=[1, 10, 100], help="of rates")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--device", default="cuda")
    for name, value in Sizes()._asdict().items():
        parser.add_argument(f"--{name}", type=int, default=value, dest=f"size_{name}")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU; use --device cpu to try the program itself")
    sizes = Sizes(*(getattr(options, f"size_{name}") for name in Sizes._fields))
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else "no GPU"
    print(
        f"{time.strftime('%Y-%m-%d')}, {gpu}, torch {torch.__version__}, {FLOAT32} without TF32",
        flush=True,
    )
    failed = sum(
        print_table(job, JOBS[job](options, sizes), options.device) for job in options.jobs
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
