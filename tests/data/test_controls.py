"""Controls are what their names say; padding moves nothing and adds only zeros."""

import pytest
import torch

from tune_ad.data import load
from tune_ad.data.controls import CONTROLS, control, padded


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 8, 8)])
def test_a_control_is_a_test_only_set_that_its_seed_repeats(name, shape):
    image_set = control(name, shape, 50, seed=1)
    assert image_set.test_images.shape == (50, *shape)
    assert len(image_set.train_images) == 0
    assert torch.equal(image_set.test_images, control(name, shape, 50, seed=1).test_images)
    assert not torch.equal(image_set.test_images, control(name, shape, 50, seed=2).test_images)


def test_constant_images_have_no_variance_and_noise_has_that_of_its_range():
    flat = control("constant", (3, 8, 8), 200).test_images.double()
    assert float(flat.flatten(2).var(2).max()) == 0
    assert float(flat.mean((2, 3)).std()) == pytest.approx(256 / 12**0.5, rel=0.1)
    wild = control("noise", (1, 16, 16), 200).test_images.double()
    assert float(wild.flatten(1).std(1).mean()) == pytest.approx(256 / 12**0.5, rel=0.02)


def test_padding_keeps_the_pixels_and_adds_zeros_evenly():
    digits = load("digits")
    wide = padded(digits, 13)
    assert wide.shape == (1, 13, 13)
    assert torch.equal(wide.test_images[..., 2:10, 2:10], digits.test_images)
    assert int(wide.test_images.sum()) == int(digits.test_images.sum())
    assert wide.about.endswith("zero-padded to 13x13")
    assert padded(digits, 8) is digits


def test_padding_never_shrinks():
    with pytest.raises(ValueError, match="8x8 do not fit 4x4"):
        padded(load("digits"), 4)
