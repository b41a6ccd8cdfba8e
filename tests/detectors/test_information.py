"""The parts of the rate, against closed forms."""

import math

import pytest
import torch

from tune_ad.detectors import gaussian
from tune_ad.detectors.autoencoders.vae import VAE
from tune_ad.detectors.information import (
    MOST_IMAGES,
    Encoded,
    first_images,
    information,
    rate_parts,
)
from tune_ad.detectors.nets import ImageShape
from tune_ad.detectors.pgn import PGN
from tune_ad.storage.metric import Metric
from tune_ad.training.replicas.replica import build


def parts_of(mean, log_variance, seed=0):
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
    return rate_parts(Encoded(mean, log_variance, gaussian.rate(mean, log_variance)), noise)


def test_codes_that_know_nothing_have_no_mutual_information():
    mean = torch.full((50, 3), 0.7)
    parts = parts_of(mean, torch.full((50, 3), -1.0))
    assert parts.mutual_information == pytest.approx(0.0, abs=1e-9)
    assert parts.aggregate_divergence == pytest.approx(parts.rate)


def test_codes_that_tell_all_images_apart_have_the_largest_estimate():
    mean = torch.arange(40.0)[:, None].repeat(1, 2)
    parts = parts_of(mean, torch.full((40, 2), -20.0))
    assert parts.mutual_information == pytest.approx(math.log(40))
    assert parts.rate == pytest.approx(parts.mutual_information + parts.aggregate_divergence)


@pytest.mark.parametrize("variance", [0.25, 1.0, 4.0])
def test_a_gaussian_channel_has_the_mutual_information_of_its_formula(variance):
    stream = torch.Generator().manual_seed(1)
    mean = torch.randn(2000, 2, generator=stream)
    parts = parts_of(mean, torch.full_like(mean, math.log(variance)))
    expected = 2 * 0.5 * math.log(1 + 1 / variance)
    assert parts.mutual_information == pytest.approx(expected, abs=0.08)
    # q(z) = N(0, 1 + variance) against N(0, 1)
    total = 1 + variance
    divergence = 2 * 0.5 * (total - 1 - math.log(total))
    assert parts.aggregate_divergence == pytest.approx(divergence, abs=0.08)


@pytest.mark.parametrize("detector", [VAE, PGN])
def test_a_detector_reports_the_parts_of_its_own_rate(detector):
    shape = ImageShape(1, 8, 8)
    config = detector.Config.released(shape, latent_dim=16)
    module = build(detector, config, shape, 0).eval()
    images = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        numbers = module.inspect(iter(images.split(25)), 3)
        assert numbers == module.inspect(iter(images.split(25)), 3)
        rate = float(gaussian.rate(*module.encode(images)).mean())
    assert numbers[Metric("information", "rate")] == pytest.approx(rate, rel=1e-5)
    assert numbers[Metric("information", "largest_estimate")] == pytest.approx(math.log(60))
    total = sum(
        numbers[Metric("information", name)]
        for name in ("mutual_information", "aggregate_divergence")
    )
    assert total == pytest.approx(rate, rel=1e-5)


def test_no_more_images_are_read_than_are_used():
    read = []

    def batches():
        for k in range(10):
            read.append(k)
            yield zeros(700)

    numbers = information(first_images(batches()), 0)
    assert len(read) == math.ceil(MOST_IMAGES / 700)
    assert numbers[Metric("information", "largest_estimate")] == math.log(MOST_IMAGES)
    assert information(zeros(1), 0) == {}


def zeros(count):
    return Encoded(torch.zeros(count, 2), torch.zeros(count, 2), torch.zeros(count))
