"""What one GPU computes: whether it agrees with the CPU, how fast it trains, how long tables take.

    python benchmarks/gpu.py [--jobs agree rates tables] [--detectors PGN AE] [--stacks 1 10 100]

Needs only PyTorch and NumPy: no Ray, no network, no data (the images are random).

- agree: three replicas with different numbers of images are trained in a stack on the GPU and one
  after the other on the CPU, in float64 with the same noise; largest relative difference of the
  last losses and of the scores.
- rates: images/s of training and scoring, the peak of memory, and the memory that is planned for
  it from shapes alone, by detector, images, precision and number of replicas in a stack.
- tables: the time to train and score the deep detectors of Tables 1 and 2 of arXiv 2005.01889 (ten
  classes times ten seeds for each method, all epochs of 6,000 or 5,000 images), extrapolated from
  some of the epochs. Only the epochs are extrapolated: scoring of 10,000 images with every score
  variant is measured once, as it happens once. GPND has the Jacobian of the decoder.

Prints Markdown tables.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector, Noise, TrainedDetector
from tune_ad.detectors.nets import ImageShape
from tune_ad.randomness import torch_stream
from tune_ad.storage.precision import FLOAT32, PRECISIONS
from tune_ad.training.replicas.device_memory import PROCESS, footprint, needed
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


def synchronised(device: str) -> float:
    """The time in seconds, after everything that was started on the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds_of(call: Callable[[], object], device: str) -> float:
    """The duration of a call."""
    started = synchronised(device)
    call()
    return synchronised(device) - started


def shape_of(name: str, data: str) -> ImageShape:
    """The shape of the images on which a detector is trained."""
    shape = SHAPES[data]
    return PADDED if name == "LikelihoodVAE" and not shape.is_colour else shape


def random_images(count: int, shape: ImageShape) -> Tensor:
    """Random images in [0, 1]."""
    return torch.rand(count, *shape, generator=torch_stream(0, "benchmark"))


# ---------------------------------------------------------------------------------- agreement


def agreement(detector: type[Detector[Any]], shape: ImageShape, device: str) -> dict[str, str]:
    """The largest relative differences of losses and scores between a device and the CPU."""
    names = detector.Config.rules()
    settings = {name: value for name, value in SMALL.items() if name in names}
    config = detector.Config.released(shape, **settings)
    counts = (40, 25, 33)
    images = random_images(60, shape).double()
    specs = [ReplicaSpec(f"t{k}", k, torch.arange(n)) for k, n in enumerate(counts)]
    draw = Noise.draw

    def outcome(on: str, together: int) -> tuple[Tensor, Tensor]:
        options = {"together": together, "scored_together": together}
        replica_set = ReplicaSet(detector, config, images.to(on), specs, **options)
        for replica in replica_set.replicas:
            replica.module.double()
            replica.noise = torch_stream(replica.owner, "noise")  # on the CPU
        with patch.object(Noise, "draw", lambda *of: draw(*of).double().to(on)):
            terms = replica_set.train(replica_set.epochs)
            replica_set.prepare_scoring()
            scores = replica_set.scores(dict.fromkeys(range(len(counts)), torch.arange(60)))
        losses = torch.tensor([list(of_one.values()) for of_one in terms]).double()
        return losses, torch.stack([of_one["score"].cpu() for of_one in scores.values()])

    pairs = zip(outcome(device, len(counts)), outcome("cpu", 1), strict=True)
    losses, scores = (float(((a - b).abs() / b.abs().max()).max()) for a, b in pairs)
    return {"losses": f"{losses:.1e}", "scores": f"{scores:.1e}"}


# --------------------------------------------------------------------------------------- rates


def stack_of(
    name: str, data: str, count: int, sizes: Sizes, device: str, precision: str
) -> ReplicaSet:
    """A replica set that is trained and scored as one stack."""
    detector, shape = DETECTORS[name], shape_of(name, data)
    config = detector.Config.released(shape, **IN_TABLES.get(name, {}))
    trained = sizes.trained or CLASS_IMAGES[data]
    images = random_images(max(trained, sizes.scored), shape).to(device)
    return ReplicaSet(
        detector,
        config,
        images,
        [ReplicaSpec(f"t{k}", k, torch.arange(trained)) for k in range(count)],
        SPACES.get(name),
        precision=precision,
        together=count,
        scored_together=count,
    )


