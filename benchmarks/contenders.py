"""The contenders of `benchmarks/peers.py`; run as a program, the work of one of them.

To add a peer, write a function from a `Task` to a `Work` and add an entry to `CONTENDERS`.

The program does the same work on two batches of images as a warm-up, prepares the work, and writes
"ready". Then it reads the name of a job, "train" or "score", from each line of its input, does it,
and writes the number of images that it has processed.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sized
from contextlib import redirect_stdout
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plain import ARCHITECTURES, BATCH, DETECTORS, adam, loader_of, scores, train_epoch
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import skeleton
from tune_ad.detectors.nets import ImageShape
from tune_ad.storage.precision import BFLOAT16, FLOAT32
from tune_ad.training.replicas.paths import trained_together
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

SHAPES = {"MNIST": ImageShape(1, 28, 28), "CIFAR-10": ImageShape(3, 32, 32)}
PYOD_EPOCHS = 10  # of one fit, which also scores the training images once


class Task(NamedTuple):
    """What a contender is to do.

    Attributes:
        method: the name of the detector.
        train: the training images in [0, 1], shape (n, c, h, w).
        scored: the images to score.
        replicas: number of models that one process trains, if the contender can train several.
    """

    method: str
    train: Tensor
    scored: Tensor
    replicas: int

    @property
    def shape(self) -> ImageShape:
        """The shape of the images."""
        return ImageShape(*self.train.shape[1:])


class Work(NamedTuple):
    """The work of a contender in one process.

    Attributes:
        train: trains one epoch, and returns the number of images, counted once per model.
        score: returns the scores of the first images of the task, up to a number.
    """

    train: Callable[[], int]
    score: Callable[[int], Sized]


class Contender(NamedTuple):
    """A contender.

    Attributes:
        title: its title in the table.
        prepare: prepares the work of one process.
        methods: the names of the detectors that it has.
        networks: how its networks relate to those of the PGN paper.
        package: the package that must be installed; empty if none is needed.
        threaded: whether one process with a thread for every core is tried, too; the contender
            otherwise only runs as one process for every core.
    """

    title: str
    prepare: Callable[[Task], Work]
    methods: tuple[str, ...]
    networks: str = "of the paper"
    package: str = ""
    threaded: bool = True


def project(task: Task, precision: str = FLOAT32) -> Work:
    """This project: the replicas of one configuration, as in a trial."""
    detector, n = every_detector()[task.method], len(task.train)
    config = detector.Config.released(task.shape, epochs=1_000_000)
    images = torch.cat([task.train, task.scored])
    specs = [ReplicaSpec("benchmark", seed, torch.arange(n)) for seed in range(task.replicas)]
    together = trained_together(skeleton(detector, config, task.shape), "cpu")
    replica_set = ReplicaSet(
        detector, config, images, specs, precision=precision, together=together
    )
    if task.method == "DeepSVDD":
        replica_set.train(1)  # the first epoch also computes the centre, unlike those of others

    def train() -> int:
        replica_set.train(1)
        return n * task.replicas

    return Work(train, lambda count: replica_set.score(0, torch.arange(n, n + count))["score"])


def plain_loop(task: Task) -> Work:
    """A plain training loop over a DataLoader."""
    model = DETECTORS[task.method](task.shape)
    loader, optimiser = loader_of(task.train, shuffle=True), adam(model)
    if task.method == "DeepSVDD":
        model.begin(loader)

    def train() -> int:
        train_epoch(model, loader, optimiser)
        return len(task.train)

    return Work(train, lambda count: scores(model, task.scored[:count]))


def pyod(task: Task) -> Work:
    """PyOD with its default networks, fed with the same pixels without further scaling."""
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.deep_svdd import DeepSVDD
    from pyod.models.vae import VAE

    vectors, scored = (x.flatten(1).numpy() for x in (task.train, task.scored))
    common: dict[str, Any] = {"batch_size": BATCH, "preprocessing": False, "verbose": 0}
    if task.method == "DeepSVDD":
        detector: Any = DeepSVDD(vectors.shape[1], epochs=PYOD_EPOCHS, **common)
    else:
        detector = {"AE": AutoEncoder, "VAE": VAE}[task.method](epoch_num=PYOD_EPOCHS, **common)

    def train() -> int:
        detector.fit(vectors)
        return PYOD_EPOCHS * len(vectors)

    return Work(train, lambda count: detector.decision_function(scored[:count]))


def pythae(task: Task) -> Work:
    """Pythae's trainer with the networks of the plain loop."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, VAE, AEConfig, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    networks: Any = DETECTORS[task.method](task.shape)

    def encoded(_: object, images: Tensor) -> Any:  # noqa: ANN401
        if task.method == "AE":
            return ModelOutput(embedding=networks.encoder(images))
        mean, log_variance = networks.encode(images)
        return ModelOutput(embedding=mean, log_covariance=log_variance)

    def decoded(_: object, codes: Tensor) -> Any:  # noqa: ANN401
        return ModelOutput(reconstruction=networks.decoder(codes).sigmoid())

    encoder = type("Encoder", (BaseEncoder,), {"forward": encoded})()
    decoder = type("Decoder", (BaseDecoder,), {"forward": decoded})()
    encoder.networks = networks  # so that the model has their parameters
    sizes = {"input_dim": tuple(task.shape), "latent_dim": ARCHITECTURES[task.shape].code}
    if task.method == "AE":
        model = AE(AEConfig(**sizes), encoder, decoder)
    else:
        model = VAE(VAEConfig(**sizes, reconstruction_loss="bce"), encoder, decoder)
    settings = BaseTrainerConfig(
        per_device_train_batch_size=BATCH,
        learning_rate=1e-4,
        optimizer_params={"betas": (0.5, 0.999), "weight_decay": 1e-4},
        no_cuda=True,
    )
    data = BaseDataset(task.train, torch.ones(len(task.train)))
    trainer = BaseTrainer(model, data, training_config=settings)
    trainer.prepare_training()

    def train() -> int:
        trainer.train_step(epoch=1)
        return len(task.train)

    @torch.no_grad()
    def score(count: int) -> Tensor:
        model.eval()
        batches = task.scored[:count].split(BATCH)
        errors = [(model.reconstruct(images) - images).square() for images in batches]
        return torch.cat([error.flatten(1).sum(1) for error in errors])

    return Work(train, score)


