"""Every detector builds, trains a step and scores on images of every size."""

import pytest
import torch

from tests.detectors.cases import pixels, quick, small
from tests.marks import slow
from tune_ad.data import scaled
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import TrainedDetector
from tune_ad.detectors.nets import ImageShape
from tune_ad.training.replicas.replica import ReplicaSpec, build
from tune_ad.training.replicas.replica_set import ReplicaSet

IMAGES = 6
TRAINED = {n: d for n, d in every_detector().items() if issubclass(d, TrainedDetector)}
FITTED = {n: d for n, d in every_detector().items() if n not in TRAINED}
NETWORKS = [
    *[(name, {}) for name in TRAINED],
    ("GPND", {"networks": "lenet"}),
    ("LikelihoodVAE", {"networks": "lenet"}),
]
SIZES = [(20, 46)]
LARGE = [(8, 8), (39, 39), (64, 64), (128, 128), (256, 256)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", [*SIZES, *(slow(sides) for sides in LARGE)])
@pytest.mark.parametrize(("name", "settings"), NETWORKS, ids=str)
def test_a_detector_trains_a_step_and_scores(name, settings, sides, channels):
    detector, shape = TRAINED[name], ImageShape(channels, *sides)
    count = IMAGES if max(sides) < 100 else 2
    settings = {**quick(detector, **settings), "width": 0.25, "batch_size": count}
    config = small(detector, shape, **{**settings, "epochs": 1})
    images = scaled(pixels(shape, count), config.scaling)
    specs = [ReplicaSpec("t", 0, torch.arange(count))]
    replica_set = ReplicaSet(detector, config, images, specs)
    replica_set.train(1)
    replica_set.prepare_scoring()
    scores = replica_set.score(0, torch.arange(count))["score"]
    assert scores.shape == (count,)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", [*SIZES, *LARGE])
@pytest.mark.parametrize("name", FITTED)
def test_a_detector_is_fitted_and_scores(name, sides, channels):
    detector, shape = FITTED[name], ImageShape(channels, *sides)
    settings = {"bandwidth": 1.0} if name == "KDE" else {}
    config = detector.Config.released(shape, **settings)
    images = scaled(pixels(shape, IMAGES), config.scaling)
    specs = [ReplicaSpec("t", 0, torch.arange(IMAGES))]
    replica_set = ReplicaSet(detector, config, images, specs)
    replica_set.prepare_scoring()
    scores = replica_set.score(0, torch.arange(IMAGES))["score"]
    assert scores.shape == (IMAGES,)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", TRAINED)
def test_a_detector_of_large_images_is_hardly_larger(name, channels):
    """Depth follows the size; otherwise PGN of 128 pixels in colour has a billion parameters."""
    detector, counts = TRAINED[name], []
    for side in (32, 64, 128, 256):
        shape = ImageShape(channels, side, side)
        module = build(detector, detector.Config.released(shape), shape, 0)
        counts.append(sum(parameter.numel() for parameter in module.parameters()))
    assert max(counts) < 1.5 * counts[0] + 10_000
