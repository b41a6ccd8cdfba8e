import pytest
import torch

from tune_ad.data import SCALINGS, scaled
from tune_ad.data.scaling import CHUNK_IMAGES
from tune_ad.errors import UserError


def images(count: int = 6, channels: int = 3) -> torch.Tensor:
    stream = torch.Generator().manual_seed(0)
    return torch.randint(20, 240, (count, channels, 4, 4), generator=stream, dtype=torch.uint8)


@pytest.mark.parametrize("name", sorted(SCALINGS))
def test_every_scaling_keeps_shape_and_range_and_input(name):
    given = images()
    before = given.clone()
    result = scaled(given, name)
    assert result.dtype == torch.float32
    assert result.shape == given.shape
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(given, before)
    assert scaled(given[:0], name).shape == (0, 3, 4, 4)


@pytest.mark.parametrize("name", sorted(SCALINGS))
def test_an_image_is_scaled_alone_whatever_the_chunk(name):
    given = images(1).expand(CHUNK_IMAGES + 3, -1, -1, -1).clone()
    given[-1] //= 2
    result = scaled(given, name)
    assert torch.equal(result[CHUNK_IMAGES], result[0])
    assert torch.equal(result[-1:], scaled(given[-1:], name))


def test_unit_divides_by_255():
    given = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(scaled(given, "unit"), torch.arange(256).view(1, 1, 16, 16) / 255)


def test_minmax_stretches_each_image_over_its_channels_jointly():
    given = images()
    for image, result in zip(given.double(), scaled(given, "minmax").double(), strict=True):
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
    with pytest.raises(UserError, match="unknown scaling 'gcn'; choose one of unit, minmax"):
        scaled(images(), "gcn")