def rates(
    name: str, data: str, count: int, sizes: Sizes, device: str, precision: str
) -> dict[str, str]:
    """Images per second of training and scoring over all replicas; used and planned memory."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    replica_set = stack_of(name, data, count, sizes, device, precision)
    replica_set.train(1)  # the first epoch also loads kernels
    trained = count * len(replica_set.replicas[0].spec.train) * sizes.epochs
    train = seconds_of(lambda: replica_set.train(sizes.epochs), device)
    replica_set.prepare_scoring()
    wanted = dict.fromkeys(range(count), torch.arange(sizes.scored))
    replica_set.scores(dict.fromkeys(range(count), torch.arange(8)))
    score = seconds_of(lambda: replica_set.scores(wanted), device)
    memory = torch.cuda.max_memory_allocated() if device == "cuda" else float("nan")
    module, images = replica_set.replicas[0].module, replica_set.replicas[0].images
    one = footprint(type(module), module.config, module.shape)
    planned = needed(one, count, count, images.nbytes) - PROCESS
    return {
        "train, images/s": f"{trained / train:,.0f}",
        "score, images/s": f"{count * sizes.scored / score:,.0f}",
        "memory, GiB": f"{memory / 2**30:.1f}",
        "planned, GiB": f"{planned / 2**30:.1f}",
    }


# -------------------------------------------------------------------------------------- tables


def table_time(
    name: str, data: str, stack: int, sizes: Sizes, device: str, precision: str
) -> dict[str, float]:
    """Seconds to train and to score all models of a method, extrapolated over epochs."""
    trained = scored = 0.0
    for _ in range(-(-sizes.models // stack)):
        replica_set = stack_of(name, data, stack, sizes, device, precision)
        replica_set.train(1)
        epochs = seconds_of(lambda made=replica_set: made.train(sizes.epochs), device)
        trained += epochs / sizes.epochs * replica_set.epochs
        wanted = dict.fromkeys(range(stack), torch.arange(sizes.scored))

        def score(made: ReplicaSet = replica_set, of: dict[int, Tensor] = wanted) -> None:
            made.prepare_scoring()
            made.scores(of, every_variant=True)

        scored += seconds_of(score, device)
    return {"train, s": trained, "score, s": scored}


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """A Markdown table with the columns of the first row."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([str(v) for v in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def job_rows(job: str, options: argparse.Namespace, sizes: Sizes) -> Iterable[dict[str, object]]:
    """The rows of one job; a measurement that needs too much memory says so in its row."""
    device = options.device
    methods = list(itertools.product(options.detectors, options.images))
    if job == "agree":
        for name, data in methods:
            row = agreement(DETECTORS[name], shape_of(name, data), device)
            yield {"detector": name, "images": data, **row}
        return
    if job == "rates":
        for (name, data), precision, count in itertools.product(
            methods, options.precisions, options.stacks
        ):
            row: dict[str, object] = {
                "detector": name,
                "images": data,
                "precision": precision,
                "stack": count,
            }
            try:
                row |= rates(name, data, count, sizes, device, precision)
            except torch.OutOfMemoryError:
                row |= dict.fromkeys(("train, images/s", "score, images/s"), "out of memory")
                row |= dict.fromkeys(("memory, GiB", "planned, GiB"), "")
            yield row
        return
    totals = {"train, s": 0.0, "score, s": 0.0}
    stack, precision = max(options.stacks), options.precisions[-1]
    for name, data in methods:
        if name in IN_TABLES:
            times = table_time(name, data, stack, sizes, device, precision)
            totals = {job: totals[job] + seconds for job, seconds in times.items()}
            shown = {job: f"{seconds:,.0f}" for job, seconds in times.items()}
            yield {"detector": name, "images": data, "precision": precision, **shown}
    shown = {job: f"{seconds:,.0f}" for job, seconds in totals.items()}
    yield {"detector": "all", "images": "", "precision": precision, **shown}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", nargs="+", default=["agree", "rates", "tables"])
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--images", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--stacks", nargs="+", type=int, default=[1, 10, 100])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--device", default="cuda")
    for name, value in Sizes()._asdict().items():
        parser.add_argument(f"--{name}", type=int, default=value, dest=f"size_{name}")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU; use --device cpu to try the program itself")
    sizes = Sizes(*(getattr(options, f"size_{name}") for name in Sizes._fields))
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else "no GPU"
    print(f"{time.strftime('%Y-%m-%d')}, {gpu}, torch {torch.__version__}, {FLOAT32} without TF32")
    for job in options.jobs:
        print(f"\n{job}\n", flush=True)
        print(markdown(list(job_rows(job, options, sizes))), flush=True)


if __name__ == "__main__":
    main()