CONTENDERS = {
    "project": Contender("this project", project, tuple(DETECTORS), threaded=False),
    "project-bfloat16": Contender(
        "this project, bfloat16",
        partial(project, precision=BFLOAT16),
        tuple(DETECTORS),
        threaded=False,
    ),
    "plain": Contender("plain PyTorch loop", plain_loop, tuple(DETECTORS)),
    "pythae": Contender("Pythae", pythae, ("AE", "VAE"), package="pythae"),
    "pyod": Contender(
        "PyOD", pyod, ("DeepSVDD", "AE", "VAE"), "others: multilayer perceptrons", package="pyod"
    ),
}


def main() -> None:
    """Do the jobs that arrive as lines of the input."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("method", choices=DETECTORS)
    parser.add_argument("data", choices=SHAPES)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--train", type=int, required=True, help="number of training images")
    parser.add_argument("--score", type=int, required=True, help="number of images to score")
    parser.add_argument("--replicas", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    images = torch.rand(options.train + options.score, *SHAPES[options.data])
    task = Task(options.method, *images.split([options.train, options.score]), options.replicas)
    answers = sys.stdout
    with redirect_stdout(sys.stderr):  # for what a contender prints
        prepare = CONTENDERS[options.contender].prepare
        few = task._replace(train=task.train[: 2 * BATCH], scored=task.scored[: 2 * BATCH])
        warm_up = prepare(few)
        warm_up.train()
        warm_up.score(len(few.scored))
        work = prepare(task)
        print("ready", file=answers, flush=True)
        for job in map(str.strip, sys.stdin):
            done = work.train() if job == "train" else len(work.score(options.score))
            print(done, file=answers, flush=True)


if __name__ == "__main__":
    main()
