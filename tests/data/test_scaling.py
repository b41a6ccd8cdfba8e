import numpy as np
import pytest
import torch

from tune_ad.data import SCALINGS, ScaledImages, scaled, without_copying
from tune_ad.data.scaling import IMAGES_PER_CHUNK, Range, training_range
from tune_ad.errors import UserError


def images(count: int = 6, channels: int = 3) -> torch.Tensor:
    stream = torch.Generator().manual_seed(0)
    return torch.randint(20, 240, (count, channels, 4, 4), generator=stream, dtype=torch.uint8)


@pytest.mark.parametrize("name", sorted(SCALINGS))
def test_every_scaling_keeps_shape_and_range_and_input(name):
    pixels = images()
    before = pixels.clone()
    result = scaled(pixels, name)
    assert result.dtype == torch.float32
    assert result.shape == pixels.shape
    low, high = training_range(name, result, torch.arange(len(pixels))) or (0, 1)
    result = (result - low) / (high - low)
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(pixels, before)
    assert scaled(pixels[:0], name).shape == (0, 3, 4, 4)


@pytest.mark.parametrize("name", sorted(SCALINGS))
def test_an_image_is_scaled_alone_whatever_the_chunk(name):
    pixels = images(1).expand(IMAGES_PER_CHUNK + 3, -1, -1, -1).clone()
    pixels[-1] //= 2
    result = scaled(pixels, name)
    assert torch.equal(result[IMAGES_PER_CHUNK], result[0])
    assert torch.equal(result[-1:], scaled(pixels[-1:], name))


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("name", sorted(SCALINGS))
def test_images_scaled_when_picked_equal_those_scaled_before_in_every_bit(name, shape):
    stream = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (300, *shape), generator=stream, dtype=torch.uint8)
    pixels[7], pixels[8] = 0, 93
    before, picked = scaled(pixels, name), ScaledImages(pixels, name)
    assert picked.shape == before.shape
    assert picked.device == before.device
    assert len(picked) == len(before)
    for count in (1, 2, 3, 64, 200):
        indices = torch.randperm(300, generator=stream)[:count]
        assert torch.equal(picked[indices], before[indices])
        assert picked[indices].stride() == before[indices].stride()
    for index in (7, 8):
        assert torch.equal(picked[torch.tensor([index])], before[index : index + 1])
    assert torch.equal(picked[:5], before[:5])
    some = torch.arange(10, 60)
    assert training_range(name, picked, some) == training_range(name, before, some)


def test_a_tensor_shares_the_memory_of_a_read_only_array():
    array = np.arange(6, dtype=np.uint8)
    array.flags.writeable = False
    assert without_copying(array).data_ptr() == array.ctypes.data


def test_unit_divides_by_255():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(scaled(pixels, "unit"), torch.arange(256).view(1, 1, 16, 16) / 255)


def test_minmax_stretches_each_image_over_its_channels_jointly():
    pixels = images()
    for image, result in zip(pixels.double(), scaled(pixels, "minmax").double(), strict=True):
        expected = (image - image.min()) / (image.max() - image.min())
        assert torch.allclose(result, expected, atol=1e-7)
        assert (result.min(), result.max()) == (0, 1)
    two_levels = torch.tensor([[10, 10], [30, 50]], dtype=torch.uint8).view(1, 2, 1, 2)
    assert scaled(two_levels, "minmax").flatten().tolist() == [0, 0, 0.5, 1]


@pytest.mark.parametrize("value", [0, 7, 255])
def test_minmax_of_a_constant_image_is_zero(value):
    constant = torch.full((2, 1, 3, 3), value, dtype=torch.uint8)
    assert torch.equal(scaled(constant, "minmax"), torch.zeros(2, 1, 3, 3))


def test_an_unknown_scaling_lists_the_known_ones():
    with pytest.raises(UserError, match="unknown scaling 'zca'; choose one of unit, minmax, gcn"):
        scaled(images(), "zca")
    with pytest.raises(UserError, match="unknown scaling 'zca'"):
        ScaledImages(images(), "zca")


def test_gcn_has_mean_0_and_mean_absolute_value_1_over_all_channels():
    pixels = images(50)
    pixels[7, :2] = 255  # no channel has mean 0 of its own
    for image, result in zip(pixels.double(), scaled(pixels, "gcn").double(), strict=True):
        assert float(result.mean()) == pytest.approx(0, abs=1e-6)
        assert float(result.abs().mean()) == pytest.approx(1, abs=1e-6)
        centred = image - image.mean()
        torch.testing.assert_close(result, centred / centred.abs().mean(), rtol=1e-5, atol=1e-5)


def test_gcn_knows_no_brightness_and_no_contrast():
    pixels = torch.tensor([[10, 20], [30, 60]], dtype=torch.uint8).view(1, 1, 2, 2)
    for other in (pixels + 100, pixels * 2, pixels * 4 + 5):
        torch.testing.assert_close(scaled(other, "gcn"), scaled(pixels, "gcn"))
    assert scaled(pixels, "gcn").flatten().tolist() == pytest.approx([-4 / 3, -2 / 3, 0, 2])


@pytest.mark.parametrize("value", [0, 7, 93, 255])
@pytest.mark.parametrize("side", [1, 32, 577, 999])
def test_gcn_of_a_constant_image_is_zero(value, side):
    constant = torch.full((2, 3, side, side + 3), value, dtype=torch.uint8)
    assert torch.equal(scaled(constant, "gcn"), torch.zeros(2, 3, side, side + 3))


@pytest.mark.parametrize("chunk", [2, IMAGES_PER_CHUNK])
def test_the_range_of_a_fitted_scaling_is_that_of_the_training_images(chunk, monkeypatch):
    monkeypatch.setattr("tune_ad.data.scaling.IMAGES_PER_CHUNK", chunk)
    result = scaled(images(9), "gcn")
    for train in (torch.tensor([4]), torch.tensor([8, 0, 3, 1, 5]), torch.arange(9)):
        trained = result[train]
        expected = Range(float(trained.min()), float(trained.max()))
        assert training_range("gcn", result, train) == expected
    assert training_range("unit", result, torch.arange(9)) is None
    assert training_range("minmax", result, torch.arange(9)) is None


def test_images_without_contrast_have_no_range():
    pixels = images(5)
    pixels[:3] = 40
    result = scaled(pixels, "gcn")
    with pytest.raises(UserError, match="'gcn' cannot be used, because all 3 training images are"):
        training_range("gcn", result, torch.arange(3))
    assert training_range("gcn", result, torch.arange(4)) is not None
