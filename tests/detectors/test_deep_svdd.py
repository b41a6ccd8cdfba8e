"""The mathematics of Deep SVDD."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.detectors.cases import COLOUR, GREY, cohort_of, module_of, pixels, small, trained
from tune_ad.cohort import Cohort, build
from tune_ad.detectors.deep_svdd import DeepSVDD, away_from_zero
from tune_ad.nets import ImageShape
from tune_ad.randomness import derived_seed


def test_the_centre_is_kept_off_zero_and_an_exact_zero_stays():
    centre = torch.tensor([0.0, -0.0, 1e-9, -1e-9, 0.05, -0.05, 0.1, -0.1, 0.3, -0.3])
    pushed = torch.tensor([0.0, 0.0, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.3, -0.3])
    assert torch.equal(away_from_zero(centre, 0.1), pushed)
    assert torch.equal(away_from_zero(centre, 0.0), centre)


def svdd(shape: ImageShape = GREY, **settings: Any) -> Cohort:
    return cohort_of(DeepSVDD, small(DeepSVDD, shape, **settings), shape)


@torch.no_grad()
@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_the_centre_is_the_mean_code_under_untrained_statistics(shape, epsilon):
    cohort = svdd(shape, centre_epsilon=epsilon)
    initial = build(DeepSVDD, module_of(cohort).config, shape, derived_seed(0, "t"))
    for each in initial.modules():
        if isinstance(each, nn.BatchNorm2d):
            assert float(each.running_mean.abs().max()) == 0
            assert float((each.running_var - 1).abs().max()) == 0
    codes = initial.eval().encoder(cohort.learners[0].images)
    with torch.enable_grad():
        cohort.train(1)
    centre = module_of(cohort).centre.clone()
    expected = codes.double().mean(0).numpy()
    near = np.abs(expected) < epsilon
    expected = np.where(near, np.sign(expected) * epsilon, expected)
    np.testing.assert_allclose(centre.numpy(), expected, rtol=1e-5, atol=1e-6)
    with torch.enable_grad():
        cohort.train(2)
    assert torch.equal(module_of(cohort).centre, centre)


@torch.no_grad()
def test_the_centre_does_not_depend_on_how_images_are_handed_over():
    module = build(DeepSVDD, small(DeepSVDD, GREY), GREY, 0).eval()
    images = pixels(GREY, 17).float() / 255
    whole = module.begin("train", [images])["centre"]
    parts = module.begin("train", iter(images.split(5)))["centre"]
    torch.testing.assert_close(parts, whole)


@torch.no_grad()
def test_one_class_loss_and_score_are_the_squared_distance():
    cohort = trained(DeepSVDD, GREY)
    module, images = module_of(cohort).eval(), cohort.learners[0].images
    expected = (module.encoder(images) - module.centre).square().sum(1)
    torch.testing.assert_close(module.terms("train", images, {})["loss"], expected)
    torch.testing.assert_close(module.score(images, {}), expected)
    assert module.encoder[1].bias is None


@torch.no_grad()
@pytest.mark.parametrize("nu", [0.1, 0.5, 1.0])
def test_soft_boundary_loss_and_score(nu):
    cohort = trained(DeepSVDD, GREY, objective="soft-boundary", nu=nu)
    module, images = module_of(cohort).eval(), cohort.learners[0].images
    distance = (module.encoder(images) - module.centre).square().sum(1).numpy()
    radius = float(np.sqrt(np.median(distance)))
    module.radius.fill_(radius)
    expected = radius**2 + np.maximum(0, distance - radius**2).mean() / nu
    assert float(module.loss("train", images, {})) == pytest.approx(expected, rel=1e-5)
    score = module.score(images, {}).numpy()
    np.testing.assert_allclose(score, distance - radius**2, rtol=1e-4, atol=1e-5)
    assert score.min() < 0 < score.max()


class Watched(DeepSVDD):
    """Keeps the distances that `after_step` was given."""

    def after_step(self, stage, phase, terms, progress):
        self.last = terms["distance"].clone()
        return super().after_step(stage, phase, terms, progress)


@pytest.mark.parametrize("nu", [0.1, 0.35])
def test_the_radius_waits_and_then_follows_the_last_batch(nu):
    cohort = cohort_of(
        Watched,
        small(DeepSVDD, GREY, epochs=10, objective="soft-boundary", nu=nu, radius_warmup=0.3),
        GREY,
    )
    module = module_of(cohort)
    for _ in range(3):
        cohort.train(1)
        assert float(module.radius) == 0
    radii = []
    for _ in range(3):
        cohort.train(1)
        expected = np.quantile(np.sqrt(module.last.double().numpy()), 1 - nu)
        assert float(module.radius) == pytest.approx(expected, rel=1e-6)
        radii.append(float(module.radius))
    assert len(set(radii)) == 3
    assert len(module.last) == 8


@pytest.mark.parametrize(
    ("epochs", "warmup", "first"),
    [(150, 10 / 150, 10), (100, 0.07, 7), (100, 0.55, 55), (30, 0.1, 3), (5, 0.0, 0)],
)
def test_the_warm_up_ends_in_its_epoch(epochs, warmup, first):
    config = small(DeepSVDD, GREY, epochs=epochs, objective="soft-boundary", radius_warmup=warmup)
    module = DeepSVDD(config, GREY)
    terms = {"distance": torch.ones(8)}
    radii = [
        float(module.after_step("train", "train", terms, torch.tensor(k / epochs))["radius"])
        for k in range(epochs)
    ]
    assert radii == [0.0] * first + [1.0] * (epochs - first)


def test_one_class_keeps_no_radius():
    cohort = trained(DeepSVDD, GREY, epochs=4)
    assert float(module_of(cohort).radius) == 0
