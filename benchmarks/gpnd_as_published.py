"""What each defect of the GPND in arXiv 2005.01889 does to its AUROC.

    python benchmarks/gpnd_as_published.py [--data mnist] [--normal 2] [--seed 0] [--epochs 80]
        [--images 600]

Trains two models with the settings of the script of Park et al. (LeNet-like networks, learning
rate 2e-3, batches of 128, half the weight on the reconstruction, 32 or 128 latent dimensions) and
scores the test set in eight ways: by GPND as it should be; with each of the defects that the
docstring of `tune_ad.detectors.gpnd.GPND` lists, alone; with all of them. Prints Markdown.

Defect 3 fits densities on the test images, anomalies among them, and the scores of all images
hang together: what this program computes is no detector and must not be compared with one.
"""

import argparse
import math
import time
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from tune_ad.app.provenance import hardware, versions
from tune_ad.data import ImageSet, load, scaled
from tune_ad.detectors.gpnd.densities import fitted_gaussian, fitted_histogram
from tune_ad.detectors.gpnd.detector import GPND
from tune_ad.detectors.gpnd.volume import (
    chunk_size,
    decoder_log_volumes,
    encoder_log_volumes,
    reverse_jacobian,
)
from tune_ad.detectors.nets import ImageShape, LeNetDecoder
from tune_ad.errors import DegenerateInputError
from tune_ad.training.metrics import auroc
from tune_ad.training.replica import Replica, ReplicaSpec
from tune_ad.training.replica_set import ReplicaSet

PUBLISHED = {"networks": "lenet", "reconstruction_weight": 0.5}
COLUMNS = ("score", "volume", "latent", "residual")


class SharedTrunk(GPND):
    """GPND whose encoder and image discriminator are one network but for their last layers.

    Source: the released code of Park, Adosoglou and Pardalos, arXiv 2005.01889 (defect 1).
    """

    def build_lenet(self) -> tuple[nn.Module, LeNetDecoder, nn.Module]:
        """Encoder, decoder and image discriminator, the first and the last on one trunk."""
        encoder, decoder, discriminator = super().build_lenet()
        return encoder, decoder, nn.Sequential(encoder[0], discriminator[1])


class Faults(NamedTuple):
    """What is wrong with a score, by the numbers of the defects."""

    name: str
    model: str = "correct"  # "shared" has defects 1 and 2, "re-estimated" 1 alone
    test_fit: bool = False  # 3
    log_volume: str = "decoder"  # or "encoder"; "rows" is defect 4
    squared: bool = False  # 5


CASES = (
    Faults("none"),
    Faults("none, Jacobian of the encoder", log_volume="encoder"),
    Faults("1 and 2: one trunk", "shared"),
    Faults("1 without 2: batch statistics of real images", "re-estimated"),
    Faults("3: densities of the test set", test_fit=True),
    Faults("4: volumes of rows", log_volume="rows"),
    Faults("5: squared distance", squared=True),
    Faults("all", "shared", test_fit=True, log_volume="rows", squared=True),
)


class Seen(NamedTuple):
    """What a model makes of images: codes (n, J), residual norms (n,), log-volumes (n,)."""

    codes: Tensor
    distances: Tensor
    volumes: dict[str, Tensor]


Views = tuple[Seen, Seen]  # of the training and of the test images


def row_log_volumes(module: GPND, images: Tensor) -> Tensor:
    """The sum of the logarithms of the singular values of each row of the encoder's Jacobian.

    Each row is taken for one h x w matrix per channel (defect 4): on grey images of 28 x 28 with
    32 latent dimensions these are 32 x 28 values, none of them one of the Jacobian's.
    """
    size = module.config.latent_dim
    values = [
        torch.linalg.svdvals(
            reverse_jacobian(module.encoder, each, size).unflatten(2, each[0].shape)
        )
        for each in images.split(chunk_size(images, size))
    ]
    least = torch.finfo(torch.float32).tiny
    return torch.cat([each.double().clamp(min=least).log().flatten(1).sum(1) for each in values])


@torch.no_grad()
def seen(replica: Replica, indices: Tensor, with_volumes: bool) -> Seen:
    """What the trained model of a replica makes of images, in evaluation mode."""
    module: Any = replica.module.eval()
    parts: list[Seen] = []
    for images in map(replica.pick, replica.chunks(indices)):
        codes, distances = module.code_and_distance(images)
        volumes = {}
        if with_volumes:
            volumes = {
                "decoder": -decoder_log_volumes(module.decoder, codes),
                "encoder": encoder_log_volumes(module.encoder, images, codes.shape[1]),
                "rows": row_log_volumes(module, images),
            }
        parts.append(Seen(codes.double(), distances, volumes))
    joined = {name: torch.cat([each.volumes[name] for each in parts]) for name in parts[0].volumes}
    codes, distances = (torch.cat([each[k] for each in parts]) for k in range(2))
    return Seen(codes, distances, joined)


