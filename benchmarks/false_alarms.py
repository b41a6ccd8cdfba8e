"""False alarms of new normal images under conformal thresholds, over 20 random splits.

Bags of Fashion-MNIST are normal. Each split has its own training images, its own calibration
images and the rest as new images, and trains its own model; no anomaly and no label is used.
Printed is, for each detector and wished rate, the mean rate over splits with its standard error,
and in how many splits the number of alarms lies in the 95 % interval of the beta-binomial
distribution: of the rate given the calibration images, and of the new images given the rate.

    python benchmarks/false_alarms.py [--splits 20] [--detectors VAE PGN DeepSVDD OCSVM]
"""

import argparse
import math

import numpy as np
import torch
from scipy.stats import betabinom

from tune_ad.data import ScaledImages, load
from tune_ad.detectors import every_detector
from tune_ad.detectors.nets import ImageShape
from tune_ad.models.conformal import rank_of_threshold, threshold
from tune_ad.randomness import numpy_stream
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

BAG = 8
TRAINED, CALIBRATED = 1000, 399
EPOCHS = 20
RATES = (0.01, 0.05, 0.1)


def normal_images() -> torch.Tensor:
    """All bags, training and test images together: uint8, shape (n, 1, 28, 28)."""
    images = load("fmnist")
    of_train = images.train_images[images.train_labels == BAG]
    return torch.cat([of_train, images.test_images[images.test_labels == BAG]])


def rates(name: str, pixels: torch.Tensor, splits: int) -> dict[float, list[tuple[float, bool]]]:
    """By wished rate, the rate of each split and whether it lies in its 95 % interval."""
    detector = every_detector()[name]
    shape = ImageShape(*pixels.shape[1:])
    settings = {"epochs": EPOCHS} if "epochs" in detector.Config.rules() else {}
    config = detector.Config.released(shape, **settings)
    orders = [
        torch.from_numpy(numpy_stream(k, "split").permutation(len(pixels))) for k in range(splits)
    ]
    specs = [ReplicaSpec("bags", k, order[:TRAINED]) for k, order in enumerate(orders)]
    images = ScaledImages(pixels, config.scaling)
    replica_set = ReplicaSet(detector, config, images, specs, together=splits)
    if replica_set.epochs:
        replica_set.train(replica_set.epochs)
    replica_set.prepare_scoring()
    found: dict[float, list[tuple[float, bool]]] = {rate: [] for rate in RATES}
    for k, order in enumerate(orders):
        scores = replica_set.score(k, order[TRAINED:])["score"].numpy()
        calibration, new = scores[:CALIBRATED], scores[CALIBRATED:]
        for rate in RATES:
            limit = threshold(calibration, rate)
            alarms = int((new > limit.value).sum())
            k = rank_of_threshold(CALIBRATED, rate)
            low, high = betabinom.interval(0.95, len(new), k, CALIBRATED + 1 - k)
            found[rate].append((alarms / len(new), bool(low <= alarms <= high)))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--detectors", nargs="+", default=["VAE", "PGN", "DeepSVDD", "OCSVM"])
    given = parser.parse_args()
    pixels = normal_images()
    print(
        f"{len(pixels)} bags: {TRAINED} trained on, {CALIBRATED} calibrate, {given.splits} splits"
    )
    for name in given.detectors:
        for rate, of_splits in rates(name, pixels, given.splits).items():
            values = np.array([alarms for alarms, _ in of_splits])
            error = values.std(ddof=1) / math.sqrt(len(values))
            inside = sum(inside for _, inside in of_splits)
            print(
                f"{name}: wished {rate:.0%}, mean {values.mean():.2%} ± {error:.2%}, from "
                f"{values.min():.2%} to {values.max():.2%}; {inside} of {len(values)} in the "
                "interval",
                flush=True,
            )


if __name__ == "__main__":
    main()
