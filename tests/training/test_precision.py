"""Training in bfloat16: weights, validation losses and scores stay in float32."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.detectors.cases import CIFAR, MNIST, quick
from tests.marks import slow
from tune_ad.data import scaled
from tune_ad.detectors import every_detector
from tune_ad.detectors.autoencoders.ae import AE
from tune_ad.detectors.base import Detector, TrainedDetector
from tune_ad.detectors.nets import ImageShape
from tune_ad.storage.precision import BFLOAT16, FLOAT32, PRECISIONS
from tune_ad.training.replicas.replica import Replica, ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

IMAGES = 8
SHARE = 0.05
"""bfloat16 has 8 significant bits, so a product is rounded by up to 0.4 %."""
NETWORKS = [d for d in every_detector().values() if issubclass(d, TrainedDetector)]


def replica_set_of(
    detector: type[Detector[Any]],
    shape: ImageShape,
    precision: str,
    together: int = 1,
    **settings: Any,
) -> ReplicaSet:
    """As many replicas as are trained together, on the same images."""
    if detector.__name__ == "LikelihoodVAE":
        settings = {"networks": "lenet" if shape == MNIST else "dcgan", **settings}
    usual = {"epochs": 1, "batch_size": IMAGES, "latent_dim": 16, "learning_rate": 1e-3}
    config = detector.Config.released(shape, **{**usual, **quick(detector, **settings)})
    stream = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (IMAGES, *shape), generator=stream, dtype=torch.uint8)
    specs = [ReplicaSpec("t", seed, torch.arange(IMAGES)) for seed in range(together)]
    return ReplicaSet(
        detector,
        config,
        scaled(images, config.scaling),
        specs,
        precision=precision,
        together=together,
    )


def tensors(state: Any) -> Iterator[Tensor]:
    """All tensors of nested dictionaries and lists."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from tensors(value)


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("shape", [MNIST, CIFAR], ids=["grey", "colour"])
@pytest.mark.parametrize("detector", NETWORKS)
@pytest.mark.slow
def test_a_step_of_every_detector_in_bfloat16(detector, shape, together):
    rounded, exact = (
        replica_set_of(detector, shape, precision, together) for precision in (BFLOAT16, FLOAT32)
    )
    differs = False
    for ours, theirs in zip(rounded.train(1), exact.train(1), strict=True):
        assert list(ours) == list(theirs)
        for metric, value in ours.items():
            assert value == pytest.approx(theirs[metric], rel=SHARE, abs=SHARE), metric
            differs |= value != theirs[metric]
    assert differs, "nothing was computed in bfloat16"
    kinds = [
        [tensor.dtype for tensor in tensors(replica_set.state_dict())]
        for replica_set in (rounded, exact)
    ]
    assert kinds[0] == kinds[1]
    assert torch.float32 in kinds[0]
    assert torch.bfloat16 not in kinds[0]
    scored_in_float32(rounded, exact)


def scored_in_float32(rounded: ReplicaSet, exact: ReplicaSet) -> None:
    """Check that the same weights have the same scores and losses, in whatever they trained."""
    indices = torch.arange(IMAGES)
    for k, (ours, theirs) in enumerate(zip(rounded.replicas, exact.replicas, strict=True)):
        theirs.restore(ours.module.state_dict())
        assert torch.equal(rounded.losses(k, indices), exact.losses(k, indices))
        scores, expected = rounded.score(k, indices), exact.score(k, indices)
        assert list(scores) == list(expected)
        assert all(torch.equal(scores[name], expected[name]) for name in scores)


@pytest.mark.parametrize("together", [1, slow(3)])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_step_uses_the_weights_of_the_one_before(monkeypatch, precision, together):
    """As many steps within an epoch as epochs of one step: converted weights are not kept."""
    steps = 4

    def weights(epochs: int, steps: int) -> list[Tensor]:
        def batches(replica: Replica, size: int) -> Tensor:
            return replica.spec.train.repeat(steps, 1)

        monkeypatch.setattr(Replica, "batches", batches)
        settings = {"epochs": epochs, "milestones": ()}
        replica_set = replica_set_of(AE, CIFAR, precision, together, **settings)
        replica_set.train(epochs)
        return [
            t for replica in replica_set.replicas for t in replica.module.state_dict().values()
        ]

    within, across = weights(1, steps), weights(steps, 1)
    assert all(map(torch.equal, within, across))
    assert not all(map(torch.equal, within, weights(1, steps - 1)))


def test_a_centre_is_computed_in_float32():
    """What a detector sets before a stage is not part of training."""
    detector = every_detector()["DeepSVDD"]
    rounded, exact = (replica_set_of(detector, CIFAR, precision) for precision in PRECISIONS[::-1])
    rounded.train(1)
    exact.train(1)
    centres = [replica_set.replicas[0].module.centre for replica_set in (rounded, exact)]
    assert torch.equal(*centres)