@torch.no_grad()
def re_estimate(replica: Replica) -> None:
    """Give the trunk the batch statistics of real training images alone (undoes defect 2)."""
    encoder: Any = replica.module.encoder
    norms = [each for each in encoder.modules() if isinstance(each, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
    encoder.train()
    for indices in replica.batches(replica.module.config.batch_size):
        encoder(replica.pick(indices))
    encoder.eval()


def scores(fitted_on: Seen, test: Seen, faults: Faults, pixels: int) -> dict[str, Tensor]:
    """The score and its parts in nats, each of shape (n,)."""
    power = 2 if faults.squared else 1
    histogram = fitted_histogram(fitted_on.distances**power, 30)
    distances, size = test.distances**power, pixels - test.codes.shape[1]
    exponent = size if faults.squared else size - 1
    parts = {
        "volume": -test.volumes[faults.log_volume],
        "latent": -fitted_gaussian(fitted_on.codes).log_density(test.codes),
        "residual": exponent * distances.log() - histogram.log_density(distances),
    }
    return {"score": torch.stack(list(parts.values())).sum(0), **parts}


def row(faults: Faults, train: Seen, test: Seen, normal: Tensor, pixels: int) -> dict[str, str]:
    """A row of the table: AUROCs of the score and of its parts."""
    try:
        found = scores(test if faults.test_fit else train, test, faults, pixels)
    except DegenerateInputError as error:
        return {"defects": faults.name, "score": f"no fit: {error}"}
    areas = {name: f"{auroc(found[name][normal], found[name][~normal]):.4f}" for name in COLUMNS}
    return {"defects": faults.name, **areas}


def models(options: argparse.Namespace, data: ImageSet, test: Tensor) -> dict[str, Views]:
    """What each model of `Faults.model` makes of the training and of the test images."""
    shape, first_test = ImageShape(*data.shape), len(data.train_images)
    settings = {**PUBLISHED, "latent_dim": 128 if shape.is_colour else 32}
    scaling = "minmax" if shape.is_colour else "unit"  # as that script reads CIFAR-10
    config = GPND.Config.released(shape, epochs=options.epochs, scaling=scaling, **settings)
    images = scaled(torch.cat((data.train_images, data.test_images)), config.scaling)
    train = torch.nonzero(data.train_labels == options.normal).flatten()[: options.images]
    replica_spec = ReplicaSpec(f"{options.data}/{options.normal}", options.seed, train)

    def trained(detector: type[GPND]) -> Replica:
        replica_set = ReplicaSet(detector, config, images, [replica_spec])
        replica_set.train(config.epochs)
        return replica_set.replicas[0]

    def views(replica: Replica) -> Views:
        return seen(replica, train, False), seen(replica, test + first_test, True)

    correct, shared = trained(GPND), trained(SharedTrunk)
    found = {"correct": views(correct), "shared": views(shared)}
    re_estimate(shared)
    return {**found, "re-estimated": views(shared)}


def rows(options: argparse.Namespace) -> list[dict[str, str]]:
    """The rows of the table, in the order of `CASES`."""
    data = load(options.data, options.data_root)
    test = torch.arange(len(data.test_labels))[: options.images]
    normal = data.test_labels[test] == options.normal
    made = models(options, data, test)
    return [row(case, *made[case.model], normal, math.prod(data.shape)) for case in CASES]


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="mnist", help="a data set")
    parser.add_argument("--data-root", help="default: $TUNE_AD_DATA or data/")
    parser.add_argument("--normal", type=int, default=2, help="label of the normal class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--images", type=int, help="at most so many to train on, and to test")
    options = parser.parse_args()
    started = time.perf_counter()
    table = pd.DataFrame(rows(options)).fillna("")
    print(table.to_markdown(index=False, disable_numparse=True))
    given = ", ".join(f"{name} {value}" for name, value in vars(options).items())
    print(f"\nTest AUROC; {given}; {time.perf_counter() - started:.0f} s")
    print(f"{time.strftime('%Y-%m-%d')}, {hardware('cpu')}, {versions()}")


if __name__ == "__main__":
    main()
