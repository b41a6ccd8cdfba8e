"""Seconds and quality of the principal components of large images, exact and randomised.

    python benchmarks/principal_components.py --images 4500 --size 64 --noise 0

The images are airplanes of CIFAR-10, enlarged by bicubic interpolation, with Gaussian noise on
every pixel of the given standard deviation. Times are those of the processor (user and system).
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KernelDensity
from tabulate import tabulate
from torch.nn.functional import interpolate

from tune_ad import load
from tune_ad.data import ImageSet, scaled
from tune_ad.detectors.shallow.base import Rows, leading_components, pixel_rows

TESTED = 500  # normal and anomalous test images each


def enlarged(images: torch.Tensor, size: int, noise: float) -> Rows:
    """Larger images with noise, under global contrast normalisation, as rows."""
    large = interpolate(images.float(), size=(size, size), mode="bicubic")
    stream = torch.Generator().manual_seed(len(images))
    large += 255 * noise * torch.randn(large.shape, generator=stream)
    pixels = large.round().clamp(0, 255).byte()
    return pixel_rows(scaled(pixels, "gcn")[:])


def auroc(pca: Any, training: Rows, tested: Rows, labels: Rows) -> float:  # noqa: ANN401
    """Test AUROC in per cent of a kernel density on the components."""
    features = pca.transform(training)
    density = KernelDensity(bandwidth=0.3 * features.std(), leaf_size=1 << 30).fit(features)
    return 100 * float(roc_auc_score(labels, -density.score_samples(pca.transform(tested))))


def rows(data: ImageSet, images: int, size: int, noise: float, shares: Sequence[float]) -> Any:  # noqa: ANN401
    """A row for each share of the variance and each way to find the components."""
    normal = data.test_labels == 0
    training = enlarged(data.train_images[data.train_labels == 0][:images], size, noise)
    chosen = [data.test_images[part][:TESTED] for part in (normal, ~normal)]
    tested = np.concatenate([enlarged(part, size, noise) for part in chosen])
    labels = np.repeat([0.0, 1.0], [len(part) for part in chosen])
    solver = "covariance_eigh" if len(training) > training.shape[1] else "full"
    for share in shares:
        ways: dict[str, Callable[[], Any]] = {
            "exact": lambda share=share: PCA(share, svd_solver=solver).fit(training),
            "randomised, seed 0": lambda share=share: leading_components(training, share, 0),
            "randomised, seed 1": lambda share=share: leading_components(training, share, 1),
        }
        for name, way in ways.items():
            begun = time.process_time()
            pca = way()
            row = {"share": share, "components": name, "s": time.process_time() - begun}
            if pca is not None:
                row |= {
                    "number": len(pca.components_),
                    "AUROC": auroc(pca, training, tested, labels),
                }
                row["explained"] = pca.explained_variance_ratio_.sum()
            yield row


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4500)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.95, 0.99])
    given = parser.parse_args(argv)
    table = rows(load("cifar"), given.images, given.size, given.noise, given.shares)
    print(tabulate(list(table), headers="keys", tablefmt="pipe", floatfmt=".5g"))


if __name__ == "__main__":
    main()
