"""The effect on AUROC of each defect of the GPND script behind arXiv 2005.01889.

    python benchmarks/gpnd_as_published.py [--data mnist] [--normal 2] [--seed 0] [--epochs 80]
        [--images 600]

Trains two models with the settings of the script of Park et al. (LeNet-like networks, learning
rate 2e-3, batches of 128, reconstruction weight 1/2, 32 or 128 latent dimensions) and scores the
test set in eight ways: by GPND as in its paper, with each of the defects that the docstring of
`tune_ad.detectors.gpnd.GPND` lists, and with all of them. Prints a Markdown table.

With defect 3 the densities are fitted to the test images, including anomalies, so the score of an
image depends on the others. Therefore this program is not a detector, and its results must not be
compared with those of a detector.
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
    DERIVATIVES_AT_ONCE,
    decoder_log_volumes,
    encoder_log_volumes,
    reverse_jacobian,
)
from tune_ad.detectors.nets import ImageShape, LeNetDecoder
from tune_ad.errors import DegenerateInputError
from tune_ad.training.ranking import auroc
from tune_ad.training.replicas.replica import Replica, ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

PUBLISHED = {"networks": "lenet", "reconstruction_weight": 0.5}
COLUMNS = ("score", "volume", "latent", "residual")


class SharedTrunk(GPND):
    """GPND whose encoder and image discriminator share all layers except the last.

    Source: the released code of Park, Adosoglou and Pardalos, arXiv 2005.01889 (defect 1).
    """

    def build_lenet(self) -> tuple[nn.Module, LeNetDecoder, nn.Module]:
        """Encoder, decoder and image discriminator; the first and the last share their layers."""
        encoder, decoder, discriminator = super().build_lenet()
        return encoder, decoder, nn.Sequential(encoder[0], discriminator[1])


class Defects(NamedTuple):
    """The defects of a score.

    Attributes:
        name: name of the row in the table, with the numbers of the defects.
        model: "correct"; "shared" has the defects 1 and 2, "re-estimated" has only defect 1.
        test_fit: whether densities are fitted to the test images (defect 3).
        log_volume: the Jacobian of the "decoder" or "encoder"; "rows" is defect 4.
        squared: whether d is the squared norm (defect 5).
    """

    name: str
    model: str = "correct"
    test_fit: bool = False
    log_volume: str = "decoder"
    squared: bool = False


CASES = (
    Defects("none"),
    Defects("none, Jacobian of the encoder", log_volume="encoder"),
    Defects("1 and 2: one trunk", "shared"),
    Defects("1 without 2: batch statistics of real images", "re-estimated"),
    Defects("3: densities of the test set", test_fit=True),
    Defects("4: volumes of rows", log_volume="rows"),
    Defects("5: squared distance", squared=True),
    Defects("all", "shared", test_fit=True, log_volume="rows", squared=True),
)


class Outputs(NamedTuple):
    """The outputs of a model for n images.

    Attributes:
        codes: codes, shape (n, J), float64.
        distances: norms of the residuals, shape (n,), float64.
        log_volumes: log-volumes of each kind of Jacobian, by its name, each of shape (n,).
    """

    codes: Tensor
    distances: Tensor
    log_volumes: dict[str, Tensor]


TrainAndTest = tuple[Outputs, Outputs]  # for the training and for the test images


def row_log_volumes(module: GPND, images: Tensor) -> Tensor:
    """The sum of the logarithms of the singular values of each row of the encoder's Jacobian.

    Each row is treated as one h x w matrix per channel (defect 4). For grey images of 28 x 28 with
    32 latent dimensions these are 32 x 28 values, none of them a singular value of the Jacobian.
    """
    latent_dim, shape = module.config.latent_dim, images[0].shape
    least = torch.finfo(torch.float32).tiny
    log_volumes = []
    for chunk in images.split(DERIVATIVES_AT_ONCE.rows(images.device, latent_dim)):
        rows = reverse_jacobian(module.encoder, chunk, latent_dim).unflatten(2, shape)
        values = torch.linalg.svdvals(rows).double()
        log_volumes.append(values.clamp(min=least).log().flatten(1).sum(1))
    return torch.cat(log_volumes)


@torch.no_grad()
def outputs(replica: Replica, indices: Tensor, with_volumes: bool) -> Outputs:
    """The outputs of the trained model of a replica for images, in evaluation mode."""
    module: Any = replica.module.eval()
    parts: list[Outputs] = []
    for images in map(replica.pick, replica.chunks(indices)):
        codes, distances = module.code_and_distance(images)
        log_volumes = {}
        if with_volumes:
            log_volumes = {
                "decoder": -decoder_log_volumes(module.decoder, codes),
                "encoder": encoder_log_volumes(module.encoder, images, codes.shape[1]),
                "rows": row_log_volumes(module, images),
            }
        parts.append(Outputs(codes.double(), distances, log_volumes))
    names = parts[0].log_volumes
    return Outputs(
        torch.cat([part.codes for part in parts]),
        torch.cat([part.distances for part in parts]),
        {name: torch.cat([part.log_volumes[name] for part in parts]) for name in names},
    )


@torch.no_grad()
def re_estimate(replica: Replica) -> None:
    """Estimate the batch statistics from real training images only, which removes defect 2."""
    encoder: Any = replica.module.encoder
    norms = [layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
    encoder.train()
    for indices in replica.batches(replica.module.config.batch_size):
        encoder(replica.pick(indices))
    encoder.eval()


def scores(fitted_to: Outputs, test: Outputs, defects: Defects, pixels: int) -> dict[str, Tensor]:
    """The score of test images and its components in nats, each of shape (n,).

    Args:
        fitted_to: outputs to which the densities are fitted.
        test: outputs for the test images.
        defects: the defects of the score.
        pixels: number of values in an image.
    """
    power = 2 if defects.squared else 1
    histogram = fitted_histogram(fitted_to.distances**power, 30)
    distances, size = test.distances**power, pixels - test.codes.shape[1]
    exponent = size if defects.squared else size - 1
    components = {
        "volume": -test.log_volumes[defects.log_volume],
        "latent": -fitted_gaussian(fitted_to.codes).log_density(test.codes),
        "residual": exponent * distances.log() - histogram.log_density(distances),
    }
    return {"score": torch.stack(list(components.values())).sum(0), **components}


def row(defects: Defects, model: TrainAndTest, is_normal: Tensor, pixels: int) -> dict[str, str]:
    """A row of the table: AUROCs of the score and of its components."""
    train, test = model
    try:
        scored = scores(test if defects.test_fit else train, test, defects, pixels)
    except DegenerateInputError as error:
        return {"defects": defects.name, "score": f"no fit: {error}"}
    aurocs = {name: auroc(scored[name][is_normal], scored[name][~is_normal]) for name in COLUMNS}
    return {"defects": defects.name, **{name: f"{area:.4f}" for name, area in aurocs.items()}}


def models(options: argparse.Namespace, data: ImageSet, test: Tensor) -> dict[str, TrainAndTest]:
    """The outputs of each model of `Defects.model` for the training and the test images."""
    shape, first_test = ImageShape(*data.shape), len(data.train_images)
    settings = {**PUBLISHED, "latent_dim": 128 if shape.is_colour else 32}
    scaling = "minmax" if shape.is_colour else "unit"  # as in that script for CIFAR-10
    config = GPND.Config.released(shape, epochs=options.epochs, scaling=scaling, **settings)
    images = scaled(torch.cat((data.train_images, data.test_images)), config.scaling)
    train = torch.nonzero(data.train_labels == options.normal).flatten()[: options.images]
    replica_spec = ReplicaSpec(f"{options.data}/{options.normal}", options.seed, train)

    def trained(detector: type[GPND]) -> Replica:
        replica_set = ReplicaSet(detector, config, images, [replica_spec])
        replica_set.train(config.epochs)
        return replica_set.replicas[0]

    def train_and_test(replica: Replica) -> TrainAndTest:
        return outputs(replica, train, False), outputs(replica, test + first_test, True)

    correct, shared = trained(GPND), trained(SharedTrunk)
    by_model = {"correct": train_and_test(correct), "shared": train_and_test(shared)}
    re_estimate(shared)
    return {**by_model, "re-estimated": train_and_test(shared)}


def rows(options: argparse.Namespace) -> list[dict[str, str]]:
    """The rows of the table, in the order of `CASES`."""
    data = load(options.data, options.data_root)
    test = torch.arange(len(data.test_labels))[: options.images]
    is_normal = data.test_labels[test] == options.normal
    by_model = models(options, data, test)
    pixels = math.prod(data.shape)
    return [row(case, by_model[case.model], is_normal, pixels) for case in CASES]


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="mnist", help="a data set")
    parser.add_argument("--data-root", help="default: $TUNE_AD_DATA or data/")
    parser.add_argument("--normal", type=int, default=2, help="label of the normal class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument(
        "--images", type=int, help="maximum number of images for training, and for testing"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    table = pd.DataFrame(rows(options)).fillna("")
    print(table.to_markdown(index=False, disable_numparse=True))
    settings = ", ".join(f"{name} {value}" for name, value in vars(options).items())
    print(f"\nTest AUROC; {settings}; {time.perf_counter() - started:.0f} s")
    print(f"{time.strftime('%Y-%m-%d')}, {hardware('cpu')}, {versions()}")


if __name__ == "__main__":
    main()
