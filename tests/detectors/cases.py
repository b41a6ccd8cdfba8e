"""Small configurations and images on which every detector is tried."""

from dataclasses import fields
from inspect import get_annotations
from typing import Any

import pytest
import torch

from tune_ad.data import scaled
from tune_ad.detectors import every_detector
from tune_ad.detectors.base import Detector, TrainedDetector
from tune_ad.detectors.config import Config
from tune_ad.detectors.nets import ImageShape
from tune_ad.training.replicas.replica import ReplicaSpec
from tune_ad.training.replicas.replica_set import ReplicaSet

GREY, COLOUR = ImageShape(1, 8, 8), ImageShape(3, 8, 8)
MNIST, CIFAR = ImageShape(1, 28, 28), ImageShape(3, 32, 32)
SMALL = {"latent_dim": 16, "batch_size": 8, "epochs": 4, "learning_rate": 1e-3}
IMAGES = 20

COMBINED: dict[str, list[dict[str, Any]]] = {
    "AAE": [
        {"joint": False, "leaky_output": True},
        {"updates": "simultaneous", "last_batch": "short"},
    ],
    "DeepSVDD": [{"pretraining": 0.5}, {"pretraining": 1.0, "objective": "soft-boundary"}],
    "GPND": [
        {"networks": "lenet", "jacobian": "encoder", "volume_sign": "reversed"},
        {"squared_distance": True, "residual_share": 0.2},
    ],
    "LikelihoodVAE": [
        {
            "objective": "forward_kl",
            "samples": 3,
            "mixture_components": 3,
            "warm_start": 0.0,
            "defensive": 0.2,
        },
        {"refit": 0.5, "samples": 2, "mixture_components": 2, "likelihood": "gaussian"},
    ],
    "VAE": [
        {"samples": 3, "score_samples": 5, "reconstruction": "l1", "pixel_reduction": "mean"},
        {"score_samples": 0, "beta": 4.0, "reduction": "mean"},
        {"beta": "inf", "prior": "vamp", "pseudo_inputs": 3},
    ],
    "PGN": [
        {"extra_layer": False, "bias": False, "mc_samples": "inf"},
        {"dropout_on": "both", "spread": "softplus", "mc_samples": 3},
        {"dropout_on": "both", "expected_loss": True, "mc_samples": "inf"},
        {"prior_centre": "mean", "prior_variance": 0.01, "spread": "softplus"},
    ],
}
"""Settings that a detector is tried under besides its defaults and one choice at a time."""


def variants(detector: type[Detector[Any]]) -> list[dict[str, Any]]:
    """Settings that a detector is tried under: its defaults, each choice of its own, some more."""
    rules, settings = detector.Config.rules(), [{}, *COMBINED.get(detector.__name__, [])]
    for field in fields(detector.Config):
        rule = rules[field.name]
        if field.name in get_annotations(detector.Config):
            numbers = rule.others if isinstance(field.default, str) else ()
            values = [value for value in (*rule.options, *numbers) if value != field.default]
            settings += [{**rule.when, field.name: value} for value in values]
    return settings


def is_first(settings: dict[str, Any]) -> bool:
    """Whether settings are those that `make test` runs: the defaults, and one more of PGN."""
    return settings in [{}, COMBINED["PGN"][0]]


def trained_cases() -> list[Any]:
    """Every variant of every detector that trains networks, as parameters of a test.

    `make test` runs few of them, `make check` all.
    """
    cases = []
    for name, detector in every_detector().items():
        for settings in variants(detector) if issubclass(detector, TrainedDetector) else ():
            marks = [] if is_first(settings) else [pytest.mark.slow]
            title = f"{name}-{titled(settings)}"
            cases.append(
                pytest.param(detector, quick(detector, **settings), id=title, marks=marks)
            )
    return cases


def quick(detector: type[Detector[Any]], **settings: Any) -> dict[str, Any]:
    """The settings, a smaller width for the networks that are slow, and few steps of regret."""
    slow = detector.__name__ == "GPND" and settings.get("networks", "gpnd") == "gpnd"
    slow = slow or detector.__name__ == "LikelihoodVAE" and settings.get("networks") != "lenet"
    few = {"regret_steps": 6} if settings.get("score_by") == "regret" else {}
    return {**({"width": 0.25} if slow else {}), **few, **settings}


def titled(settings: dict[str, Any]) -> str:
    """Settings as the name of a test."""
    return ",".join(f"{name}={value}" for name, value in settings.items()) or "default"


def pixels(shape: ImageShape, count: int = IMAGES, seed: int = 5) -> torch.Tensor:
    """Random uint8 images that do not reach 255."""
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(0, 200, (count, *shape), generator=stream, dtype=torch.uint8)


def replica_set_of(
    detector: type[Detector[Any]], config: Config, shape: ImageShape, **options: Any
) -> ReplicaSet:
    """One replica on random images."""
    images = scaled(pixels(shape), config.scaling)
    return ReplicaSet(
        detector, config, images, [ReplicaSpec("t", 0, torch.arange(IMAGES))], **options
    )


def small(detector: type[Detector[Any]], shape: ImageShape, **settings: Any) -> Config:
    """The released settings, with `settings` and those of `SMALL` that the detector has."""
    return detector.Config.released(shape, **{**applicable(detector, SMALL), **settings})


def applicable(detector: type[Detector[Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """Those of some settings that are hyperparameters of a detector."""
    names = {field.name for field in fields(detector.Config)}
    return {name: value for name, value in settings.items() if name in names}


@torch.enable_grad()
def trained(
    detector: type[Detector[Any]], shape: ImageShape, epochs: int = 2, **settings: Any
) -> ReplicaSet:
    replica_set = replica_set_of(detector, small(detector, shape, **settings), shape)
    replica_set.train(epochs)
    replica_set.prepare_scoring()
    return replica_set


def module_of(replica_set: ReplicaSet) -> Any:
    return replica_set.replicas[0].module


def same(one: Any, other: Any) -> bool:
    """Whether two nested structures of tensors and plain values are bit-equal."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def doubles(shape: ImageShape, count: int = 7) -> torch.Tensor:
    return pixels(shape, count).double() / 255


def exact(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-13)
